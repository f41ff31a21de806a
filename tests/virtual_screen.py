"""A screen that nobody sees, for a browser with a window."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def virtual_screen() -> Iterator[str]:
    """Run Xvfb, let DISPLAY name it, and give that name.

    Raises
    ------
    RuntimeError
        There is no Xvfb.
    """
    program = shutil.which("Xvfb")
    if program is None:
        raise RuntimeError("no Xvfb on this machine: install Debian's xvfb")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        [
            *(program, "-displayfd", str(writing), "-nolisten", "tcp"),
            *("-screen", "0", "1400x900x24"),
        ],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    before = os.environ.get("DISPLAY")
    try:
        with os.fdopen(reading) as told:
            display = f":{told.readline().strip()}"
        if display == ":":
            raise RuntimeError("Xvfb does not start")
        os.environ["DISPLAY"] = display
        yield display
    finally:
        os.environ.pop("DISPLAY", None)
        if before is not None:
            os.environ["DISPLAY"] = before
        server.terminate()
        server.wait(10)
