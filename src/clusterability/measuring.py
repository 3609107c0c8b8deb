"""The verb: measure how clusterable a network is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clusterability import __version__
from clusterability.blocks import block_name
from clusterability.cut import Spectrum, spectrum
from clusterability.errors import InputError
from clusterability.evaluation import Draw, Evaluation, Policy, evaluate, evaluate_batch
from clusterability.graph import NeuronGraph
from clusterability.graph_files import foreign_graph, is_graph_file, read_graph
from clusterability.nulls import NULLS, without_isolated
from clusterability.options import Options, check_options
from clusterability.packed import count_components, pack
from clusterability.result import Clusterability, Clustering, LayerSummary, Settings
from clusterability.shown import shown
from clusterability.sources import example
from clusterability.summary import by_volume, summarize
from clusterability.ties import check_copies, untied
from clusterability.tracing import trace
from clusterability.workers import parallel_map, single_threaded_libraries

MANY_NEURONS = 2000
FEW_STARTS, MANY_STARTS = 25, 100
"""Starts of k-means up to so many connected neurons and above, as in the paper's released code."""

ISOLATED_CAVEATS = {
    "drop-first": "dropping them before the shuffles, as published, makes small p-values too "
    "common in small, very sparse networks; drop-after does not",
    "drop-after": "a shuffle can leave others isolated",
}

EXTRA_EIGENVALUES = 8
"""Eigenvalues beyond the k-th that a result keeps, to show the gap after it."""

SPARE_MEMORY = 200 * 2**20
"""Bytes that shuffles may take at any time, beside twice the graph itself."""

Network = Any
"""Networks and graphs of several libraries, which need not be installed, have no common type."""


def measure(
    network: Network,
    n_clusters: int = 12,
    n_shuffles: int = 50,
    seed: int = 0,
    example_inputs: Any = None,
    *,
    input_shape: Sequence[int] | None = None,
    null: str = "layer",
    isolated: str = "drop-first",
    ties: str = "independent",
    kernel_norm: str = "l1",
    include: Collection[str] = (),
    order: Sequence[str] | None = None,
    n_init: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    progress: bool = False,
    name: str | None = None,
) -> Clusterability:
    """How far a network falls apart into clusters of neurons, and whether more than chance.

    The n-cut is that of Algorithm 1 of Filan et al. (2021), and the null distribution that of its
    section 1.2. Beside both stand the n-cut after local search and a lower bound for any partition.

    Args:
        network: a ``torch.nn.Module`` or a Keras model, a state dict, the path of an ONNX or Keras
            file, of weights or of a graph, a :class:`NeuronGraph`, a SciPy sparse matrix, a
            networkx graph, or ``"example:fashion-mnist-mlp"``, which the package ships.
        n_clusters: number of clusters k, at least 2.
        n_shuffles: shuffles that make the null distribution; 0 for none.
        seed: the same seed gives the same result, on any number of workers.
        example_inputs: for a module, what its forward pass takes, a tensor or a tuple; only shapes
            and types matter. By default guessed from its first weight layer.
        input_shape: in place of ``example_inputs``, the shape of one input without the batch axis;
            for an ONNX or Keras file too.
        null: ``layer`` permutes all strengths of a block, ``nonzero`` the non-zero ones.
        isolated: whether neurons without connections are dropped before the shuffles
            (``drop-first``, as published) or only masked after (``drop-after``).
        ties: where a skip connection repeats a kernel, whether each copy is shuffled by itself
            (``independent``, as published) or all of them alike (``tied``).
        kernel_norm: strength of a kernel: ``l1``, ``l2``, ``induced-1`` or ``induced-2``.
        include: of a CNN, also the ``input`` channels and the ``dense`` part.
        order: names of the weights of a state dict in the order of the chain.
        n_init: starts of k-means; by default 25 up to 2,000 connected neurons, 100 above.
        workers: threads; by default one a processor. Fewer are used where memory is short.
        device: ``cpu``, ``cuda``, or ``auto``: a GPU if there is one.
        progress: show a progress bar if standard error is a terminal.
        name: what the result calls the network; by default the file's name or the type.

    Raises:
        InputError: if the network or an argument cannot be used.
    """
    started = time.perf_counter()
    options = check_options(
        n_clusters=n_clusters,
        n_shuffles=n_shuffles,
        seed=seed,
        null=null,
        isolated=isolated,
        ties=ties,
        n_init=n_init,
        workers=workers,
        device=device,
    )
    if isinstance(network, str) and network.startswith("example:") and not Path(network).exists():
        name, network = name or network, example(network.removeprefix("example:"))
    traced = trace(
        _with_graph_read(network),
        kernel_norm=kernel_norm,
        include=include,
        order=order,
        example_inputs=example_inputs,
        input_shape=input_shape,
    )
    if isinstance(network, str | os.PathLike):
        name = name or shown(Path(network).name)
    name, notes, graph = name or traced.name, traced.notes, _flat_graph(traced.graph)
    del traced  # a large network's strengths are now there twice
    seconds = {"reading": time.perf_counter() - started}
    with single_threaded_libraries(), torch.no_grad():
        alive = (graph.degrees(torch.float64) > 0).numpy()
        _check_size(int(alive.sum()), options)
        working = _shuffled_graph(graph, alive, options)
        policy = Policy(NULLS[null], n_clusters, _n_init(options, int(alive.sum())))
        found, evaluations = _evaluate_all(working, policy, options, progress)
        for step in evaluations[0].seconds:
            seconds[step] = sum(evaluation.seconds[step] for evaluation in evaluations)
        n_components = count_components(pack(working))
        plain, refined = _clusterings(graph, working, alive, evaluations)
    warnings = [*notes, *_warnings(plain, found, n_components, options)]
    seconds["total"] = time.perf_counter() - started
    return Clusterability(
        network=name,
        plain=plain,
        refined=refined,
        lower_bound=found.lower_bound(len(plain.clusters)),
        eigenvalues=found.eigenvalues,
        layers=_layers(graph, alive),
        n_components=n_components,
        warnings=tuple(warnings),
        settings=_settings(options, policy, kernel_norm, include),
        version=__version__,
        device=_device_name(options.device),
        seconds=seconds,
        graph=graph,
    )


def _with_graph_read(network: Any) -> Any:
    """The network, or the graph that it is where it is no network."""
    if isinstance(network, str | os.PathLike):
        return read_graph(network) if is_graph_file(network) else network
    graph = foreign_graph(network)
    return network if graph is None else graph


def _flat_graph(graph: NeuronGraph) -> NeuronGraph:
    """The graph that is shuffled and clustered: checked, on the CPU, in float32, and flat.

    Strengths that float32 could not hold are divided by the largest: the n-cut does not depend on
    their scale.
    """
    graph.check_strengths()
    graph = graph.to("cpu")
    largest = max(float(block.strengths.detach().max()) for block in graph.blocks)
    if 1e-18 < largest < 1e18 and all(b.strengths.dtype == torch.float32 for b in graph.blocks):
        flat = graph.flat_strengths().detach()
    else:
        scale = largest if largest > 0 and not 1e-18 < largest < 1e18 else None
        flat = torch.cat([_single_precision(b.strengths.detach(), scale) for b in graph.blocks])
    flat_graph = graph.with_flat_strengths(flat)
    _check_touched(flat_graph)
    return flat_graph


def _check_touched(graph: NeuronGraph) -> None:
    """Refuse a layer whose blocks hold zeros alone; a single such block is no harm."""
    touched: set[int] = set()
    for block in graph.blocks:
        if bool(block.strengths.any()):
            touched |= {block.source, block.target}
    for block in graph.blocks:
        if not {block.source, block.target} <= touched:
            raise InputError(
                f"{block_name(block, graph.layers)} holds only zeros, or strengths so small beside "
                "the largest that float32 cannot hold both; measure a network whose layers are "
                "connected"
            )


def _single_precision(strengths: Tensor, scale: float | None) -> Tensor:
    if scale is not None:
        strengths = strengths / scale
    return strengths.to(torch.float32).flatten()


def _shuffled_graph(graph: NeuronGraph, alive: NDArray[np.bool_], options: Options) -> NeuronGraph:
    """The part of the graph that is shuffled, with the ties that its shuffles keep."""
    drop_first = options.isolated == "drop-first"
    if options.ties == "tied" and drop_first:
        check_copies(graph, torch.from_numpy(alive))
    working = without_isolated(graph) if drop_first else graph
    return working if options.ties == "tied" else untied(working)


def _check_size(n_live: int, options: Options) -> None:
    if n_live < options.n_clusters:
        remedy = f"pass n_clusters <= {n_live}" if n_live >= 2 else "measure a larger one"
        raise InputError(
            f"the network has {n_live} neurons with non-zero weights, fewer than "
            f"n_clusters={options.n_clusters}; {remedy}"
        )


def _n_init(options: Options, n_live: int) -> int:
    """The published policy counts neurons after the isolated ones are dropped."""
    if options.n_init is not None:
        return options.n_init
    return FEW_STARTS if n_live <= MANY_NEURONS else MANY_STARTS


def _evaluate_all(
    graph: NeuronGraph, policy: Policy, options: Options, progress: bool
) -> tuple[Spectrum, list[Evaluation]]:
    """The observed network's spectrum; its evaluation, and those of its shuffles after it."""
    spectrum_seed, *seeds = np.random.SeedSequence(options.seed).spawn(options.n_shuffles + 2)
    draws = [Draw(seed, shuffled=i > 0) for i, seed in enumerate(seeds)]
    title = "graphs" if progress else None
    room = 2 + SPARE_MEMORY // (4 * graph.n_strengths)
    n_workers = min(options.workers, room)

    def find_spectrum() -> Spectrum:
        n_eigenvalues = options.n_clusters + EXTRA_EIGENVALUES
        rng = np.random.default_rng(spectrum_seed)
        return spectrum(graph.to(options.device), n_eigenvalues, rng)

    if options.device.type != "cpu":
        batch = evaluate_batch(graph, policy, draws, options.device, n_workers, title)
        return find_spectrum(), batch
    tasks: list[Callable[[], Any]] = [find_spectrum]
    tasks += [partial(evaluate, graph, policy, draw) for draw in draws]
    found, *evaluations = parallel_map(lambda task: task(), tasks, n_workers, title)
    return found, evaluations


def _clusterings(
    graph: NeuronGraph,
    working: NeuronGraph,
    alive: NDArray[np.bool_],
    evaluations: Sequence[Evaluation],
) -> tuple[Clustering, Clustering]:
    """The plain and the refined record, clusters numbered by falling volume in the plain."""
    observed, *shuffles = evaluations
    numbers = by_volume(working, observed.labels)
    pairs = [
        (observed.labels, observed.refined.ncut, [s.refined.ncut for s in shuffles]),
        (
            observed.refined.labels,
            observed.refined.refined_ncut,
            [s.refined.refined_ncut for s in shuffles],
        ),
    ]
    clusterings = []
    for found, ncut, null in pairs:
        labels = np.full(graph.n_neurons, -1, np.int64)
        labels[alive] = numbers[found[found >= 0]]
        clusterings.append(summarize(graph, labels, ncut, null))
    return clusterings[0], clusterings[1]


def _warnings(
    clustering: Clustering, found: Spectrum, n_components: int, options: Options
) -> list[str]:
    messages = []
    n_isolated = int((clustering.labels < 0).sum())
    if n_isolated:
        messages.append(
            f"{n_isolated} of {clustering.labels.size} neurons have no connection and are left out "
            f"({options.isolated}); {ISOLATED_CAVEATS[options.isolated]}"
        )
    if n_components > 1:
        messages.append(
            f"the network falls into {n_components} parts with no connection between them; "
            "a cluster that is a whole part costs nothing, so an n-cut near 0 says that it is "
            "disconnected, and nothing about how it is organized inside"
        )
    n_positive = sum(eigenvalue < 1 for eigenvalue in found.eigenvalues)
    if n_positive < options.n_clusters:
        remedy = f"; n_clusters <= {n_positive} is safer" if n_positive >= 2 else ""
        messages.append(
            f"the graph has {n_positive} positive eigenvalues, fewer than "
            f"n_clusters={options.n_clusters}: neurons that they do not tell apart are divided "
            f"arbitrarily{remedy}"
        )
    return messages


def _layers(graph: NeuronGraph, alive: NDArray[np.bool_]) -> tuple[LayerSummary, ...]:
    parts = np.split(~alive, graph.offsets[1:-1])
    return tuple(
        LayerSummary(layer.name, layer.n_neurons, int(part.sum()))
        for layer, part in zip(graph.layers, parts, strict=True)
    )


def _settings(
    options: Options, policy: Policy, kernel_norm: str, include: Collection[str]
) -> Settings:
    return Settings(
        n_clusters=options.n_clusters,
        n_shuffles=options.n_shuffles,
        null=options.null,
        isolated=options.isolated,
        kernel_norm=kernel_norm,
        include=tuple(sorted(set(include))),
        n_init=policy.n_init,
        n_init_policy=(
            f"{FEW_STARTS} up to {MANY_NEURONS} neurons, {MANY_STARTS} above"
            if options.n_init is None
            else "given"
        ),
        seed=options.seed,
        workers=options.workers,
        ties=options.ties,
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
