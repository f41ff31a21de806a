from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import numpy as np
import poison
import pytest
from helpers import wait_until
from kernel_cases import BSLZ4, answer, encode
from kernel_cases import image as pixels

from eigerwatch.model import Encoding, Image, PixelFilter, RejectReason
from eigerwatch.reduce import Reduced
from eigerwatch.sections import ReduceSettings
from eigerwatch.workers import Reducer

SHAPE = (100, 90)
VALUES = [pixels("uint16", SHAPE, 2.0, seed=n) for n in range(6)]
FILTER = PixelFilter(0, 4500, settings=3)


def images() -> list[Image]:
    return [
        Image("image", Encoding.BSLZ4, v.dtype, SHAPE, memoryview(encode(v, BSLZ4)))
        for v in VALUES
    ]


def assert_reduced(reduced: Reduced, but: int | None = None) -> None:
    for n, values in enumerate(VALUES):
        if n != but:
            assert reduced.records[n]["total"] == answer(values, 0, 4500)[0]["total"]
            assert reduced.records[n]["settings"] == 3
            assert n not in reduced.errors


@pytest.fixture
def reducer() -> Iterator[Reducer]:
    made = Reducer(ReduceSettings(threads=2))
    yield made
    made.close()


def test_as_many_threads_as_the_process_has_processors() -> None:
    reducer = Reducer(ReduceSettings())
    assert reducer.threads == len(os.sched_getaffinity(0))
    assert reducer.where == "threads"
    reducer.close()


def test_threads_can_be_made_nice() -> None:
    reducer = Reducer(ReduceSettings(threads=1, nice=5))
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    theirs = reducer.run(os.getpriority, os.PRIO_PROCESS, 0).result()
    assert theirs == min(19, mine + 5)
    assert os.getpriority(os.PRIO_PROCESS, 0) == mine
    reducer.close()


def test_a_batch_is_reduced_in_its_order(reducer: Reducer) -> None:
    assert_reduced(reducer.submit(images(), FILTER).result(10))


def test_images_packed_in_several_ways_may_share_a_batch(reducer: Reducer) -> None:
    batch = images()
    batch[1] = Image(
        "image", Encoding.NONE, np.dtype("<u2"), SHAPE, VALUES[1].tobytes()
    )
    batch[3].payload = bytes(batch[3].payload)[:-1]  # type: ignore[arg-type]
    small = np.full((5, 7), 9, np.uint32)
    batch[4] = Image("image", Encoding.NONE, small.dtype, (5, 7), small.tobytes())
    reduced = reducer.submit(batch, FILTER).result(10)
    assert reduced.records["total"][[0, 1, 2, 5]].tolist() == [
        int(answer(VALUES[n], 0, 4500)[0]["total"]) for n in (0, 1, 2, 5)
    ]
    assert reduced.records["total"][4] == small.sum()
    assert list(reduced.errors) == [3]
    assert reduced.errors[3].reason is RejectReason.PAYLOAD


def test_a_poison_image_costs_only_itself(reducer: Reducer) -> None:
    """Row 37: a batch that fails twice is taken apart."""
    batch = images()
    batch[2] = poison.Raises("image", Encoding.NONE, np.dtype("<u2"), SHAPE, b"")
    reduced = reducer.submit(batch, FILTER).result(10)
    assert_reduced(reduced, but=2)
    (rejection,) = reduced.errors.values()
    assert rejection.reason is RejectReason.WORKER
    assert "failed 2 times: MemoryError('no room')" in rejection.detail


def test_what_has_not_begun_is_cancelled_at_the_end() -> None:
    reducer = Reducer(ReduceSettings(threads=1))
    go_on = threading.Event()
    begun = reducer.run(go_on.wait, 20)
    waiting = reducer.submit(images(), FILTER)
    closing = threading.Thread(target=reducer.close)
    closing.start()
    wait_until(waiting.cancelled, what="cancelling")
    go_on.set()
    closing.join()
    assert begun.result() is True
