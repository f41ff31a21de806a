from __future__ import annotations

import numpy as np
import pytest
from store_data import records

from eigerwatch.store import operations as ops
from eigerwatch.store.inbox import Inbox

KEY = "live:01J"
ROOM = 2**30


def frames(first: int, count: int = 10) -> ops.Append:
    ids = np.arange(first, first + count)
    return ops.Append(KEY, "image", ids, records(ids), None)


def event(n: int, text: str = "") -> ops.Event:
    return ops.Event(KEY, {"id": str(n), "text": text})


def extend(highest: int, key: str = KEY) -> ops.Extend:
    return ops.Extend(key, "image", highest)


def counts(late: int, channel: str = "image") -> ops.Ledger:
    return ops.Ledger(KEY, channel, {"late": late})


def filled(*operations: ops.Operation) -> list[ops.Operation]:
    inbox = Inbox(ROOM)
    assert all(inbox.put(operation) for operation in operations)
    taken, size = inbox.take(ROOM)
    assert size == inbox.bytes == sum(map(ops.size_of, taken))
    inbox.release(size)
    assert not inbox
    assert inbox.bytes == 0
    return taken


def test_order_is_kept() -> None:
    said = [frames(0), event(1), frames(10), event(2)]
    assert filled(*said) == said


def test_the_newest_counts_of_a_channel_stand_for_all_and_come_last() -> None:
    rows = frames(0)
    other = counts(9, "threshold_2")
    assert filled(counts(1), other, rows, counts(2)) == [other, rows, counts(2)]


def test_a_channel_is_extended_once_to_the_highest() -> None:
    other = extend(3, "live:other")
    assert filled(extend(7), other, extend(5)) == [other, extend(7)]


def test_changes_of_meta_are_joined_but_not_across_frames_or_an_end() -> None:
    rows = frames(0)
    close = ops.Close(KEY, {"state": "finished"})
    said = [
        ops.Update(KEY, {"state": "armed", "v": 1}),
        event(1),
        ops.Update(KEY, {"state": "collecting"}),
        rows,
        ops.Update(KEY, {"state": "stalled"}),
        close,
        ops.Update(KEY, {"x": 1}),
    ]
    assert filled(*said) == [
        event(1),
        ops.Update(KEY, {"state": "collecting", "v": 1}),
        rows,
        ops.Update(KEY, {"state": "stalled"}),
        close,
        ops.Update(KEY, {"x": 1}),
    ]


def test_what_was_taken_is_not_changed_any_more() -> None:
    inbox = Inbox(ROOM)
    inbox.put(counts(1))
    taken, _ = inbox.take(ROOM)
    inbox.put(counts(2))
    assert taken == [counts(1)]
    assert inbox.take(ROOM)[0] == [counts(2)]


@pytest.mark.parametrize(
    "make",
    [
        lambda n: ops.Open(f"live:{n}", {"header": "x" * 50_000}, 0),
        lambda n: ops.Update(f"live:{n}", {"header": "x" * 50_000}),
        lambda n: ops.Close(f"live:{n}", {"header": "x" * 50_000}),
        lambda n: ops.Reject(KEY, "image", n, "x" * 50_000, None),
        lambda n: ops.Ledger(f"live:{n}", "image", {"x" * 50_000: n}),
        lambda n: event(n, "x" * 50_000),
        lambda n: frames(n, 700),
    ],
    ids=["open", "update", "close", "reject", "ledger", "event", "append"],
)
def test_every_kind_is_counted_with_its_length_and_bounded(make) -> None:
    inbox = Inbox(1_000_000)
    taken = [inbox.put(make(n)) for n in range(100)]
    assert 15 <= sum(taken) <= 22
    assert 900_000 < inbox.bytes <= 1_100_000


def test_small_operations_are_bounded_too() -> None:
    inbox = Inbox(100_000)
    assert sum(inbox.put(extend(0, f"live:{n}")) for n in range(1000)) < 220


def test_states_and_events_find_room_where_frames_no_longer_do() -> None:
    inbox = Inbox(100_000)
    while inbox.put(frames(0)):
        pass
    assert inbox.put(event(1))
    assert inbox.put(ops.Close(KEY, {"state": "finished"}))
    inbox.release(inbox.take(ROOM)[1])
    assert inbox.put(frames(0))


def test_the_newest_counts_replace_older_ones_without_any_room() -> None:
    inbox = Inbox(100_000)
    assert inbox.put(counts(1))
    while inbox.put(event(0)):
        pass
    assert all(inbox.put(counts(n)) for n in range(1000))
    assert inbox.take(ROOM)[0][-1] == counts(999)
