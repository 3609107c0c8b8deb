from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from clusterability.display.figure_files import check_figure_path
from clusterability.display.style import drawable
from clusterability.errors import InputError
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.report.adjacency_drawing import mean_strengths, positions_by_cluster
from clusterability.report.discs import joined_discs, place_discs
from clusterability.report.figures import (
    plot_adjacency,
    plot_eigenvalues,
    plot_network,
    plot_null,
    sheet,
)
from clusterability.report.network_drawing import connecting_curve
from clusterability.result import Clusterability
from results import planted, result_of, small_result


def axes():
    return Figure(figsize=(6, 4)).add_subplot()


def words(figure: Figure) -> str:
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    return "\n".join([*texts, *(text.get_text() for text in figure.texts)])


def test_sheet_draws_all_four_and_the_headline():
    figure = sheet(small_result(null=[0.5, 0.6]))
    assert len(figure.axes) == 4
    figure.draw_without_rendering()
    said = words(figure)
    assert "mlp.pt" in said
    assert "n-cut 0.075" in said
    assert "2 shuffles 0.550 ± 0.050" in said
    assert "gap after k = 2: 0.100" in said


def test_long_headlines_stay_on_the_sheet():
    result = small_result(null=[0.5, 0.6])
    settings = replace(
        result.settings, conventions="published", scaling="canonical", layers="hidden"
    )
    result = replace(result, settings=settings, network="a very long name of a network " * 4)
    figure = sheet(result)
    figure.draw_without_rendering()
    for line in figure.texts:
        assert line.get_window_extent().x1 <= figure.bbox.width


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_result_gives_the_same_bytes(tmp_path, suffix):
    result = small_result(null=[0.5, 0.6])
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        result.plot(path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert len(first) > 1000


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.json"])
def test_other_suffixes_are_refused_before_the_work(tmp_path, name):
    with pytest.raises(InputError, match=r"use one of \.png, \.svg, \.pdf"):
        check_figure_path(tmp_path / name)
    with pytest.raises(InputError, match="suffix"):
        sheet(small_result(), tmp_path / name)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        check_figure_path(tmp_path / "none" / "a.PNG")


def test_result_from_json_says_what_is_missing():
    result = Clusterability.from_json(small_result(null=[0.5, 0.6]).to_json())
    assert words(sheet(result)).count("The graph is not part of the JSON") == 2
    for plot in (plot_network, plot_adjacency):
        with pytest.raises(InputError, match="measure the network again"):
            plot(result, axes())
    plot_null(result, axes())
    plot_eigenvalues(result, axes())


def test_graph_that_does_not_fit_its_labels():
    graph = NeuronGraph.chain([torch.ones(2, 2)])
    with pytest.raises(InputError, match="9 labels, but its graph 4 neurons"):
        plot_network(replace(small_result(), graph=graph), axes())


def test_without_shuffles_the_panel_says_so():
    assert "No shuffles were run" in words(sheet(small_result()))


def test_names_are_not_read_as_mathematics_and_need_no_glyph():
    graph = small_result().graph
    assert graph is not None
    layers = tuple(replace(layer, name=r"$\frac{\x1b 日$") for layer in graph.layers)
    result = small_result(network="$x^2$ \x1b[31m 日本")
    summaries = tuple(replace(layer, name=r"$\frac{ 日$") for layer in result.layers)
    figure = sheet(replace(result, layers=summaries, graph=NeuronGraph(layers, graph.blocks)))
    figure.draw_without_rendering()
    assert r"$x^2$ \x1b[31m \u65e5\u672c" in words(figure)


def test_drawable_is_short():
    assert drawable("x" * 1000, 20) == "x" * 9 + "..." + "x" * 8


def test_adjacency_up_to_600_neurons_is_exact():
    result = small_result()
    graph, labels = result.graph, result.labels
    assert graph is not None
    image = mean_strengths(graph, positions_by_cluster(labels), 8)
    order = [2, 3, 5, 8, 0, 1, 4, 7]
    np.testing.assert_allclose(image, graph.to_scipy().toarray()[np.ix_(order, order)])


def test_large_adjacency_is_averaged():
    graph, labels = planted([700, 600], 3)
    n_shown = int((labels >= 0).sum())
    image = mean_strengths(graph, positions_by_cluster(labels), n_shown)
    assert image.shape == (600, 600)
    np.testing.assert_allclose(image, image.T)
    sizes = np.bincount(np.arange(n_shown) * 600 // n_shown)
    total = (image * np.outer(sizes, sizes)).sum()
    assert total == pytest.approx(float(graph.degrees().sum()))


def test_lines_share_the_strength_between_two_layers():
    layers = (Layer("a", 40), Layer("b", 30), Layer("c", 20))
    rng = np.random.default_rng(0)
    blocks = (
        Block(0, 1, torch.tensor(rng.random((40, 30)))),
        Block(1, 0, torch.tensor(rng.random((30, 40)))),
        Block(2, 0, torch.tensor(rng.random((20, 40)))),
    )
    graph = NeuronGraph(layers, blocks)
    labels = rng.integers(0, 3, 90)
    discs = place_discs(graph, labels, 3)
    assert discs.size.sum() == 90
    shares = list(joined_discs(graph, discs))
    assert all(discs.layer[i] < discs.layer[j] for i, j, _ in shares)
    assert sum(share for _, _, share in shares) == pytest.approx(2)
    i, j, share = shares[0]
    rows = labels[:40] == discs.cluster[i]
    columns = labels[40:70] == discs.cluster[j]
    joint = blocks[0].strengths.numpy() + blocks[1].strengths.numpy().T
    assert share == pytest.approx(joint[np.ix_(rows, columns)].sum() / joint.sum())


def within_layers(n_neurons=60, n_clusters=3):
    """Two layers joined within and between, and labels."""
    layers = (Layer("a", n_neurons), Layer("b", 20))
    rng = np.random.default_rng(1)
    blocks = (
        Block(0, 0, torch.tensor(rng.random((n_neurons, n_neurons))).triu(1)),
        Block(0, 1, torch.tensor(rng.random((n_neurons, 20)))),
    )
    return NeuronGraph(layers, blocks), rng.integers(0, n_clusters, n_neurons + 20)


def test_lines_within_a_layer_share_the_strength_within_it():
    graph, labels = within_layers()
    discs = place_discs(graph, labels, 3)
    shares = {(i, j): share for i, j, share in joined_discs(graph, discs)}
    assert all(i <= j for i, j in shares)
    within = {pair: share for pair, share in shares.items() if discs.layer[pair[1]] == 0}
    assert len(within) == 6
    strengths = graph.blocks[0].strengths.numpy()
    symmetric = strengths + strengths.T
    for (i, j), share in within.items():
        rows, columns = (labels[:60] == discs.cluster[disc] for disc in (i, j))
        expected = symmetric[np.ix_(rows, columns)].sum() / strengths.sum() / (1 + (i == j))
        assert share == pytest.approx(expected)
    assert sum(within.values()) == pytest.approx(1)
    assert sum(shares.values()) == pytest.approx(2)


def test_a_line_within_a_layer_bends_to_one_side():
    graph, labels = within_layers()
    discs = place_discs(graph, labels, 3)
    curve = connecting_curve(discs, 0, 2, bend=0.5)
    np.testing.assert_allclose(curve[[0, -1], 0], 0, atol=1e-12)
    np.testing.assert_allclose(curve[[0, -1], 1], discs.y[[0, 2]])
    assert 0.1 < curve[:, 0].max() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("n_neurons", [12, 80])
def test_a_graph_without_layers_is_drawn(n_neurons):
    graph, labels = within_layers(n_neurons)
    one = NeuronGraph(graph.layers[:1], graph.blocks[:1])
    figure = sheet(result_of(one, labels[:n_neurons]))
    figure.draw_without_rendering()
    titles = [ax.get_title(loc="right") for ax in figure.axes]
    assert any("strength between neurons" in title for title in titles)
    assert figure.axes[1].get_xlabel() == f"{n_neurons} neurons by cluster"


def test_adjacency_within_a_layer_is_symmetric():
    graph, labels = within_layers(30)
    image = mean_strengths(graph, positions_by_cluster(labels), 50)
    order = np.argsort(labels, kind="stable")
    np.testing.assert_allclose(image, graph.to_scipy().toarray()[np.ix_(order, order)])


def test_small_networks_have_a_disc_a_neuron():
    result = small_result()
    assert result.graph is not None
    discs = place_discs(result.graph, result.labels, 2)
    assert discs.size.tolist() == [1] * 8
    assert discs.of_neuron[6] == -1
    assert len(set(zip(discs.layer.tolist(), discs.y.tolist(), strict=True))) == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_shuffles", "spread"), [(1, 0.0), (20, 0.0), (20, 1e-12), (500, 0.2)], ids=str
)
def test_null_of_any_spread(n_shuffles, spread):
    null = np.random.default_rng(0).normal(0.075, spread, n_shuffles)
    figure = Figure()
    plot_null(small_result(null=null), figure.add_subplot())
    figure.draw_without_rendering()
    assert "k-means: n-cut 0.075" in words(figure)


def test_eigenvalues_that_end_at_k():
    figure = Figure()
    plot_eigenvalues(small_result(eigenvalues=(0.0, 0.1)), figure.add_subplot())
    assert "no eigenvalue after it is known" in words(figure)


@pytest.mark.slow
def test_fifty_five_layers_leave_room_for_their_names():
    graph, labels = planted([9] * 55, 10, density=0.9)
    labels = np.where(labels < 0, 0, labels)
    skips = [Block(i, i + 3, torch.ones(9, 9)) for i in range(0, 51, 2)]
    skipping = NeuronGraph(graph.layers, (*graph.blocks, *skips))
    figure = sheet(replace(result_of(graph, labels), graph=skipping))
    figure.draw_without_rendering()
    names = figure.axes[0].get_xticklabels()
    assert 10 < len(names) < 55
    boxes = [name.get_window_extent() for name in names]
    # Slanted by 30 degrees, a line of text takes twice its height along the axis.
    apart = np.diff([box.x1 for box in boxes])
    assert apart.min() > 1.5 * names[0].get_fontsize() * figure.dpi / 72
    assert min(box.x0 for box in boxes) > 0


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters", [1, 40])
def test_many_layers_with_skips_and_any_number_of_clusters(n_clusters):
    graph, labels = planted([12] * 30, n_clusters, density=0.8)
    labels = np.where(labels < 0, 0, labels)
    skip = Block(0, 5, torch.ones(12, 12, dtype=torch.bfloat16, requires_grad=True))
    skipping = NeuronGraph(graph.layers, (*graph.blocks, skip))
    sheet(replace(result_of(graph, labels), graph=skipping)).draw_without_rendering()
