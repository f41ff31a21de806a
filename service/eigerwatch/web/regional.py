"""Which region of a series a request means."""

from __future__ import annotations

from typing import Any

from eigerwatch.errors import UnknownRegionError
from eigerwatch.frames import Region
from eigerwatch.runs import described_regions
from eigerwatch.store.info import SeriesInfo


def region_names(info: SeriesInfo) -> list[str]:
    """Return the regions of a series' newest settings, in the order of their rows."""
    versions = described_regions(info)
    return _names(versions[max(versions)]) if versions else []


def region_of(info: SeriesInfo, wanted: str | None) -> Region | None:
    """Return the region meant; None: the whole image.

    Parameters
    ----------
    wanted
        Name as stored in the settings, or place in their list, from 0.

    Raises
    ------
    UnknownRegionError
        The newest settings have no such region.
    """
    if wanted is None:
        return None
    versions = {n: _names(found) for n, found in described_regions(info).items()}
    newest = versions[max(versions)] if versions else []
    name = wanted
    if name not in newest and wanted.isdecimal() and int(wanted) < len(newest):
        name = newest[int(wanted)]
    if name not in newest:
        raise UnknownRegionError(info.key, wanted, newest)
    columns = sorted(
        (n, names.index(name)) for n, names in versions.items() if name in names
    )
    return Region(name, tuple(columns))


def _names(described: tuple[dict[str, Any], ...]) -> list[str]:
    """Return the regions' names; one without is called by its place."""
    return [str(one.get("name") or k) for k, one in enumerate(described)]
