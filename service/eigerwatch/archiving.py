"""A summed recording in the archive, as a run beside those that came live."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from eigerwatch import catalogue
from eigerwatch.errors import ConfigError
from eigerwatch.model import (
    REASON_SHIFT,
    PixelMask,
    RejectReason,
    SourceKind,
    SourceState,
)
from eigerwatch.offline import MasterSums
from eigerwatch.reduce import Rejection
from eigerwatch.sections import FilterSettings
from eigerwatch.selection import Selector
from eigerwatch.series.identity import safe_word
from eigerwatch.series.ledger import SettleClock
from eigerwatch.series.state import Series, SettingsVersion
from eigerwatch.store import keys
from eigerwatch.store.archive import write_archive
from eigerwatch.store.info import SeriesInfo, ledger_of, series_info

_DIGITS = 12


def archive_sums(sums: MasterSums, folder: Path) -> str:
    """Write the sums of a whole recording into the archive's folder.

    Its key tells what is in it: the same recording counted otherwise is another run,
    and counted again the same one.

    Returns
    -------
    str
        Key of the series, ``file:<id>``.

    Raises
    ------
    ConfigError
        The sums are of a part of the recording.
    StoreError
        The archive cannot be written.
    """
    if sums.first_frame != 1 or sums.last_frame != sums.n_frames:
        raise ConfigError(
            f"{sums.path.name}: frames {sums.first_frame}-{sums.last_frame} of "
            f"{sums.n_frames} are no whole run; leave the range out to archive it"
        )
    series = _Summed(sums)
    write_archive(series, series.key, folder)
    return series.key


class _Summed:
    """Sums in the form in which a series is archived."""

    def __init__(self, sums: MasterSums) -> None:
        self._sums = sums
        self._counts = {
            "stored": int(sums.stored.sum()),
            "rejected": int(sums.rejected.sum()),
            "missing": int((sums.states == "missing").sum()),
            "highest": sums.n_frames - 1,
            "settled_below": sums.n_frames,
        }
        self._meta = self._described()
        self.key = _key(sums, self._meta)

    def info(self, key: str) -> SeriesInfo:
        """Return what is known about it."""
        channel, n = self._sums.channel, self._counts
        ledger = ledger_of(
            self._meta, channel, n["stored"], n["rejected"], n["highest"] + 1
        )
        return series_info(
            key,
            self._meta,
            (channel,),
            {channel: ledger},
            last_write_ms=int(self._meta["ended_ms"]),
            archived=True,
        )

    def entries(
        self, stream: str, after: str = "-", limit: int = 1000
    ) -> list[tuple[str, dict[str, str]]]:
        """Return nothing: what happened is found in the frames."""
        return []

    def hash(self, name: str) -> dict[str, str]:
        """Return nothing: nobody has said anything about it yet."""
        return {}

    def stored(self, key: str, channel: str) -> np.ndarray[Any, Any]:
        """Return (n_frames,) of uint8, 1 where a frame is stored."""
        return self._sums.stored.astype(np.uint8)

    def rejected(self, key: str, channel: str) -> dict[int, str]:
        """Return image_id to reason, in order."""
        reasons = self._sums.records["flags"] >> REASON_SHIFT
        return {
            number - 1: Rejection(RejectReason(reasons[number - 1]), detail).text
            for number, detail in sorted(self._sums.reasons.items())
        }

    def mask(self, key: str, channel: str) -> PixelMask | None:
        """Return the detector's own pixel mask, if the file has one."""
        return self._sums.start.pixel_masks.get(channel)

    def rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Return the records of image_ids start to stop."""
        return self._sums.records[start:stop]

    def region_rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Return (n, regions) of `REGION_ROW`."""
        return self._sums.regions[start:stop]

    def _described(self) -> dict[str, str]:
        """Return the meta fields of the series, as one that came live has them."""
        sums = self._sums
        start = sums.start
        assert start.dtype is not None  # or there would be no sums
        assert start.shape is not None
        began_ms = _began_ms(sums)
        series = Series(
            key="",  # made of what is described here
            source=SourceKind.FILE,
            series_id=start.series_id,
            series_unique_id=start.series_unique_id,
            selector=Selector(FilterSettings()),  # it has selected already
            clock=SettleClock(0.0),
            opened_ms=began_ms,
            start=start,
            state=SourceState.FINISHED,
            end_seen=True,
            highest=sums.n_frames - 1,
            settings=[SettingsVersion.of(sums.selection, start.dtype, start.shape)],
        )
        series.ledger(sums.channel)
        lasted_ms = round(1000 * sums.n_frames * (start.frame_time_s or 0.0))
        meta = {
            **catalogue.opening_meta(series),
            "origin": json.dumps({"file": str(sums.path.resolve())}),
            "ended_ms": began_ms + lasted_ms,
            keys.ledger_field(sums.channel): json.dumps(self._counts),
            keys.slots_field(sums.channel): len(sums.selection.regions),
        }
        return {name: str(value) for name, value in meta.items()}


def _key(sums: MasterSums, meta: Mapping[str, str]) -> str:
    """Return a key that no other sums have."""
    content = hashlib.sha256(json.dumps([sums.channel, meta["settings"]]).encode())
    content.update(sums.records.tobytes())
    content.update(sums.regions.tobytes())
    name = sums.path.name.removesuffix(".h5").removesuffix("_master")
    return (
        f"{SourceKind.FILE}:{safe_word(name)}-{meta['started_ms']}-"
        f"{content.hexdigest()[:_DIGITS]}"
    )


def _began_ms(sums: MasterSums) -> int:
    """Return when the recording began [ms]: as its header says, or its file.

    A date without offset is taken as this machine's local time, which at a beamline
    is that of the detector's control unit.
    """
    said = sums.start.header.get("data_collection_date")
    try:
        began = datetime.fromisoformat(str(said).strip())
        return round(began.timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return round(sums.path.stat().st_mtime * 1000)
