from dataclasses import replace

import numpy as np
import pytest
import torch

from clusterability.errors import InputError
from clusterability.report.series import check_same_layers, plot_series, steps_of_names
from results import planted, result_of, small_result


def series():
    nulls = ([0.5, 0.6], [0.4, 0.6], [0.3, 0.5])
    return [small_result(null=null, shift=-0.01 * i) for i, null in enumerate(nulls)]


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["a/ckpt_2.pt", "a/ckpt_10.pt"], [2, 10]),
        (["run1/v2_5.pt", "run1/v2_7.pt"], [5, 7]),
        (["epoch=0-step=9.ckpt", "epoch=1-step=18.ckpt"], [9, 18]),
        (["epoch=0-v1.ckpt", "epoch=1-v1.ckpt"], [0, 1]),
        (["a.pt", "b.pt"], None),
        (["a1.pt", "a1.pt"], None),
        (["a1.pt", "a1_2.pt"], None),
        (["a1.pt"], None),
        ([f"a{10**60}.pt", "a1.pt"], None),
    ],
)
def test_steps_are_the_numbers_in_names(names, steps):
    assert steps_of_names(names) == steps


def test_lines_are_the_results_numbers():
    results = series()
    ncuts, effects, scores = plot_series(results, [0, 10, 30]).axes
    lines = {line.get_label(): line for line in ncuts.lines}
    for name, side in (("k-means", "plain"), ("refined", "refined")):
        clusterings = [getattr(result, side) for result in results]
        np.testing.assert_array_equal(lines[name].get_xdata(), [0, 10, 30])
        np.testing.assert_array_equal(lines[name].get_ydata(), [one.ncut for one in clusterings])
        means = [one.null.mean for one in clusterings]
        np.testing.assert_array_equal(lines[f"its shuffles, {name}"].get_ydata(), means)
        drawn = {line.get_label(): line.get_ydata() for line in (*effects.lines, *scores.lines)}
        np.testing.assert_array_equal(drawn[name], [one.z_score for one in clusterings])
    first = effects.lines[0].get_ydata()
    np.testing.assert_array_equal(first, [100 * result.effect for result in results])


def test_without_shuffles_there_are_only_ncuts():
    (ax,) = plot_series([small_result(), small_result()]).axes
    assert ax.get_xlabel() == "checkpoint"
    mixed = plot_series([small_result(), small_result(null=[0.5, 0.6])]).axes
    assert np.isnan(mixed[1].lines[0].get_ydata()).tolist() == [True, False]


@pytest.mark.slow
def test_titles_are_no_mathematics():
    figure = plot_series(series(), title=r"$\frac{ <b>")
    figure.draw_without_rendering()
    assert figure.get_suptitle() == r"$\frac{ <b>"


def test_other_architectures_are_refused():
    first = small_result()
    renamed = replace(first, layers=(*first.layers[:2], replace(first.layers[2], name="x\x1b")))
    with pytest.raises(InputError, match=r"its layer 2 is 'x\\x1b' of 2 neurons, where the first"):
        plot_series([first, renamed])
    graph, labels = planted([4, 3], 2, density=1)
    short = result_of(graph, labels)
    with pytest.raises(InputError, match="layer 0 is 'layer0' of 4 neurons"):
        check_same_layers(short, first)
    longer = replace(first, layers=(*first.layers, first.layers[0]))
    with pytest.raises(
        InputError, match="layer 3 is 'pixels' of 4 neurons, where the first has no"
    ):
        check_same_layers(longer, first)


def test_too_few_are_refused():
    for results, steps in (([], None), (series()[:1], None), (series(), [1, 2])):
        with pytest.raises(InputError, match="expected two or more"):
            plot_series(results, steps)


@pytest.mark.parametrize("steps", [["a", "b", "c"], [1, None, 2], [1, np.nan, 2], [1, 2**70, 3], 5])
def test_steps_are_numbers(steps):
    with pytest.raises(InputError, match="step"):
        plot_series(series(), steps)


def test_what_is_no_series():
    first = small_result()
    for results in (None, first, 5, "results", [first, None], iter([first, first])):
        with pytest.raises(InputError, match=r"results is|expected a Clusterability"):
            plot_series(results)
    with pytest.raises(InputError, match="title is 5"):
        plot_series(series(), title=5)
    for steps in (np.array([1, 2, 3]), torch.tensor([1, 2, 3]), range(3)):
        assert len(plot_series(series(), steps).axes)
