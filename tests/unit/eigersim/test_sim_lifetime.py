from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from helpers import wait_until

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-m", "eigersim", "run", "--detector", "64x64", "--series", "0",
     "--frame-rate", "50", "--endpoint", sys.argv[1], "--parent", str(os.getpid())],
    stderr=subprocess.PIPE, text=True)
child.stderr.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_the_simulator_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, f"ipc://{tmp_path}/stream"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    state = Path(f"/proc/{int(parent.stdout.readline())}/stat")
    assert state.exists()
    parent.kill()
    parent.communicate()

    def ended() -> bool:
        try:
            # Z: ended, and nobody here collects its exit code.
            return state.read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    wait_until(ended, 15, "the simulator to end")
