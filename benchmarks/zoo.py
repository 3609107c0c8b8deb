"""Models of torchvision, timm and transformers: which are read, how fast, and why not the others?

    python benchmarks/zoo.py [--only WORD ...] [--again] [--timeout 300] [--memory 12]

Needs the packages of benchmarks/zoo-requirements.txt, in an environment of its own. Every model has
random weights and a process of its own, with limits of time and memory. What is in
benchmarks/results/zoo.json is not run again without ``--again``; in the end docs/zoo.md is written
from it. Seconds are those of the processor, of one thread; of several forward passes the fastest
counts. Graphs of few strengths are measured too, with one shuffle. ``plain_export`` are the seconds
that a user's own ``torch.export`` takes, once it has been called before: what this package exports
is only walked, and takes less.
"""

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from clusterability import InputError, measure
from clusterability.experiments.environment import environment
from clusterability.files.writing import write_whole
from clusterability.sources import trace
from clusterability.tracing import modules
from zoo_models import Specimen, specimens
from zoo_table import table

ROOT = Path(__file__).parents[1]
RESULTS, TABLE = ROOT / "benchmarks/results/zoo.json", ROOT / "docs/zoo.md"
MOST_MEASURED = 3_000_000
FORWARD_PASSES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="models with one in their name"
    )
    parser.add_argument("--again", action="store_true", help="run those that were run before too")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    parser.add_argument("--memory", type=float, default=12, metavar="GB")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for specimen in specimens():
        named = any(word in specimen.key for word in args.only)
        if named and (args.again or specimen.key not in recorded()):
            result = in_process(specimen, args.timeout, args.memory)
            print(specimen.key, *(f"{key}={value}" for key, value in result.items()), flush=True)
            record({specimen.key: result})
    record({})


def recorded() -> dict[str, Any]:
    """Return what was found so far, by this run or others."""
    found: dict[str, Any] = json.loads(RESULTS.read_text())["models"] if RESULTS.exists() else {}
    return found


def record(found: dict[str, Any]) -> None:
    """Add to what was found, and write the table anew."""
    report = {
        "question": "Which public models are read, how fast, and why not the others?",
        "models": dict(sorted((recorded() | found).items())),
        "environment": environment(("torchvision", "timm", "transformers")),
    }
    write_whole(RESULTS, (json.dumps(report, indent=1) + "\n").encode())
    TABLE.write_text(table(report))


def in_process(specimen: Specimen, timeout: float, memory: float) -> dict[str, Any]:
    """Return what a process of its own finds out, or how it ended."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(specimen, theirs, memory))
    process.start()
    theirs.close()
    about = {"library": specimen.library, "kind": specimen.kind, "name": specimen.name}
    try:
        if not ours.poll(timeout):
            return {**about, "state": "timeout", "reason": f"ran for {timeout:g} s"}
        return about | ours.recv()
    except EOFError:
        process.join()
        return {**about, "state": "died", "reason": f"exit code {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def child(specimen: Specimen, pipe: Any, memory: float) -> None:
    limit = int(memory * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    torch.manual_seed(0)
    try:
        found = examine(specimen)
    except InputError as error:
        found = {"state": "refused", "reason": str(error)}
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            found = {"state": "memory", "reason": f"takes more than {memory:g} GB"}
        else:
            found = {"state": "failed", "reason": f"{type(error).__name__}: {error}"[:400]}
    pipe.send(found)


def examine(specimen: Specimen) -> dict[str, Any]:
    model, inputs = specimen.build()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    seconds = {"forward": fastest_forward(model, inputs)}
    for _ in range(2):  # the first call imports what it needs
        seconds["plain_export"] = plain_export(model, inputs)
    with timed_export(seconds):
        started = time.process_time()
        graph = trace(model, example_inputs=inputs).graph
        whole = time.process_time() - started
    seconds["tracing"] = whole - seconds["export"]
    found: dict[str, Any] = {
        "state": "ok",
        "layers": len(graph.layers),
        "neurons": graph.n_neurons,
        "blocks": len(graph.blocks),
        "strengths": graph.n_strengths,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "forward_passes": round(seconds["tracing"] / seconds["forward"], 1),
        "beyond_plain": round((whole - seconds["plain_export"]) / seconds["forward"], 1),
    }
    if graph.n_strengths <= MOST_MEASURED:
        measured = measure(graph, n_clusters=4, n_shuffles=1, n_init=2, workers=1)
        found["ncut"] = round(measured.ncut, 4)
    return found


def fastest_forward(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> float:
    passes = []
    with torch.no_grad():
        for _ in range(FORWARD_PASSES + 1):  # the first one warms up
            started = time.process_time()
            model(*inputs)
            passes.append(time.process_time() - started)
    return min(passes[1:])


def plain_export(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> float:
    started = time.process_time()
    with torch.no_grad():
        torch.export.export(model, inputs, strict=False)
    return time.process_time() - started


@contextmanager
def timed_export(seconds: dict[str, float]) -> Iterator[None]:
    """Add up the seconds that ``torch.export`` takes while a model is traced."""
    exported = modules.exported
    seconds["export"] = 0.0

    def timed(*arguments: Any) -> torch.export.ExportedProgram:
        started = time.process_time()
        try:
            return exported(*arguments)
        finally:
            seconds["export"] += time.process_time() - started

    modules.exported = timed
    try:
        yield
    finally:
        modules.exported = exported


if __name__ == "__main__":
    main()
