"""What a report is made from, beside the analysis itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from eigerwatch.analysis.allan import AllanDeviation, allan_deviation
from eigerwatch.analysis.assessment import Assessment
from eigerwatch.analysis.detrending import detrended
from eigerwatch.analysis.events.model import region_name
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.segments import boundaries
from eigerwatch.analysis.shot_noise import ShotNoise, split
from eigerwatch.analysis.spectrogram import Spectrogram, spectrogram
from eigerwatch.analysis.targets import Judged
from eigerwatch.sections import AnalysisSettings, TargetSettings

Box = tuple[float, float, float, float]
"""y0, y1, x0, x1 [pixels], the second of each excluded."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about, as plain text; it is escaped where it is shown."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    """Label and value: series, detector, serial, started, frames, filter, mask, ..."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Key, as in the settings file, and value, as JSON has it."""
    version: str = ""
    """Of the software."""
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the report was made."""
    region_names: tuple[str, ...] = ()
    """Of the columns of ``Measured.regions``; by default module 1, module 2, ..."""
    region_boxes: tuple[Box, ...] = ()
    """Where they lie on the detector; empty: not known."""

    def region_name(self, row: int) -> str:
        """Return what a region is called."""
        return region_name(self.region_names, row)


def settings_of(
    analysis: AnalysisSettings, targets: TargetSettings
) -> dict[str, object]:
    """Return the settings that the judgement of a run rests on, one line each."""
    told: dict[str, object] = {}
    for name, section in (("analysis", analysis), ("targets", targets)):
        # An address may hold a password, and says nothing about the beam.
        content = section.model_dump(mode="json", exclude={"webhooks"})
        told |= {f"{name}.{key}": value for key, value in content.items()}
    return told


@dataclass(frozen=True, slots=True)
class RegionFigures:
    """One region of the detector, over the frames used."""

    name: str
    mean: float
    """[counts]"""
    cv_percent: float
    """Detrended by segment [%]."""
    shot: ShotNoise
    damaged: bool
    """An event says so."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run with everything that its report shows."""

    subject: Subject
    assessment: Assessment
    judged: Judged | None
    """None: nothing was held against limits."""
    frames: Measured
    """All stored frames of the selection, the excluded ones too."""
    allan: AllanDeviation | None = None
    """None: frequencies were not looked at."""
    spectrogram: Spectrogram | None = None
    regions: tuple[RegionFigures, ...] = ()


def analysed(
    subject: Subject, assessment: Assessment, judged: Judged | None, frames: Measured
) -> Run:
    """Return the run with the analyses that only a report needs."""
    found = assessment.frequencies
    return Run(
        subject=subject,
        assessment=assessment,
        judged=judged,
        frames=frames,
        allan=None if found is None else allan_deviation(found.signal),
        spectrogram=(
            None if found is None else spectrogram(found.signal, found.lines.sines)
        ),
        regions=_regions(subject, assessment, frames),
    )


def _regions(
    subject: Subject, assessment: Assessment, frames: Measured
) -> tuple[RegionFigures, ...]:
    used = assessment.measured
    if frames.regions is None:
        return ()
    counts = np.isin(frames.positions, used.positions, assume_unique=True)
    knots = boundaries(assessment.segments)
    damaged = {row for event in assessment.events for row in event.regions}
    found = []
    for row in range(frames.regions.shape[1]):
        rest = detrended(frames.regions[counts, row], used.positions, knots)
        found.append(
            RegionFigures(
                name=subject.region_name(row),
                mean=rest.mean,
                cv_percent=rest.cv_percent,
                shot=split(rest.mean, rest.std),
                damaged=row in damaged,
            )
        )
    return tuple(found)
