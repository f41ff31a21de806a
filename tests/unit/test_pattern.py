"""What is read by the pattern of another message says the same as when parsed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simplon_messages import ULID, array2, end2, image2, pack2, pixels, start2

from eigerwatch.model import Frame
from eigerwatch.simplon import cbor
from eigerwatch.simplon.pattern import pattern_of
from eigerwatch.simplon.stream2 import LEARNING_EVERY, Decoder

MAX_PIXELS = 1_000_000


def parsed(message: bytes) -> Any:
    """Return what a decoder says that has seen nothing before."""
    return alike(Decoder(MAX_PIXELS).feed([message]))


def alike(said: list[Any]) -> list[Any]:
    """Return answers that compare: errors by their text."""
    return [one if not isinstance(one, Exception) else repr(one) for one in said]


def learned(message: bytes) -> Decoder:
    decoder = Decoder(MAX_PIXELS)
    decoder.feed([message])
    assert decoder._pattern is not None
    return decoder


NUMBERS = st.integers(0, 2**64 - 1) | st.sampled_from(
    [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1, 2**63]
)
PAIRS = st.lists(NUMBERS, min_size=2, max_size=2)


@given(NUMBERS, PAIRS, PAIRS, st.integers(0, 60_000), st.booleans())
@settings(max_examples=200, deadline=None)
def test_numbers_times_and_data_may_differ(
    image_id: int, start: list[int], real: list[int], seed: int, two: bool
) -> None:
    def message(image_id: int, seed: int, **times: Any) -> bytes:
        random = np.random.default_rng(seed)
        data = {"threshold_1": array2(random.poisson(seed, (5, 8)).astype("<u2"))}
        if two:
            data["threshold_2"] = array2(pixels())
        (packed,) = pack2(image2(image=image_id, data=data, **times))
        return packed

    decoder = learned(message(0, 1))
    second = message(image_id, seed, start_time=start, real_time=real)
    assert alike(decoder.feed([second])) == parsed(second)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_no_flipped_cut_or_added_byte_is_read_otherwise_than_by_parsing(
    data: st.DataObject,
) -> None:
    (first,) = pack2(image2(series_date="2026-01-01T00:00:00Z", user_data={"a": [1]}))
    broken = bytearray(
        pack2(
            image2(
                image=data.draw(st.sampled_from([3, 300, 70_000])),
                series_date="2026-01-01T00:00:00Z",
                user_data={"a": [1]},
            )
        )[0]
    )
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(broken) - 1))
        broken[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(-3, 3))
    broken = broken[:end] if end < 0 else broken + bytes(end)
    message = bytes(broken)
    assert alike(learned(first).feed([message])) == parsed(message)


@pytest.mark.parametrize(
    "changes",
    [
        {"series_id": 8},
        {"series_unique_id": ULID[:-1] + "X"},
        {"user_data": {"new": "field"}},
        {"start_time": [1, 0]},
        {"start_time": None},
        {"image_id": 5.0},
        {"image_id": -1},
        {"data": {"threshold_2": array2(pixels())}},
        {"data": {"threshold_1": array2(pixels(), "lz4")}},
        {"data": {"threshold_1": array2(pixels(), None)}},
        {"data": {"threshold_1": array2(pixels(), dimensions=[8, 5])}},
        {"data": {"threshold_1": array2(pixels(), data=b"")}},
        {"data": {}},
    ],
)
def test_what_else_differs_is_parsed(changes: dict[str, Any]) -> None:
    decoder = learned(pack2(image2())[0])
    (message,) = pack2(image2() | changes)
    said = decoder.feed([message])
    assert alike(said) == parsed(message)
    if isinstance(said[0], Frame) and "series_id" in changes:
        assert said[0].series_id == 8


@pytest.mark.parametrize(
    "message",
    [
        b"\xb8\x08" + pack2(image2())[0][1:],  # the map's length, written longer
        pack2(image2() | {f"extra {k}": k for k in range(20)})[0],
        pack2(image2(image_id=0.0))[0],
        pack2(image2(user_data="x" * 20_000))[0],
        pack2(image2(data={"t": array2(pixels(), data=b"\0" * 12)}))[0],
    ],
)
def test_unusual_messages_are_no_pattern(message: bytes) -> None:
    view = memoryview(message)
    (frame,) = Decoder(MAX_PIXELS).feed([view])
    if isinstance(frame, Frame):
        assert pattern_of(view, cbor.loads(view), frame) is None
    decoder = Decoder(MAX_PIXELS)
    for _ in range(3):
        assert alike(decoder.feed([message])) == parsed(message)


def test_a_new_series_is_learned_after_some_messages() -> None:
    decoder = learned(pack2(image2())[0])
    first = decoder._pattern
    for message in (end2(), start2(series=8)):
        decoder.feed(pack2(message))
    for image in range(LEARNING_EVERY + 2):
        (said,) = decoder.feed(pack2(image2(series=8, image=image)))
        assert isinstance(said, Frame)
        assert (said.series_id, said.image_id) == (8, image)
    assert decoder._pattern is not first
    assert decoder._pattern.read(pack2(image2(series=8))[0]) is not None


def test_what_is_learned_keeps_no_message_in_memory() -> None:
    decoder = Decoder(MAX_PIXELS)
    message = bytearray(pack2(image2())[0])
    said = decoder.feed([memoryview(message)])
    assert decoder._pattern is not None
    with pytest.raises(BufferError):  # the frame's image is a view of it
        message += b"x"
    del said
    message += b"x"
