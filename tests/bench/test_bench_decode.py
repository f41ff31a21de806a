"""Time to decode one image message; the aim is 20 us for stream v1, 30 us for v2."""

from __future__ import annotations

from typing import Any

import pytest
from simplon_messages import array2, header1, image1, image2, pack2, pixels, start2

from eigerwatch.model import Frame
from eigerwatch.simplon.decoder import Decoder


def views(parts: list[bytes]) -> list[memoryview]:
    return [memoryview(part) for part in parts]


@pytest.mark.benchmark(group="decode")
def test_stream1_image(benchmark: Any) -> None:
    decoder = Decoder(max_pixels=1_000_000)
    decoder.feed(header1())
    (frame,) = benchmark(decoder.feed, views(image1()))
    assert isinstance(frame, Frame)


@pytest.mark.benchmark(group="decode")
@pytest.mark.parametrize("channels", [1, 3])
def test_stream2_image(benchmark: Any, channels: int) -> None:
    decoder = Decoder(max_pixels=1_000_000)
    decoder.feed(pack2(start2()))
    data = {f"threshold_{i + 1}": array2(pixels()) for i in range(channels)}
    (frame,) = benchmark(decoder.feed, views(pack2(image2(data=data))))
    assert len(frame.images) == channels
