from __future__ import annotations

import pytest
from helpers import SHARED_DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"no recordings of real detectors in {SHARED_DATA}")
    for item in items:
        if item.get_closest_marker("realdata"):
            item.add_marker(skip)
