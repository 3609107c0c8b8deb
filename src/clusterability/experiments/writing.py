"""Tables as CSV, Markdown and LaTeX, one line a published line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from clusterability.experiments.comparing import Compared, ComparedLine, Network
from clusterability.experiments.records import Line, Table
from clusterability.report.labels import harmless
from clusterability.training.record import PhaseScores

NUMBERS = ("ncut", "null_mean", "n_significant")
SCORES = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")

TITLES = {
    "ncut": "n-cut",
    "null_mean": "shuffles",
    "n_significant": "below all shuffles",
    "train_accuracy": "train acc.",
    "test_accuracy": "test acc.",
    "train_loss": "train loss",
    "test_loss": "test loss",
}


NETWORK_COLUMNS = (
    *("table", "dataset", "treatment", "phase", "seed", "run"),
    *("ncut", "null_mean", "null_std", "p_value", "z_score"),
    *("refined_ncut", "refined_null_mean", "refined_p_value", "effective_clusters"),
    *(field.name for field in fields(PhaseScores)),
    *("n_trainings", "device"),
)


def lines_csv(table: Table, lines: Sequence[ComparedLine]) -> str:
    """Return all numbers of a table, in full precision."""
    rows = []
    for compared in lines:
        line = compared.line
        row: dict[str, Any] = {
            "table": table.number,
            "dataset": line.dataset,
            "treatment": line.treatment,
            "phase": line.phase,
            "n_networks": compared.n_finished,
            "n_wanted": compared.n_wanted,
            "max_epochs": table.max_epochs,
        }
        for name in (*NUMBERS, *SCORES):
            row |= _cells(name, compared.numbers[name])
        row |= {f"refined_{name}": value for name, value in compared.refined.items()}
        row["within_tolerance"] = _yes(compared.is_met)
        rows.append(row)
    return _csv(rows, list(rows[0]))


def _cells(name: str, number: Compared) -> dict[str, Any]:
    return {
        name: number.ours,
        f"{name}_std": number.std,
        f"{name}_published": number.published,
        f"{name}_published_std": number.published_std,
        f"{name}_difference": number.difference,
        f"{name}_within_tolerance": _yes(number.is_met),
    }


def _yes(value: bool | None) -> str:
    return "" if value is None else ("yes" if value else "no")


def networks_csv(table: Table, lines: Sequence[ComparedLine]) -> str:
    """Return the numbers of each network of a table, in full precision.

    Without networks it is the line of the names alone.
    """
    rows = [
        _network_cells(table, compared.line, network)
        for compared in lines
        for network in compared.networks
    ]
    return _csv(rows, NETWORK_COLUMNS)


def _network_cells(table: Table, line: Line, network: Network) -> dict[str, Any]:
    plain, refined = network.result.plain, network.result.refined
    return {
        "table": table.number,
        "dataset": line.dataset,
        "treatment": line.treatment,
        "phase": line.phase,
        "seed": network.seed,
        "run": network.name,
        "ncut": plain.ncut,
        "null_mean": plain.null and plain.null.mean,
        "null_std": plain.null and plain.null.std,
        "p_value": plain.p_value,
        "z_score": plain.z_score,
        "refined_ncut": refined.ncut,
        "refined_null_mean": refined.null and refined.null.mean,
        "refined_p_value": refined.p_value,
        "effective_clusters": plain.effective_clusters,
        **(asdict(network.scores) if network.scores else {}),
        "n_trainings": network.n_trainings,
        "device": harmless(network.device),
    }


def _csv(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def header(lines: Sequence[ComparedLine]) -> list[str]:
    """Return the titles of a table for people; columns that nobody has are left out."""
    return ["data", "treatment", "", "networks", *(TITLES[n] for n in shown_numbers(lines)), "met"]


def shown_numbers(lines: Sequence[ComparedLine]) -> list[str]:
    """Return the names of the numbers that some line has, of ours or the published ones."""
    return [
        name
        for name in (*NUMBERS, *SCORES)
        if any(
            compared.numbers[name].published is not None
            or (name not in SCORES and compared.numbers[name].ours is not None)
            for compared in lines
        )
    ]


def row(compared: ComparedLine, names: Sequence[str], sign: str = "±") -> list[str]:
    """Return the cells of a line for people: ours, and in brackets the published number."""
    line = compared.line
    return [
        line.dataset,
        line.treatment,
        line.phase,
        f"{compared.n_finished} of {compared.n_wanted}",
        *(_cell(compared, name, sign) for name in names),
        _verdict(compared),
    ]


def _cell(compared: ComparedLine, name: str, sign: str) -> str:
    number = compared.numbers[name]
    if name == "n_significant":
        ours = "" if number.ours is None else f"{number.ours:.0f} of {compared.n_finished}"
        published = "" if number.published is None else f"({number.published:.3g})"
    else:
        ours = _number(number.ours, number.std, sign)
        text = _number(number.published, number.published_std, sign)
        published = f"({text})" if text else ""
    mark = " !" if number.is_met is False else ""
    return f"{ours} {published}".strip() + mark


def _number(mean: float | None, std: float | None, sign: str) -> str:
    if mean is None:
        return ""
    return f"{mean:.3f}" if std is None else f"{mean:.3f} {sign} {std:.3f}"


def _verdict(compared: ComparedLine) -> str:
    if not compared.n_finished or compared.is_met is None:
        return ""
    return "yes" if compared.is_met else "no"


def markdown(table: Table, lines: Sequence[ComparedLine]) -> str:
    """Return a Markdown table: ours, in brackets the published numbers; ! marks what is not met.

    Below a table of shorter trainings than the paper's stands its heading, which says so.
    """
    names = shown_numbers(lines)
    rows = [header(lines), *(row(compared, names) for compared in lines)]
    texts = [f"| {' | '.join(cells)} |" for cells in rows]
    note = [] if table.max_epochs is None else ["", f"{table.heading}."]
    return "\n".join([texts[0], "|" + "---|" * len(rows[0]), *texts[1:], *note]) + "\n"


def latex(table: Table, lines: Sequence[ComparedLine]) -> str:
    """Return a LaTeX table of the same cells, for the package booktabs."""
    names = shown_numbers(lines)
    rows = [header(lines), *(row(compared, names, r"$\pm$") for compared in lines)]
    texts = [" & ".join(cell.replace("&", r"\&") for cell in cells) + r" \\" for cells in rows]
    return "\n".join(
        [
            f"% Table {table.number}: {table.heading}.",
            "% In brackets: published; ! marks what is not within tolerance.",
            rf"\begin{{tabular}}{{{'l' * 3}{'r' * (len(rows[0]) - 3)}}}",
            r"\toprule",
            texts[0],
            r"\midrule",
            *texts[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )
