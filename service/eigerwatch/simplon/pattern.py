"""Image messages of stream v2 that differ from the last one in few places.

Within a series an image's message repeats, byte for byte, all but its number, its
times and its data. What `cbor` and `stream2` have checked of one need not be parsed
again in the next: a regular expression finds the few numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from eigerwatch.model import Buffer, Frame, Image
from eigerwatch.simplon import cbor, fields
from eigerwatch.simplon.image import ImageError, make_image

_NUMBER = rb"([\x00-\x17]|\x18.|\x19.{2}|\x1a.{4}|\x1b.{8})"
_LENGTH = rb"([\x40-\x57]|\x58.|\x59.{2}|\x5a.{4}|\x5b.{8})"
_TIMES = frozenset({"start_time", "stop_time", "real_time"})


LONGEST = 16_384
"""Most bytes of a message beside its data that are looked for in the next."""


def pattern_of(
    data: Buffer, message: Mapping[Any, Any], frame: Frame
) -> ImagePattern | None:
    """Return what the next image's message is expected to look like.

    Parameters
    ----------
    data
        A message that was read without complaint.
    message
        What `cbor.loads` made of it.
    frame
        What it says.

    Returns
    -------
    ImagePattern or None
        None where the message is unusual: images without their own header, numbers
        that are none, a map or a byte string written in a way of its own.
    """
    payloads = [image.payload for image in frame.images]
    if len(data) - sum(map(len, payloads)) > LONGEST:
        return None
    if not all(isinstance(payload, memoryview) for payload in payloads):
        return None
    pattern = ImagePattern(data, message, frame)
    return pattern if pattern.complete and pattern.read(data) == frame else None


class ImagePattern:
    """What the messages of a series' images have in common; made by `pattern_of`."""

    def __init__(self, data: Buffer, message: Mapping[Any, Any], frame: Frame) -> None:
        self._series_id = frame.series_id
        self._unique_id = frame.series_unique_id
        self._user_data = frame.user_data
        # Without the payloads, which would keep the message in memory.
        self._images = [
            (image.channel, image.encoding, image.dtype, image.shape)
            for image in frame.images
        ]
        self._fields: list[str] = []
        """What each number of a message is, in order."""
        view = memoryview(data)
        self._parts: list[re.Pattern[bytes]] = []
        """What stands before each channel's data, which it ends with the length of."""
        written = b""
        done = 0
        for key, start, stop in cbor.entries(view):
            value = message[key]
            if key == "image_id":
                written += re.escape(bytes(view[done:start])) + _NUMBER
                self._fields.append(key)
            elif key in _TIMES and _is_pair(value):
                written += re.escape(bytes(view[done : start + 1])) + 2 * _NUMBER
                self._fields += [key, key]
            elif key == "data":
                for begin, end in _payloads(view, start, frame.images):
                    written += re.escape(bytes(view[done:begin])) + _LENGTH
                    self._parts.append(re.compile(written, re.DOTALL))
                    written, done = b"", end
                continue
            else:
                continue
            done = stop
        written += re.escape(bytes(view[done:]))
        self._rest = re.compile(written, re.DOTALL)
        self.complete = (
            len(self._parts) == len(self._images) and "image_id" in self._fields
        )
        """Number and data of every channel were found."""

    def read(self, data: Buffer) -> Frame | None:
        """Return what a message says; None: it must be parsed."""
        view = memoryview(data)
        numbers: list[int] = []
        images: list[Image] = []
        pos = 0
        for part, like in zip(self._parts, self._images, strict=True):
            found = part.match(view, pos)
            if found is None:
                return None
            *given, length = found.groups()
            numbers += map(_value, given)
            pos = found.end() + _value(length)
            if pos > len(view):
                return None
            payload = view[found.end() : pos]
            try:
                images.append(make_image(*like, payload))
            except ImageError:
                return None
        found = self._rest.fullmatch(view, pos)
        if found is None:
            return None
        numbers += map(_value, found.groups())
        return self._said(numbers, tuple(images))

    def _said(self, numbers: Sequence[int], images: tuple[Image, ...]) -> Frame | None:
        told: dict[str, list[int]] = {}
        for name, number in zip(self._fields, numbers, strict=True):
            told.setdefault(name, []).append(number)
        image_id = fields.whole(told["image_id"][0])
        if image_id is None:
            return None
        return Frame(
            self._series_id,
            image_id,
            images,
            fields.nanoseconds(told.get("start_time")),
            fields.nanoseconds(told.get("real_time")),
            self._unique_id,
            self._user_data,
        )


def _value(item: bytes) -> int:
    """Return a number, or the length of a byte string, as CBOR writes it."""
    return item[0] & 0x1F if len(item) == 1 else int.from_bytes(item[1:], "big")


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(number) is int and number >= 0 for number in value)
    )


def _payloads(
    view: memoryview, start: int, images: Sequence[Image]
) -> list[tuple[int, int]]:
    """Return where each channel's byte string begins, with its length, and ends."""
    found = []
    for (_, _, stop), image in zip(cbor.entries(view, start), images, strict=False):
        n = len(image.payload)
        # Its data are the last thing that a channel's array holds.
        found.append((stop - n - cbor.head_size(n), stop))
    return found
