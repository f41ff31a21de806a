"""Run the simulator as ``python -m eigersim``."""

import sys

from eigersim.cli import main

if __name__ == "__main__":
    sys.exit(main())
