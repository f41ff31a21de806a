"""Stream v1: JSON and binary parts, told apart by their ``htype``.

The parts are one flat sequence. Where one message ends and the next begins differs
between senders, so a series' header and an image are kept until they are complete.

=====================  ==========================================================
header, per detail     parts
=====================  ==========================================================
``none``               dheader
``basic``              dheader, config (no ``htype``)
``all``                dheader, config, then dflatfield, dpixelmask and
                       dcountrate_table, each with its binary part
=====================  ==========================================================

An image is dimage, dimage_d, binary part, dconfig. Header and image may be followed
by one more part, the user's appendix, which may be anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from eigerwatch.errors import DecodeError
from eigerwatch.model import (
    DEFAULT_CHANNEL,
    BadFrame,
    Buffer,
    Encoding,
    Frame,
    Message,
    RejectReason,
    SeriesEnd,
)
from eigerwatch.simplon import fields, json_part
from eigerwatch.simplon.header1 import Header, Series, series_number
from eigerwatch.simplon.image import DTYPES, ImageError, make_image

MAX_SERIES = 8
"""Series whose geometry and time unit are remembered."""

_ENCODINGS: dict[str, tuple[Encoding, int]] = {
    "": (Encoding.NONE, 0),
    "<": (Encoding.NONE, 0),
} | {
    f"{shuffle}{lz4}{order}": (
        Encoding.BSLZ4 if bits else Encoding.LZ4_BLOCK,
        bits // 8,
    )
    for shuffle, bits in (("", 0), ("bs8", 8), ("bs16", 16), ("bs32", 32))
    for lz4 in ("lz4", "-lz4")
    for order in ("<", "")
}
"""``[bs<bits>][[-]lz4][<]``: encoding, and bytes per element where it is stated."""

_ANY_LENGTH = -1
_BRACE = 0x7B
_TABLES = frozenset({"dflatfield-1.0", "dpixelmask-1.0", "dcountrate_table-1.0"})
_FIRST_PARTS = frozenset({"dheader-1.0", "dimage-1.0", "dseries_end-1.0"})


@dataclass(slots=True)
class _Image:
    series_id: int
    image_id: int
    description: dict[str, Any] | None = None
    payload: memoryview | None = None
    times: dict[str, Any] | None = None
    user_data: Any = None


class Decoder:
    """Turns stream v1's parts into messages.

    Parameters
    ----------
    max_pixels
        Largest image accepted.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._series: dict[int, Series] = {}
        self._header: Header | None = None
        self._image: _Image | None = None
        self._due: int | None = None
        self._mask: dict[str, Any] | None = None
        self._skipping = False
        self._out: list[Message | DecodeError] = []

    def feed(self, parts: Sequence[Buffer]) -> list[Message | DecodeError]:
        """Take the parts of one message and return what they complete, in order.

        What cannot be decoded is returned as an error in its place; it never hides
        what came before or after it in the same message.
        """
        self._skipping = False
        for part in parts:
            try:
                self._take(part)
            except DecodeError as exc:
                self._abandon(exc)
        if self._header is not None and self._header.complete and self._due is None:
            self._finish_header()
        if self._image is not None and self._image.times is not None:
            self._finish_image()
        if self._image is None and self._due == _ANY_LENGTH:
            self._due = None
        return self._drain()

    def flush(self) -> list[Message | DecodeError]:
        """Return what is still incomplete, as far as it can be used, and forget it."""
        self._finish()
        self._due = None
        return self._drain()

    def continues_with(self, length: int) -> bool:
        """Tell whether a binary part of `length` bytes is the one waited for."""
        return self._due == length

    def _drain(self) -> list[Message | DecodeError]:
        out, self._out = self._out, []
        return out

    def _take(self, part: Buffer) -> None:
        lead = part[0] if len(part) else 0
        if self._due is not None and self._take_binary(part, lead):
            return
        if lead != _BRACE and _leading(part) != _BRACE:
            self._take_appendix(part)
            return
        try:
            value = json_part.parse(part)
        except DecodeError:
            if not self._takes_appendix():
                raise
            value = None
        if isinstance(value, dict):
            htype = value.get("htype")
            if isinstance(htype, str):
                self._take_typed(htype, value)
                return
            header = self._header
            if header is not None and header.takes_config(value):
                header.config = value
                return
        self._take_appendix(part)

    def _take_binary(self, part: Buffer, lead: int) -> bool:
        """Take the binary part that is due; False: `part` is another one."""
        due, self._due = self._due, None
        mask, self._mask = self._mask, None
        image = self._image
        if image is not None and (
            image.description is None or image.payload is not None
        ):
            image = None  # What is due belongs to a table of the header.
        if lead == _BRACE and due != len(part) and _has_htype(part):
            if image is not None:
                self._reject("the image data is missing")
            return False
        if image is not None:
            image.payload = memoryview(part)
        elif mask is not None and len(part):
            self._take_mask(mask, memoryview(part))
        # Flatfield and count-rate table are not used.
        return True

    def _take_mask(self, description: dict[str, Any], data: memoryview) -> None:
        """Take the data of the pixel mask; what is wrong with it costs only itself."""
        problem = "it came apart from its header"
        header = self._header
        if header is not None:
            dtype = DTYPES.get(str(description.get("type")))
            shape = description.get("shape")
            try:
                if dtype is None:
                    raise ImageError(
                        RejectReason.ENCODING, f"type {description.get('type')!r:.40}"
                    )
                size = Series(header.config or {}).shape(shape, self._max_pixels)
                header.pixel_mask = make_image(
                    DEFAULT_CHANNEL, Encoding.NONE, dtype, size, data
                )
            except ImageError as exc:
                problem = exc.detail
            else:
                return
        error = DecodeError(f"the pixel mask is not used: {problem}", kind="pixel mask")
        self._out.append(error)

    def _take_typed(self, htype: str, part: dict[str, Any]) -> None:
        image = self._image
        if htype in _FIRST_PARTS:
            self._finish()
            self._skipping = False
            series_id = series_number(part.get("series"))
            if htype == "dimage-1.0":
                image_id = fields.whole(part.get("frame"))
                if image_id is None:
                    raise DecodeError("an image without a number", kind="value")
                self._image = _Image(series_id, image_id)
            elif htype == "dheader-1.0":
                self._header = Header(series_id, part)
            else:
                self._out.append(SeriesEnd(series_id))
        elif htype == "dimage_d-1.0" and image and image.description is None:
            image.description = part
            size = part.get("size")
            self._due = size if type(size) is int else _ANY_LENGTH
        elif htype == "dconfig-1.0" and image and image.times is None:
            image.times = part
        elif htype in _TABLES:
            self._due = _table_bytes(part)
            self._mask = part if htype == "dpixelmask-1.0" else None
        elif htype in ("dimage_d-1.0", "dconfig-1.0"):
            if not self._skipping:
                raise DecodeError(f"a {htype} part out of place", kind="sequence")
            if htype == "dimage_d-1.0":
                self._due = _ANY_LENGTH
        else:
            self._due = _ANY_LENGTH  # It may bring a binary part, as its kin do.
            error = DecodeError(f"unknown htype {htype!r:.80}", kind="type")
            self._out.append(error)

    def _takes_appendix(self) -> bool:
        if self._image is not None:
            return self._image.times is not None and self._image.user_data is None
        header = self._header
        return header is not None and header.complete and header.user_data is None

    def _take_appendix(self, part: Buffer) -> None:
        if not self._takes_appendix():
            if self._skipping:
                return
            raise DecodeError("a part that belongs to nothing", kind="sequence")
        try:
            value = fields.plain(json_part.parse(part))
        except DecodeError:
            value = fields.plain_text(part)
        if self._image is not None:
            self._image.user_data = value
        elif self._header is not None:
            self._header.user_data = value

    def _abandon(self, error: DecodeError) -> None:
        """Give up what the faulty part belongs to, but nothing that is usable."""
        image = self._image
        if image is not None and image.payload is None:
            self._reject(str(error))
        else:
            self._finish()
            # A new one: that which was raised would keep the message's data alive.
            self._out.append(DecodeError(str(error), kind=error.kind))
        # One error a message is enough for the parts that suffer from the same fault.
        self._skipping = True

    def _reject(self, detail: str) -> None:
        image, self._image = self._image, None
        if image is not None:
            reason = RejectReason.MESSAGE
            bad = BadFrame(image.series_id, image.image_id, reason, detail)
            self._out.append(bad)
            self._skipping = True

    def _finish(self) -> None:
        if self._header is not None:
            self._finish_header()
        if self._image is not None:
            self._finish_image()

    def _finish_header(self) -> None:
        header, self._header = self._header, None
        if header is not None:
            self._series.pop(header.series_id, None)
            while len(self._series) >= MAX_SERIES:
                del self._series[next(iter(self._series))]
            self._series[header.series_id] = Series(header.config or {})
            self._out.append(header.series_start(self._max_pixels))

    def _finish_image(self) -> None:
        image = self._image
        if image is None:
            return
        if image.payload is None:
            self._reject("the message about the image is incomplete")
            return
        self._image = None
        try:
            self._out.append(self._frame(image, image.payload))
        except ImageError as exc:
            bad = BadFrame(image.series_id, image.image_id, exc.reason, exc.detail)
            self._out.append(bad)

    def _frame(self, image: _Image, payload: memoryview) -> Frame:
        description = image.description or {}
        stated = description.get("encoding")
        if not isinstance(stated, str) or stated not in _ENCODINGS:
            raise ImageError(RejectReason.ENCODING, _why_not(stated))
        encoding, element = _ENCODINGS[stated]
        dtype_name = description.get("type")
        if not isinstance(dtype_name, str) or dtype_name not in DTYPES:
            raise ImageError(
                RejectReason.ENCODING,
                f"element type {dtype_name!r:.40} is not supported",
            )
        dtype = DTYPES[dtype_name]
        if element and element != dtype.itemsize:
            raise ImageError(
                RejectReason.CONTRADICTION,
                f"encoding {stated!r} does not go with elements of type {dtype}",
            )
        size = description.get("size")
        if size is not None and size != len(payload):
            raise ImageError(
                RejectReason.CONTRADICTION,
                f"{len(payload)} bytes of image data, {size!r:.40} announced",
            )
        series = self._series.get(image.series_id) or Series()
        shape = series.shape(description.get("shape"), self._max_pixels)
        start_ns, real_ns = series.times(image.times) if image.times else (None, None)
        return Frame(
            image.series_id,
            image.image_id,
            (make_image(DEFAULT_CHANNEL, encoding, dtype, shape, payload),),
            start_ns,
            real_ns,
            user_data=image.user_data,
        )


def _leading(part: Buffer) -> int:
    """Return the first byte that is not JSON white space, or 0."""
    head = bytes(part[:16]).lstrip(b" \t\r\n")
    return head[0] if head else 0


def _has_htype(part: Buffer) -> bool:
    try:
        value = json_part.parse(part)
    except DecodeError:
        return False
    return isinstance(value, dict) and isinstance(value.get("htype"), str)


def _table_bytes(part: dict[str, Any]) -> int:
    """Return the length of a table's binary part; arrays left out have none."""
    shape = part.get("shape")
    if shape == []:
        return 0
    if not isinstance(shape, list) or len(shape) > 3:
        return _ANY_LENGTH
    sides = [fields.whole(side) for side in shape]
    known = [side for side in sides if side is not None]
    # uint32 pixel mask, float32 flatfield and count-rate table.
    return 4 * prod(known) if len(known) == len(sides) else _ANY_LENGTH


def _why_not(encoding: object) -> str:
    if isinstance(encoding, str) and encoding.endswith(">"):
        cause = "big-endian data is not supported"
    elif isinstance(encoding, str) and "zst" in encoding:
        cause = "Zstandard is not supported"
    else:
        cause = "it is not supported"
    return f"encoding {encoding!r:.40}: {cause}"
