"""What the simulator sent against what the store holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eigerwatch.errors import UnknownSeriesError
from eigerwatch.model import FrameFlag
from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.read import Reader

_FINAL_STATES = frozenset({"finished", "stopped_early", "error"})
_SETTLE_TIMEOUT_S = 20.0
_POLL_S = 0.2
_FIRST_LOOK = 100
_MOST_LISTED = 10_000


@dataclass(slots=True)
class Summary:
    """What was sent, and what became of it.

    Counted in frames, whatever the number of channels: a frame is stored when all its
    channels are, rejected when one of them is, and otherwise missing.
    """

    sent: int = 0
    stored: int = 0
    missing: int = 0
    rejected: int = 0
    compared: int = 0
    """Stored totals compared with the simulator's own, of every channel."""
    wrong: int = 0
    """Stored totals that differ from the simulator's own."""
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
    reader: Reader,
    source: str,
    sent: dict[str, Any],
    began_ms: int,
    truth_dir: Path | None,
    timeout_s: float = _SETTLE_TIMEOUT_S,
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
    began_ms
        When the simulator was started, UTC epoch [ms]; older series are others.
    truth_dir
        Where it has put the totals it sent, or None where it knows none.
    timeout_s
        Longest wait until all series are closed in the store.
    """
    summary = Summary(sent=sent["sent"], late=sent["late"], dropped=sent["dropped"])
    infos = _settled(reader, source, sent["series"], began_ms, timeout_s)
    for series, info in zip(sent["series"], infos, strict=True):
        if info is None:
            summary.missing += series["frames"]
            continue
        summary.series.append(info.key)
        _count(summary, reader, info, series["frames"])
        if truth_dir is not None:
            for channel in info.ledgers:
                truth = _truth(truth_dir, series["series_id"], channel)
                _compare(summary, reader.rows(info.key, channel), truth)
    return summary


def _settled(
    reader: Reader,
    source: str,
    sent: Sequence[dict[str, Any]],
    began_ms: int,
    timeout_s: float,
) -> list[SeriesInfo | None]:
    """Wait until the sent series are closed in the store; None: not there."""
    deadline = time.monotonic() + timeout_s
    found: list[SeriesInfo | None] = [None] * len(sent)
    while True:
        waiting = [
            i
            for i, info in enumerate(found)
            if info is None or info.state not in _FINAL_STATES
        ]
        if any(not sent[i]["unique_id"] for i in waiting):
            numbered = _by_number(reader, source, began_ms)
        for i in waiting:
            unique_id = sent[i]["unique_id"]
            if not unique_id:
                found[i] = numbered.get(sent[i]["series_id"])
                continue
            try:
                found[i] = reader.info(f"{source}:{unique_id}")
            except UnknownSeriesError:
                found[i] = None
        final = all(info and info.state in _FINAL_STATES for info in found)
        if final or time.monotonic() > deadline:
            return found
        time.sleep(_POLL_S)


def _by_number(reader: Reader, source: str, began_ms: int) -> dict[int, SeriesInfo]:
    """Return the series without a unique id that began since `began_ms`.

    Stream v1 has nothing but the number, which older series bear as well.
    """
    limit = _FIRST_LOOK
    while True:
        listed = reader.series(limit=limit)
        # Listed by their last write, so that one from before ends the search.
        oldest_ms = min((info.last_write_ms or 0 for info in listed), default=0)
        if len(listed) < limit or oldest_ms < began_ms or limit >= _MOST_LISTED:
            break
        limit *= 10
    return {
        info.series_id: info
        for info in reversed(listed)
        if info.series_id is not None
        and info.source == source
        and not info.series_unique_id
        and (info.started_ms or 0) >= began_ms
    }


def _count(summary: Summary, reader: Reader, info: SeriesInfo, sent: int) -> None:
    """Add the frames of one series."""
    flags = {name: reader.stored(info.key, name) for name in info.ledgers}
    frames = max((len(ok) for ok in flags.values()), default=0)
    stored = np.ones(frames, bool)
    rejected = np.zeros(frames, bool)
    for channel, ok in flags.items():
        stored[: len(ok)] &= ok == 1
        stored[len(ok) :] = False
        ids = np.array(list(reader.rejected(info.key, channel)), np.int64)
        rejected[ids[ids < frames]] = True
    rejected &= ~stored
    summary.stored += int(np.count_nonzero(stored))
    summary.rejected += int(np.count_nonzero(rejected))
    summary.missing += int(np.count_nonzero(~(stored | rejected)))
    # Frames after the highest one seen are beyond what the store knows.
    summary.missing += max(0, sent - frames)


def _truth(folder: Path, series_id: int, channel: str) -> np.ndarray[Any, Any]:
    """Return the totals the simulator says it sent in one channel."""
    path = folder / f"series_{series_id}.{channel}.npy"
    if not path.exists():  # written where there are several channels
        path = folder / f"series_{series_id}.npy"
    totals: np.ndarray[Any, Any] = np.load(path)
    return totals


def _compare(
    summary: Summary, rows: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]
) -> None:
    """Add how many of the stored totals are the true ones."""
    stored = np.flatnonzero(rows["flags"] & FrameFlag.STORED)
    known = stored[stored < len(truth)]
    right = int(np.count_nonzero(rows["total"][known] == truth[known]))
    summary.compared += len(stored)
    summary.wrong += len(stored) - right
