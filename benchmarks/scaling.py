"""How do time and peak memory grow with the number of strengths, from 10^5 to 10^8?

    python benchmarks/scaling.py [--largest 8] [--shuffles 2] [--json PATH]

MLPs of five layers of equal width, Glorot-uniform, k = 12 and 25 starts at every size, each
measured from a file by the command in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from clusterability.experiments.environment import environment

N_BLOCKS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--largest", type=float, default=8, help="decimal exponent, at least 5")
    parser.add_argument("--shuffles", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not args.largest >= 5:
        parser.error("--largest is below 5, the exponent of the smallest network")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for exponent in np.arange(5, args.largest + 0.1, 0.5):
            rows.append(run(Path(folder), round((10**exponent / N_BLOCKS) ** 0.5), args.shuffles))
            print(json.dumps(rows[-1]), flush=True)
    sizes = np.log([row["n_strengths"] for row in rows])
    times = np.log([row["seconds"] for row in rows])
    report = {
        "question": "How do time and peak memory grow with the number of strengths?",
        "n_graphs": args.shuffles + 1,
        "rows": rows,
        "exponent_of_time": float(np.polyfit(sizes, times, 1)[0]) if len(rows) > 1 else None,
        "environment": environment(),
    }
    print("time grows as strengths to the power", report["exponent_of_time"])
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


def run(folder: Path, width: int, n_shuffles: int) -> dict[str, float]:
    limit = (3 / width) ** 0.5
    weights = {f"{i}.weight": (torch.rand(width, width) * 2 - 1) * limit for i in range(N_BLOCKS)}
    path = folder / "network.safetensors"
    save_file(weights, path)
    n_strengths = N_BLOCKS * width**2
    del weights
    command = [sys.executable, "-m", "clusterability", "measure", str(path), "--starts", "25"]
    command += ["--shuffles", str(n_shuffles), "--json", str(folder / "result.json"), "--quiet"]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command failed on width {width}")
    seconds = json.loads((folder / "result.json").read_text())["seconds"]
    network_mb = 4 * n_strengths / 1e6
    peak_mb = usage.ru_maxrss * 1024 / 1e6
    return {
        "width": width,
        "n_strengths": n_strengths,
        "seconds": seconds["total"],
        "seconds_by_step_over_workers": seconds,
        "network_mb": network_mb,
        "peak_mb": peak_mb,
        "peak_beyond_three_networks_mb": peak_mb - 3 * network_mb,
    }


if __name__ == "__main__":
    main()
