"""Recorded images' bytes, taken from their files without the HDF5 library."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Self

from eigerwatch.model import ChunkRun

_thread = threading.local()


class ChunkFile:
    """The open file of a run; a context manager.

    Raises
    ------
    OSError
        The file cannot be opened.
    """

    def __init__(self, run: ChunkRun) -> None:
        self._run = run
        self._file = os.open(run.path, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def read(self, index: int) -> memoryview:
        """Return one chunk's bytes; they are there until this thread reads again.

        Raises
        ------
        OSError
            The file cannot be read.
        EOFError
            The file ends inside the chunk.
        """
        run = self._run
        size, offset = int(run.sizes[index]), int(run.offsets[index])
        buffer = _buffer(size)
        done = 0
        while done < size:
            n = os.preadv(self._file, [buffer[done:]], offset + done)
            if n == 0:
                raise EOFError(
                    f"{run.path}: chunk of {size} bytes at {offset} is cut off after "
                    f"{done}"
                )
            done += n
        return buffer


def _buffer(size: int) -> memoryview:
    """Return `size` bytes of this thread's buffer."""
    buffer: memoryview | None = getattr(_thread, "buffer", None)
    if buffer is None or len(buffer) < size:
        buffer = _thread.buffer = memoryview(bytearray(size + size // 4))
    return buffer[:size]
