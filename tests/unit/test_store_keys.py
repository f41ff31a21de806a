from __future__ import annotations

import fnmatch

import pytest

from eigerwatch.store import keys


def test_names_are_those_other_programs_rely_on():
    key = "live:01JABC"
    assert keys.SERIES == "eigerwatch:series"
    assert keys.CONTROL == "eigerwatch:control"
    assert keys.LEASE == "eigerwatch:lease"
    assert keys.meta(key) == "eigerwatch:{live:01JABC}:meta"
    assert keys.rows(key, "threshold_1", 3) == (
        "eigerwatch:{live:01JABC}:threshold_1:rows:3"
    )
    assert keys.ok(key, "image") == "eigerwatch:{live:01JABC}:image:ok"
    assert keys.rejected(key, "image") == "eigerwatch:{live:01JABC}:image:rejected"
    assert keys.regions(key, "image", 0) == "eigerwatch:{live:01JABC}:image:regions:0"
    assert keys.preview(key, "image") == "eigerwatch:{live:01JABC}:image:preview"
    assert keys.ticks(key) == "eigerwatch:{live:01JABC}:ticks"
    assert keys.events(key) == "eigerwatch:{live:01JABC}:events"
    assert keys.notes(key) == "eigerwatch:{live:01JABC}:notes"
    assert keys.exclusions(key) == "eigerwatch:{live:01JABC}:exclusions"
    assert keys.ts(key, "mean") == "eigerwatch:{live:01JABC}:ts:mean"
    assert keys.ROW_BYTES == 64
    assert keys.CHUNK_FRAMES == 10_000


@pytest.mark.parametrize(
    "key", ["live:01JABC", "replay:E-32-0105_1700000000000_12", "file:a.b:c+d"]
)
def test_series_keys_are_recognised(key):
    assert keys.is_series_key(key)


@pytest.mark.parametrize(
    "key",
    ["", "live:", "lively:1", "live:a}b", "live:a b", "live:/x", "live:a\n", "live:*"],
)
def test_anything_else_is_not(key):
    assert not keys.is_series_key(key)


def test_pattern_matches_its_own_keys_only():
    pattern = keys.pattern("live:a.b")
    assert fnmatch.fnmatchcase(keys.rows("live:a.b", "image", 0), pattern)
    assert not fnmatch.fnmatchcase(keys.meta("live:a.bc"), pattern)
    assert r"\[" in keys.pattern("live:[x]")
