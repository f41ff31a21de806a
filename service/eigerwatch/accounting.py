"""What the simulator sent against what the store holds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eigerwatch.model import FrameFlag
from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.read import Reader

_FINAL_STATES = frozenset({"finished", "stopped_early", "error"})
_SETTLE_TIMEOUT_S = 20.0
_POLL_S = 0.2


@dataclass(slots=True)
class Summary:
    """What was sent, and what became of it."""

    sent: int = 0
    stored: int = 0
    missing: int = 0
    rejected: int = 0
    compared: int = 0
    """Frames whose stored total was compared with the simulator's own."""
    wrong: int = 0
    """Frames whose stored total differs from the simulator's own."""
    late: int = 0
    """Frames the simulator sent more than a frame time late."""
    dropped: int = 0
    """Frames the simulator dropped because nobody took them, as a DCU does."""
    ticks: int = 0
    """Live updates that a client of the page's own kind received."""
    series: list[str] = field(default_factory=list)
    """Keys of the series found in the store."""

    @property
    def good(self) -> bool:
        """Whether every frame was sent and stored, none with a wrong total."""
        return self.stored == self.sent and not (self.missing or self.wrong)

    def line(self) -> str:
        """Return the fixed line that closes demo and replay."""
        return (
            f"frames sent={self.sent} stored={self.stored} "
            f"missing={self.missing} rejected={self.rejected}"
        )


def account(
    reader: Reader, source: str, sent: dict[str, Any], truth_dir: Path | None
) -> Summary:
    """Compare what the store holds with what the simulator says it sent.

    Parameters
    ----------
    reader
        The store.
    source
        First half of the keys of the series in question.
    sent
        The simulator's own summary.
    truth_dir
        Where it has put the totals it sent, or None where it knows none.
    """
    summary = Summary(sent=sent["sent"], late=sent["late"], dropped=sent["dropped"])
    for series in sent["series"]:
        info = _settled(reader, source, series)
        if info is None:
            summary.missing += series["frames"]
            continue
        summary.series.append(info.key)
        for channel, ledger in info.ledgers.items():
            summary.stored += ledger.stored
            summary.rejected += ledger.rejected
            # Frames after the highest one seen are beyond what any ledger knows.
            unseen = max(0, series["frames"] - (ledger.highest + 1))
            summary.missing += ledger.missing + ledger.outstanding + unseen
            if truth_dir is not None:
                truth = np.load(truth_dir / f"series_{series['series_id']}.npy")
                rows = reader.rows(info.key, channel)
                stored = np.flatnonzero(rows["flags"] & FrameFlag.STORED)
                differs = rows["total"][stored] != truth[stored]
                summary.compared += len(stored)
                summary.wrong += int(np.count_nonzero(differs))
    return summary


def _settled(reader: Reader, source: str, series: dict[str, Any]) -> SeriesInfo | None:
    """Wait until a sent series is closed in the store."""
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    while True:
        for info in reader.series():
            if info.source == source and _is_same(info, series):
                final = info.state in _FINAL_STATES
                if final or time.monotonic() > deadline:
                    return info
        if time.monotonic() > deadline:
            return None
        time.sleep(_POLL_S)


def _is_same(info: SeriesInfo, series: dict[str, Any]) -> bool:
    if info.series_unique_id:
        return bool(info.series_unique_id == series["unique_id"])
    return bool(info.series_id == series["series_id"])
