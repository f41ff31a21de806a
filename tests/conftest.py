from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from helpers import SHARED_DATA
from hypothesis import HealthCheck, settings
from kernel_cases import VARIANTS

# How long an example takes is the machine's, which others use, too.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command that a test runs must not log to that test's stderr for ever."""
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--scenarios",
        type=int,
        default=30,
        help="how many runs of known truth to judge by; 200 are what counts",
    )


def pytest_report_header() -> str:
    return f"kernel variants of this build and CPU: {', '.join(VARIANTS)}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"no recordings of real detectors in {SHARED_DATA}")
    for item in items:
        if item.get_closest_marker("realdata"):
            item.add_marker(skip)
