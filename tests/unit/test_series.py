"""The ledger: every row of the catalogue's part A that needs no socket."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eigerwatch.model import (
    BadFrame,
    Encoding,
    Frame,
    FrameFlag,
    Image,
    RejectReason,
    SeriesEnd,
    SeriesStart,
    SourceKind,
    SourceState,
)
from eigerwatch.sections import FilterSettings, SeriesSettings
from eigerwatch.selection import Selector
from eigerwatch.series.identity import series_key
from eigerwatch.series.instructions import (
    Closed,
    FrameReady,
    FrameRejected,
    FramesMissing,
    HeaderAdopted,
    Opened,
    Refused,
)
from eigerwatch.series.ledger import ChannelLedger
from eigerwatch.series.remembered import Remembered, RememberedChannel
from eigerwatch.series.state import Series
from eigerwatch.series.tracker import SeriesTracker

U2 = np.dtype("<u2")
SETTLE_S = 2.0


def start(series_id: int = 1, n: int | None = 10, **more: Any) -> SeriesStart:
    return SeriesStart(series_id, number_of_images=n, frame_time_s=0.01, **more)


def image(channel: str = "image", dtype: str = "<u2") -> Image:
    return Image(channel, Encoding.NONE, np.dtype(dtype), (2, 2), b"\0" * 8)


def frame(image_id: int, series_id: int = 1, **more: Any) -> Frame:
    channels = more.pop("channels", ("image",))
    return Frame(series_id, image_id, tuple(image(c) for c in channels), **more)


class Bench:
    """A tracker with a clock, whose reducer finishes every frame at once."""

    def __init__(
        self,
        reducing: bool = True,
        source: SourceKind = SourceKind.LIVE,
        **settings: Any,
    ) -> None:
        self.tracker = SeriesTracker(
            source,
            SeriesSettings(settle_s=SETTLE_S, **settings),
            Selector(FilterSettings()),
            max_frames=2**20,
        )
        self.now = 100.0
        self.reducing = reducing
        self.log: list[Any] = []

    def feed(self, *messages: Any) -> list[Any]:
        out = []
        for message in messages:
            self.now += 0.001
            received_ns = int(self.now * 1e9)
            out += self._note(self.tracker.accept(message, self.now, received_ns))
        return out

    def wait(self, seconds: float) -> list[Any]:
        out = []
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 0.1, end)
            out += self._note(self.tracker.tick(self.now))
        return out

    def _note(self, out: list[Any]) -> list[Any]:
        for item in out:
            if isinstance(item, FrameReady) and not item.duplicate and self.reducing:
                self.finish(item)
            if not isinstance(item, Refused):
                check_invariant(item.series)
        self.log += out
        return out

    def finish(self, ready: FrameReady, stored: bool = True) -> None:
        self.tracker.finished(
            ready.series, ready.channel, [ready.image_id], stored=stored
        )

    def of(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.log if isinstance(item, kind)]

    @property
    def series(self) -> Series:
        assert self.tracker.current is not None
        return self.tracker.current


def check_invariant(series: Series) -> None:
    for ledger in series.channels.values():
        outstanding = ledger.outstanding(series.highest)
        assert outstanding >= 0
        total = ledger.stored + ledger.rejected + outstanding + ledger.missing
        assert total == series.highest + 1


def test_a_whole_series_finishes_as_soon_as_end_comes() -> None:
    bench = Bench()
    bench.feed(start(n=3), *(frame(i) for i in range(3)), SeriesEnd(1))
    assert bench.series.state is SourceState.FINISHED
    ledger = bench.series.ledger("image")
    assert (ledger.stored, ledger.missing, ledger.late) == (3, 0, 0)
    assert len(bench.of(Closed)) == 1


def test_a_hole_is_outstanding_for_the_settle_window_then_missing() -> None:
    bench = Bench()
    bench.feed(start(), *(frame(i) for i in (0, 1, 4, 5)))
    ledger = bench.series.ledger("image")
    bench.wait(SETTLE_S / 2)
    bench.feed(frame(6))
    assert (ledger.outstanding(6), ledger.missing) == (2, 0)
    bench.wait(SETTLE_S / 2 + 0.2)
    assert (ledger.outstanding(6), ledger.missing) == (0, 2)
    assert [m.runs for m in bench.of(FramesMissing)] == [[(2, 3)]]


def test_a_late_frame_amends_the_record() -> None:
    bench = Bench()
    bench.feed(start(), frame(0), frame(2), SeriesEnd(1))
    bench.wait(SETTLE_S + 0.2)
    assert bench.series.state is SourceState.STOPPED_EARLY
    ready = bench.feed(frame(1))[-1]
    assert ready.flags & FrameFlag.LATE
    ledger = bench.series.ledger("image")
    assert (ledger.stored, ledger.missing, ledger.late) == (3, 0, 1)
    bench.wait(SETTLE_S + 0.2)
    assert not bench.series.is_open


def test_end_before_the_last_images_waits_for_them() -> None:
    """Catalogue row 3."""
    bench = Bench()
    bench.feed(start(n=4), frame(0), frame(1), SeriesEnd(1))
    assert bench.series.state is SourceState.SETTLING
    bench.feed(frame(3), frame(2))
    bench.wait(0.2)
    assert bench.series.state is SourceState.FINISHED


def test_a_series_waits_for_the_frames_being_reduced() -> None:
    bench = Bench(reducing=False)
    out = bench.feed(start(n=1), frame(0), SeriesEnd(1))
    bench.wait(SETTLE_S * 2)
    assert bench.series.is_open
    bench.finish(next(i for i in out if isinstance(i, FrameReady)))
    bench.wait(0.2)
    assert bench.series.state is SourceState.FINISHED


def test_missing_end_is_never_taken_for_complete() -> None:
    """Catalogue row 4."""
    bench = Bench()
    bench.feed(start(n=3), frame(0), frame(1))
    bench.wait(60)
    first = bench.series
    assert first.state is SourceState.STALLED
    bench.feed(start(series_id=2))
    bench.wait(SETTLE_S + 0.2)
    assert first.state is SourceState.STOPPED_EARLY
    assert not first.end_seen


def test_start_and_end_may_be_repeated() -> None:
    """Catalogue row 5."""
    bench = Bench()
    bench.feed(SeriesEnd(1), start(n=2), start(n=2), frame(0), start(n=2), frame(1))
    bench.feed(SeriesEnd(1), SeriesEnd(1))
    assert len(bench.of(Opened)) == len(bench.of(Closed)) == 1
    assert bench.series.ledger("image").stored == 2
    assert len(bench.of(Refused)) == 1


def test_missing_start_opens_a_provisional_series_that_keeps_its_key() -> None:
    """Catalogue row 1."""
    bench = Bench()
    bench.feed(frame(5), frame(6))
    key = bench.series.key
    assert "noheader" in key
    assert bench.series.ledger("image").outstanding(6) == 5
    bench.feed(start(serial="E-32-0117"), frame(7))
    assert len(bench.of(HeaderAdopted)) == 1
    assert bench.series.key == key
    assert bench.series.announced == 10


def test_leftovers_of_an_aborted_series_stay_with_it() -> None:
    """Catalogue rows 7, 8 and 14."""
    bench = Bench()
    bench.feed(start(1, header={"a": 1}), frame(0), frame(1))
    old = bench.series
    bench.feed(start(2, header={"a": 2}), frame(2, 1), frame(0, 2), frame(3, 1))
    new = bench.series
    assert new is not old
    assert (old.ledger("image").stored, new.ledger("image").stored) == (4, 1)


@pytest.mark.parametrize("ended", [True, False])
def test_series_numbers_that_start_again_make_new_series(ended: bool) -> None:
    """Catalogue row 9: the detector was initialised."""
    bench = Bench()
    bench.feed(start(), *(frame(i) for i in range(3)))
    if ended:
        bench.feed(SeriesEnd(1))
        bench.wait(SETTLE_S + 0.2)
    first = bench.series
    bench.feed(start(), *(frame(i) for i in range(2)))
    second = bench.series
    assert first.key != second.key
    assert first.ledger("image").stored == 3
    assert second.ledger("image").stored == 2
    assert first.ledger("image").duplicates == 0


def test_stopping_early_is_not_losing() -> None:
    """Catalogue row 10."""
    bench = Bench()
    bench.feed(start(n=1_000_000), *(frame(i) for i in range(5)), SeriesEnd(1))
    bench.wait(SETTLE_S + 0.2)
    assert bench.series.state is SourceState.STOPPED_EARLY
    assert bench.series.ledger("image").missing == 0


def test_a_huge_announced_number_costs_nothing() -> None:
    """Catalogue row 11."""
    bench = Bench()
    bench.feed(start(n=2**48), frame(0))
    assert len(bench.series.ledger("image")._status) < 10_000


def test_the_same_frame_twice_is_counted_and_not_stored_again() -> None:
    """Catalogue row 13."""
    bench = Bench()
    bench.feed(start(), frame(0), frame(0))
    ready = bench.of(FrameReady)
    assert [r.duplicate for r in ready] == [False, True]
    ledger = bench.series.ledger("image")
    assert (ledger.stored, ledger.duplicates) == (1, 1)


def test_a_good_copy_replaces_a_rejected_frame() -> None:
    bench = Bench()
    bad = BadFrame(1, 0, RejectReason.MESSAGE, "no data")
    bench.feed(start(), bad)
    ledger = bench.series.ledger("image")
    assert (ledger.rejected, len(bench.of(FrameRejected))) == (1, 1)
    bench.feed(frame(0))
    assert (ledger.stored, ledger.rejected) == (1, 0)


def test_a_bad_frame_without_channels_counts_in_those_that_are_seen() -> None:
    """Catalogue row 27: an announced channel need not be active."""
    bench = Bench()
    channels = ("threshold_1", "threshold_2")
    bad = BadFrame(1, 0, RejectReason.MESSAGE, "no data")
    bench.feed(start(n=2, channels=channels), bad)
    assert bench.of(FrameRejected) == []
    bench.feed(frame(1, channels=channels[:1]))
    assert list(bench.series.channels) == ["threshold_1"]
    assert bench.series.ledger("threshold_1").rejected == 1
    bench.feed(SeriesEnd(1))
    assert bench.series.state is SourceState.FINISHED


def test_bad_frames_alone_count_in_the_announced_channels() -> None:
    bench = Bench()
    channels = ("threshold_1", "threshold_2")
    bad = BadFrame(1, 0, RejectReason.MESSAGE, "no data")
    bench.feed(start(n=2, channels=channels), bad, SeriesEnd(1))
    bench.wait(SETTLE_S + 0.2)
    assert [bench.series.ledger(c).rejected for c in channels] == [1, 1]


def test_bad_frames_cannot_make_channels_without_end() -> None:
    bench = Bench()
    for n in range(100):
        name = f"threshold_{n}"
        bench.feed(BadFrame(1, n, RejectReason.MESSAGE, "bad", channels=(name,)))
    assert len(bench.series.channels) == 8


def test_a_wild_frame_number_needs_confirmation() -> None:
    bench = Bench()
    bench.tracker._max_frames = 2**26
    bench.feed(start(), frame(0), frame(60_000_000), frame(1))
    assert (bench.series.highest, bench.series.refused) == (1, 1)
    bench.feed(frame(5_000_000), frame(5_000_001))
    assert (bench.series.highest, bench.series.refused) == (5_000_001, 2)


def test_a_silent_series_does_not_adopt_the_next_ones_header() -> None:
    bench = Bench()
    bench.feed(*(frame(i) for i in range(3)))
    old = bench.series
    bench.wait(60)
    bench.feed(start(), *(frame(i) for i in range(3)))
    assert bench.series is not old
    assert old.start is None
    assert [s.ledger("image").stored for s in (old, bench.series)] == [3, 3]
    assert bench.series.ledger("image").duplicates == 0


def test_frames_after_a_long_silence_are_another_series() -> None:
    bench = Bench()
    bench.feed(start(), *(frame(i) for i in range(3)))
    old = bench.series
    bench.wait(3600)
    bench.feed(*(frame(i) for i in range(3)))
    assert bench.series is not old
    assert bench.series.ledger("image").stored == 3


def test_a_dropped_series_is_not_opened_over_itself() -> None:
    bench = Bench(max_open=8)
    names = [f"ULID{i}" for i in range(12)]
    for name in names:
        bench.feed(start(series_unique_id=name), frame(0, series_unique_id=name))
    bench.feed(frame(1, series_unique_id=names[0]))
    keys = [o.series.key for o in bench.of(Opened)]
    assert len(set(keys)) == len(keys) == 13


def test_a_series_with_frames_on_the_way_is_not_dropped() -> None:
    bench = Bench(reducing=False, max_open=8)
    for series_id in range(20):
        bench.feed(start(series_id, header={"n": series_id}), frame(0, series_id))
    assert len(bench.tracker._finder.registry) == 20
    for ready in bench.of(FrameReady):
        bench.finish(ready)
    bench.feed(start(99, header={"n": 99}))
    assert len(bench.tracker._finder.registry) == 8


def test_absurd_times_fit_into_a_record() -> None:
    bench = Bench()
    slow = SeriesStart(1, frame_time_s=1e9)
    bench.feed(slow, frame(100_000), frame(100_001, real_ns=2**70))
    for ready in bench.of(FrameReady):
        assert 0 <= ready.start_ns < 2**63
        assert 0 <= ready.real_ns < 2**63


def test_waiting_for_a_trigger_is_no_stall() -> None:
    """Catalogue row 16."""
    bench = Bench()
    slow = SeriesStart(1, number_of_images=10, frame_time_s=60.0)
    bench.feed(slow, frame(0))
    bench.wait(300)
    assert bench.series.state is SourceState.COLLECTING


def test_a_stalled_series_collects_again() -> None:
    bench = Bench()
    bench.feed(start(), frame(0))
    bench.wait(3)
    assert bench.series.state is SourceState.STALLED
    bench.feed(frame(1))
    assert bench.series.state is SourceState.COLLECTING


def test_numbers_beyond_the_limit_are_refused_and_counted() -> None:
    bench = Bench()
    bench.feed(start(), frame(0), frame(2**20))
    assert bench.series.highest == 0
    assert bench.series.refused == 1


def test_frames_beyond_the_announced_number_are_stored_and_flagged() -> None:
    bench = Bench()
    bench.feed(start(n=1), frame(0), frame(1))
    flags = [r.flags & FrameFlag.BEYOND_ANNOUNCED for r in bench.of(FrameReady)]
    assert [bool(f) for f in flags] == [False, True]


def test_a_channel_left_out_of_a_frame_is_a_hole() -> None:
    bench = Bench()
    both = ("threshold_1", "threshold_2")
    bench.feed(start(n=2), frame(0, channels=both), frame(1, channels=both[:1]))
    bench.feed(SeriesEnd(1))
    bench.wait(SETTLE_S + 0.2)
    assert bench.series.ledger("threshold_1").missing == 0
    assert bench.series.ledger("threshold_2").missing == 1


def test_at_most_eight_channels() -> None:
    bench = Bench()
    bench.feed(start(), frame(0, channels=tuple(f"threshold_{i}" for i in range(9))))
    assert len(bench.series.channels) == 8
    assert len(bench.of(Refused)) == 1


def test_memory_is_bounded_in_series() -> None:
    bench = Bench(max_open=8)
    for series_id in range(20):
        bench.feed(start(series_id, header={"n": series_id}), frame(0, series_id))
    assert len(bench.tracker._finder.registry) == 8
    assert len(bench.of(Closed)) == 12


def test_unique_ids_tell_series_of_one_number_apart() -> None:
    bench = Bench()
    a, b = "01GRXWT80JSDY2FNW8SGCCDZD9", "01GRXWT80JSDY2FNW8SGCCDZDA"
    bench.feed(frame(0, series_unique_id=a), frame(0, series_unique_id=b))
    bench.feed(start(series_unique_id=a), frame(1, series_unique_id=a))
    assert [o.series.key for o in bench.of(Opened)] == [f"live:{a}", f"live:{b}"]


def test_v1_times_count_from_the_series_start() -> None:
    bench = Bench()
    origin = 2_900_000_000_000_000
    bench.feed(start(), frame(3, start_ns=origin), frame(4, start_ns=origin + 10**7))
    assert [r.start_ns for r in bench.of(FrameReady)] == [30_000_000, 40_000_000]


def test_impossible_times_are_computed_and_flagged() -> None:
    """Catalogue row 31."""
    bench = Bench()
    bench.feed(start(), frame(0, start_ns=10**18), frame(1, start_ns=5))
    first, second = bench.of(FrameReady)
    assert not first.flags & FrameFlag.TIME_IMPLAUSIBLE
    assert second.flags & FrameFlag.TIME_IMPLAUSIBLE
    assert second.start_ns == 10_000_000


@pytest.mark.parametrize("source", SourceKind)
def test_replayed_frames_are_flagged_as_recorded(source: SourceKind) -> None:
    bench = Bench(source=source)
    bench.feed(start(), frame(0))
    (ready,) = bench.of(FrameReady)
    recorded = ready.flags & FrameFlag.FROM_FILE
    assert bool(recorded) == (source is SourceKind.REPLAY)


def test_frames_without_times_get_computed_ones() -> None:
    bench = Bench()
    bench.feed(start(), frame(2))
    (ready,) = bench.of(FrameReady)
    assert ready.flags & FrameFlag.TIME_COMPUTED
    assert ready.start_ns == 20_000_000


@pytest.mark.parametrize(
    ("dtype", "stated", "high", "origin"),
    [
        ("<u2", (None, None), 65533, "dtype"),
        ("<u2", (60_000, 50_000), 50_000, "countrate_correction_count_cutoff"),
        ("<u2", (0, None), 65533, "dtype"),
        ("<u4", (None, 2**33), 2**32 - 3, "dtype"),
        ("|u1", (4500, None), 254, "dtype"),
    ],
)
def test_automatic_upper_limit(
    dtype: str, stated: tuple[int | None, int | None], high: int, origin: str
) -> None:
    bench = Bench()
    bench.feed(start(saturation_value=stated[0], countrate_cutoff=stated[1]))
    chosen = bench.series.pixel_filter(image(dtype=dtype), 0)
    assert chosen is not None
    assert (chosen.low, chosen.high) == (0, high)
    assert bench.series.settings[0].high_from == origin


def test_a_header_adopted_later_starts_a_new_settings_version() -> None:
    bench = Bench()
    bench.feed(frame(0), start(saturation_value=100), frame(1))
    first, second = bench.of(FrameReady)
    assert (first.pixel_filter.high, first.pixel_filter.settings) == (65533, 0)
    assert (second.pixel_filter.high, second.pixel_filter.settings) == (100, 1)
    assert [v.from_image_id for v in bench.series.settings] == [0, 1]


def test_a_series_is_taken_up_again_after_a_restart() -> None:
    """Catalogue rows 7 and 38."""
    bench = Bench()
    bench.tracker.restore(
        Remembered(
            key="live:old",
            series_id=1,
            series_unique_id=None,
            start=start(n=6),
            state=SourceState.COLLECTING,
            end_seen=False,
            opened_ms=5,
            channels={"image": RememberedChannel(b"\1\0\1\0", (1,), 1, late=7)},
        ),
        bench.now,
    )
    series = bench.series
    check_invariant(series)
    bench.feed(frame(4), frame(2), frame(5), SeriesEnd(1))
    ledger = series.ledger("image")
    assert (ledger.stored, ledger.rejected, ledger.duplicates) == (4, 1, 1)
    assert ledger.late == 7
    bench.wait(SETTLE_S + 0.2)
    assert ledger.missing == 1
    assert series.state is SourceState.FINISHED
    assert len(bench.of(Opened)) == 0


def test_stopping_the_process_declares_the_holes_and_leaves_series_open() -> None:
    bench = Bench()
    bench.feed(start(), frame(0), frame(2))
    bench._note(bench.tracker.close_all(bench.now))
    assert bench.series.is_open
    assert bench.series.ledger("image").missing == 1


@pytest.mark.parametrize(
    ("unique_id", "expected"),
    [
        ("01GRXWT80JSDY2FNW8SGCCDZD9", "live:01GRXWT80JSDY2FNW8SGCCDZD9"),
        ("../../etc", "live:..-..-etc"),
        ("<b>x</b>", "live:b-x-b"),
        ("a}b{c\n", "live:a-b-c"),
    ],
)
def test_keys_are_harmless(unique_id: str, expected: str) -> None:
    key = series_key(SourceKind.LIVE, 1, unique_id, None, 0)
    assert key.startswith(expected)
    assert not set(key) & set("<>{}/ \n")


@pytest.mark.parametrize("source", [SourceKind.LIVE, SourceKind.SIM])
def test_a_replay_is_not_taken_for_the_beam(source: SourceKind) -> None:
    """Catalogue row 70."""
    bench = Bench()
    bench.tracker.source = source
    recorded = {"eigersim": {"mode": "replay"}}
    bench.feed(start(user_data=recorded), frame(0), SeriesEnd(1))
    refused = 3 if source is SourceKind.LIVE else 0
    assert len(bench.of(Refused)) == refused
    bench.feed(start(header={"other": 1}, user_data={"eigersim": {}}), frame(0))
    assert len(bench.of(Refused)) == refused
    assert bench.series.ledger("image").stored == 1


actions = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(0, 40)),
        st.tuples(st.just("bad"), st.integers(0, 40)),
        st.tuples(st.just("wait"), st.floats(0, 3)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("finish"), st.booleans()),
    ),
    max_size=60,
)


@given(actions)
def test_every_frame_is_in_exactly_one_state_at_any_time(
    script: list[tuple[str, Any]],
) -> None:
    bench = Bench(reducing=False)
    bench.feed(start(n=40, series_unique_id="U"))
    series = bench.series
    pending: list[FrameReady] = []
    came: set[int] = set()
    for what, value in script:
        out: list[Any] = []
        if what == "frame":
            out = bench.feed(frame(value, series_unique_id="U"))
            came.add(value)
        elif what == "bad":
            bench.feed(
                BadFrame(1, value, RejectReason.MESSAGE, "x", series_unique_id="U")
            )
            came.add(value)
        elif what == "wait":
            bench.wait(value)
        elif what == "end":
            bench.feed(SeriesEnd(1, "U"))
        elif pending:
            bench.finish(pending.pop(0), stored=value)
        pending += [r for r in out if isinstance(r, FrameReady) and not r.duplicate]
        check_invariant(series)
    for ready in pending:
        bench.finish(ready)
    bench.feed(SeriesEnd(1, "U"))
    bench.wait(2 * SETTLE_S)
    check_invariant(series)
    assert not series.is_open
    ledger = series.channels.get("image")
    if ledger:
        assert ledger.stored + ledger.rejected == len(came)
        assert ledger.missing == series.highest + 1 - len(came)


def test_large_holes_settle_quickly() -> None:
    ledger = ChannelLedger()
    ledger.accept(1_000_000)
    ledger.finish(1_000_000, stored=True)
    assert ledger.settle(1_000_001) == [(0, 999_999)]
    assert ledger.missing == 1_000_000
