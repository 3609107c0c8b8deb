"""The tables of docs/reproduction.md are of the files of results, and these of their networks."""

import math
import statistics

import pytest

from clusterability.experiments.tables import TABLES
from reproduced_tables import PAGE, RESULTS, TABLE, lines_of, rows, table_of, with_tables

FILES = sorted(
    f"{path.parent.name}/{path.name}"
    for path in RESULTS.glob("*/table-*.csv")
    if not path.stem.endswith("-networks")
)

MLPS = ["1", *(f"A.{i}" for i in (1, 2, 3, 4, 5, 6, 7, 13, 16, 17, 18, 19, 20, 21))]
TREATED = ("L1", "L2", "Eigenvalue penalty")


def lines(name):
    return lines_of(table_of(name.removesuffix(".csv"), rows(name)), rows(name))


def test_the_tables_are_current():
    page = PAGE.read_text("utf-8")
    assert page == with_tables(page), "run make generate"
    assert sorted(f"{name}.csv" for name in TABLE.findall(page)) == FILES


def numbers(network, column):
    """A network's number, as a list; none if it has none."""
    if not network[column]:
        return []
    # The published losses have the penalty in them.
    return [float(network[column]) + column.endswith("loss") * float(network["penalty"])]


@pytest.mark.parametrize("name", FILES)
def test_a_line_is_of_its_networks(name):
    networks = rows(name.replace(".csv", "-networks.csv"))
    assert networks
    for row in rows(name):
        own = [
            n for n in networks if all(n[k] == row[k] for k in ("dataset", "treatment", "phase"))
        ]
        assert len(own) == int(row["n_networks"])
        for column in ("ncut", "train_accuracy", "test_accuracy", "train_loss", "test_loss"):
            values = [value for network in own for value in numbers(network, column)]
            mean = statistics.fmean(values) if values else math.nan
            std = statistics.stdev(values) if len(values) > 1 else math.nan
            found = [float(row[c] or "nan") for c in (column, f"{column}_std")]
            assert found == pytest.approx([mean, std], rel=1e-9, nan_ok=True), column


@pytest.mark.parametrize("name", FILES)
def test_verdicts_are_those_of_the_tolerances(name):
    for compared, row in zip(lines(name), rows(name), strict=True):
        told = {True: "yes", False: "no", None: ""}
        assert row["within_tolerance"] == told[compared.is_met]
        for number in compared.numbers:
            assert row[f"{number}_within_tolerance"] == told[compared.numbers[number].is_met]


def test_the_page_counts_the_lines_that_are_met():
    names = [f"published/{TABLES[number].name}.csv" for number in MLPS]
    verdicts = [
        compared.is_met
        for name in names
        for compared in lines(name)
        if compared.line.treatment not in TREATED
    ]
    assert f"{sum(verdicts)} of {len(verdicts)} are met" in PAGE.read_text("utf-8")
