"""Frames to measure with, made by the simulated detector."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eigerwatch.chunks import ChunkFile
from eigerwatch.errors import EigerwatchError
from eigerwatch.model import ChunkRun
from eigerwatch.replay.recording import Run, open_master


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of frames."""

    detector: str
    """As the simulator calls it, e.g. ``4m``."""
    dtype: str
    counts_per_pixel: float

    def row(self) -> dict[str, Any]:
        """Return it as the first entries of a result."""
        return {
            "detector": self.detector,
            "dtype": self.dtype,
            "counts_per_pixel": self.counts_per_pixel,
        }

    def options(self) -> list[str]:
        """Return it as the simulator's options."""
        return [
            *("--detector", self.detector, "--dtype", self.dtype),
            *("--mean-counts", str(self.counts_per_pixel)),
        ]

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.detector} {self.dtype}, {self.counts_per_pixel:g} counts/pixel"


@dataclass(frozen=True, slots=True)
class Payloads:
    """Compressed images in memory."""

    payloads: list[bytes]
    dtype: np.dtype[Any]
    shape: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Number of pixels of an image."""
        return self.shape[0] * self.shape[1]

    @property
    def bytes_per_image(self) -> float:
        """Mean size of a compressed image."""
        return sum(map(len, self.payloads)) / len(self.payloads)


def make_dataset(folder: Path, case: Case, frames: int) -> Path:
    """Let the simulator write a dataset; return its master.

    Raises
    ------
    EigerwatchError
        It failed.
    """
    name = f"{case.detector}_{case.dtype}_{case.counts_per_pixel:g}_{frames}"
    master = folder / f"{name}_master.h5"
    command = [
        *(sys.executable, "-m", "eigersim", "make-dataset", str(master)),
        *(*case.options(), "--frames", str(frames)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EigerwatchError(
            f"the simulator could not make frames of {case}: {done.stderr:.500}"
        )
    return master


def remove_dataset(master: Path) -> None:
    """Delete a dataset's files."""
    stem = master.name.removesuffix("_master.h5")
    for path in master.parent.glob(f"{stem}_*"):
        path.unlink()


def load(master: Path, most_bytes: float = math.inf) -> Payloads:
    """Return the images of a dataset, in memory, the first ones that `most_bytes` hold.

    At least one.
    """
    payloads: list[bytes] = []
    held = 0
    with open_master(master) as recording:
        start = recording.start
        for item in recording.runs(recording.channels[0]):
            assert isinstance(item, Run)
            assert isinstance(item.images, ChunkRun)
            with ChunkFile(item.images) as file:
                for index in range(len(item.images)):
                    if held <= most_bytes:
                        payloads.append(bytes(file.read(index)))
                        held += len(payloads[-1])
    assert start.dtype is not None
    assert start.shape is not None
    return Payloads(payloads, start.dtype, start.shape)
