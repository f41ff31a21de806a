"""The sections of the settings: what each is for, its keys, units and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeInt,
    Tag,
    field_validator,
    model_validator,
)

MAX_COUNT = 2**32 - 1
"""Largest value a pixel can hold."""


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise ValueError("~ stands for nobody's folder: write the whole path") from exc


HomePath = Annotated[Path, AfterValidator(_expand)]
"""A path in which ``~`` is the home folder."""


class Section(BaseModel):
    """A group of settings: unknown keys are errors, nothing changes afterwards."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )


Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Radius = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


TAGS = ("one", "list")
"""Of settings that are one value or a list; part of the path of an error."""


def _one_or_list(value: Any) -> str:
    """Tell apart, for settings that may be either, so that errors are about one."""
    return "list" if isinstance(value, list | tuple) else "one"


def _check_endpoint(value: str) -> str:
    if not value.startswith(("tcp://", "ipc://")):
        raise ValueError("an address such as tcp://10.0.0.1:31001 or ipc:///path")
    return value


class StreamSettings(Section):
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


class ReplaySettings(Section):
    """Where recorded series come in."""

    enabled: bool = True
    """Connect to `endpoint` as well."""
    endpoint: str = "tcp://127.0.0.1:31003"
    """ZeroMQ address where the simulator binds to replay."""
    roots: tuple[HomePath, ...] = ()
    """Folders whose recordings the page may replay; links inside a master file may
    point into them, besides its own folder."""

    _endpoint = field_validator("endpoint")(_check_endpoint)


class FilterSettings(Section):
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


class RoiSettings(Section):
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


class RegionSettings(Section):
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


class SeriesSettings(Section):
    """When a series counts as complete."""

    settle_s: float = Field(default=2.0, gt=0, le=86_400)
    """How long a hole may stay open before its frames are declared missing [s]."""
    stall_min_s: float = Field(default=2.0, gt=0, le=86_400)
    """Shortest silence that counts as stalled [s]; at least 20 frame times."""
    max_open: int = Field(default=64, ge=8, le=4096)
    """Series kept in memory at once."""


class ReduceSettings(Section):
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


class StoreSettings(Section):
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


class ArchiveSettings(Section):
    """Where series go that no longer fit into Redis."""

    dir: HomePath | None = None
    """Folder of the archive; unset: ``archive`` below `store.data_dir`."""


class WebSettings(Section):
    """The page and the API."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback belongs behind the site's proxy."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port; 0: any free one."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Host names under which the page may be opened (Host and Origin headers)."""
    tick_hz: float = Field(default=4.0, gt=0, le=20)
    """Live updates per second."""


class LogSettings(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level written to stderr."""


def _number(value: Any) -> Any:
    """Return digits, which is what the environment has, as a number."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class AnalysisSettings(Section):
    """How the beam is judged."""

    mains_hz: Annotated[Literal[50, 60] | None, BeforeValidator(_number)] = None
    """Frequency of the mains, to name lines by; unset: both are tried."""
    exclude: tuple[Literal["empty", "damaged", "topup", "step", "spike"], ...] = (
        "empty",
        "damaged",
        "topup",
    )
    """Kinds of events whose frames do not count."""
    after_damage: bool = True
    """From the first damaged frame on, no frame counts."""
    guard_before_frames: int = Field(default=2, ge=0, le=100_000)
    """Frames left out before a top-up."""
    guard_after_s: float = Field(default=0.02, ge=0, le=3600)
    """Time left out after a top-up [s]; two frames at least."""
    resamples: int = Field(default=1000, ge=100, le=100_000)
    """Of the bootstrap that intervals come from."""
    window_s: float = Field(default=60.0, gt=0, le=86_400)
    """Newest frames that the page judges while they come [s]."""


class TargetSettings(Section):
    """Limits for go or no-go; unset ones are not looked at."""

    cv_percent: float | None = Field(default=None, gt=0, le=1000)
    """Largest CV of the detrended intensity [%]."""
    cv_beam_percent: float | None = Field(default=None, gt=0, le=1000)
    """Largest CV without the counting of photons [%]."""
    drift_percent: float | None = Field(default=None, gt=0, le=1000)
    """Largest drift from the first to the last frame, up or down [%]."""
    line_percent: float | None = Field(default=None, gt=0, le=1000)
    """Largest peak amplitude of a line in the spectrum [%]."""
    missing_percent: float | None = Field(default=None, ge=0, le=100)
    """Most missing and rejected frames [%]."""
    min_mean: float | None = Field(default=None, gt=0, le=2**63)
    """Mean below which there is no beam, and no alarm [counts]."""
    source_alarm: bool = False
    """Whether a series that stalls, or a source with an error, is an alarm too."""
    hold_off_s: float = Field(default=10.0, ge=0, le=86_400)
    """An alarm's reason is over when it has been gone for so long [s]."""
    webhooks: tuple[
        Annotated[str, Field(pattern=r"^https?://[^\s/?#]+\S*$", max_length=2000)], ...
    ] = Field(default=(), max_length=16)
    """Addresses told by HTTP POST when the decision changes."""

    @property
    def limited(self) -> bool:
        """Whether any limit is set."""
        figures = ("cv", "cv_beam", "drift", "line", "missing")
        limits = (getattr(self, f"{name}_percent") for name in figures)
        return any(limit is not None for limit in (self.min_mean, *limits))
