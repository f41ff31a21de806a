"""Messages of either stream version: told apart by their first bytes."""

from __future__ import annotations

from collections.abc import Sequence

from eigerwatch.errors import DecodeError
from eigerwatch.model import Buffer, Message
from eigerwatch.simplon import stream1, stream2

MAX_PARTS = 16
"""Most parts of one message.

Stream v1's longest is a complete header (8 parts and the appendix) merged with an
image (4 and the appendix) and the end of the series: 15.
"""

_SELF_DESCRIBED = b"\xd9\xd9\xf7"


class Decoder:
    """Turns ZeroMQ messages into model types, whichever stream version they are of.

    Both versions may come in at the same port, even mixed: each keeps its own state.

    Parameters
    ----------
    max_pixels
        Largest image accepted.
    max_message_mb
        Largest message accepted, all parts together [MB].
    """

    def __init__(self, max_pixels: int, max_message_mb: int = 512) -> None:
        self._max_bytes = max_message_mb * 10**6
        self._stream1 = stream1.Decoder(max_pixels)
        self._stream2 = stream2.Decoder(max_pixels)

    def feed(self, parts: Sequence[Buffer]) -> list[Message | DecodeError]:
        """Return what one message holds or completes, in the order of its parts.

        Never raises for what a sender may have sent: a part that is no message we
        know stands in the list as a `DecodeError`, so that it is counted without
        hiding its neighbours. Payloads are views of `parts`.
        """
        error = self._refused(parts)
        if error is not None:
            return [error]
        first = parts[0]
        lead = first[0] if len(first) else 0
        if lead == 0x7B:
            return self._stream1.feed(parts)
        if self._stream1.continues_with(len(first)):
            return self._stream1.feed(parts)
        # A map of definite or indefinite length, or CBOR that says so.
        if 0xA0 <= lead <= 0xBB or lead == 0xBF or first[:3] == _SELF_DESCRIBED:
            return self._stream2.feed(parts)
        head = bytes(first[:16])
        if head.lstrip(b" \t\r\n")[:1] == b"{":
            return self._stream1.feed(parts)
        return [
            DecodeError(
                f"a message of {len(parts)} parts that starts with {head!r} is neither "
                "stream v1 nor v2",
                kind="format",
            )
        ]

    def flush(self) -> list[Message | DecodeError]:
        """Return what is still incomplete, as far as it can be used, and forget it.

        For a pause or the end of the stream: stream v1 may have sent an image, but
        not yet its times.
        """
        return self._stream1.flush()

    def _refused(self, parts: Sequence[Buffer]) -> DecodeError | None:
        if not 1 <= len(parts) <= MAX_PARTS:
            return DecodeError(
                f"a message of {len(parts)} parts; at most {MAX_PARTS} are accepted",
                kind="parts",
            )
        size = 0
        for part in parts:
            size += len(part)
        if size > self._max_bytes:
            return DecodeError(
                f"a message of {size} bytes; at most {self._max_bytes} are accepted",
                kind="size",
            )
        return None
