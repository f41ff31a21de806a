"""What does not fit into memory while Redis is away: a CBOR sequence on disk."""

from __future__ import annotations

import fcntl
import io
import os
import time
from collections import deque
from pathlib import Path

import cbor2

from eigerwatch.errors import StoreError

Command = tuple[bytes, ...]
"""One Redis command, word by word."""

SEGMENT_BYTES = 8 * 2**20
"""A file is closed at this size, so that replayed parts can be removed."""
ROOM = 0.8
"""A full spool takes batches again when it is down to this part of its limit."""
FSYNC_S = 1.0
"""Longest time that written batches stay in the kernel's memory only."""


class Spool:
    """A first-in first-out queue of batches in numbered files of one folder.

    Each file is a CBOR sequence (RFC 8742) of batches, a batch an array of
    commands, a command an array of byte strings. A file is removed when all of it
    was replayed, so a killed process repeats part of a file at most.

    Raises
    ------
    StoreError
        The folder cannot be used, or another process uses it.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self.limit_mb = limit_bytes // 10**6
        self._file: io.FileIO | None = None
        self._file_bytes = 0
        self._full = False
        self._synced = time.monotonic()
        self._head: deque[tuple[list[Command], int]] = deque()
        self._head_path: Path | None = None
        self.bytes = 0
        """Bytes on disk that were not yet replayed."""
        self.damaged: list[str] = []
        """Sentences about files whose end could not be read."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreError(
                f"{folder}: cannot be used for the spool ({exc.strerror}); "
                "make it writable or change store.data_dir"
            ) from exc
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock)
            raise StoreError(
                f"{folder}: another process spools here; stop it or give this one "
                "its own store.data_dir"
            ) from exc
        self._segments = deque(sorted(folder.glob("*.cborseq")))
        self.bytes = sum(path.stat().st_size for path in self._segments)
        numbers = [int(path.stem) for path in self._segments]
        self._next = max(numbers, default=10**9) + 1
        self._first = min(numbers, default=10**9 + 1)

    def __bool__(self) -> bool:
        return bool(self._head or self._segments or self._file_bytes)

    def append(self, commands: list[Command], *, reserve: bool = False) -> bool:
        """Write one batch; False when it would exceed the limit.

        Once something was refused, everything is until there is room again, so that
        what is kept is in one piece.

        Parameters
        ----------
        reserve
            The batch is small and matters: it may go a tenth beyond the limit.

        Raises
        ------
        OSError
            The disk refuses; nothing of the batch is kept.
        """
        data = cbor2.dumps(commands)
        if reserve:
            if self.bytes + len(data) > 1.1 * self._limit:
                return False
        elif self._full or self.bytes + len(data) > self._limit:
            self._full = True
            return False
        if self._file is None:
            path = self._folder / f"{self._next:012d}.cborseq"
            self._file = path.open("xb", buffering=0)
            self._segments.append(path)
            self._next += 1
            self._file_bytes = 0
        self._write(self._file, data, self._file_bytes)
        self._file_bytes += len(data)
        self.bytes += len(data)
        if time.monotonic() - self._synced >= FSYNC_S:
            self.sync()
        if self._file_bytes >= SEGMENT_BYTES:
            self._finish_segment()
        return True

    def prepend(self, batches: list[list[Command]]) -> bool:
        """Write batches that are older than everything here; False beyond the limit.

        Raises
        ------
        OSError
            The disk refuses; nothing of the batches is kept.
        """
        if self._head_path is not None:  # replayed in part: again from its start
            self._segments.appendleft(self._head_path)
            self._head_path = None
            self._head.clear()
            self.bytes = sum(path.stat().st_size for path in self._segments)
        data = b"".join(cbor2.dumps(commands) for commands in batches)
        if self.bytes + len(data) > self._limit:
            return False
        self._first -= 1
        path = self._folder / f"{self._first:012d}.cborseq"
        with path.open("xb", buffering=0) as file:
            try:
                self._write(file, data, 0)
                os.fsync(file.fileno())
            except OSError:
                path.unlink()
                raise
        self._segments.appendleft(path)
        self.bytes += len(data)
        return True

    def peek(self) -> list[Command] | None:
        """Return the oldest batch, or None."""
        while not self._head:
            if self._head_path is not None:
                self._head_path.unlink(missing_ok=True)
                self._head_path = None
            if not self._segments:
                self.bytes = 0
                return None
            if len(self._segments) == 1:
                self._finish_segment()
            self._head_path = self._segments.popleft()
            self._load(self._head_path)
        return self._head[0][0]

    def pop(self) -> None:
        """Forget the batch that `peek` returned; it is stored elsewhere."""
        self.bytes -= self._head.popleft()[1]
        self._full = self._full and self.bytes > ROOM * self._limit
        if not self._head and self._head_path is not None:
            self._head_path.unlink(missing_ok=True)
            self._head_path = None

    def sync(self) -> None:
        """Ask the kernel to put everything onto the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync and let go of the folder; what is in it stays."""
        self._finish_segment()
        os.close(self._lock)

    def _write(self, file: io.FileIO, data: bytes, start: int) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) or 0 :]
        except OSError:
            # A torn batch in the middle would hide all that follow it.
            file.truncate(start)
            file.seek(start)
            raise

    def _finish_segment(self) -> None:
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None
            self._file_bytes = 0

    def _load(self, path: Path) -> None:
        data = path.read_bytes()
        stream = io.BytesIO(data)
        decoder = cbor2.CBORDecoder(stream)
        done = 0
        while done < len(data):
            try:
                commands = [tuple(c) for c in decoder.decode()]
                if not all(isinstance(word, bytes) for c in commands for word in c):
                    raise TypeError("something else than commands")
            except (cbor2.CBORDecodeError, TypeError, ValueError, EOFError) as exc:
                self.damaged.append(
                    f"{path.name}: the last {len(data) - done} of {len(data)} bytes "
                    f"are unreadable ({exc}); what they held is lost"
                )
                self.bytes -= len(data) - done
                return
            self._head.append((commands, stream.tell() - done))
            done = stream.tell()
