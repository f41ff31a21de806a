"""The configuration file of the script set that this program grew out of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigerwatch.config import read_yaml
from eigerwatch.errors import ConfigError

_MEANT = {
    "in": ("master", "start", "end"),
    "filter": ("low", "high"),
    "out": ("file", "path", "plot"),
}


@dataclass(frozen=True, slots=True)
class OriginConfig:
    """What such a file asks for, in its own words."""

    path: Path
    master: Path | None = None
    """Used when the command line names no master."""
    start: int = 0
    """First frame, from 1; 0: the first one."""
    end: int = 0
    """Last frame, included; 0: the last one."""
    low: int | None = None
    """Smallest value that counts [counts]; None: not said."""
    high: int | None = None
    """Largest value that counts [counts]; None: not said."""
    out: Path | None = None
    """Folder of the results."""
    file: bool = True
    """Write the results to files."""
    plot: bool = True
    """Write the plot."""
    meaningless: str = ""
    """One line that names the keys without meaning here; empty: there are none."""

    @property
    def filter(self) -> dict[str, int]:
        """The filter section for `config.load_settings`."""
        stated = {"low": self.low, "high": self.high}
        return {key: value for key, value in stated.items() if value is not None}


def is_origin_config(content: Mapping[Any, Any]) -> bool:
    """Tell such a file by its top-level ``in``."""
    return "in" in content


def read_origin_config(path: Path) -> OriginConfig:
    """Read such a file.

    Raises
    ------
    ConfigError
        A value is impossible; one line naming key, value and cure.
    """
    return parse_origin_config(read_yaml(path), path)


def parse_origin_config(content: Mapping[Any, Any], path: Path) -> OriginConfig:
    """Check the contents of such a file; see `read_origin_config`."""
    reader = _Reader(path, content)
    config = OriginConfig(
        path=path,
        master=reader.file_name("in", "master"),
        start=reader.number("in", "start") or 0,
        end=reader.number("in", "end") or 0,
        low=reader.number("filter", "low"),
        high=reader.number("filter", "high"),
        out=reader.file_name("out", "path"),
        file=reader.switch("out", "file"),
        plot=reader.switch("out", "plot"),
        meaningless=reader.meaningless(),
    )
    if config.end and config.start > config.end:
        raise ConfigError(
            f"{path}: in.start = {config.start}: is beyond in.end = {config.end}; "
            "swap them, or use in.end: 0 for the last frame"
        )
    low = config.low or 0
    if config.high is not None and config.high < low:
        raise ConfigError(
            f"{path}: filter.high = {config.high}: is below filter.low = {low}; "
            "raise it"
        )
    return config


class _Reader:
    """Takes single values out of the file, and complains by name."""

    def __init__(self, path: Path, content: Mapping[Any, Any]) -> None:
        self._path = path
        self._content = content
        for section in _MEANT:
            value = content.get(section)
            if value is not None and not isinstance(value, Mapping):
                raise ConfigError(
                    f"{path}: {section} = {value!r:.80}: a section with keys "
                    f"{', '.join(_MEANT[section])} is expected"
                )

    def number(self, section: str, key: str) -> int | None:
        """Return a whole number from 0, None where it is absent."""
        value = self._value(section, key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self._wrong(section, key, "a whole number, 0 or more, is expected")
        return value

    def switch(self, section: str, key: str) -> bool:
        """Return a truth value, True where it is absent."""
        value = self._value(section, key)
        if value is None:
            return True
        if not isinstance(value, bool):
            raise self._wrong(section, key, "True or False is expected")
        return value

    def file_name(self, section: str, key: str) -> Path | None:
        """Return a path, None where it is absent."""
        value = self._value(section, key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise self._wrong(section, key, "a path is expected")
        return Path(value).expanduser()

    def meaningless(self) -> str:
        """Return one line about keys without meaning, or nothing."""
        names = []
        for section, value in self._content.items():
            if section not in _MEANT:
                names += _names(section, value)
            elif isinstance(value, Mapping):
                known = _MEANT[section]
                names += [f"{section}.{key}" for key in value if key not in known]
        if not names:
            return ""
        return (
            f"{self._path}: without meaning here and ignored: {', '.join(names)} "
            "(the service keeps its results in Redis by itself)"
        )

    def _value(self, section: str, key: str) -> Any:
        return (self._content.get(section) or {}).get(key)

    def _wrong(self, section: str, key: str, cure: str) -> ConfigError:
        value = self._value(section, key)
        return ConfigError(f"{self._path}: {section}.{key} = {value!r:.80}: {cure}")


def _names(section: Any, value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [f"{section}.{key}" for key in value]
    return [str(section)]
