from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eigerwatch.analysis.decimate import Envelope, envelope

RNG = np.random.default_rng(3)


def plain_envelope(
    first_frame: int, values: list[float], stored: list[bool], width: int
) -> tuple[list[tuple[int, float | None]], set[int], bool]:
    """Give points, frames alone and whether a bin hides a gap, by plain loops."""
    bins: dict[int, list[int]] = {}
    for frame in (first_frame + i for i, there in enumerate(stored) if there):
        bins.setdefault(frame // width, []).append(frame)

    def missing(start: int, stop: int) -> list[int]:
        return [f for f in range(start, stop) if not stored[f - first_frame]]

    points: list[tuple[int, float | None]] = []
    pieces: list[list[int]] = []
    before: list[int] = []
    hidden = False
    for which, piece in bins.items():
        heights = [values[frame - first_frame] for frame in piece]
        low = piece[heights.index(min(heights))]
        high = piece[heights.index(max(heights))]
        if low == high:
            high = piece[-1]
        drawn = sorted({low, high})
        hidden |= bool(missing(drawn[0], drawn[-1]))
        if before and not missing(before[0], drawn[0]):
            pieces[-1] += drawn
        else:
            if before:
                at = [*missing(before[-1], drawn[0]), which * width]
                points.append((min(at), None))
            pieces.append([*drawn])
        points += [(frame, values[frame - first_frame]) for frame in drawn]
        before = drawn
    return points, {piece[0] for piece in pieces if len(piece) == 1}, hidden


def as_points(result: Envelope) -> list[tuple[int, float | None]]:
    return [
        (frame, None if np.isnan(value) else value)
        for frame, value in zip(
            result.frames.tolist(), result.values.tolist(), strict=True
        )
    ]


@settings(max_examples=300)
@given(
    first_frame=st.integers(0, 40),
    frames=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([True, True, True, False])),
        max_size=150,
    ),
    max_points=st.integers(8, 60),
    dtype=st.sampled_from([np.uint64, np.float64, np.float32]),
)
def test_equals_the_plain_loop(
    first_frame: int,
    frames: list[tuple[int, bool]],
    max_points: int,
    dtype: type,
) -> None:
    values = [value for value, _ in frames]
    stored = [there for _, there in frames]
    result = envelope(
        first_frame, np.array(values, dtype), np.array(stored, bool), max_points
    )
    width = result.bin_width
    expected, alone, hidden = plain_envelope(first_frame, values, stored, width)
    assert as_points(result) == expected
    assert set(result.frames[result.alone].tolist()) == alone
    assert result.shortest_gap == (width if hidden else 1)
    assert len(result.frames) <= max_points
    assert width & (width - 1) == 0


def test_few_frames_come_back_as_they_are() -> None:
    values = RNG.poisson(1000, 4000).astype(np.uint64)
    result = envelope(17, values)
    assert result.bin_width == 1
    np.testing.assert_array_equal(result.frames, 17 + np.arange(4000))
    np.testing.assert_array_equal(result.values, values)
    assert result.frames.dtype == np.uint32
    assert result.values.dtype == np.float32


def test_one_frame_more_doubles_the_bins() -> None:
    assert envelope(0, np.ones(4001)).bin_width == 4


@pytest.mark.parametrize("n", [5_000, 123_457, 1_000_000])
@pytest.mark.parametrize("gaps", [0, 40])
def test_no_dip_of_a_single_frame_is_lost(n: int, gaps: int) -> None:
    values = RNG.normal(1, 0.005, n).astype(np.float32)
    stored = np.ones(n, bool)
    stored[RNG.choice(n, gaps, replace=False)] = False
    # Two dips share one bin only if they are closer than its width.
    dips = np.arange(n // 50, n, n // 20)
    stored[dips] = True
    values[dips] = 0.9
    result = envelope(1, values, stored)
    assert len(result.frames) <= 4000
    assert set(dips + 1) <= set(result.frames.tolist())


def test_both_points_of_a_bin_keep_their_order() -> None:
    values = np.tile(np.array([5, 9, 1, 5, 5, 1, 9, 5], float), 1000)
    result = envelope(0, values, max_points=2000)
    assert result.bin_width == 8
    np.testing.assert_array_equal(result.values[:4], [9, 1, 9, 1])
    np.testing.assert_array_equal(result.frames[:4], [1, 2, 9, 10])


@pytest.mark.parametrize("first_frame", [0, 777])
@pytest.mark.parametrize("lost", [0, 100, 4000])
def test_complete_bins_stay_when_frames_are_appended(
    first_frame: int, lost: int
) -> None:
    n = 200_000
    values = RNG.normal(1, 0.01, n).astype(np.float32)
    stored = np.ones(n, bool)
    if lost:
        stored[RNG.choice(n, lost, replace=False)] = False
        stored[50_000:53_000] = False
    doublings = 0
    before = envelope(first_frame, values[:1000], stored[:1000])
    ends = np.cumsum(RNG.integers(930, 1070, 180)) + 1000
    for end in ends[ends < n]:
        now = envelope(first_frame, values[:end], stored[:end])
        if now.bin_width == before.bin_width:
            # All but the newest bin, which was still being filled.
            whole = int(before.frames[-1]) // now.bin_width * now.bin_width
            keep = int(np.searchsorted(before.frames, whole))
            np.testing.assert_array_equal(now.frames[:keep], before.frames[:keep])
            np.testing.assert_array_equal(now.values[:keep], before.values[:keep])
        else:
            assert now.bin_width > before.bin_width
            doublings += 1
        before = now
    assert 1 <= doublings <= 8


def test_a_window_uses_the_bins_of_the_whole() -> None:
    values = RNG.normal(1, 0.01, 100_000)
    bins = envelope(0, values).bin_width
    part = envelope(12_345, values[12_345:], None)
    whole = envelope(0, values)
    assert part.bin_width == bins
    inner = -(-12_345 // bins) * bins
    np.testing.assert_array_equal(
        part.frames[part.frames >= inner], whole.frames[whole.frames >= inner]
    )


def test_gaps_break_the_line_and_a_frame_alone_is_marked() -> None:
    values = np.arange(10, dtype=float)
    stored = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1, 0], bool)
    result = envelope(100, values, stored)
    np.testing.assert_array_equal(
        result.values, np.array([1, 2, np.nan, 4, np.nan, 7, 8], np.float32)
    )
    assert result.frames.tolist() == [101, 102, 103, 104, 105, 107, 108]
    assert result.frames[result.alone].tolist() == [104]


def test_what_is_not_stored_is_never_drawn() -> None:
    values = np.full(100_000, 1000, np.uint64)
    stored = np.ones(100_000, bool)
    stored[[5, 70_000]] = False
    values[~stored] = 2**64 - 1
    result = envelope(0, values, stored)
    np.testing.assert_array_equal(
        result.values[~np.isnan(result.values)], np.float32(1000)
    )
    assert np.isnan(result.values).sum() == 2


def test_nan_counts_as_missing() -> None:
    result = envelope(0, np.array([1.0, np.nan, 2.0, 3.0]))
    assert result.alone.tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("n", "loss", "max_points", "width"),
    [
        (100_000, 0.01, 2000, 256),
        (45_000, 0.02, 2000, 64),
        (45_000, 0.05, 4000, 32),
        (300_000, 0.5, 4000, 256),
    ],
)
def test_however_many_gaps_there_are_each_breaks_the_line(
    n: int, loss: float, max_points: int, width: int
) -> None:
    values = RNG.normal(1, 0.005, n)
    stored = RNG.random(n) >= loss
    stored[n // 3 : n // 3 + 4 * width] = False
    dip = int(np.flatnonzero(stored)[n // 5])
    values[dip] = 0.9
    result = envelope(0, values, stored, max_points)
    assert max_points / 3 < len(result.frames) <= max_points
    assert result.bin_width == result.shortest_gap == width
    assert dip in result.frames
    assert not result.alone.any()  # each bin shows two frames, however much is lost

    frames, broken = result.frames.astype(int), np.isnan(result.values)
    missing = np.flatnonzero(~stored)
    linked = np.flatnonzero(~broken[1:] & ~broken[:-1])
    crossed = np.diff(np.searchsorted(missing, frames))[linked] > 0
    same_bin = np.diff(frames // width)[linked] == 0
    assert not np.any(crossed & ~same_bin)
    # A bin that misses frames is at the end of a line, or at its beginning.
    edges = np.flatnonzero(np.diff(broken.astype(int), prepend=1, append=1))
    ends = np.concatenate([frames[edges[::2]], frames[edges[1::2] - 1]]) // width
    drawn = np.unique(frames[~broken] // width)
    assert set(np.intersect1d(missing // width, drawn)) <= set(ends)


def test_gaps_as_long_as_a_bin_break_the_line_where_they_are() -> None:
    n = 64_000
    stored = np.ones(n, bool)
    starts = np.arange(1000, n, 1003)
    for start in starts:
        stored[start : start + 64] = False
    result = envelope(0, RNG.normal(1, 0.005, n), stored)
    assert result.bin_width <= 64
    assert result.shortest_gap == 1
    assert set(starts) <= set(result.frames[np.isnan(result.values)].tolist())


@pytest.mark.parametrize("pattern", [2, 3, 7])
def test_a_dip_among_regular_gaps_is_drawn(pattern: int) -> None:
    n = 300_000
    values = RNG.normal(1, 0.01, n)
    stored = np.arange(n) % pattern != 0
    stored[100_000:150_000] = False
    values[200_001 + (200_001 % pattern == 0)] = 0.1
    result = envelope(0, values, stored)
    assert 1000 < len(result.frames) <= 4000
    # A break after every bin.
    bins = np.unique(result.frames // result.bin_width).size
    assert np.isnan(result.values).sum() >= bins - 2
    assert result.values[~np.isnan(result.values)].min() == np.float32(0.1)


@pytest.mark.parametrize("n", [0, 1])
def test_almost_nothing(n: int) -> None:
    assert envelope(3, np.ones(n)).frames.tolist() == [3] * n
    assert envelope(3, np.ones(n)).alone.tolist() == [True] * n
    assert envelope(3, np.ones(n), np.zeros(n, bool)).frames.size == 0


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="max_points"):
        envelope(0, np.ones(5), max_points=7)
    with pytest.raises(ValueError, match="stored"):
        envelope(0, np.ones(5), np.ones(4, bool))
