"""Draw the picture at the head of the README: the sheet of the network that the package ships."""

from __future__ import annotations

from pathlib import Path

from clusterability import measure
from clusterability.display.figure_files import encoded
from clusterability.files.writing import write_whole

PICTURE = Path(__file__).parent / "figures" / "example.png"

DOTS_PER_INCH = 90
"""A page is rarely wider than the 1,260 pixels that this makes; the command draws finer."""


def main() -> None:
    """Write the picture."""
    figure = measure("example:fashion-mnist-mlp").plot()
    write_whole(PICTURE, encoded(figure, PICTURE, DOTS_PER_INCH))


if __name__ == "__main__":
    main()
