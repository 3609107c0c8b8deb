"""What do 19 numbers of clusters in one call cost, over one number alone, in the same run?

    python benchmarks/several_k.py [--repeats 3] [--json PATH]

The network that the package ships, 50 shuffles, k = 2 to 20 against k = 12, in turn; the ratio is
that of the best times. The 19 share what is read, shuffles and eigenvectors; k-means and the search
are made for each.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from clusterability import measure, scan_clusters
from clusterability.experiments.environment import environment

NETWORK = "example:fashion-mnist-mlp"
N_SHUFFLES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    calls = {
        "one": lambda n: measure(NETWORK, n_shuffles=n),
        "19": lambda n: scan_clusters(NETWORK, range(2, 21), n_shuffles=n),
    }
    for call in calls.values():
        call(1)  # compiles, or loads what was compiled
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(args.repeats):
        for name, call in calls.items():
            seconds[name].append(timed(lambda call=call: call(N_SHUFFLES)))
    wall, cpu = (
        {name: min(run[i] for run in runs) for name, runs in seconds.items()} for i in (0, 1)
    )
    report = {
        "question": "What do 19 numbers of clusters cost over one?",
        "n_shuffles": N_SHUFFLES,
        "seconds": wall,
        "processor_seconds": cpu,
        "ratio": {"seconds": wall["19"] / wall["one"], "processor": cpu["19"] / cpu["one"]},
        "environment": environment(),
    }
    print(json.dumps(report, indent=2))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that passed, and those of all processors."""
    started, spent = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - spent


if __name__ == "__main__":
    main()
