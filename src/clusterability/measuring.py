"""Measure how clusterable a network is: from a network to the record of a result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clusterability._version import __version__
from clusterability.arguments import device_name, text
from clusterability.caveats import caveats
from clusterability.conventions import CONVENTIONS
from clusterability.errors import InputError
from clusterability.evaluation import Draw, Evaluation, batch_size, evaluate_batch, evaluate_each
from clusterability.graph import NeuronGraph
from clusterability.graph.packed import count_components, pack
from clusterability.journal import Journal, opened_journal
from clusterability.preparation import Prepared, prepare
from clusterability.reading.loaded import InputShape
from clusterability.resources import Resources, find_resources
from clusterability.result import Canonical, Clusterability, Clustering, LayerSummary
from clusterability.settings import GIVEN, Settings
from clusterability.sources import Traced, trace
from clusterability.sources.network import AnyNetwork
from clusterability.spectral.bound import Spectrum, spectrum
from clusterability.spectral.degrees import fast_degrees
from clusterability.summary import effective_clusters, number_by_volume, summarize
from clusterability.workers import parallel_map, single_threaded_libraries

EXTRA_EIGENVALUES = 8
"""A result keeps this many eigenvalues beyond the k-th, to show the gap after it."""

SPARE_MEMORY = 200 * 2**20
"""Most bytes of all shuffles in memory at one time, beyond twice the size of the graph."""

CANONICAL_KEY = 2**31
"""Of the random numbers of the graph in canonical scaling; larger than the keys of shuffles."""

LARGEST_OFFSET = 1e300
"""Upper limit of an offset in the scale of a rescaled graph; it exceeds every volume by far."""


def measure(
    network: AnyNetwork,
    n_clusters: int = 12,
    n_shuffles: int = 50,
    seed: int = 0,
    example_inputs: Any = None,
    *,
    input_shape: InputShape | None = None,
    order: Sequence[str] | None = None,
    entry: str | None = None,
    edge_weight: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    progress: bool = False,
    resume: str | os.PathLike[str] | None = None,
    name: str | None = None,
    **choices: Any,
) -> Clusterability:
    """Measure how far a network falls apart into clusters of neurons, compared with chance.

    The n-cut is that of Algorithm 1 of Filan et al. (2021), the null distribution that of its
    section 1.2. The result adds the n-cut after local search and a lower bound for any partition.

    Args:
        network: a ``torch.nn.Module`` or a Keras model, a state dict, the path of an ONNX or Keras
            file, of weights or of a graph, a :class:`NeuronGraph`, a SciPy sparse matrix, a
            networkx graph, or ``"example:fashion-mnist-mlp"``, which the package ships.
        n_clusters: number of clusters k, at least 2.
        n_shuffles: shuffles that make the null distribution; 0 for none.
        seed: the same seed gives the same result, on any number of workers.
        example_inputs: for a module, the arguments of its forward pass, a tensor, a tuple or a
            dictionary by their names; only shapes and types matter. By default guessed from its
            first weight layer.
        input_shape: in place of ``example_inputs``, the shape of one input without the batch axis,
            or a sequence with the shape of each; for an ONNX or Keras file too.
        order: names of the weights of a state dict in the order of the chain.
        entry: name of the entry of a checkpoint that holds the network, where there are several.
        edge_weight: name of the attribute that is the weight of a graph's edges, in place of
            ``weight``.
        workers: number of threads; by default one a processor, fewer where memory is short.
        device: ``cpu``, ``cuda``, or ``auto``: a GPU if there is one.
        progress: show a progress bar if standard error is a terminal.
        resume: a folder where finished graphs are kept, and from which a call that was interrupted
            goes on; more shuffles of the same network begin with those that are there.
        name: name of the network in the result; by default the file's name or the type.
        choices: the other fields of :class:`clusterability.settings.Settings`: ``conventions``,
            ``null``, ``isolated``, ``ties``, ``kernel_norm``, ``include``, ``scaling``,
            ``layers``, ``n_init`` and ``volume_offset``. Pass a record as
            ``measure(network, **settings.choices())``.

    Raises:
        InputError: if the network or an argument cannot be used.

    >>> from clusterability import toy
    >>> round(measure(toy.two_triangles(), n_clusters=2, n_shuffles=0).ncut, 4)
    0.2857
    """
    settings = Settings.from_dict(
        {"n_clusters": n_clusters, "n_shuffles": n_shuffles, "seed": seed, **choices}
    )
    how = {
        "order": order,
        "entry": entry,
        "edge_weight": edge_weight,
        "example_inputs": example_inputs,
        "input_shape": input_shape,
    }
    resources = find_resources(workers, device, progress, resume)
    measured = measure_each(network, settings, lambda _: [n_clusters], resources, how, name)
    return measured.results[0]


@dataclass(frozen=True)
class Measured:
    """The results for several numbers of clusters, and what other seeds find.

    Attributes:
        results: one for each number of clusters.
        labels, refined_labels: for each number of clusters, (n_neurons,) labels from each seed,
            those of the result first.
    """

    results: tuple[Clusterability, ...]
    labels: tuple[tuple[NDArray[np.int64], ...], ...]
    refined_labels: tuple[tuple[NDArray[np.int64], ...], ...]


def measure_each(
    network: AnyNetwork,
    settings: Settings,
    counts: Callable[[int], Sequence[int]],
    resources: Resources,
    how: Mapping[str, Any],
    name: str | None = None,
    n_seeds: int = 1,
) -> Measured:
    """Measure a network for several numbers of clusters; on a CPU each graph is embedded once.

    Args:
        network: as of :func:`measure`.
        settings: the choices; their ``n_clusters`` is what the network must have neurons for.
        counts: returns the numbers of clusters, given the number of connected neurons.
        resources: where to compute.
        how: further arguments of :func:`clusterability.sources.trace`, which say how to read it.
        name: as of :func:`measure`.
        n_seeds: number of seeds from which the network itself is clustered, its own included.

    Raises:
        InputError: as :func:`measure`.
    """
    started = time.perf_counter()
    with single_threaded_libraries():  # small operations would wait for the other threads
        traced = trace(network, kernel_norm=settings.kernel_norm, include=settings.include, **how)
    _check_whole(settings, traced)
    if settings.scaling == "canonical":
        traced = traced.to_scale()
    notes, n_outputs, rescalable = traced.notes, traced.n_outputs, traced.rescalable
    name = text("name", name or traced.name)
    with single_threaded_libraries(), torch.no_grad():
        prepared = prepare(traced.graph, settings, traced.reached_by_left_out)
        each = [replace(settings, n_clusters=k) for k in counts(prepared.n_live)]
        rescaled = _prepare_canonical(traced, each[0])
        del traced  # memory would hold a large network's strengths twice
        n_init, n_init_policy = _starts(settings, prepared.n_live, n_outputs)
        offset = min(settings.volume_offset / prepared.scale, LARGEST_OFFSET)
        applied = [replace(one, n_init=n_init, volume_offset=offset) for one in each]
        reading = time.perf_counter() - started
        found, evaluations, beside = _evaluate_all(prepared, rescaled, applied, resources, n_seeds)
        n_drawn = 1 + settings.n_shuffles
        shuffles, others = evaluations[:n_drawn], evaluations[n_drawn:]
        common: dict[str, Any] = {
            "network": name,
            "layers": _layers(prepared.graph, prepared.alive),
            "n_components": count_components(pack(prepared.observed)),
            "warnings": notes,
            "n_init": n_init,
            "n_init_policy": n_init_policy,
            "version": __version__,
            "device": device_name(resources.device),
            "graph": prepared.graph,
        }

        def result_of(i: int) -> Clusterability:
            one = each[i]
            of_one = [graph[i] for graph in shuffles]
            plain, refined = _clusterings(prepared, offset, of_one)
            result = Clusterability(
                plain=plain,
                refined=refined,
                lower_bound=found.lower_bound(len(plain.clusters)),
                eigenvalues=found.eigenvalues[: one.n_clusters + EXTRA_EIGENVALUES],
                settings=one,
                seconds={"reading": reading, **_seconds(of_one)},
                canonical=_canonical(rescaled, beside[i] if i < len(beside) else None),
                **common,
            )
            return replace(result, warnings=(*notes, *caveats(result, rescalable)))

        results = parallel_map(result_of, range(len(each)), resources.n_workers)
    total = time.perf_counter() - started
    results = [replace(result, seconds={**result.seconds, "total": total}) for result in results]
    return Measured(tuple(results), *_of_seeds(prepared, results, others))


def _of_seeds(
    prepared: Prepared, results: Sequence[Clusterability], others: Sequence[Sequence[Evaluation]]
) -> tuple[tuple[tuple[NDArray[np.int64], ...], ...], ...]:
    """Return, for each number of clusters, the labels from each seed, plain and refined."""
    plain = [
        (result.labels, *(_whole(prepared, graph[i].labels) for graph in others))
        for i, result in enumerate(results)
    ]
    refined = [
        (result.refined.labels, *(_whole(prepared, graph[i].refined.labels) for graph in others))
        for i, result in enumerate(results)
    ]
    return tuple(plain), tuple(refined)


def _whole(prepared: Prepared, found: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return labels of all neurons, -1 where isolated.

    With drop-first the working graph, whose labels are given, lacks the isolated neurons.
    """
    labels = np.full(prepared.graph.n_neurons, -1, np.int64)
    labels[prepared.alive] = found[found >= 0]
    return labels


def _seconds(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Return the seconds that each step took, added up over the network and its shuffles."""
    steps = evaluations[0].seconds
    return {step: sum(one.seconds[step] for one in evaluations) for step in steps}


def _check_whole(settings: Settings, traced: Traced) -> None:
    """Refuse choices that are about a network's inputs and outputs where the graph lacks them."""
    for name, default in (("layers", "all"), ("scaling", "raw")):
        chosen = getattr(settings, name)
        if traced.left_out and chosen != default:
            raise InputError(
                f"{name} is {chosen!r}, but the graph of a CNN has its hidden channels alone; "
                "leave it out, or pass include=('input', 'dense') too"
            )


def _prepare_canonical(traced: Traced, settings: Settings) -> Prepared | None:
    """Return the graph in canonical scaling if it is shown beside the one that is measured."""
    if settings.scaling != "raw" or traced.canonical is None:
        return None
    try:
        return prepare(traced.canonical(), settings, traced.reached_by_left_out)
    except InputError:  # too few neurons lie on a path from inputs to outputs
        return None


def _canonical(rescaled: Prepared | None, found: Evaluation | None) -> Canonical | None:
    if rescaled is None or found is None:
        return None
    degrees = fast_degrees(rescaled.observed, torch.float64).numpy()
    refined, effective = found.refined, effective_clusters(degrees, found.labels)
    return Canonical(refined.ncut, refined.refined_ncut, effective)


def _starts(settings: Settings, n_live: int, n_outputs: int | None) -> tuple[int, str]:
    """Return the number of starts of k-means, and the policy that set it."""
    if settings.n_init is not None:
        return settings.n_init, GIVEN
    starts = CONVENTIONS[settings.conventions].starts
    return starts.number(n_live, n_outputs), str(starts)


def _evaluate_all(
    prepared: Prepared,
    rescaled: Prepared | None,
    each: Sequence[Settings],
    resources: Resources,
    n_seeds: int,
) -> tuple[Spectrum, list[list[Evaluation]], list[Evaluation]]:
    """Return the spectrum of the network, and the evaluations of the network and its shuffles.

    Those of the network from further seeds come last. A graph has an evaluation for each of the
    settings, whose numbers of clusters ascend. The last of the three are those of the graph in
    canonical scaling, for the first of the settings, for which it has neurons enough.
    """
    graph, settings = prepared.working, max(each, key=lambda one: one.n_clusters)
    spectrum_seed, *seeds = np.random.SeedSequence(settings.seed).spawn(settings.n_shuffles + 2)
    canonical_seed = np.random.SeedSequence(settings.seed, spawn_key=(CANONICAL_KEY,))
    draws = [Draw(seed, shuffled=i > 0) for i, seed in enumerate(seeds)]
    # The network's own random numbers are those of the second child of its seed.
    others = [
        Draw(np.random.SeedSequence(settings.seed + i, spawn_key=(1,)), shuffled=False)
        for i in range(1, n_seeds)
    ]
    title = "graphs" if resources.progress else None
    n_workers = min(resources.n_workers, 2 + SPARE_MEMORY // (4 * graph.n_strengths))

    def find_spectrum() -> Spectrum:
        n_eigenvalues = settings.n_clusters + EXTRA_EIGENVALUES
        rng = np.random.default_rng(spectrum_seed)
        return spectrum(prepared.observed.to(resources.device), n_eigenvalues, rng)

    def find_canonical() -> list[Evaluation]:
        if rescaled is None:
            return []
        possible = [one for one in each if one.n_clusters <= rescaled.n_live]
        as_it_is = [replace(one, volume_offset=0.0) for one in possible]
        return evaluate_each(rescaled.working, as_it_is, Draw(canonical_seed, shuffled=False))

    kind, n_labels = resources.device.type, prepared.observed.n_neurons
    with opened_journal(resources.resume, graph, each, kind, n_labels) as journal:
        if resources.device.type != "cpu":
            _evaluate_in_batches(graph, each, draws, journal, resources.device, n_workers, title)
        tasks: list[Callable[[], Any]] = [find_spectrum, find_canonical]
        tasks += [partial(_evaluate, graph, each, draw, journal) for draw in (*draws, *others)]
        found, beside, *evaluations = parallel_map(lambda task: task(), tasks, n_workers, title)
    return found, evaluations, beside


def _evaluate(
    graph: NeuronGraph, each: Sequence[Settings], draw: Draw, journal: Journal
) -> list[Evaluation]:
    """Evaluate a graph for each of the settings, unless the journal has it."""
    found = journal.find(draw)
    if found is None:
        found = evaluate_each(graph, each, draw)
        journal.add(draw, found)
    return found


def _evaluate_in_batches(
    graph: NeuronGraph,
    each: Sequence[Settings],
    draws: Sequence[Draw],
    journal: Journal,
    device: torch.device,
    n_workers: int,
    title: str | None,
) -> None:
    """Evaluate the draws that the journal lacks on a device, as many as it holds at once."""
    missing = [draw for draw in draws if journal.find(draw) is None]
    size = batch_size(graph, max(1, len(missing)), device)
    for part in (missing[i : i + size] for i in range(0, len(missing), size)):
        batches = [evaluate_batch(graph, one, part, device, n_workers, title) for one in each]
        for draw, *found in zip(part, *batches, strict=True):
            journal.add(draw, found)


def _clusterings(
    prepared: Prepared, volume_offset: float, evaluations: Sequence[Evaluation]
) -> tuple[Clustering, Clustering]:
    """Return the plain and the refined clustering, numbered by volume in the plain one."""
    observed, *shuffles = evaluations
    graph = prepared.graph
    packed, degrees = pack(graph), fast_degrees(graph, torch.float64).numpy()
    found = _whole(prepared, observed.labels)
    numbers = number_by_volume(degrees, found)
    pairs = [
        (found, observed.refined.ncut, [s.refined.ncut for s in shuffles]),
        (
            _whole(prepared, observed.refined.labels),
            observed.refined.refined_ncut,
            [s.refined.refined_ncut for s in shuffles],
        ),
    ]
    clusterings = []
    for labels, ncut, null in pairs:
        numbered = np.where(labels >= 0, numbers[labels], -1)
        clusterings.append(summarize(graph, packed, degrees, numbered, ncut, null, volume_offset))
    return clusterings[0], clusterings[1]


def _layers(graph: NeuronGraph, alive: NDArray[np.bool_]) -> tuple[LayerSummary, ...]:
    parts = np.split(~alive, graph.offsets[1:-1])
    return tuple(
        LayerSummary(layer.name, layer.n_neurons, int(part.sum()), layer.neurons)
        for layer, part in zip(graph.layers, parts, strict=True)
    )
