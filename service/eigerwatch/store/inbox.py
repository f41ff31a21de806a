"""What was reported to the writer and not yet turned into commands."""

from __future__ import annotations

import threading
from collections import OrderedDict
from itertools import count

from eigerwatch.store import operations as ops
from eigerwatch.store.operations import Operation

RESERVE = 1.1
"""States, events and counts are small and matter more than rows: they may go this
far beyond the limit."""

_Place = tuple[type[Operation], str, str]


class Inbox:
    """A bounded first-in first-out queue, filled by any thread, emptied by one.

    Of the counts of a channel only the newest are kept, and changes of a series'
    meta are joined where no frame lies between them.

    Parameters
    ----------
    limit_bytes
        What is beyond is refused.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lock = threading.RLock()
        self._queue: OrderedDict[int, tuple[Operation, int]] = OrderedDict()
        self._number = count()
        self._open: dict[_Place, int] = {}
        """Where in the queue something lies that a newer one may replace."""
        self.bytes = 0
        """Bytes in the queue, and of what was taken and not yet released."""

    def __bool__(self) -> bool:
        return bool(self._queue)

    def put(self, operation: Operation) -> bool:
        """Add the newest operation; False when there is no room for it."""
        with self._lock:
            place = _place(operation)
            older = self._queue.get(self._open.get(place, -1)) if place else None
            freed = 0
            if older is not None:
                operation = _joined(older[0], operation)
                freed = older[1]
            size = ops.size_of(operation)
            limit = self._limit
            if not isinstance(operation, ops.Append):
                limit = round(RESERVE * limit)
            if self.bytes - freed + size > limit:
                return False
            number = next(self._number)
            if place is not None:
                if older is not None:
                    del self._queue[self._open[place]]
                self._open[place] = number
            if isinstance(operation, (ops.Append, ops.Reject, ops.Open, ops.Close)):
                # What changes meta stays on its side of these.
                self._open.pop((ops.Update, operation.key, ""), None)
            self._queue[number] = operation, size
            self.bytes += size - freed
            return True

    def take(self, most_bytes: int) -> tuple[list[Operation], int]:
        """Return the oldest operations and their size, to be released."""
        taken: list[Operation] = []
        size = 0
        with self._lock:
            while self._queue and size < most_bytes:
                number, (operation, bytes_) = self._queue.popitem(last=False)
                place = _place(operation)
                if place is not None and self._open.get(place) == number:
                    del self._open[place]
                taken.append(operation)
                size += bytes_
        return taken, size

    def release(self, size: int) -> None:
        """Stop counting what was taken: it is kept elsewhere now."""
        with self._lock:
            self.bytes -= size


def _place(operation: Operation) -> _Place | None:
    """Return what two operations have in common of which one can stand for both."""
    match operation:
        case (
            ops.Ledger(key=key, channel=channel) | ops.Extend(key=key, channel=channel)
        ):
            return type(operation), key, channel
        case ops.Update(key=key):
            return ops.Update, key, ""
    return None


def _joined(older: Operation, newer: Operation) -> Operation:
    match older, newer:
        case ops.Update(meta=meta), ops.Update(key=key, meta=changes):
            return ops.Update(key, {**meta, **changes})
        case ops.Extend(highest=highest), ops.Extend(key, channel, other):
            return ops.Extend(key, channel, max(highest, other))
    return newer
