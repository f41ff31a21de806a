"""Starts the reader process and survives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from eigerwatch.errors import ReplayError
from eigerwatch.model import PixelMask
from eigerwatch.replay import wire
from eigerwatch.replay.wire import IMAGE_ROW, Index, Segment

_NOT_FOR_THE_READER = ("HDF5_PLUGIN_PATH", "HDF5_VDS_PREFIX", "HDF5_EXT_PREFIX")
_STOP_S = 2.0


class ReaderProcess:
    """A child that answers questions about one master.

    Parameters
    ----------
    master
        File to read.
    roots
        Folders besides its own that it may refer to.
    max_pixels
        Largest image accepted.
    wait_s
        How long to wait for files that are being written [s].
    silence_s
        Silence after which the child is given up [s].
    """

    def __init__(
        self,
        master: Path,
        roots: Sequence[Path],
        max_pixels: int,
        wait_s: float,
        silence_s: float,
    ) -> None:
        self._master = master
        self._silence_s = silence_s
        self._request = {
            "master": str(master),
            "roots": [str(root) for root in roots],
            "max_pixels": max_pixels,
            "wait_s": wait_s,
        }
        self._silence_at_open_s = silence_s + wait_s
        self._errors = tempfile.TemporaryFile()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id; None while none runs."""
        return self._child.pid if self._child else None

    def open(self) -> Index:
        """Start the child and return what it found.

        Raises
        ------
        ReplayError
            There is nothing to process, or HDF5 crashed or hangs.
        """
        environment = {
            k: v for k, v in os.environ.items() if k not in _NOT_FOR_THE_READER
        }
        environment |= {"OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "eigerwatch.replay.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
        )
        try:
            message, blob = self._ask(self._request, self._silence_at_open_s)
        except ReplayError as exc:
            if self._master.name in str(exc):
                raise
            raise ReplayError(f"{self._master}: {exc}") from exc
        try:
            return _index(message, blob)
        except (KeyError, TypeError, ValueError) as exc:
            raise ReplayError(
                f"{self._master}: the reader process is confused"
            ) from exc

    def masks(self) -> tuple[dict[str, PixelMask], list[str]]:
        """Return the pixel masks by channel, and what could not be read.

        Raises
        ------
        ReplayError
            HDF5 crashed on them; afterwards the child may be gone (`pid`).
        """
        message, blob = self._ask({"masks": True}, self._silence_s)
        masks: dict[str, PixelMask] = {}
        at = 0
        try:
            for described in message["masks"]:
                shape = _shape(described["shape"])
                size = (shape[0] * shape[1] + 7) // 8
                used = bytes(blob[at : at + size])
                at += size
                masks[str(described["channel"])] = PixelMask(shape, used)
            if at != len(blob):
                raise ValueError("masks of another size")
            return masks, [str(text) for text in message["problems"]]
        except (KeyError, TypeError, ValueError) as exc:
            raise ReplayError(
                f"{self._master}: the reader process is confused"
            ) from exc

    def read(self, segment: int, first: int, count: int) -> bytes:
        """Return the pixels of images of a segment, little-endian.

        Raises
        ------
        ReplayError
            They cannot be read; afterwards the child may be gone (`pid`).
        """
        request = {"segment_number": segment, "first": first, "count": count}
        return self._ask(request, self._silence_s)[1]

    def close(self) -> None:
        """End the child for good."""
        self.stop()
        self._errors.close()

    def _ask(
        self, request: dict[str, Any], silence_s: float
    ) -> tuple[dict[str, Any], bytes]:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise ReplayError(f"{self._master}: the reader process is gone")
        try:
            wire.send(child.stdin.fileno(), request)
            while True:
                message, blob = wire.receive(child.stdout.fileno(), silence_s)
                if message.get("kind") != "beat":
                    break
        except TimeoutError as exc:
            self.stop()
            raise ReplayError(
                f"{self._master}: no answer within {silence_s:g} s; the file system "
                "hangs or the file keeps HDF5 busy"
            ) from exc
        except (EOFError, BrokenPipeError, ValueError) as exc:
            raise ReplayError(self._obituary()) from exc
        if message.get("kind") == "error":
            raise ReplayError(str(message.get("text")))
        return message, blob

    def _obituary(self) -> str:
        code = self.stop(patience_s=_STOP_S)
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        last = f": {lines[-1]:.200}" if lines else ""
        return (
            f"{self._master}: the HDF5 library crashed on it ({how}{last}); the file "
            "is damaged, copy it again"
        )

    def stop(self, patience_s: float = 0.0) -> int:
        """End the child, which has nothing to lose, and return its exit code."""
        child, self._child = self._child, None
        if child is None:
            return 0
        if child.stdin is not None:
            child.stdin.close()
        code = None
        if patience_s:
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(patience_s)
        if code is None:
            child.kill()
            with suppress(subprocess.TimeoutExpired):  # stuck in a file system
                code = child.wait(_STOP_S)
        if child.stdout is not None:
            child.stdout.close()
        return -signal.SIGKILL if code is None else code


def _index(message: dict[str, Any], blob: bytes) -> Index:
    segments = [
        Segment(**{**segment, "shape": _shape(segment["shape"])})
        for segment in message["segments"]
    ]
    rows = np.frombuffer(blob, IMAGE_ROW)
    if len(rows) and int(rows["segment"].max()) >= len(segments):
        raise ValueError("a row without segment")
    return Index(
        shape=_shape(message["shape"]),
        dtype=str(message["dtype"]),
        channels=[str(name) for name in message["channels"]],
        n_frames=int(message["n_frames"]),
        header=dict(message["header"]),
        segments=segments,
        stamps=dict(message["stamps"]),
        problems=[str(text) for text in message["problems"]],
        rows=rows,
    )


def _shape(value: Any) -> tuple[int, int]:
    y, x = value
    return int(y), int(x)
