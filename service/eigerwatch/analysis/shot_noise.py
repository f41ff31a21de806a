"""How much of the fluctuation the counting of photons explains by itself."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from eigerwatch.analysis.statistics import Table, finite_or_none


@dataclass(frozen=True, slots=True)
class ShotNoise:
    """Point estimates for sums of independently counted photons.

    Flat-field and count-rate corrections scale the counts after counting, so these
    are estimates. NaN where the mean is not positive or there are too few frames.
    """

    cv_shot_percent: float
    """Coefficient of variation of pure counting, 100/sqrt(mean) [%]."""
    fano: float
    """Variance over mean [counts]; 1 for pure counting."""
    cv_beam_percent: float
    """What is left for the beam, sqrt(max(0, CV^2 - CV_shot^2)) [%]."""

    def as_dict(self) -> dict[str, float | None]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {key: finite_or_none(value) for key, value in asdict(self).items()}


def shot_noise(table: Table) -> ShotNoise:
    """Split the coefficient of variation of `table` into counting and beam."""
    if not table.mean > 0:
        return ShotNoise(math.nan, math.nan, math.nan)
    cv_shot = 100 / math.sqrt(table.mean)
    # Not max(): it would turn an undefined CV into 0.
    square = table.cv_percent**2 - cv_shot**2
    return ShotNoise(
        cv_shot_percent=cv_shot,
        fano=table.std**2 / table.mean,
        cv_beam_percent=0.0 if square < 0 else math.sqrt(square),
    )
