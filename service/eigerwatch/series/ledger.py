"""What became of every frame of one channel; nothing is ever closed up."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

UNSEEN, ACCEPTED, STORED, REJECTED = range(4)

_GROWTH = 4096
_CHECKPOINT_S = 0.05
_SEEN = re.compile(rb"[^\0]")

Run = tuple[int, int]
"""First and last image_id of consecutive frames, both inclusive."""


@dataclass(slots=True)
class ChannelLedger:
    """States of one channel's frames.

    At any time stored + rejected + outstanding + missing = highest + 1, where
    `highest` is the series' highest image_id seen. A frame not seen is missing when
    its number lies below `settled_below`, outstanding otherwise.
    """

    stored: int = 0
    rejected: int = 0
    missing: int = 0
    late: int = 0
    duplicates: int = 0
    conflicts: int = 0
    settled_below: int = 0
    accepted: int = 0
    """Frames handed to be reduced and not heard of since; part of outstanding."""
    _status: bytearray = field(default_factory=bytearray, repr=False)

    def status(self, image_id: int) -> int:
        """Return UNSEEN, ACCEPTED, STORED or REJECTED."""
        return self._status[image_id] if image_id < len(self._status) else UNSEEN

    def outstanding(self, highest: int) -> int:
        """Return how many frames up to `highest` are still awaited."""
        return highest + 1 - self.stored - self.rejected - self.missing

    def accept(self, image_id: int) -> None:
        """Note that a frame came and is being reduced."""
        if image_id >= len(self._status):
            missing_bytes = image_id + 1 - len(self._status)
            self._status.extend(bytes(max(missing_bytes, _GROWTH)))
        before = self._status[image_id]
        if before == UNSEEN and image_id < self.settled_below:
            self.missing -= 1
        elif before == REJECTED:
            self.rejected -= 1
        self._status[image_id] = ACCEPTED
        self.accepted += 1

    def finish(self, image_id: int, *, stored: bool) -> None:
        """Note what became of an accepted frame."""
        self.accepted -= 1
        self._status[image_id] = STORED if stored else REJECTED
        if stored:
            self.stored += 1
        else:
            self.rejected += 1

    def reject(self, image_id: int) -> None:
        """Note a frame that came and cannot be used."""
        self.accept(image_id)
        self.finish(image_id, stored=False)

    def settle(self, below: int) -> list[Run]:
        """Declare the unseen frames below `below` missing.

        Frames that are being reduced hold the limit back: they settle once known.

        Returns
        -------
        list of Run
            Runs of frames declared missing by this call.
        """
        status = self._status
        if below > len(status):
            status.extend(bytes(below - len(status)))
        limit = status.find(ACCEPTED, self.settled_below, below)
        if limit < 0:
            limit = below
        runs: list[Run] = []
        first = status.find(UNSEEN, self.settled_below, limit)
        while first >= 0:
            seen = _SEEN.search(status, first, limit)
            end = seen.start() if seen else limit
            runs.append((first, end - 1))
            self.missing += end - first
            first = status.find(UNSEEN, end, limit)
        self.settled_below = max(self.settled_below, limit)
        return runs

    def restore(self, ok: bytes, rejected: Iterable[int], settled_below: int) -> None:
        """Take over what an earlier process had stored."""
        self._status = bytearray(ok).replace(b"\1", bytes([STORED]))
        self.stored = self._status.count(STORED)
        for image_id in rejected:
            if image_id < len(self._status) and not self._status[image_id]:
                self._status[image_id] = REJECTED
                self.rejected += 1
        self.settled_below = min(settled_below, len(self._status))
        self.missing = self._status.count(UNSEEN, 0, self.settled_below)


class SettleClock:
    """Remembers when each frame number was the highest, to tell overdue holes."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._checkpoints: deque[tuple[float, int]] = deque()
        self._due = 0

    def saw(self, highest: int, now: float) -> None:
        """Note the highest image_id seen at the time `now` [s]."""
        if self._checkpoints and now - self._checkpoints[-1][0] < _CHECKPOINT_S:
            self._checkpoints[-1] = (self._checkpoints[-1][0], highest)
        else:
            self._checkpoints.append((now, highest))

    def overdue_below(self, now: float) -> int:
        """Return the number below which every frame should have come by `now`."""
        # A checkpoint gathers what was seen within _CHECKPOINT_S of its time.
        before = now - self._settle_s - _CHECKPOINT_S
        while self._checkpoints and self._checkpoints[0][0] <= before:
            self._due = max(self._due, self._checkpoints.popleft()[1] + 1)
        return self._due
