"""Runs by name, assessed: stored series and recorded datasets alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from eigerwatch.analysis.assessment import Assessment, AssessmentOptions, assess
from eigerwatch.analysis.conditions import Conditions
from eigerwatch.analysis.events.model import DetectionOptions
from eigerwatch.analysis.measured import Measured, measured_of
from eigerwatch.analysis.targets import Judged, judge
from eigerwatch.app import running_store
from eigerwatch.config import Settings
from eigerwatch.errors import ConfigError, UnknownSeriesError
from eigerwatch.framecache import FrameCache
from eigerwatch.masks import n_masked
from eigerwatch.offline import MasterSums, sum_master
from eigerwatch.reading import open_notes, open_reader
from eigerwatch.report.model import Subject, settings_of
from eigerwatch.runs import (
    RegionsMeant,
    StoredRun,
    conditions_of,
    options_of,
    seconds,
    subject_of,
    threshold_energy_ev,
)
from eigerwatch.store.notes import Notes
from eigerwatch.store.read import Reader

MOST_PROBLEMS = 20
"""Of what could not be read, named in a report."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """One run with all that is said about it."""

    subject: Subject
    frames: Measured
    """All stored frames, with the modules' sums."""
    assessment: Assessment
    judged: Judged
    conditions: Conditions
    problems: tuple[str, ...] = ()
    """What could not be read or reduced, one sentence each."""


def assess_master(sums: MasterSums, settings: Settings) -> Assessed:
    """Assess a recorded dataset."""
    meant = _regions(sums)
    measured = measured_of(
        sums.records,
        sums.regions,
        first=sums.first_frame - 1,
        modules=meant.modules,
        frame_time_s=sums.start.frame_time_s,
    )
    found = assess(measured, _named(options_of(settings.analysis), meant))
    start, selection = sums.start, sums.selection
    detector = " ".join(part for part in (start.detector, start.serial) if part)
    told = {
        "file": sums.path.resolve(),
        "channel": sums.channel,
        "detector": start.detector,
        "serial number": start.serial,
        "started": start.header.get("data_collection_date"),
        "frame time [s]": seconds(start.frame_time_s),
        "count time [s]": seconds(start.count_time_s),
        "low [counts]": selection.low,
        "high [counts]": selection.high,
        "masked pixels": None if selection.mask is None else n_masked(selection.mask),
        "frames": f"{sums.first_frame}-{sums.last_frame} of {sums.n_frames}",
        "stored frames": int(sums.stored.sum()),
        "rejected frames": int(sums.rejected.sum()),
    }
    problems = [*sums.problems]
    problems += [
        f"frame {n} rejected: {why}" for n, why in sorted(sums.reasons.items())
    ]
    facts = [(name, str(value)) for name, value in told.items() if value is not None]
    facts += [("could not be read", problem) for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        facts.append(("could not be read", f"{len(problems) - MOST_PROBLEMS} more"))
    return Assessed(
        subject=Subject(
            title=sums.path.name,
            facts=tuple(facts),
            settings=settings_of(settings.analysis, settings.targets),
            version=version("eigerwatch"),
            region_names=meant.names,
            region_boxes=meant.boxes,
        ),
        frames=measured,
        assessment=found,
        judged=judge(found, settings.targets),
        conditions=Conditions(
            frame_time_s=start.frame_time_s,
            count_time_s=start.count_time_s,
            low=selection.low,
            high=selection.high,
            shape=start.shape,
            dtype=None if start.dtype is None else str(start.dtype),
            channel=sums.channel,
            detector=detector or None,
            source="file",
            series=str(sums.path.resolve()),
            threshold_energy_ev=threshold_energy_ev(start.header, sums.channel),
        ),
        problems=tuple(problems),
    )


class Runs:
    """Finds runs by name: files, or series of the store, opened when one is asked for.

    Parameters
    ----------
    settings
        Where the store is, and how runs are judged.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: tuple[Reader, Notes] | None = None

    @contextmanager
    def opened(self, names: list[str]) -> Iterator[None]:
        """Keep the store open, if any of the names is no file."""
        if all(map(_is_file, names)):
            yield
            return
        with running_store(self._settings) as url:
            self._store = (
                open_reader(self._settings, url),
                open_notes(self._settings, url),
            )
            try:
                yield
            finally:
                self._store = None

    def find(self, name: str, channel: str | None = None) -> Assessed:
        """Return a run.

        Parameters
        ----------
        name
            A master file, the key of a series, or ``latest``.

        Raises
        ------
        ConfigError
            There is none of this name, or it has no such channel.
        ReplayError
            The file cannot be read.
        """
        if _is_file(name):
            sums = sum_master(Path(name), self._settings, channel=channel)
            return assess_master(sums, self._settings)
        assert self._store is not None
        reader, notes = self._store
        key = name
        if name == "latest":
            newest = reader.series(1)
            if not newest:
                raise ConfigError("no series is stored yet; name a master file")
            key = newest[0].key
        try:
            info = reader.info(key)
        except UnknownSeriesError as exc:
            raise ConfigError(
                f"{name}: neither a file nor a stored series; `eigerwatch list` "
                "shows those"
            ) from exc
        channels = list(info.channels or info.ledgers)
        if channel is None and channels:
            channel = channels[0]
        if channel is None or channel not in channels:
            raise ConfigError(
                f"{key} has no channel {channel or ''}; it has {', '.join(channels)}"
            )
        run = StoredRun(reader, FrameCache(reader).get(info, channel))
        events = run.events(info)
        frames = run.measured(info, regions=True)
        options = options_of(self._settings.analysis, notes.exclusions(key))
        found = assess(frames, options, events=events)
        return Assessed(
            subject=subject_of(
                info,
                channel,
                notes.all(key),
                self._settings.analysis,
                self._settings.targets,
            ),
            frames=frames,
            assessment=found,
            judged=judge(found, self._settings.targets),
            conditions=conditions_of(info, channel),
        )


def _is_file(name: str) -> bool:
    return name.endswith((".h5", ".hdf5", ".nxs")) or Path(name).is_file()


def _regions(sums: MasterSums) -> RegionsMeant:
    described = tuple(sums.selection.regions.described)
    modules = tuple(k for k, region in enumerate(described) if region.get("module"))
    return RegionsMeant(modules, described)


def _named(options: AssessmentOptions, meant: RegionsMeant) -> AssessmentOptions:
    return replace(options, detection=DetectionOptions(region_names=meant.names))
