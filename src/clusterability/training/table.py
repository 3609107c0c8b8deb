"""Trained runs as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from clusterability.display.tables import align
from clusterability.report.numerals import effect_text
from clusterability.report.text import conventions_column
from clusterability.result import Clusterability
from clusterability.shown import shown
from clusterability.training.judged import validation
from clusterability.training.measured import measurement
from clusterability.training.record import PhaseScores, TrainedRun

Row = list[str]


def runs_table(runs: Sequence[TrainedRun]) -> str:
    """Return a line for each phase of each run, and the names of the folders."""
    phases = [(run, phase, measurement(run, phase)) for run in runs for phase in run.phases]
    measured = [found for _, _, found in phases if found is not None]
    conventions = conventions_column([found.settings for found in measured])
    rows = [_row(*each, with_conventions=bool(conventions)) for each in phases]
    names = ["seed", "network", "sparsity", "train loss", "test loss"]
    names += ["train acc.", "test acc."] if _has_accuracy(runs) else []
    judged = any(validation(run, phase) is not None for run, phase, _ in phases)
    names += ["cut apart"] if judged else []
    names += [*conventions[:1], "n-cut", "shuffles", "effect", "p", "Z"] if measured else []
    lines = [align([names, *rows])]
    out = shown(str(runs[0].folder.parent), 200)
    lines += ["", f"in {out}:", *(f"  {run.spec.name}" for run in runs)]
    notes = [
        f"seed {run.spec.seed}: trained {len(run.attempts) + 1} times, since the n-cut was "
        + ", ".join(f"{attempt.ncut:.3f}" for attempt in run.attempts)
        for run in runs
        if run.attempts
    ]
    return "\n".join([*lines, *notes])


def _has_accuracy(runs: Sequence[TrainedRun]) -> bool:
    return any(scores.train_accuracy is not None for r in runs for scores in r.phases.values())


def _row(run: TrainedRun, phase: str, found: Clusterability | None, with_conventions: bool) -> Row:
    scores = run.phases[phase]
    row = [str(run.spec.seed), phase, f"{100 * scores.sparsity:.1f} %", *_losses(scores)]
    if scores.train_accuracy is not None:
        row += [_percent(scores.train_accuracy), _percent(scores.test_accuracy)]
    judged = validation(run, phase)
    if judged is not None:
        row.append(_percent(judged.accuracy_cut))
    if found is not None:
        plain = found.plain
        row += [found.settings.conventions_text] if with_conventions else []
        row.append(f"{plain.ncut:.3f}")
        if plain.null is not None:
            row.append(f"{plain.null.mean:.3f} +- {plain.null.std:.3f}")
            row.append(effect_text(plain.effect))
            row.append(f"{plain.p_value:.2g}")
            row.append("" if plain.z_score is None else f"{plain.z_score:.1f}")
    return row


def _losses(scores: PhaseScores) -> Row:
    test = scores.test_loss
    return [f"{scores.train_loss:.4f}", "" if test is None else f"{test:.4f}"]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"
