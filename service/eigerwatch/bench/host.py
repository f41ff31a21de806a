"""What kind of machine this is."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from eigerwatch.bench.tasks import least_s, run_task
from eigerwatch.reduce import kernel_name, kernel_variants

_COPY_BYTES = 256_000_000


def describe() -> dict[str, Any]:
    """Return facts about the host, and how fast it copies memory."""
    page_bytes, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_name(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(page_bytes * pages / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kernel": kernel_name(),
        "kernel_variants": list(kernel_variants()),
        "memcpy_gb_per_s": round(run_task("memcpy") / 1e9, 2),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def memcpy_bytes_per_s() -> float:
    """Return how fast this process copies what does not fit its caches."""
    source = np.ones(_COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    return _COPY_BYTES / least_s(lambda: np.copyto(target, source), 7)
