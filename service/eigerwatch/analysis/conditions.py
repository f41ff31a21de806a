"""Under which conditions a run was taken, and whether two of them can be compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FRAME_TIME = 0.01
"""Relative difference of frame times that is refused: another band is averaged."""
KEPT_WARNED = 0.01
"""Relative difference of kept pixels worth a word: a few lost columns, a larger beam
stop. It moves the mean as much, and its shot noise by half of that."""
KEPT_REFUSED = 0.1
"""The same that is refused. A module of a 4M detector is 12 % of it, a half-module 6 %:
up to a half-module the rest still sees the same scattering, a module less does not."""
KEPT_SAME = 1e-5
"""Difference that no filter makes: with it, no pixel lies between two upper limits."""
ENERGY = 0.01
"""Relative difference of energy thresholds that is refused."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must agree for two runs to be compared; None: not known."""

    frame_time_s: float | None = None
    """Start to start."""
    count_time_s: float | None = None
    low: int | None = None
    """Pixel filter, inclusive [counts]."""
    high: int | None = None
    """Pixel filter, inclusive [counts]."""
    kept_pixels: float | None = None
    """Median over the frames used."""
    shape: tuple[int, int] | None = None
    """(y, x) of an image."""
    dtype: str | None = None
    channel: str | None = None
    threshold_energy_ev: float | None = None
    region: str | None = None
    """What was summed, where it is not the whole image."""
    detector: str | None = None
    """Model and serial number."""
    source: str | None = None
    """live, sim, replay or file."""
    series: str | None = None
    """Key; the same one in both: intervals of one series."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON."""
        fields = asdict(self)
        fields["shape"] = None if self.shape is None else list(self.shape)
        return fields


@dataclass(frozen=True, slots=True)
class Differences:
    """What two conditions say against a comparison."""

    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    same_sampling: bool
    """Frames average over the same time: their CV means the same."""
    same_sums: bool
    """The same pixels are counted in the same way: means can be compared."""


def differences(a: Conditions, b: Conditions) -> Differences:
    """Return what speaks against comparing two runs, and what is worth a word."""
    refusals: list[str] = []
    warnings: list[str] = []
    same_sampling = _sampling(a, b, refusals, warnings)
    before = len(refusals)
    _pixels(a, b, refusals, warnings)
    _detectors(a, b, refusals, warnings)
    return Differences(
        tuple(refusals), tuple(warnings), same_sampling, len(refusals) == before
    )


def _sampling(
    a: Conditions, b: Conditions, refusals: list[str], warnings: list[str]
) -> bool:
    if a.frame_time_s is None or b.frame_time_s is None:
        warnings.append("the frame time is not known of both")
    elif _apart(a.frame_time_s, b.frame_time_s) > FRAME_TIME:
        refusals.append(
            f"the frame times differ: {1e3 * a.frame_time_s:.4g} ms and "
            f"{1e3 * b.frame_time_s:.4g} ms"
        )
        return False
    if _apart(a.count_time_s, b.count_time_s) > FRAME_TIME:
        warnings.append("the exposure times differ, and with them the counts")
    return True


def _pixels(
    a: Conditions, b: Conditions, refusals: list[str], warnings: list[str]
) -> None:
    apart = _apart(a.kept_pixels, b.kept_pixels)
    if a.shape is not None and b.shape is not None and a.shape != b.shape:
        refusals.append(
            f"the images differ in size: {_size(a.shape)}, {_size(b.shape)}"
        )
    elif a.low is not None and b.low is not None and a.low != b.low:
        # Pixels without counts are kept or not: the sums are the same.
        if max(a.low, b.low) > 1:
            refusals.append(f"the lower limits differ: {a.low} and {b.low} counts")
    elif a.low is not None and a.low > 0:
        # How many pixels reach the limit depends on the intensity.
        if apart > KEPT_REFUSED:
            warnings.append(f"the numbers of kept pixels differ by {100 * apart:.2g} %")
    elif apart > KEPT_REFUSED:
        refusals.append(
            f"the kept pixels differ by {100 * apart:.2g} %: another mask, or modules "
            "are missing"
        )
    elif apart > KEPT_WARNED:
        warnings.append(f"the numbers of kept pixels differ by {100 * apart:.2g} %")
    if a.high is not None and b.high is not None and a.high != b.high:
        limits = f"the upper limits differ: {a.high} and {b.high} counts"
        known = a.kept_pixels is not None and b.kept_pixels is not None
        if known and apart <= KEPT_SAME:
            warnings.append(f"{limits}, without any pixel between them")
        else:
            # The brightest pixels carry most: a few of them make a difference.
            refusals.append(limits)


def _detectors(
    a: Conditions, b: Conditions, refusals: list[str], warnings: list[str]
) -> None:
    if a.region is not None and b.region is not None and a.region != b.region:
        refusals.append(f"the regions differ: {a.region} and {b.region}")
    apart = _apart(a.threshold_energy_ev, b.threshold_energy_ev)
    if apart > ENERGY:
        refusals.append(
            f"the energy thresholds differ: {a.threshold_energy_ev:.6g} eV and "
            f"{b.threshold_energy_ev:.6g} eV"
        )
    for name, of_a, of_b in (
        ("channels", a.channel, b.channel),
        ("detectors", a.detector, b.detector),
        ("data types", a.dtype, b.dtype),
        ("sources", a.source, b.source),
    ):
        if of_a is not None and of_b is not None and of_a != of_b:
            warnings.append(f"the {name} differ: {of_a} and {of_b}")


def _apart(a: float | None, b: float | None) -> float:
    """Return the relative difference; 0 where one is not known."""
    if a is None or b is None or a == b:
        return 0.0
    return abs(a - b) / max(abs(a), abs(b))


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[1]} x {shape[0]} pixels"
