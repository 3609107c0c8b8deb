"""Trains in children that are killed at random times until one finishes; see the test.

It runs in a process of its own that has one thread.
"""

import os
import random
import signal
import sys
import time

from clusterability.training import TrainingSpec, train
from training_cases import few_digits

SPEC = TrainingSpec("small-mlp", "few", epochs=2, pruning_epochs=2, dropout=True, l1=1e-4)


def train_in_child(spec, data, out):
    child = os.fork()
    if child == 0:
        try:
            train(spec, data=data, out=out, threads=1)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def main(out):
    """Print, for one network and for a stack of two, the number of kills and the last exit code."""
    for stack in ([], [0, 1]):
        spec = TrainingSpec(**SPEC.to_dict() | {"stack": stack})
        n_killed, code = kill_until_it_ends(spec, f"{out}{len(stack)}")
        sys.stdout.write(f"{n_killed} {code}\n")
    return 0


def kill_until_it_ends(spec, out):
    """Train in child after child; return how many were killed, and the last one's exit code."""
    data, rng, n_killed = few_digits(), random.Random(len(spec.stack)), 0
    while True:
        child = train_in_child(spec, data, out)
        # Long enough, from time to time, to finish an epoch on a slow machine too.
        time.sleep(rng.uniform(0.002, 0.01 + 0.01 * n_killed))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            return n_killed, os.waitstatus_to_exitcode(status)
        n_killed += 1
