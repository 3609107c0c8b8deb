"""``python -m clusterability``."""

import sys

from clusterability.cli import main

if __name__ == "__main__":
    sys.exit(main())
