"""The settings that people change between series: pixel limits, regions and rings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from eigerwatch.config import describe
from eigerwatch.errors import ConfigError
from eigerwatch.sections import FilterSettings, RegionSettings, Section

KEYS = {"filter": ("low", "high"), "regions": ("rois", "rings")}
"""What may be changed, by section; all else of them stays as the file says."""
LONGEST = 64 * 1024
"""Of changes as JSON [bytes]: some hundred regions, or polygons of thousands."""

_Kind = TypeVar("_Kind", bound=Section)

Changes = Mapping[str, Mapping[str, Any]]
"""New values, by section and key."""


def plain(section: Section) -> dict[str, Any]:
    """Return a section as values that JSON has; what is unset is left out."""
    return section.model_dump(mode="json", exclude_none=True)


def changed(
    file: Changes, changes: Changes | None
) -> tuple[FilterSettings, RegionSettings]:
    """Return the sections of a settings file with changes, as strictly as at first.

    Parameters
    ----------
    file
        The sections as `plain` returns them.
    changes
        None: there are none.

    Raises
    ------
    ConfigError
        A change is none that may be made, or a value is wrong; one sentence.
    """
    changes = changes or {}
    if len(as_json(changes)) > LONGEST:
        raise ConfigError(
            f"page: more than {LONGEST // 1024} kB of settings; leave regions out"
        )
    for name, keys in changes.items():
        if name not in KEYS or not isinstance(keys, Mapping):
            raise ConfigError(f"page: no section {name!r:.80}; {_known()}")
        for key in keys:
            if key not in KEYS[name]:
                what = f"{name}.{key}"
                raise ConfigError(f"page: no setting {what!r:.80} here; {_known()}")
    return (
        _section(FilterSettings, "filter", file, changes),
        _section(RegionSettings, "regions", file, changes),
    )


def as_json(changes: Changes) -> str:
    """Return changes as text of one form."""
    try:
        return json.dumps(changes, separators=(",", ":"), sort_keys=True)
    except (ValueError, TypeError, RecursionError) as exc:
        raise ConfigError(f"page: settings that cannot be written ({exc})") from exc


def _section(kind: type[_Kind], name: str, file: Changes, changes: Changes) -> _Kind:
    values = {**file.get(name, {}), **changes.get(name, {})}
    try:
        return kind.model_validate(values)
    except ValidationError as exc:
        raise ConfigError(describe(exc, "page", (name,))) from exc


def _known() -> str:
    names = [f"{name}.{key}" for name, keys in KEYS.items() for key in keys]
    return f"known: {', '.join(names)}"
