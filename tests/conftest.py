from __future__ import annotations

import pytest
from helpers import SHARED_DATA
from kernel_cases import VARIANTS


def pytest_report_header() -> str:
    return f"kernel variants of this build and CPU: {', '.join(VARIANTS)}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"no recordings of real detectors in {SHARED_DATA}")
    for item in items:
        if item.get_closest_marker("realdata"):
            item.add_marker(skip)
