import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from clusterability import Settings, measure, toy
from clusterability import measuring as module
from clusterability.clustering.cut import normalized_cut
from clusterability.errors import InputError
from clusterability.experiments import plain_pipeline
from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.registries import NULLS, TIES
from clusterability.result import Clusterability
from clusterability.workers import single_threaded_libraries
from graphs import (
    AWKWARD,
    TRIANGLE,
    chain_of,
    grouped_convolutions,
    joined,
    low_rank,
    naive_ncut,
    random_chain,
    side_by_side,
    uneven,
)
from measurements import GRAPH, SIZES, check, numbers, run
from results import planted


@pytest.fixture(autouse=True)
def _one_thread():
    with single_threaded_libraries():
        yield


@pytest.fixture(scope="module")
def result():
    return run(seed=3)


def test_a_result_is_consistent(result):
    check(result)
    assert len(result.null_distribution) == 6
    assert result.settings.n_init == result.n_init == 5
    assert result.n_init_policy == "given"
    assert (result.settings.seed, result.settings.null) == (3, "layer")
    assert result.device == "cpu"
    assert [layer.n_neurons for layer in result.layers] == SIZES
    assert all(seconds >= 0 for seconds in result.seconds.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"isolated": "drop-first"}, {"null": "nonzero"}, {"volume_offset": 5.0}]
    + [{"graph": joined([40], [(0, 0)], density=0.2), "null": null} for null in NULLS]
    + [{"graph": grouped_convolutions(), "ties": t, "null": n} for t in TIES for n in NULLS],
    ids=lambda options: str({k: v for k, v in options.items() if k != "graph"}),
)
def test_the_same_for_any_number_of_workers(options):
    first = numbers(run(**options))
    for workers in (1, 2, 8):
        assert numbers(run(workers=workers, **options)) == first


def test_the_same_with_a_progress_bar(result):
    assert numbers(run(seed=3, progress=True)) == numbers(result)


def test_another_seed_gives_other_shuffles(result):
    other = run(seed=4)
    assert not set(other.plain.null.values) & set(result.plain.null.values)


def test_more_shuffles_add_to_the_first(result):
    for n_shuffles in (1, 3):
        fewer = run(seed=3, n_shuffles=n_shuffles)
        for name in ("plain", "refined"):
            values = getattr(result, name).null.values
            assert getattr(fewer, name).null.values == values[:n_shuffles]
        assert np.array_equal(fewer.labels, result.labels)
        assert fewer.lower_bound == result.lower_bound


@pytest.mark.slow
def test_ties_change_shuffles_of_copies_and_nothing_else(result):
    assert result.settings.ties == "tied"
    independent = run(seed=3, ties="independent")
    assert independent.settings.ties == "independent"
    assert independent.plain.null == result.plain.null
    copies = grouped_convolutions()
    alone, together = (run(copies, ties=ties, n_shuffles=20) for ties in ("independent", "tied"))
    for each in (alone, together):
        check(each)
    assert alone.ncut == together.ncut
    assert not set(alone.plain.null.values) & set(together.plain.null.values)
    assert [block.kernel for block in alone.graph.blocks][2:] == ["kernel2", "kernel2"]


def test_copies_that_lose_different_neurons_are_refused():
    copies = joined([6, 5, 5], [(0, 1), (0, 2)])
    copies.blocks[1].strengths[:, 2] = 0
    named = replace(copies, blocks=tuple(replace(b, kernel="conv") for b in copies.blocks))
    with pytest.raises(InputError, match=r"lose different neurons.*isolated.*ties"):
        run(named, isolated="drop-first")
    check(run(named, ties="independent", isolated="drop-first"))
    check(run(named, conventions="published"))
    for null in NULLS:  # the zeros of these copies lie at different places
        check(run(named, null=null))


def test_graphs_without_layers_and_planted_clusters():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 90)
    likely = np.where(truth[:, None] == truth, 0.4, 0.02)
    strengths = np.triu(rng.random((90, 90)) * (rng.random((90, 90)) < likely), 1)
    block = Block(0, 0, torch.tensor(strengths, dtype=torch.float32))
    result = run(NeuronGraph((Layer("nodes", 90),), (block,)), 3, n_shuffles=19)
    check(result)
    assert result.p_value == 0.05
    assert result.refined.ncut <= naive_ncut(strengths + strengths.T, truth) + 1e-6
    for label in range(3):
        assert np.bincount(result.labels[truth == label]).max() > 0.95 * (truth == label).sum()


def test_a_layer_that_nothing_touches_is_isolated():
    result = run(AWKWARD["untouched layer"], 2)
    check(result)
    assert [layer.n_isolated for layer in result.layers] == [0, 3, 0]


def test_no_shuffles(result):
    bare = run(seed=3, n_shuffles=0)
    check(bare)
    for part in (bare.plain, bare.refined):
        assert part.null is part.p_value is part.z_score is None
    assert bare.null_distribution.size == 0
    assert bare.ncut == result.ncut
    assert np.array_equal(bare.labels, result.labels)


def test_drop_first_leaves_the_isolated_out_of_the_shuffles(monkeypatch):
    sizes = []

    def spy(graph, rng):
        sizes.append(graph.n_neurons)
        return NULLS_LAYER(graph, rng)

    NULLS_LAYER = NULLS["layer"]
    monkeypatch.setitem(NULLS, "layer", spy)
    n_live = int((GRAPH.degrees() > 0).sum())
    assert n_live < GRAPH.n_neurons
    first = run(isolated="drop-first", n_shuffles=2)
    after = run(isolated="drop-after", n_shuffles=2)
    assert sizes == [n_live] * 2 + [GRAPH.n_neurons] * 2
    for result in (first, after):
        check(result)
        assert any("no connection and are left out" in message for message in result.warnings)
    assert first.plain.null.values != after.plain.null.values
    assert first.lower_bound == pytest.approx(after.lower_bound, abs=1e-6)
    assert first.refined.ncut == pytest.approx(after.refined.ncut, abs=0.1)


def test_the_nonzero_null_of_a_full_graph_is_the_layer_null():
    graph = random_chain([12, 10, 8])
    layer, nonzero = run(graph, null="layer"), run(graph, null="nonzero")
    assert layer.plain.null.values == nonzero.plain.null.values
    assert nonzero.to_dict()["null"]["kind"] == "nonzero"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(AWKWARD) - {"1 x 1"}))
@pytest.mark.parametrize("isolated", ["drop-first", "drop-after"])
def test_awkward_graphs(name, isolated):
    graph = AWKWARD[name]
    if name == "untouched layer":  # a layer without blocks is no network that could be shuffled
        graph = NeuronGraph(graph.layers[::2], (Block(0, 1, graph.blocks[0].strengths),))
    for n_clusters in (2, 4):
        result = run(graph, n_clusters, n_shuffles=2, isolated=isolated)
        check(result)
        assert len(result.clusters) <= n_clusters


def test_two_clusters_and_as_many_as_neurons():
    graph = random_chain([5, 4])
    check(run(graph, 2))
    every = run(graph, 9)
    check(every)
    assert len(every.clusters) <= 9


def test_planted_clusters_are_found():
    graph, labels = planted([60, 50, 40], 3, noise=0.02, density=0.4)
    planted_ncut = float(normalized_cut(graph, labels))
    result = run(graph, 3, n_shuffles=9)
    check(result)
    assert result.ncut == pytest.approx(planted_ncut, abs=0.02)
    assert result.refined.ncut <= planted_ncut + 1e-9
    found = result.refined.labels
    overlaps = [np.bincount(found[labels == label]).max() for label in range(3)]
    assert sum(overlaps) > 0.97 * (labels >= 0).sum()
    assert result.p_value == result.refined.p_value == 0.1
    assert result.z_score < -5
    assert result.effective_clusters == pytest.approx(3, abs=0.3)


@pytest.mark.slow
def test_no_worse_than_the_plain_pipeline():
    graph = random_chain([60, 40, 20, 8], 1, density=0.2)
    blocks = [block.strengths.numpy() for block in graph.blocks]
    result = run(graph, 5, n_shuffles=12, n_init=25)
    plain = [plain_pipeline.ncut(blocks, 5, 25, seed) for seed in range(3)]
    assert result.ncut == pytest.approx(min(plain), abs=0.1)
    assert result.refined.ncut <= min(plain) + 0.02
    shuffled = [plain_pipeline.shuffled_ncut(blocks, 5, 25, seed) for seed in range(12)]
    spread = np.std(shuffled) + result.plain.null.std
    assert abs(np.mean(shuffled) - result.plain.null.mean) < 1.5 * spread


@pytest.mark.slow
def test_the_order_of_the_neurons_does_not_matter():
    graph, _ = planted([40, 30, 20], 4, noise=0.1, density=0.4, seed=1)
    rng = np.random.default_rng(0)
    orders = [torch.from_numpy(rng.permutation(layer.n_neurons)) for layer in graph.layers]
    blocks = [b.strengths[orders[b.source]][:, orders[b.target]] for b in graph.blocks]
    results = [run(g, 4, n_shuffles=16) for g in (graph, NeuronGraph.chain(blocks))]
    first, second = results
    assert first.lower_bound == pytest.approx(second.lower_bound, abs=1e-6)
    assert first.refined.ncut == pytest.approx(second.refined.ncut, abs=1e-6)
    assert first.ncut == pytest.approx(second.ncut, abs=1e-3)
    error = math.hypot(*(r.plain.null.std / 4 for r in results))
    assert abs(first.plain.null.mean - second.plain.null.mean) < 4 * error


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [1e-36, 1e-30, 1e-3, 1e30])
def test_the_scale_of_the_strengths_does_not_matter(factor, dtype):
    graph = random_chain([20, 15, 10], dtype=dtype)
    scaled = graph.with_flat_strengths(graph.flat_strengths() * factor)
    first, second = run(graph, n_shuffles=2), run(scaled, n_shuffles=2)
    check(second)
    assert first.refined.ncut == pytest.approx(second.refined.ncut, abs=1e-3)
    assert first.lower_bound == pytest.approx(second.lower_bound, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0.0, 1e-8])
@pytest.mark.parametrize("factor", [1e-305, 1e-292, 1e-150, 1e150, 1e305])
def test_the_scale_of_float64_does_not_matter(factor, offset):
    graph = random_chain([20, 15, 10], dtype=torch.float64)
    scaled = graph.with_flat_strengths(graph.flat_strengths() * factor)
    first, second = run(graph, n_shuffles=2), run(scaled, n_shuffles=2, volume_offset=offset)
    if not offset:
        check(second)
    expected = 0 if offset > factor else first.refined.ncut  # all volumes are far below the offset
    assert second.refined.ncut == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_floats(dtype):
    graph = random_chain([20, 15, 10], dtype=dtype)
    strengths = [block.strengths.float() for block in graph.blocks]
    assert numbers(run(graph)) == numbers(run(NeuronGraph.chain(strengths, ["l0", "l1", "l2"])))


def test_live_parameters_are_measured_and_left_alone():
    graph = random_chain([8, 6])
    strengths = graph.blocks[0].strengths.requires_grad_()
    before = strengths.detach().clone()
    check(run(graph, 3))
    assert torch.equal(strengths.detach(), before)
    assert strengths.grad is None


def test_blocks_of_several_precisions_and_scales():
    blocks = [torch.ones(3, 4, dtype=torch.float64) * 1e30, torch.ones(4, 2, dtype=torch.float32)]
    blocks[0][0, 1] = 5e30
    with pytest.raises(InputError, match="'layer1' and 'layer2' holds only zeros, or strengths so"):
        run(NeuronGraph.chain([blocks[0], blocks[1].double() * 1e-60]), 2)
    even = [blocks[0] / 1e30, blocks[1]]
    single = [block.float() for block in even]
    first, second = (run(NeuronGraph.chain(each), 2) for each in (even, single))
    assert numbers(first) == numbers(second)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("low", [1e-30, 1e-36])
def test_strengths_from_the_smallest_to_the_largest_in_one_network(dtype, low):
    """Two parts, each with two planted groups: one of strengths near 1e30, one near 1e-30."""
    strengths = torch.zeros(24, 24, dtype=dtype)
    group = torch.arange(12) % 2
    inside = torch.where(group[:, None] == group, 1.0, 0.01).to(dtype)
    strengths[:12, :12], strengths[12:, 12:] = inside * 1e30, inside * low
    result = run(NeuronGraph.chain([strengths]), n_clusters=4)
    # Half of each group's twelve neurons lie in either layer: of 6.06 in all, 0.06 is cut.
    assert result.refined.ncut == pytest.approx(4 * 0.06 / 6.06, rel=1e-4)
    assert all(layer.n_isolated == 0 for layer in result.layers)


def test_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(n_shuffles=1, workers=2)
        assert torch.get_num_threads() == 2
        assert torch.is_grad_enabled()
        with pytest.raises(InputError):
            run(n_clusters=1000)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "graph",
    [side_by_side(2, 10), joined([9, 8, 7], TRIANGLE), low_rank(15, 12, 2), uneven([9, 8, 7])],
    ids=["disconnected", "triangle", "rank two", "uneven"],
)
def test_networks_of_other_kinds(graph):
    check(run(graph, 3, n_shuffles=3))


def test_choices_by_name_and_as_a_record_are_the_same():
    settings = Settings(n_clusters=3, n_shuffles=2, conventions="published", ties="tied", n_init=4)
    result = measure(GRAPH, device="cpu", workers=1, **settings.choices())
    assert result.settings == settings
    again = measure(GRAPH, device="cpu", workers=1, **result.settings.choices())
    assert numbers(again) == numbers(result)


def test_an_unknown_choice_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"settings is 'kernal_norm'.*did you mean 'kernel_norm'"):
        run(kernal_norm="l1")


def test_memory_bounds_the_workers_and_nothing_else(monkeypatch, result):
    monkeypatch.setattr(module, "SPARE_MEMORY", 0)
    assert numbers(run(seed=3, workers=8)) == numbers(result)


def test_pairs_of_neurons_and_nothing_else():
    """All eigenvalues are equal, which LAPACK's fastest solver does not always survive."""
    for n_pairs in (87, 205):
        result = run(chain_of(np.diag(np.arange(1.0, n_pairs + 1))), 12, n_shuffles=0)
        assert result.n_components == n_pairs
        assert result.refined.ncut == pytest.approx(0, abs=1e-6)


def test_the_result_is_a_record_of_the_network():
    layers = (Layer("input", 5), Layer("output", 4))
    graph = NeuronGraph(layers, (Block(1, 0, random_chain([4, 5]).blocks[0].strengths),))
    result = run(graph, 2, n_shuffles=1)
    assert isinstance(result, Clusterability)
    assert [layer.name for layer in result.layers] == ["input", "output"]
    assert run(graph, 2, n_shuffles=0, name="mine").network == "mine"
    check(result)


@pytest.mark.parametrize("name", [1.5, True, b"net", ["net"]])
def test_a_name_is_a_string(name):
    with pytest.raises(InputError, match=r"name is .*, expected a string"):
        measure(toy.path(), 2, 0, name=name)
