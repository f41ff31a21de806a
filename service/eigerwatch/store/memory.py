"""The newest records of a live series, kept in case the server loses them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eigerwatch.store.keys import CHUNK_FRAMES

REJECTED_KEPT = 10_000
"""Rejections remembered per channel."""


@dataclass(slots=True)
class _Part:
    ids: list[np.ndarray[Any, Any]] = field(default_factory=list)
    records: list[np.ndarray[Any, Any]] = field(default_factory=list)
    regions: list[np.ndarray[Any, Any] | None] = field(default_factory=list)
    frames: int = 0
    bytes: int = 0


class ChannelMemory:
    """Records of one channel, oldest forgotten first.

    The arrays of each flush are kept as they are, so remembering costs no copy.
    """

    def __init__(self) -> None:
        self._parts: OrderedDict[int, _Part] = OrderedDict()
        self._next = 0
        self.rejected: dict[int, str] = {}
        self.highest = -1
        self.bytes = 0
        self.written = 0
        """Frames written since the series was opened."""

    def store(
        self,
        ids: np.ndarray[Any, Any],
        records: np.ndarray[Any, Any],
        regions: np.ndarray[Any, Any] | None,
    ) -> None:
        """Remember the frames of one flush; the arrays must not change any more."""
        part = self._parts.get(self._next)
        if part is None or part.frames >= CHUNK_FRAMES:
            self._next += 1
            part = self._parts[self._next] = _Part()
        size = ids.nbytes + records.nbytes + (0 if regions is None else regions.nbytes)
        part.ids.append(ids)
        part.records.append(records)
        part.regions.append(regions)
        part.frames += ids.size
        part.bytes += size
        self.bytes += size
        self.written += ids.size
        self.highest = max(self.highest, int(ids[-1]))
        if self.rejected:
            for image_id in ids.tolist():
                self.rejected.pop(image_id, None)

    def reject(self, image_id: int, reason: str) -> None:
        """Remember that a frame was rejected."""
        if len(self.rejected) < REJECTED_KEPT:
            self.rejected[image_id] = reason
        self.highest = max(self.highest, image_id)

    def held(self) -> int:
        """Return the number of frames that could be written again."""
        return sum(part.frames for part in self._parts.values())

    def stored(
        self,
    ) -> Iterator[
        tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any] | None]
    ]:
        """Yield (image_ids, records, regions) in the order they were written."""
        for part in self._parts.values():
            yield from zip(part.ids, part.records, part.regions, strict=True)
        # They come back through `store`, once.
        self.clear_frames()

    def drop_oldest(self) -> int:
        """Forget the oldest part and return its size in bytes."""
        _, part = self._parts.popitem(last=False)
        self.bytes -= part.bytes
        return part.bytes

    def clear_frames(self) -> None:
        """Forget the records but not what was rejected."""
        self._parts.clear()
        self.bytes = 0

    def clear(self) -> None:
        """Forget everything."""
        self.clear_frames()
        self.rejected.clear()
