"""Run the service as ``python -m eigerwatch``."""

import sys

from eigerwatch.cli import main

if __name__ == "__main__":
    sys.exit(main())
