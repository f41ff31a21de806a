"""Settings: environment beats file beats default; unknown keys are errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from eigerwatch.errors import ConfigError

ENV_PREFIX = "EIGERWATCH_"
KERNEL_VARIANT_VARIABLE = "EIGERWATCH_KERNEL_VARIANT"
"""Read by the compiled kernel itself, so no settings key."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )


def _check_endpoint(value: str) -> str:
    if not value.startswith(("tcp://", "ipc://")):
        raise ValueError("an address such as tcp://10.0.0.1:31001 or ipc:///path")
    return value


class StreamSettings(_Section):
    """Where the live frames come from."""

    endpoint: str = "tcp://127.0.0.1:31001"
    """ZeroMQ address of the DCU's stream socket (v2: port 31001, v1: port 9999)."""
    source: Literal["live", "sim"] = "live"
    """What series from this endpoint are called; the demo says ``sim``."""
    receive_hwm: PositiveInt = 64
    """Messages ZeroMQ holds before the sender must wait."""
    tee: str | None = None
    """Address to bind for an untouched copy of the stream, e.g.
    ``tcp://127.0.0.1:31002``; unset: none."""
    max_message_mb: PositiveInt = 512
    """Largest message accepted [MB]; a larger one makes ZeroMQ drop the link."""
    max_pixels: PositiveInt = 64_000_000
    """Largest image accepted [pixels]; bounds every decompression."""

    _endpoint = field_validator("endpoint")(_check_endpoint)


class ReplaySettings(_Section):
    """Where recorded series come in."""

    enabled: bool = True
    """Connect to `endpoint` as well."""
    endpoint: str = "tcp://127.0.0.1:31003"
    """ZeroMQ address where the simulator binds to replay."""
    roots: tuple[Path, ...] = ()
    """Folders that links inside a master file may point into, besides its own."""

    _endpoint = field_validator("endpoint")(_check_endpoint)


class FilterSettings(_Section):
    """Which pixel values count, both limits inclusive."""

    low: NonNegativeInt = 0
    """Smallest value that counts [counts]."""
    high: Literal["auto"] | NonNegativeInt = "auto"
    """Largest value that counts [counts]; ``auto``: the detector's own limit."""

    @field_validator("high")
    @classmethod
    def _not_below_low(cls, value: Any, info: Any) -> Any:
        low = info.data.get("low")
        if isinstance(value, int) and low is not None and value < low:
            raise ValueError(f"not below filter.low, which is {low}")
        return value


class SeriesSettings(_Section):
    """When a series counts as complete."""

    settle_s: PositiveFloat = 2.0
    """How long a hole may stay open before its frames are declared missing [s]."""
    stall_min_s: PositiveFloat = 2.0
    """Shortest silence that counts as stalled [s]; at least 20 frame times."""
    max_open: PositiveInt = 64
    """Series kept in memory at once."""


class ReduceSettings(_Section):
    """How frames are reduced."""

    threads: NonNegativeInt = 0
    """Worker threads; 0: as many as this process has CPUs."""
    batch_frames: PositiveInt = 8
    """Most frames handed to a worker at once."""
    max_pending_mb: PositiveInt = 1024
    """Compressed data waiting to be reduced before reading stops [MB]."""
    nice: NonNegativeInt = 0
    """Niceness added to the worker threads (Linux)."""


class StoreSettings(_Section):
    """Where the records are kept."""

    url: str | None = None
    """Redis or Valkey server, e.g. ``redis://host:6379/0`` or
    ``unix:///run/redis.sock``; unset: an embedded server is started."""
    binary: Path | None = None
    """Server binary for the embedded server; unset: the first one found."""
    data_dir: Path = Path("~/.local/share/eigerwatch")
    """Folder of the embedded server's files and of the spool."""
    ttl_days: PositiveFloat = 14.0
    """Days after its last write at which a series is forgotten, unless pinned."""
    memory_limit: PositiveInt | None = None
    """Bytes in Redis beyond which old series are archived; unset: 25 % of RAM."""
    max_frames: PositiveInt = 2**26
    """Frame numbers from here on are refused."""
    flush_ms: PositiveInt = 50
    """Time between two writes to Redis [ms]."""
    ring_mb: PositiveInt = 64
    """Records kept in memory while Redis is away, before spooling to disk [MB]."""
    spool_mb: PositiveInt = 4096
    """Largest spool file [MB]; what comes after is declared, not kept."""

    @field_validator("data_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()


class ArchiveSettings(_Section):
    """Where series go that no longer fit into Redis."""

    dir: Path | None = None
    """Folder of the archive; unset: ``archive`` below `store.data_dir`."""


class WebSettings(_Section):
    """The page and the API."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback belongs behind the site's proxy."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port; 0: any free one."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Host names under which the page may be opened (Host and Origin headers)."""
    tick_hz: float = Field(default=4.0, gt=0, le=20)
    """Live updates per second."""


class LogSettings(_Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level written to stderr."""


class Settings(BaseSettings):
    """Everything the service can be told."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    stream: StreamSettings = StreamSettings()
    replay: ReplaySettings = ReplaySettings()
    filter: FilterSettings = FilterSettings()
    series: SeriesSettings = SeriesSettings()
    reduce: ReduceSettings = ReduceSettings()
    store: StoreSettings = StoreSettings()
    archive: ArchiveSettings = ArchiveSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before what the file says."""
        return env_settings, init_settings

    @property
    def archive_dir(self) -> Path:
        """Folder of archived series."""
        return self.archive.dir or self.store.data_dir / "archive"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises
    ------
    ConfigError
        The file cannot be read, is no YAML, or holds no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: cannot be read ({exc}); name a YAML file") from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or "not YAML"
        raise ConfigError(f"{path}{where}: {problem}; correct the YAML") from exc
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds no settings, only {content!r:.60}")
    return content


def load_settings(path: Path | None = None, **overrides: Any) -> Settings:
    """Read settings from a file, the environment and `overrides`.

    Parameters
    ----------
    path
        YAML file, or None for the defaults.
    overrides
        Sections as mappings; their keys replace those of the file, but the
        environment still beats them.

    Raises
    ------
    ConfigError
        Unknown key, wrong type or value; one line naming key, value and cure.
    """
    content = read_yaml(path) if path else {}
    for section, values in overrides.items():
        merged = content.get(section) or {}
        if not isinstance(merged, dict):
            raise ConfigError(f"{path}: {section}: a mapping is expected")
        content[section] = {**merged, **values}
    origin = str(path) if path else "settings"
    try:
        return Settings(**{k: v for k, v in content.items() if v is not None})
    except ValidationError as exc:
        raise ConfigError(describe(exc, origin)) from exc
    except TypeError as exc:
        raise ConfigError(f"{origin}: {exc}; keys must be words") from exc


def describe(error: ValidationError, origin: str) -> str:
    """Turn pydantic's first complaint into one line with key, value and cure."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(
        part for part in location if not part.startswith(("literal[", "int"))
    )
    variable = ENV_PREFIX + "__".join(location[:2]).upper()
    where = f"environment variable {variable}" if variable in os.environ else origin
    more = len(error.errors()) - 1
    if first["type"] == "extra_forbidden":
        text = f"{where}: unknown key {key!r}; known: {', '.join(_siblings(location))}"
    else:
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[:1].lower() + reason[1:]
        text = f"{where}: {key} = {first['input']!r:.80}: {reason}"
    return text if more <= 0 else f"{text} (and {more} more)"


def _siblings(location: list[str]) -> list[str]:
    model: Any = Settings
    for part in location[:-1]:
        fields = getattr(model, "model_fields", {})
        model = fields[part].annotation if part in fields else None
    return sorted(getattr(model, "model_fields", {}))


def unknown_variables() -> list[str]:
    """Return environment variables with our prefix that no setting answers to."""
    known = {KERNEL_VARIANT_VARIABLE}
    for name, info in Settings.model_fields.items():
        known.add(ENV_PREFIX + name.upper())
        for key in getattr(info.annotation, "model_fields", {}):
            known.add(f"{ENV_PREFIX}{name}__{key}".upper())
    return sorted(v for v in os.environ if v.startswith(ENV_PREFIX) and v not in known)
