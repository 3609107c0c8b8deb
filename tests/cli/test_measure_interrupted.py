"""``measure`` is interrupted."""

import os
import pty
import signal
import termios
from contextlib import suppress

import pytest
import torch
from safetensors.torch import save_file

from forked import Forked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "said"), [(signal.SIGINT, b"interrupted"), (signal.SIGTERM, b"asked to end")]
)
def test_an_interrupt_is_prompt_and_says_what_was_written(sent, said, tmp_path):
    generator = torch.Generator().manual_seed(0)
    path = tmp_path / "wide.safetensors"
    weights = {f"{i}.weight": torch.randn(600, 600, generator=generator) for i in range(3)}
    save_file(weights, path)
    command = ["measure", path, "--shuffles", "5000", "--resume", "kept"]
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    with Forked(command, before=lambda: os.chdir(tmp_path), stderr=end) as process:
        os.close(end)
        try:
            shown = b""
            while b"graphs" not in shown:  # the progress bar: shuffles are being evaluated
                shown += os.read(terminal, 2**16)
            while not any(kept.stat().st_size for kept in tmp_path.glob("kept/*.jsonl")):
                os.read(terminal, 2**16)
            process.send_signal(sent)
            shown = b""
            with suppress(OSError):  # the terminal's other end is closed
                while part := os.read(terminal, 2**16):
                    shown += part
            assert process.wait(60) == 128 + sent
        finally:
            os.close(terminal)
    kept = b"finished graphs in 'kept'; the same command goes on with them"
    assert shown.endswith(b"clusterability: " + said + b"; written: " + kept + b"\r\n")
    assert {p.name for p in tmp_path.iterdir()} == {"wide.safetensors", "kept"}
