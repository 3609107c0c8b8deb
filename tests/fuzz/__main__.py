"""Damages files of all formats for as long as it is told: does any reader fail without a sentence?

    make fuzz SECONDS=600 SEED=0

Each reader runs in a process with limits of time and memory. A fault is any error but an
``InputError`` of one printable line, a process that hangs or dies, and memory beyond the limit. The
files of faults are kept in the folder that ``--keep`` names, a few of each kind. A file whose
refusal has not been seen before joins those that are damaged next. Exit status 1 if there are
faults.

``python -m fuzz --replay FORMAT FILE`` reads one file again, with ``tests`` in PYTHONPATH.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random

import torch

from clusterability.sources import trace
from fuzz import seeds
from fuzz.formats import FORMATS, Format
from fuzz.worker import Outcome, Worker

TURN = 1.0
"""Seconds after which the next format has its turn."""

MOST_CHANGES = 5
MOST_POOL = 400
KEPT = 3
"""Files that are kept of one kind of fault."""


class Campaign:
    """The fuzzing of one format, the same for the same seed."""

    def __init__(self, form: Format, seed: int, folder: Path, keep: Path) -> None:
        self.form, self.keep = form, keep
        self.rng = Random(f"{seed} {form.name}")
        self.worker = Worker(form, folder)
        self.whole = list(form.make())
        self.pool: list[bytes] = []
        self.seen: set[bytes] = set()
        self.messages: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.slowest = 0.0
        for data in self.whole:
            outcome = self.worker.read(data)
            if outcome.kind != "read":
                raise RuntimeError(f"a whole file of {form.name} is not read: {outcome.text}")

    def run(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.step()

    def step(self) -> None:
        # Of damaged files nearly all are refused at once: most come from whole ones.
        data = self.rng.choice(self.pool if self.pool and self.rng.random() < 0.3 else self.whole)
        for _ in range(self.rng.choice((1, 1, 1, 2, 2, 3, MOST_CHANGES))):
            data = self.form.damage(data, self.rng, self.whole)
        digest = hashlib.blake2b(data, digest_size=12).digest()
        if digest in self.seen:
            return
        self.seen.add(digest)
        outcome = self.worker.read(data)
        self.counts[outcome.kind] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        if outcome.is_fault:
            self._keep(data, outcome)
            return
        message = re.sub(r"\d+|'[^']*'", "", outcome.text)
        if message not in self.messages and len(self.pool) < MOST_POOL:
            self.messages.add(message)
            self.pool.append(data)

    def _keep(self, data: bytes, outcome: Outcome) -> None:
        # The last line of code and the error tell one fault from another.
        lines = [line for line in outcome.text.splitlines() if line.strip()]
        places = [line.strip() for line in lines if line.startswith("  File")]
        error = re.sub(r"b?'[^']*'|\d+", "_", lines[-1])[:120]
        kind = f"{outcome.kind}: {(places or [''])[-1]} {error}"
        self.faults[kind] += 1
        if self.faults[kind] > KEPT:
            return
        digest = hashlib.sha256(data).hexdigest()[:12]
        folder = self.keep / re.sub(r"\W+", "-", self.form.name) / digest
        folder.mkdir(parents=True, exist_ok=True)
        (folder / Path(self.form.file).name).write_bytes(data)
        (folder / "fault.txt").write_text(f"{outcome.kind}\n{outcome.text}\n", "utf-8", "replace")
        say(f"{self.form.name}: {kind}", f"  {folder}")


def say(*lines: str) -> None:
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="WORD", help="formats with it in their name")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), metavar="FOLDER")
    parser.add_argument("--replay", nargs=2, metavar=("FORMAT", "FILE"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        if args.replay:
            sys.exit(replay(*args.replay, Path(folder)))
        sys.exit(fuzz(args, Path(folder)))


def replay(name: str, file: str, folder: Path) -> int:
    (form,) = [form for form in FORMATS if form.name == name]
    outcome = Worker(form, folder).read(Path(file).read_bytes())
    say(outcome.kind, outcome.text)
    return int(outcome.is_fault)


def fuzz(args: argparse.Namespace, folder: Path) -> int:
    wanted = [form for form in FORMATS if args.only in form.name]
    trace(seeds.mlp())  # what is imported and compiled once counts for no file
    campaigns = [
        Campaign(form, args.seed, folder / str(i), args.keep) for i, form in enumerate(wanted)
    ]
    ends = time.monotonic() + args.seconds
    while time.monotonic() < ends:
        for campaign in campaigns:
            campaign.run(min(TURN, max(0.0, ends - time.monotonic())))
    for campaign in campaigns:
        campaign.worker.stop()
    return report(campaigns)


def report(campaigns: list[Campaign]) -> int:
    row = "{:<22} {:>9} {:>9} {:>9} {:>7} {:>9}".format
    say(row("format", "distinct", "read", "refused", "faults", "slowest"))
    total: Counter[str] = Counter()
    for campaign in campaigns:
        counts = campaign.counts
        total += counts
        faults = counts.total() - counts["read"] - counts["refused"]
        named = (campaign.form.name, f"{counts.total():,}", f"{counts['read']:,}")
        say(row(*named, f"{counts['refused']:,}", faults, f"{campaign.slowest:.2f} s"))
        for kind, count in campaign.faults.most_common():
            say(f"    {count} x {kind}")
    n_faults = total.total() - total["read"] - total["refused"]
    say(f"{total.total():,} distinct inputs, {n_faults:,} faults")
    return int(n_faults > 0)


if __name__ == "__main__":
    main()
