"""Run the service as ``python -m eigerwatch``, or as ``eigerwatch``."""

import signal
import sys
from types import FrameType


def main() -> int:
    """Run this process's command line and return its exit code."""
    interrupted = False

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        # Takes long enough for a Ctrl-C to come in between.
        from eigerwatch.cli import main as run_command_line

        return run_command_line()
    except BaseException:
        # What numpy is interrupted in while it is imported becomes an ImportError.
        if interrupted:
            return 130
        raise


if __name__ == "__main__":
    sys.exit(main())
