from __future__ import annotations

import json
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from eigerwatch.model import Encoding, Frame, Image, SourceKind
from eigerwatch.picturing import PreviewMaker
from eigerwatch.sections import FilterSettings, SeriesSettings
from eigerwatch.selection import Selector
from eigerwatch.series.instructions import FrameReady
from eigerwatch.series.tracker import SeriesTracker


class Workers:
    """Keeps what is to be called until it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[Any, ...], Future[Any]]] = []

    def run(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.calls.append((function, arguments, future))
        return future

    def work(self) -> None:
        for function, arguments, future in self.calls:
            try:
                future.set_result(function(*arguments))
            except Exception as exc:  # as an executor does
                future.set_exception(exc)
        self.calls.clear()


class Shelf:
    """Takes previews."""

    def __init__(self) -> None:
        self.previews: list[tuple[str, str, bytes]] = []

    def preview(self, key: str, channel: str, image: bytes) -> None:
        self.previews.append((key, channel, image))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def maker(workers: Workers, shelf: Shelf) -> PreviewMaker:
    return PreviewMaker(workers, shelf, 1.0)  # type: ignore[arg-type]


def frames(first: int, n: int, size: int = 8, *channels: str) -> list[FrameReady]:
    tracker = SeriesTracker(
        SourceKind.LIVE, SeriesSettings(), Selector(FilterSettings()), 2**20
    )
    out: list[FrameReady] = []
    for image_id in range(first, first + n):
        images = tuple(
            Image(c, Encoding.NONE, np.dtype("<u2"), (2, 2), bytes(size))
            for c in channels or ("image",)
        )
        found = tracker.accept(Frame(1, image_id, images), 1.0, 10**18)
        out += [i for i in found if isinstance(i, FrameReady)]
    return out


def test_the_newest_frame_of_each_channel_is_shown(
    maker: PreviewMaker, workers: Workers, shelf: Shelf
) -> None:
    maker.choose(frames(0, 5, 8, "a", "b"), now=10.0)
    workers.work()
    assert [channel for _, channel, _ in shelf.previews] == ["a", "b"]
    for _, _, image in shelf.previews:
        assert json.dumps({"image_id": 4})[:-1].encode() in image


def test_previews_keep_their_distance(
    maker: PreviewMaker, workers: Workers, shelf: Shelf
) -> None:
    some = frames(0, 1)
    for now in (10.0, 10.5, 10.99, 11.0, 11.5):
        maker.choose(some, now)
        workers.work()
    assert len(shelf.previews) == 2


def test_no_second_one_begins_while_one_is_under_way(
    maker: PreviewMaker, workers: Workers
) -> None:
    some = frames(0, 1)
    maker.choose(some, 10.0)
    maker.choose(some, 20.0)
    assert len(workers.calls) == 1
    workers.work()
    maker.choose(some, 20.0)
    assert len(workers.calls) == 1


def test_a_corrupt_image_stops_nothing(
    maker: PreviewMaker, workers: Workers, shelf: Shelf
) -> None:
    maker.choose(frames(0, 1, size=7), 10.0)
    workers.work()
    assert shelf.previews == []
    maker.choose(frames(0, 1), 12.0)
    workers.work()
    assert len(shelf.previews) == 1


def test_none_are_made_if_none_are_wanted(workers: Workers, shelf: Shelf) -> None:
    maker = PreviewMaker(workers, shelf, 0.0)  # type: ignore[arg-type]
    maker.choose(frames(0, 1), 10.0)
    assert workers.calls == []


def test_a_closed_series_is_forgotten(
    maker: PreviewMaker, workers: Workers, shelf: Shelf
) -> None:
    some = frames(0, 1)
    maker.choose(some, 10.0)
    workers.work()
    maker.forget(some[0].series.key)
    maker.choose(some, 10.1)
    workers.work()
    assert len(shelf.previews) == 2
