"""Make the file of the data set ``digits`` from scikit-learn's copy of it.

The test part of the UCI data set Optical Recognition of Handwritten Digits (Alpaydin and Kaynak,
1998; https://archive.ics.uci.edu/dataset/80; CC BY 4.0): 1,797 images of 8 x 8 pixels in 0..16.

    python examples/make_digits.py src/clusterability/datasets/digits.npz
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the .npz file to write")
    out = parser.parse_args().out
    digits = load_digits()
    np.savez_compressed(out, x=digits.images.astype(np.uint8), y=digits.target.astype(np.uint8))
    print(f"{out}: {len(digits.target):,} images, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
