"""Stream v2: one CBOR map per message, told apart by its ``type``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eigerwatch.errors import DecodeError
from eigerwatch.model import (
    BadFrame,
    Buffer,
    Encoding,
    Frame,
    Image,
    Message,
    RejectReason,
    SeriesEnd,
    SeriesStart,
)
from eigerwatch.simplon import cbor, fields
from eigerwatch.simplon.cbor import Tag
from eigerwatch.simplon.image import (
    DTYPES,
    UINT8,
    UINT16,
    UINT32,
    ImageError,
    check_shape,
    make_image,
)
from eigerwatch.simplon.pattern import ImagePattern, pattern_of

MULTI_DIM_ARRAY = 40
"""Tag of [dimensions, typed array], row-major (RFC 8746)."""
COMPRESSED = 56500
"""DECTRIS' tag of [algorithm, element size, bytes]."""

LEARNING_EVERY = 20
"""Messages that are parsed before what is known of them is replaced."""

_TYPED_ARRAYS: dict[int, np.dtype[Any]] = {
    64: UINT8,
    68: UINT8,  # "clamped arithmetic", which changes nothing for a reader
    69: UINT16,
    70: UINT32,
}
_BIG_ENDIAN = (65, 66)
_ALGORITHMS = {
    "bslz4": Encoding.BSLZ4,
    "bszstd": Encoding.BSZSTD,
    "lz4": Encoding.LZ4,
}
_SHUFFLED = (Encoding.BSLZ4, Encoding.BSZSTD)
_NOT_IN_HEADER = frozenset(
    {
        "type",
        "user_data",
        "countrate_correction_lookup_table",
        "flatfield",
        "pixel_mask",
    }
)


class Decoder:
    """Turns stream v2's messages into model types.

    Between them it keeps only what an image's message looked like: most messages
    repeat it but for some numbers, and are then not parsed again.

    Parameters
    ----------
    max_pixels
        Largest image accepted.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._pattern: ImagePattern | None = None
        self._until_learning = 0

    def feed(self, parts: Sequence[Buffer]) -> list[Message | DecodeError]:
        """Take one message and return what it holds.

        An image with some channels that cannot be used yields the frame with the
        others, followed by one `BadFrame` per cause.
        """
        try:
            if len(parts) != 1:
                raise DecodeError(
                    f"{len(parts)} parts; a stream v2 message has one", kind="parts"
                )
            return self._decode(parts[0])
        except DecodeError as exc:
            # A new one: that which was raised would keep the message's data alive.
            return [DecodeError(str(exc), kind=exc.kind)]

    def _decode(self, data: Buffer) -> list[Message | DecodeError]:
        if self._pattern is not None:
            frame = self._pattern.read(data)
            if frame is not None:
                return [frame]
        try:
            message = cbor.loads(data)
        except cbor.CborError as exc:
            bad = _bad_frame(exc.partial, RejectReason.MESSAGE, str(exc))
            if bad is None:
                raise
            return [bad]
        if not isinstance(message, dict):
            raise DecodeError("the message is no map", kind="cbor")
        kind = message.get("type")
        if kind == "image" and "image_id" in message:
            said = self._image(message)
            self._learn(data, message, said)
            return said
        if "series_number" in message:
            raise DecodeError(
                "the preview layout of stream v2, from before release 2022.1, is not "
                "supported; update the detector's firmware",
                kind="preview",
            )
        series_id = fields.whole(message.get("series_id"))
        if not isinstance(kind, str):
            raise DecodeError("a message whose type is no text", kind="type")
        if kind not in ("start", "image", "end"):
            raise DecodeError(f"unknown message type {kind!r:.80}", kind="type")
        if series_id is None:
            raise DecodeError(f"a message {kind!r} without series_id", kind="value")
        if kind == "image":
            raise DecodeError("an image without image_id", kind="value")
        if kind == "start":
            return self._start(series_id, message)
        return [SeriesEnd(series_id, fields.name(message.get("series_unique_id")))]

    def _learn(
        self,
        data: Buffer,
        message: dict[Any, Any],
        said: list[Message | DecodeError],
    ) -> None:
        self._until_learning -= 1
        if self._until_learning > 0 or len(said) != 1:
            return
        (frame,) = said
        if isinstance(frame, Frame):
            # Where every message is another, trying costs little.
            self._until_learning = LEARNING_EVERY
            self._pattern = pattern_of(data, message, frame)

    def _start(
        self, series_id: int, message: dict[Any, Any]
    ) -> list[Message | DecodeError]:
        start = _series_start(series_id, message, self._max_pixels)
        images: dict[str, Image] = {}
        try:
            if "pixel_mask" in message:
                for channel, array in _channels(message["pixel_mask"]):
                    images[channel] = self._channel(channel, array)
        except ImageError as exc:
            # A mask that cannot be used makes no series unusable.
            return [start, DecodeError(exc.detail, kind="pixel mask")]
        start.mask_images = images
        return [start]

    def _image(self, message: dict[Any, Any]) -> list[Message | DecodeError]:
        series_id = fields.whole(message.get("series_id"))
        image_id = fields.whole(message["image_id"])
        if series_id is None or image_id is None:
            raise DecodeError("an image without usable numbers", kind="value")
        unique_id = fields.name(message.get("series_unique_id"))
        out: list[Message | DecodeError] = []
        bad: list[Message] = []
        images: list[Image] = []
        try:
            for channel, array in _channels(message.get("data")):
                try:
                    images.append(self._channel(channel, array))
                except ImageError as exc:
                    bad.append(
                        BadFrame(
                            series_id,
                            image_id,
                            exc.reason,
                            exc.detail,
                            (channel,),
                            unique_id,
                        )
                    )
        except ImageError as exc:
            return [
                BadFrame(
                    series_id,
                    image_id,
                    exc.reason,
                    exc.detail,
                    series_unique_id=unique_id,
                )
            ]
        if images:
            user_data = message.get("user_data")
            out.append(
                Frame(
                    series_id,
                    image_id,
                    tuple(images),
                    fields.nanoseconds(message.get("start_time")),
                    fields.nanoseconds(message.get("real_time")),
                    unique_id,
                    user_data=None if user_data is None else fields.plain(user_data),
                )
            )
        return [*out, *bad]

    def _channel(self, channel: str, array: object) -> Image:
        if (
            type(array) is not Tag
            or array.number != MULTI_DIM_ARRAY
            or not isinstance(array.value, list)
            or len(array.value) != 2
        ):
            raise ImageError(
                RejectReason.MESSAGE, "the image is no multi-dimensional array"
            )
        dimensions, typed = array.value
        if not isinstance(dimensions, list) or len(dimensions) != 2:
            raise ImageError(
                RejectReason.CONTRADICTION, f"dimensions {dimensions!r:.80} of an image"
            )
        shape = check_shape(dimensions[0], dimensions[1], self._max_pixels)
        if type(typed) is not Tag:
            raise ImageError(RejectReason.MESSAGE, "the image is no typed array")
        dtype = _TYPED_ARRAYS.get(typed.number)
        if dtype is None:
            kind = "big-endian data" if typed.number in _BIG_ENDIAN else "this type"
            raise ImageError(
                RejectReason.ENCODING,
                f"typed array of tag {typed.number}: {kind} is not supported",
            )
        content = typed.value
        if isinstance(content, memoryview):
            return make_image(channel, Encoding.NONE, dtype, shape, content)
        if (
            type(content) is not Tag
            or content.number != COMPRESSED
            or not isinstance(content.value, list)
            or len(content.value) != 3
            or not isinstance(content.value[2], memoryview)
        ):
            raise ImageError(RejectReason.MESSAGE, "the typed array holds no bytes")
        algorithm, element, payload = content.value
        encoding = _ALGORITHMS.get(algorithm) if isinstance(algorithm, str) else None
        if encoding is None:
            raise ImageError(
                RejectReason.ENCODING, f"compression {algorithm!r:.40} is not supported"
            )
        if encoding in _SHUFFLED and element != dtype.itemsize:
            raise ImageError(
                RejectReason.CONTRADICTION,
                f"{encoding} elements of {element!r:.40} bytes in an array of {dtype}",
            )
        return make_image(channel, encoding, dtype, shape, payload)


def _bad_frame(
    message: dict[int | str, Any], reason: RejectReason, detail: str
) -> BadFrame | None:
    series_id = fields.whole(message.get("series_id"))
    image_id = fields.whole(message.get("image_id"))
    if message.get("type") != "image" or series_id is None or image_id is None:
        return None
    unique_id = fields.name(message.get("series_unique_id"))
    return BadFrame(series_id, image_id, reason, detail, series_unique_id=unique_id)


def _channels(data: object) -> list[tuple[str, object]]:
    """Return the channels of an image message.

    Raises
    ------
    ImageError
        None, too many, or a name that cannot stand in a store key.
    """
    if not isinstance(data, dict) or not data:
        raise ImageError(RejectReason.MESSAGE, "the message holds no image data")
    if len(data) > fields.MAX_CHANNELS:
        raise ImageError(
            RejectReason.SIZE,
            f"{len(data)} channels, {fields.MAX_CHANNELS} are allowed",
        )
    for channel in data:
        if fields.name(channel) is None:
            raise ImageError(RejectReason.MESSAGE, f"channel name {channel!r:.80}")
    return list(data.items())


def _series_start(
    series_id: int, message: dict[Any, Any], max_pixels: int
) -> SeriesStart:
    try:
        shape = check_shape(
            message.get("image_size_y"), message.get("image_size_x"), max_pixels
        )
    except ImageError:
        shape = None
    announced = message.get("channels")
    if not isinstance(announced, list):
        announced = []
    names = [c for c in map(fields.name, announced) if c is not None]
    dtype_name = message.get("image_dtype")
    shown = {k: v for k, v in message.items() if k not in _NOT_IN_HEADER}
    return SeriesStart(
        series_id,
        series_unique_id=fields.name(message.get("series_unique_id")),
        channels=tuple(dict.fromkeys(names))[: fields.MAX_CHANNELS],
        shape=shape,
        dtype=DTYPES.get(dtype_name) if isinstance(dtype_name, str) else None,
        number_of_images=fields.whole(message.get("number_of_images")),
        frame_time_s=fields.seconds(message.get("frame_time")),
        count_time_s=fields.seconds(message.get("count_time")),
        detector=fields.text(message.get("detector_description")),
        serial=fields.text(message.get("detector_serial_number")),
        saturation_value=fields.whole(message.get("saturation_value")),
        countrate_cutoff=fields.whole(message.get("countrate_correction_count_cutoff")),
        header_detail=_header_detail(message),
        header=fields.plain(shown),
        user_data=fields.plain(message.get("user_data")),
        stream="v2",
    )


def _header_detail(message: dict[Any, Any]) -> str:
    """Return the setting that the fields sent belong to; the stream does not say."""
    if "pixel_mask" in message or "flatfield" in message:
        return "all"
    return "basic" if "count_time" in message else "none"
