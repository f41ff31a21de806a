"""Recordings image by image, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eigerwatch import decoding
from eigerwatch.bszstd import planes_of
from eigerwatch.chunks import ChunkFile
from eigerwatch.model import DEFAULT_CHANNEL, ChunkRun, Encoding, Image
from eigerwatch.replay.recording import Hole, Recording, Run, Unusable

_CODES = {Encoding.NONE: 0, Encoding.LZ4: 2, Encoding.BSLZ4: 3, Encoding.BSZSTD: 4}


@dataclass(frozen=True)
class Recorded:
    """One image that can be used."""

    image_id: int
    image: Image
    in_file: bool
    """Whether it is read by our own process."""


def recorded(
    recording: Recording,
    first: int = 0,
    stop: int | None = None,
    channel: str | None = None,
) -> Iterator[Recorded | Unusable | Hole]:
    """Yield what a recording has of its first or another channel."""
    for item in recording.runs(channel or recording.channels[0], first, stop):
        if isinstance(item, Run):
            pictures = _read(item.images)
            in_file = isinstance(item.images, ChunkRun)
            for image_id, image in zip(item.image_ids.tolist(), pictures, strict=True):
                yield Recorded(image_id, image, in_file)
        else:
            yield item


def _read(images: list[Image] | ChunkRun) -> list[Image]:
    if isinstance(images, list):
        return [replace(image, payload=bytes(image.payload)) for image in images]
    with ChunkFile(images) as file:
        return [
            Image(
                DEFAULT_CHANNEL,
                images.encoding,
                images.dtype,
                images.shape,
                bytes(file.read(index)),
            )
            for index in range(len(images))
        ]


def decode(image: Image) -> np.ndarray[Any, Any]:
    """Return an image's pixels, without the kernel."""
    payload = image.payload
    if image.encoding is Encoding.BSZSTD:
        payload = planes_of(payload, image.dtype.itemsize, image.pixels)
    pixels = decoding.pixels_of(
        payload, _CODES[image.encoding], image.dtype.itemsize, image.pixels
    )
    return np.asarray(pixels).reshape(image.shape)


def pixels_of(recording: Recording, channel: str | None = None) -> dict[int, Any]:
    """Return the pixels of a channel by image_id; everything must be there."""
    found = {}
    for item in recorded(recording, channel=channel):
        assert isinstance(item, Recorded), item
        found[item.image_id] = decode(item.image)
    return found
