"""Batches on their way to Redis: memory first, then the spool, always in order."""

from __future__ import annotations

from collections import deque

from eigerwatch.store import keys
from eigerwatch.store.commands import Batch, grow
from eigerwatch.store.spool import Command, Spool


class Backlog:
    """A bounded first-in first-out queue of batches.

    The oldest are in memory, the newest in the spool. Once anything is spooled,
    everything that follows is spooled too, until all of it was replayed.
    """

    def __init__(self, ring_bytes: int, spool: Spool) -> None:
        self._ring_bytes = ring_bytes
        self._ring: deque[tuple[list[Command], int]] = deque()
        self.spool = spool
        self.bytes = 0
        """Bytes in memory."""

    def __bool__(self) -> bool:
        return bool(self._ring or self.spool)

    def put(self, batch: Batch) -> bool:
        """Add the newest batch; False when neither memory nor spool has room.

        Raises
        ------
        OSError
            The spool's disk refuses it.
        """
        if not self.spool and self.bytes + batch.bytes <= self._ring_bytes:
            self._ring.append((batch.commands, batch.bytes))
            self.bytes += batch.bytes
            return True
        return self.spool.append(batch.commands)

    def put_back(self, batches: list[list[Command]]) -> None:
        """Put batches that may have been lost again before everything else."""
        self._ring.extendleft((commands, 0) for commands in reversed(batches))

    def peek(self) -> list[Command] | None:
        """Return the oldest batch, or None."""
        return self._ring[0][0] if self._ring else self.spool.peek()

    def pop(self) -> None:
        """Forget the batch that `peek` returned."""
        if self._ring:
            self.bytes -= self._ring.popleft()[1]
        else:
            self.spool.pop()

    def save(self) -> bool:
        """Move what is in memory to the spool; False when it has no room.

        Raises
        ------
        OSError
            The spool's disk refuses.
        """
        if not self._ring:
            return True
        kept = self.spool.prepend([commands for commands, _ in self._ring])
        if kept:
            self._ring.clear()
            self.bytes = 0
        return kept

    def records(self) -> int:
        """Return the number of rows that wait in memory."""
        return sum(count_rows(commands) for commands, _ in self._ring)


def count_rows(commands: list[Command]) -> int:
    """Return the number of frames that a batch marks as stored."""
    return sum(
        len(words[3])
        for words in commands
        if words[0] == b"SETRANGE" and words[1].endswith(b":ok") and words[3][0] == 1
    )


def rows_by_series(batch: list[Command]) -> dict[str, int]:
    """Return the number of frames that a batch marks as stored, by series."""
    found: dict[str, int] = {}
    for words in batch:
        if records := count_rows([words]):
            key = _series_of(words[1])
            found[key] = found.get(key, 0) + records
    return found


def without_records(batch: list[Command]) -> list[Command]:
    """Return a batch in which stored frames are frames that were seen only."""
    kept = []
    for words in batch:
        if words[0] == b"SETRANGE" and words[1].endswith(b":ok"):
            last = int(words[2]) + len(words[3]) - 1
            kept.append(grow(words[1], last))
        elif words[0] not in (b"SETRANGE", b"HDEL") and not words[1].endswith(
            b":ticks"
        ):
            kept.append(words)
    return kept


def without_rows(words: Command) -> tuple[str, Command] | None:
    """Return what marks the frames of a failed write of rows as not stored.

    Returns
    -------
    tuple or None
        Series key and command; None where `words` writes no rows.
    """
    if words[0] != b"SETRANGE":
        return None
    name, _, chunk = words[1].rpartition(b":")
    if not name.endswith(b":rows"):
        return None
    first = int(chunk) * keys.CHUNK_FRAMES + int(words[2]) // keys.ROW_BYTES
    frames = len(words[3]) // keys.ROW_BYTES
    ok = name.removesuffix(b"rows") + b"ok"
    return _series_of(name), (b"SETRANGE", ok, b"%d" % first, bytes(frames))


def _series_of(name: bytes) -> str:
    # A series key has no braces; a channel may.
    return name[len(keys.PREFIX) + 1 : name.index(b"}")].decode("utf-8", "replace")
