"""Scripts in examples/ that take seconds do what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_a_trained_network_is_fine_tuned_into_clusters(tmp_path):
    arguments = [sys.executable, "-W", "error", str(EXAMPLES / "modular_pruning.py")]
    found = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert found.stderr == ""
    before, after = re.findall(r"n-cut (\d\.\d+)", found.stdout)
    assert float(before) > 2
    assert float(after) == 0
    raw, cut, folded = re.findall(r"  (\d+\.\d+) %", found.stdout)[3:6]
    assert raw == cut == folded
    (lost,) = re.findall(r"(-?\d\.\d) points of accuracy", found.stdout)
    assert float(lost) < 3
