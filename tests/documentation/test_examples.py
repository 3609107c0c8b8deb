"""Scripts in examples/ that take seconds do what they say."""

import re
from pathlib import Path

import pytest

from forked import run_script

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_a_trained_network_is_fine_tuned_into_clusters(tmp_path):
    out, err = run_script(EXAMPLES / "modular_pruning.py", tmp_path)
    assert err == ""
    before, after = re.findall(r"n-cut (\d\.\d+)", out)
    assert float(before) > 2
    assert float(after) == 0
    raw, cut, folded = re.findall(r"  (\d+\.\d+) %", out)[3:6]
    assert raw == cut == folded
    (lost,) = re.findall(r"(-?\d\.\d) points of accuracy", out)
    assert float(lost) < 3
