"""Measurements in processes of their own, on one CPU: ``python -m ….bench.tasks``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

from eigerwatch.errors import EigerwatchError

Task = Callable[..., Any]


def start_task(name: str, *, one_cpu: bool, **arguments: Any) -> subprocess.Popen[str]:
    """Start a task of `main` in a process of its own; its result goes to its stdout.

    Parameters
    ----------
    name
        Its name.
    one_cpu
        Whether it may use one CPU only.
    arguments
        Its arguments, which JSON can carry, or paths.
    """
    request = json.dumps({"name": name, "one_cpu": one_cpu, **arguments}, default=str)
    # bitshuffle's threads would share the one CPU, and take twice the time.
    alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} if one_cpu else {}
    return subprocess.Popen(
        [sys.executable, "-m", "eigerwatch.bench.tasks", request],
        env={**os.environ, **alone},
        stdout=subprocess.PIPE,
        text=True,
    )


def run_task(name: str, *, one_cpu: bool = True, **arguments: Any) -> Any:
    """Run a task and return its result.

    Raises
    ------
    EigerwatchError
        It failed.
    """
    with start_task(name, one_cpu=one_cpu, **arguments) as process:
        output, _ = process.communicate()
    if process.returncode:
        raise EigerwatchError(
            f"measuring {name} ended with code {process.returncode}; "
            "see the message above"
        )
    return json.loads(output)


def least_s(function: Callable[[], object], rounds: int = 3) -> float:
    """Return the least time that a function took [s]: noise only ever adds."""
    return min(times_s([function], rounds)[0])


def times_s(
    functions: Iterable[Callable[[], object]], rounds: int
) -> list[list[float]]:
    """Return the times of functions that take turns [s].

    In turns, because a host that is busy otherwise is then busy for all of them.
    """
    listed = list(functions)
    times: list[list[float]] = [[] for _ in listed]
    for _ in range(rounds):
        for function, taken in zip(listed, times, strict=True):
            begin = perf_counter()
            function()
            taken.append(perf_counter() - begin)
    return times


def main() -> int:
    """Run the task that the command line names; its result goes to stdout."""
    from eigerwatch.bench import host, kernel, live, offline

    request = json.loads(sys.argv[1])
    if request.pop("one_cpu"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    tasks: dict[str, Task] = {
        "memcpy": host.memcpy_bytes_per_s,
        "kernel": kernel.measure,
        "sum": offline.measure_sum,
        "h5py": offline.measure_h5py,
        "masked_array": offline.measure_masked_array,
        "bare_loop": live.bare_loop,
    }
    task = tasks[request.pop("name")]
    if "master" in request:
        request["master"] = Path(request["master"])
    json.dump(task(**request), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
