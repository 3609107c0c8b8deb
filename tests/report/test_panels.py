from dataclasses import replace

import numpy as np
import pytest
from matplotlib import pyplot, rc_context
from matplotlib.figure import Figure

from clusterability.errors import InputError
from clusterability.report.discs import place_discs
from clusterability.report.figures import (
    plot_adjacency,
    plot_eigenvalues,
    plot_network,
    plot_null,
)
from clusterability.report.panels import distinct_names
from results import small_result

PANELS = (plot_network, plot_adjacency, plot_null, plot_eigenvalues)


@pytest.mark.parametrize("plot", PANELS)
def test_panels_make_axes_and_take_a_title(plot):
    ax = plot(small_result(null=[0.5, 0.6]), title="$mine$")
    assert ax.get_title(loc="left") == "$mine$"
    assert ax.figure.number in pyplot.get_fignums()
    pyplot.close(ax.figure)


@pytest.mark.slow
@pytest.mark.parametrize("plot", PANELS)
def test_text_has_the_size_of_the_settings(plot):
    with rc_context({"font.size": 5}):
        figure = Figure(figsize=(3.25, 2.6), layout="constrained")
        ax = plot(small_result(null=[0.5, 0.6]), figure.add_subplot())
    texts = [ax.xaxis.label, ax.yaxis.label, *ax.texts, *ax.get_xticklabels()]
    assert {text.get_fontsize() for text in texts} == {5}
    figure.draw_without_rendering()


@pytest.mark.parametrize("plot", PANELS)
def test_axes_too_small_for_labels_are_refused(plot):
    result = small_result(null=[0.5, 0.6])
    with pytest.raises(InputError, match="too small for labels of 10 points, which need"):
        plot(result, Figure(figsize=(1, 1)).add_subplot())
    ax = plot(result, Figure(figsize=(1, 1)).add_subplot(), labels=False)
    assert ax.get_xlabel() == ax.get_ylabel() == ""


def test_refined_clusters_and_own_colors():
    result = small_result()
    refined = replace(result.refined, labels=np.where(result.labels < 0, -1, 1 - result.labels))
    result = replace(result, refined=refined)
    drawn = [
        plot_network(result, Figure().add_subplot(), refined=side, colors=["red", "blue"])
        for side in (False, True)
    ]
    first, second = (ax.collections[-1].get_facecolors() for ax in drawn)
    assert sorted(map(tuple, first)) == sorted(map(tuple, second))
    assert {tuple(color) for color in first} == {(1, 0, 0, 1), (0, 0, 1, 1)}
    for colors in ("red", [], ["no\x1bcolor"]):
        with pytest.raises(InputError, match="color"):
            plot_adjacency(result, Figure().add_subplot(), colors=colors)


@pytest.mark.parametrize("plot", PANELS)
def test_what_is_no_result_or_axes(plot):
    for result in (None, [small_result()], "result.json"):
        with pytest.raises(InputError, match="expected a Clusterability"):
            plot(result, Figure().add_subplot())
    several = Figure().subplots(1, 2)
    for ax in (several, several[0].figure, 5):
        with pytest.raises(InputError, match=r"expected axes of matplotlib; of an array"):
            plot(small_result(), ax)


@pytest.mark.parametrize("plot", PANELS)
@pytest.mark.parametrize("wrong", [5, [], ["no"], iter("rb")])
def test_what_is_no_color(plot, wrong):
    key = "color" if plot is plot_eigenvalues else "colors"
    with pytest.raises(InputError, match="color"):
        plot(small_result(null=[0.5, 0.6]), Figure().add_subplot(), **{key: wrong})


def test_the_null_has_two_colors():
    with pytest.raises(InputError, match="expected a list of 2 colors"):
        plot_null(small_result(), Figure().add_subplot(), colors=["red"])


@pytest.mark.parametrize("path", [5, b"x.png", True, ["x.png"]])
def test_what_is_no_path(path):
    with pytest.raises(InputError, match="the path of a figure is"):
        small_result().plot(path)


def test_lanes_are_in_the_order_of_the_mean_layer():
    graph = small_result().graph
    labels = np.array([1, 1, 1, 1, 0, 0, -1, 0, 0])
    assert place_discs(graph, labels, 2).lanes.argsort().tolist() == [1, 0]
    assert place_discs(graph, 1 - labels.clip(0), 2).lanes.argsort().tolist() == [0, 1]


@pytest.mark.parametrize(("n_shuffles", "is_few"), [(3, True), (20, True), (21, False)])
def test_few_shuffles_are_ticks_at_their_values(n_shuffles, is_few):
    null = np.linspace(0.5, 0.6, n_shuffles)
    ax = plot_null(small_result(null=null), Figure().add_subplot())
    drawn = [{float(path[0, 0]) for path in lines.get_segments()} for lines in ax.collections]
    assert (set(null.tolist()) in drawn) == is_few
    assert bool(ax.patches) != is_few


def test_names_still_differ_when_shortened():
    stem = "backbone.features.denseblock{}.denselayer{}.conv"
    names = [stem.format(i, j) for i in range(3) for j in range(12)] + ["fc", "fc", ""]
    found = distinct_names(names)
    assert len(set(found)) == len(set(names))
    assert max(map(len, found)) <= 21
    assert found[-3:] == ["fc", "fc", ""]
