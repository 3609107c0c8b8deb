"""Run the notebooks in docs/notebooks and keep what they print and draw.

Run by ``make notebooks``. A test runs their cells again, and compares the words that they print.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "notebooks"


def run(path: Path) -> None:
    """Run a notebook in a kernel of its own, and write it with its outputs."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False)
    client.execute()
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    print(f"Written: {path.name}", file=sys.stderr)


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        run(path)
