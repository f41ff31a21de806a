"""The process that uses the HDF5 library: ``python -m eigerwatch.replay.reader``.

Requests come on standard input, answers go to standard output (`wire`). It ends
when its input ends. A file that crashes HDF5 crashes only this process.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py

from eigerwatch.errors import ReplayError
from eigerwatch.replay import wire
from eigerwatch.replay.datasets import read_images
from eigerwatch.replay.links import HDF5_ERRORS
from eigerwatch.replay.master import find_entry, open_walker, scan
from eigerwatch.replay.pixelmask import read_masks

_MEMORY_BYTES = 6 << 30
_BEAT_S = 1.0


class _Reader:
    """Answers requests about one master."""

    def __init__(self, request: dict[str, Any], fd: int) -> None:
        self._master = master = Path(request["master"])
        self._max_pixels = request["max_pixels"]
        self._fd = fd
        self._last_beat = time.monotonic()
        self._walker = open_walker(master, request["roots"], request["wait_s"])
        self.index = scan(self._walker, master, self._max_pixels, self._beat)

    def _beat(self) -> None:
        """Show that we are alive, however long a scan takes."""
        if time.monotonic() - self._last_beat > _BEAT_S:
            self._last_beat = time.monotonic()
            wire.send(self._fd, {"kind": "beat"})

    def describe(self) -> tuple[dict[str, Any], memoryview]:
        """Return the index as a message."""
        index = self.index
        facts = {
            name: getattr(index, name)
            for name in (
                "shape",
                "dtype",
                "channels",
                "n_frames",
                "header",
                "stamps",
                "problems",
            )
        }
        segments = [asdict(segment) for segment in index.segments]
        message = {"kind": "index", **facts, "segments": segments}
        return message, memoryview(index.rows.tobytes())

    def masks(self) -> tuple[dict[str, Any], memoryview]:
        """Return the detector's pixel masks as a message."""
        masks, problems = read_masks(
            self._walker,
            find_entry(self._walker, self._master),
            self.index.channels,
            self._max_pixels,
        )
        described = [
            {"channel": name, "shape": mask.shape} for name, mask in masks.items()
        ]
        message = {"kind": "masks", "masks": described, "problems": problems}
        return message, memoryview(b"".join(mask.used for mask in masks.values()))

    def read(self, segment_number: int, first: int, count: int) -> bytes:
        """Return the pixels of images that only HDF5 can decode."""
        segment = self.index.segments[segment_number]
        path = self._walker.confinement.check(Path(segment.file), segment.file)
        with self._walker.scope():
            found = self._walker.find(self._walker.open(path), segment.dataset)
            return read_images(found, segment, first, count)


def serve(source: int, target: int) -> None:
    """Answer requests until `source` ends."""
    reader: _Reader | None = None
    while True:
        try:
            request, _ = wire.receive(source)
        except EOFError:
            return
        blob: bytes | memoryview = b""
        answer: dict[str, Any]
        try:
            if reader is None:
                reader = _Reader(request, target)
                answer, blob = reader.describe()
            elif request.get("masks"):
                answer, blob = reader.masks()
            else:
                blob = reader.read(**request)
                answer = {"kind": "pixels"}
        except ReplayError as exc:
            answer = {"kind": "error", "text": str(exc)}
        except HDF5_ERRORS as exc:
            reason = str(exc)[:500] or type(exc).__name__
            text = f"damaged, copy it again (the HDF5 library reports: {reason})"
            answer = {"kind": "error", "text": text}
        wire.send(target, answer, blob)


def main() -> int:
    """Confine this process, then serve standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # our parent ends us
    for kind, limit in (
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))
    while h5py.h5pl.size():  # no shared objects from anywhere
        h5py.h5pl.remove(0)
    with suppress(BrokenPipeError):
        target = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.stdin.fileno(), target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
