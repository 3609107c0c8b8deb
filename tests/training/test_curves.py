import csv
import dataclasses
import io

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from clusterability.training.curves import curves_figure, curves_png
from clusterability.training.record import EpochScores, curves_csv

ROWS = [
    EpochScores(phase, epoch, 1 / (i + 1), 0.5, 2 / (i + 1), 0.25, 0.125, 0.9, 1.5)
    for i, (phase, epoch) in enumerate([("unpruned", 1), ("unpruned", 2), ("pruned", 1)])
]


def lines(axes):
    """What is drawn over the epochs, by part."""
    drawn = [line for line in axes.lines if len(line.get_xdata()) > 2]
    return {
        "test" if line.get_label() == "test" else "train": list(line.get_ydata()) for line in drawn
    }


def test_csv_has_every_number():
    found = list(csv.DictReader(io.StringIO(curves_csv(ROWS))))
    assert list(found[0]) == [field.name for field in dataclasses.fields(EpochScores)]
    for row, expected in zip(found, ROWS, strict=True):
        for name, value in dataclasses.asdict(expected).items():
            assert type(value)(row[name]) == value


def test_csv_is_empty_where_there_is_no_number():
    row = EpochScores("unpruned", 1, 1.0, None, None, None, 0.0, 0.0, 1.0)
    assert curves_csv([row]).splitlines()[1] == "unpruned,1,1.0,,,,0.0,0.0,1.0"


def test_figure_has_losses_and_accuracies_and_where_pruning_begins():
    figure = curves_figure(ROWS, "a title")
    loss, accuracy = figure.axes
    assert lines(loss)["test"] == [2, 1, 2 / 3]
    assert lines(loss)["train"] == [1, 1 / 2, 1 / 3]
    assert lines(accuracy)["test"] == [0.25] * 3
    (mark,) = [line for line in loss.lines if list(line.get_xdata()) == [2.5, 2.5]]
    assert mark.get_linestyle() == "--"
    assert figure.get_suptitle() == "a title"


def test_figure_of_a_regression_without_test_or_pruning():
    rows = [EpochScores("unpruned", i, 1 / i, None, None, None, 0, 0, 1) for i in (1, 2, 3)]
    (axes,) = curves_figure(rows, "").axes
    assert list(lines(axes)) == ["train"]
    assert len(axes.lines) == 1


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.9, 0.1, 1e-3])
def test_losses_of_any_range_have_labels_inside_the_figure(factor):
    rows = [dataclasses.replace(ROWS[0], epoch=i, train_loss=factor**i) for i in range(12)]
    figure = curves_figure(rows, "a title")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axis, (lowest, highest) = figure.axes[0].yaxis, figure.axes[0].get_ylim()
    labels = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    shown = [label for place, label in labels if lowest <= place <= highest]
    assert len([label for label in shown if label.get_text()]) >= 2
    for label in (*shown, axis.label):
        assert label.get_window_extent(canvas.get_renderer()).x0 >= 0


@pytest.mark.slow
def test_png_also_of_awkward_rows():
    zero = EpochScores("unpruned", 1, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0)
    for rows in (ROWS, [zero], [ROWS[2]]):
        assert curves_png(rows, "mathtext $_ is not parsed").startswith(b"\x89PNG")
