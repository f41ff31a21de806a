"""Settings: environment beats file beats default; unknown keys are errors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeInt,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from eigerwatch.errors import ConfigError

ENV_PREFIX = "EIGERWATCH_"
KERNEL_VARIANT_VARIABLE = "EIGERWATCH_KERNEL_VARIANT"
"""Read by the compiled kernel itself, so no settings key."""


MAX_COUNT = 2**32 - 1
"""Largest value a pixel can hold."""


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise ValueError("~ stands for nobody's folder: write the whole path") from exc


HomePath = Annotated[Path, AfterValidator(_expand)]
"""A path in which ``~`` is the home folder."""


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )


Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Radius = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


_TAGS = ("one", "list")


def _one_or_list(value: Any) -> str:
    """Tell apart, for settings that may be either, so that errors are about one."""
    return "list" if isinstance(value, list | tuple) else "one"


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
    receive_hwm: int = Field(default=128, ge=1, le=100_000)
    """Messages ZeroMQ holds before the sender must wait."""
    tee: str | None = None
    """Address to bind for an untouched copy of the stream, e.g.
    ``tcp://127.0.0.1:31002``; unset: none."""
    max_message_mb: int = Field(default=512, ge=1, le=4096)
    """Largest message accepted [MB]; a larger one makes ZeroMQ drop the link."""
    max_pixels: int = Field(default=64_000_000, ge=1, le=2**30)
    """Largest image accepted [pixels]; bounds every decompression."""

    _endpoint = field_validator("endpoint")(_check_endpoint)


class ReplaySettings(_Section):
    """Where recorded series come in."""

    enabled: bool = True
    """Connect to `endpoint` as well."""
    endpoint: str = "tcp://127.0.0.1:31003"
    """ZeroMQ address where the simulator binds to replay."""
    roots: tuple[HomePath, ...] = ()
    """Folders that links inside a master file may point into, besides its own."""

    _endpoint = field_validator("endpoint")(_check_endpoint)


class FilterSettings(_Section):
    """Which pixel values count, both limits inclusive."""

    low: int = Field(default=0, ge=0, le=MAX_COUNT)
    """Smallest value that counts [counts]."""
    high: Literal["auto"] | NonNegativeInt = "auto"
    """Largest value that counts [counts]; ``auto``: the detector's own limit."""
    pixel_mask: bool = True
    """Leave out the pixels that the detector's own pixel mask marks."""

    @field_validator("high")
    @classmethod
    def _not_below_low(cls, value: Any, info: Any) -> Any:
        if isinstance(value, int) and value > MAX_COUNT:
            raise ValueError(f"not above {MAX_COUNT}, or auto")
        low = info.data.get("low")
        if isinstance(value, int) and low is not None and value < low:
            raise ValueError(f"not below filter.low, which is {low}")
        return value


class RoiSettings(_Section):
    """A region of the image; coordinates are (y, x) in pixels, as in an array.

    Exactly one shape is given.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")
    """What the region is called."""
    rectangle: tuple[int, int, int, int] | None = None
    """y0, y1, x0, x1: rows y0 to y1 and columns x0 to x1, the second excluded."""
    disc: tuple[Coordinate, Coordinate, Radius] | None = None
    """y, x, radius: pixels whose centre is nearer than `radius`."""
    annulus: tuple[Coordinate, Coordinate, Radius, Radius] | None = None
    """y, x, inner, outer: inner <= distance < outer."""
    polygon: tuple[tuple[Coordinate, Coordinate], ...] | None = Field(
        default=None, min_length=3, max_length=1000
    )
    """Corners as [y, x], by the even-odd rule."""

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        shapes = {
            "rectangle": self.rectangle,
            "disc": self.disc,
            "annulus": self.annulus,
            "polygon": self.polygon,
        }
        given = [name for name, shape in shapes.items() if shape is not None]
        if len(given) != 1:
            raise ValueError(
                f"region {self.name!r} needs one shape of {', '.join(shapes)}; it has "
                f"{' and '.join(given) or 'none'}"
            )
        if self.rectangle is not None:
            y0, y1, x0, x1 = self.rectangle
            if y0 >= y1 or x0 >= x1:
                raise ValueError(
                    f"region {self.name!r}: rectangle is y0, y1, x0, x1 with y0 < y1 "
                    "and x0 < x1"
                )
        if self.annulus is not None and not self.annulus[2] < self.annulus[3]:
            raise ValueError(
                f"region {self.name!r}: annulus is y, x, inner, outer with "
                "inner < outer"
            )
        return self


class RegionSettings(_Section):
    """Parts of the image that are summed beside the whole."""

    modules: Annotated[
        Annotated[Literal["auto", "none"], Tag("one")]
        | Annotated[tuple[tuple[int, int, int, int], ...], Tag("list")],
        Discriminator(_one_or_list),
    ] = "auto"
    """The detector's modules. ``auto``: those of the known EIGER geometries, else what
    the gaps in the pixel mask separate; or a list of y0, y1, x0, x1."""
    rois: tuple[RoiSettings, ...] = Field(default=(), max_length=256)
    """Regions of your own."""
    rings: Annotated[
        Annotated[int, Field(ge=0, le=256), Tag("one")]
        | Annotated[
            tuple[Annotated[float, Field(gt=0, le=1e6)], ...],
            Field(min_length=2, max_length=257),
            Tag("list"),
        ],
        Discriminator(_one_or_list),
    ] = 0
    """Resolution rings: how many, of equal area; or their limits [angstrom]."""

    @model_validator(mode="after")
    def _countable(self) -> Self:
        names = [roi.name for roi in self.rois]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two regions are called {name!r}")
            if name.startswith(("module_", "ring_")):
                raise ValueError(f"{name!r}: names in module_ and ring_ are taken")
        if not isinstance(self.rings, int) and len(set(self.rings)) < len(self.rings):
            raise ValueError("rings: a limit is given twice")
        if not isinstance(self.modules, str):
            if len(self.modules) > 256:
                raise ValueError("modules: more than 256")
            for y0, y1, x0, x1 in self.modules:
                if y0 >= y1 or x0 >= x1:
                    raise ValueError("modules: y0, y1, x0, x1 with y0 < y1 and x0 < x1")
        return self


class SeriesSettings(_Section):
    """When a series counts as complete."""

    settle_s: float = Field(default=2.0, gt=0, le=86_400)
    """How long a hole may stay open before its frames are declared missing [s]."""
    stall_min_s: float = Field(default=2.0, gt=0, le=86_400)
    """Shortest silence that counts as stalled [s]; at least 20 frame times."""
    max_open: int = Field(default=64, ge=8, le=4096)
    """Series kept in memory at once."""


class ReduceSettings(_Section):
    """How frames are reduced."""

    threads: int = Field(default=0, ge=0, le=1024)
    """Worker threads; 0: as many as this process has CPUs."""
    batch_frames: int = Field(default=16, ge=1, le=1024)
    """Most frames handed to a worker at once."""
    max_pending_mb: int = Field(default=1024, ge=1, le=1_000_000)
    """Compressed data waiting to be reduced before reading stops [MB]."""
    preview_s: float = Field(default=1.0, ge=0, le=86_400)
    """Time between two preview images of a channel [s]; 0: none are made."""
    nice: int = Field(default=0, ge=0, le=19)
    """Niceness added to the worker threads (Linux)."""


class StoreSettings(_Section):
    """Where the records are kept."""

    url: str | None = None
    """Redis or Valkey server, e.g. ``redis://host:6379/0`` or
    ``unix:///run/redis.sock``; unset: an embedded server is started."""
    binary: HomePath | None = None
    """Server binary for the embedded server; unset: the first one found."""
    data_dir: HomePath = Path("~/.local/share/eigerwatch")
    """Folder of the embedded server's files and of the spool."""
    ttl_days: float = Field(default=14.0, gt=0, le=36_500)
    """Days after its last write at which a series is forgotten, unless pinned."""
    memory_limit: int | None = Field(default=None, ge=1, le=2**50)
    """Bytes in Redis beyond which old series are archived; unset: 25 % of RAM."""
    max_frames: int = Field(default=2**26, ge=1, le=2**29)
    """Frame numbers from here on are refused; Redis holds no more than 2^29."""
    flush_ms: int = Field(default=50, ge=1, le=1000)
    """Time between two writes to Redis [ms]."""
    ring_mb: int = Field(default=64, ge=1, le=65_536)
    """Records kept in memory while Redis is away, before spooling to disk [MB]."""
    spool_mb: int = Field(default=4096, ge=1, le=100_000_000)
    """Largest spool file [MB]; what comes after is declared, not kept."""


class ArchiveSettings(_Section):
    """Where series go that no longer fit into Redis."""

    dir: HomePath | None = None
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
    mask: HomePath | None = None
    """File of a mask of your own: an ``.npy``, ``FILE.h5::/DATASET`` or an image;
    pixels other than 0 are left out."""
    regions: RegionSettings = RegionSettings()
    series: SeriesSettings = SeriesSettings()
    reduce: ReduceSettings = ReduceSettings()
    executor: str | None = Field(default=None, pattern=r"^[a-z]+://\S+$")
    """Address of a Dask scheduler whose workers reduce the images, e.g.
    ``tcp://10.0.0.5:8786``; unset: threads of this process do."""
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
    except (ValueError, OverflowError, RecursionError) as exc:
        # From a date such as 2020-99-99, a number of 5000 digits, a thousand brackets.
        problem = f"a value that cannot be read ({exc!s:.80})"
        raise ConfigError(f"{path}: {problem}; correct the YAML") from exc
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
    except (SettingsError, RecursionError) as exc:
        raise ConfigError(_not_json() or f"{origin}: {exc}") from exc


def describe(error: ValidationError, origin: str) -> str:
    """Turn pydantic's first complaint into one line with key, value and cure."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(
        part
        for part in location
        if part not in _TAGS and not part.startswith(("literal[", "int"))
    )
    variable = ENV_PREFIX + "__".join(location[:2]).upper()
    where = f"environment variable {variable}" if variable in os.environ else origin
    more = len(error.errors()) - 1
    if first["type"] == "extra_forbidden":
        text = f"{where}: unknown key {key!r}; known: {', '.join(_siblings(location))}"
    else:
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[:1].lower() + reason[1:]
        text = f"{where}: {key} = {_shown(first['input'])}: {reason}"
    return text if more <= 0 else f"{text} (and {more} more)"


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except ValueError:  # Python writes no integer of more than 4300 digits.
        return "a huge number"


def _not_json() -> str | None:
    """Return one line about the first variable that must be JSON and is not."""
    for variable, text in sorted(os.environ.items()):
        section, _, key = variable.upper().removeprefix(ENV_PREFIX).partition("__")
        field = Settings.model_fields.get(section.lower())
        if field is None or not variable.upper().startswith(ENV_PREFIX):
            continue
        value = getattr(field.default, key.lower(), None) if key else field.default
        if isinstance(value, tuple):
            name = f"{section}.{key}".lower()
            example = "localhost" if set(text) & set('[]"') else f"{text:.80}"
            cure = f"lists are written as JSON: {json.dumps([example])}"
        elif isinstance(value, BaseModel):
            name = section.lower()
            one = next(iter(type(value).model_fields)).upper()
            cure = f"a whole section is written as JSON; or set {variable}__{one}"
        else:
            continue
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return f"environment variable {variable}: {name} = {text!r:.80}: {cure}"
    return None


def _siblings(location: list[str]) -> list[str]:
    """Return the keys that are known where an unknown one stands."""
    model: Any = Settings
    for part in location[:-1]:
        if part.isdigit():  # the members of a list are alike
            continue
        fields = getattr(model, "model_fields", {})
        model = fields[part].annotation if part in fields else None
        members = get_args(model)
        model = members[0] if members else model
    return sorted(getattr(model, "model_fields", {}))


def unknown_variables() -> list[str]:
    """Return environment variables with our prefix that no setting answers to."""
    known = {KERNEL_VARIANT_VARIABLE}
    for name, info in Settings.model_fields.items():
        known.add(ENV_PREFIX + name.upper())
        for key in getattr(info.annotation, "model_fields", {}):
            known.add(f"{ENV_PREFIX}{name}__{key}".upper())
    return sorted(v for v in os.environ if v.startswith(ENV_PREFIX) and v not in known)
