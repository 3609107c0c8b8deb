"""Labels of points lie free of each other, of all marks, and within the axes."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from clusterability.experiments.point_labels import Label, place_labels


def placed(points, marks=(), mark_size=0.0):
    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    ax = figure.subplots()
    ax.scatter(*np.asarray([*points, *marks]).T)
    place_labels(ax, [Label(x, y, "0.0385", "black") for x, y in points], 6, marks, mark_size)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == len(points)
    return ax, boxes


@pytest.mark.slow
@pytest.mark.parametrize("n_points", [1, 8, 20])
def test_labels_of_points_do_not_lie_over_each_other(n_points):
    rng = np.random.default_rng(n_points)
    points = np.concatenate([rng.normal(0, 1, (n_points // 2 + 1, 2)), [[3.0, 3.0]] * 4])
    ax, boxes = placed(points)
    frame = ax.get_window_extent()
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert (frame.min <= box.min).all()
        assert (box.max <= frame.max).all()


@pytest.mark.slow
def test_marks_without_labels_stay_free():
    points = [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)]
    marks = [(0.02, 0.0), (0.48, 0.5), (0.5, 0.54)]
    ax, boxes = placed(points, marks, 10.0)
    half = 5.0 * ax.figure.dpi / 72
    for middle in ax.transData.transform(marks):
        mark = Bbox([middle - half, middle + half])
        assert not any(box.overlaps(mark) for box in boxes)
