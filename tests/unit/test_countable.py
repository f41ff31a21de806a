from __future__ import annotations

import json

import pytest

from eigerwatch.config import load_settings
from eigerwatch.countable import LONGEST, as_json, changed, plain
from eigerwatch.errors import ConfigError
from eigerwatch.sections import FilterSettings, RegionSettings

FILE = {
    "filter": plain(FilterSettings(low=2, pixel_mask=False)),
    "regions": plain(RegionSettings(modules=((0, 10, 0, 20),), rings=3)),
}


def test_without_changes_the_file_holds():
    stored = json.loads(json.dumps(FILE))
    for changes in (None, {}):
        limits, regions = changed(stored, changes)
        assert limits == FilterSettings(low=2, pixel_mask=False)
        assert regions == RegionSettings(modules=((0, 10, 0, 20),), rings=3)


def test_a_change_leaves_all_else_as_the_file_says():
    spot = {"name": "spot", "disc": [10, 20, 5]}
    limits, regions = changed(
        FILE,
        {"filter": {"high": 300}, "regions": {"rois": [spot], "rings": [20, 5]}},
    )
    assert limits == FilterSettings(low=2, high=300, pixel_mask=False)
    assert regions.modules == ((0, 10, 0, 20),)
    assert regions.rois[0].disc == (10.0, 20.0, 5.0)
    assert regions.rings == (20.0, 5.0)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"filter": {"low": 10, "high": 5}}, "filter"),
        ({"filter": {"low": -1}}, "filter"),
        ({"filter": {"high": "much"}}, "filter"),
        ({"filter": {"high": 10**30}}, "filter"),
        ({"filter": {"low": None}}, "filter"),
        ({"regions": {"rings": [3, 3]}}, "regions"),
        ({"regions": {"rings": 1000}}, "regions"),
        ({"regions": {"rings": float("nan")}}, "regions"),
        ({"regions": {"rois": [{"name": "<b>", "disc": [1, 1, 1]}]}}, "regions"),
        ({"regions": {"rois": [{"name": "a"}]}}, "regions"),
        ({"regions": {"rois": [{"name": "a", "disc": [1, float("inf"), 1]}]}}, ""),
        ({"regions": {"rois": [{"name": "a", "rectangle": [5, 1, 0, 9]}]}}, ""),
        ({"regions": {"rois": [{"name": "ring_1", "disc": [1, 1, 1]}]}}, ""),
        ({"regions": {"rois": "spot"}}, "regions.rois"),
    ],
)
def test_the_sentence_is_that_of_the_command_line(changes, key):
    with pytest.raises(ConfigError) as page:
        changed(
            {"filter": plain(FilterSettings()), "regions": plain(RegionSettings())},
            changes,
        )
    with pytest.raises(ConfigError) as line:
        load_settings(command_line=changes)
    assert str(page.value).startswith(f"page: {key}")
    same = str(line.value).replace("command line: ", "page: ").replace("()", "[]")
    assert str(page.value) == same
    assert "\n" not in str(page.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"filter": {"pixel_mask": True}}, "no setting 'filter.pixel_mask' here"),
        ({"regions": {"modules": "none"}}, "no setting 'regions.modules' here"),
        ({"stream": {"endpoint": "tcp://1"}}, "no section 'stream'"),
        ({"filter": 3}, "no section 'filter'"),
        ({"regions": {"rois": ["x" * LONGEST]}}, "64 kB"),
    ],
)
def test_what_is_not_for_the_page_is_refused(changes, problem):
    with pytest.raises(ConfigError, match=problem):
        changed(FILE, changes)


def test_equal_changes_have_equal_texts():
    one = {"filter": {"low": 1, "high": 2}}
    assert as_json(one) == as_json({"filter": {"high": 2, "low": 1}})
