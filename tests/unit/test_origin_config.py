from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import SHARED_DATA

from eigerwatch.config import load_settings, read_yaml
from eigerwatch.errors import ConfigError
from eigerwatch.origin import is_origin_config, read_origin_config

CONTENT: dict[str, Any] = {
    "in": {"master": "/data/x_master.h5", "start": 3, "end": 90},
    "filter": {"low": 2, "high": 4500},
    "out": {"file": True, "path": "./out/", "plot": False},
}


def write(folder: Path, content: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def changed(section: str, **values: Any) -> dict[str, Any]:
    return {**CONTENT, section: {**CONTENT.get(section, {}), **values}}


def test_what_it_asks_for(tmp_path: Path) -> None:
    config = read_origin_config(write(tmp_path, CONTENT))
    assert config.master == Path("/data/x_master.h5")
    assert (config.start, config.end) == (3, 90)
    assert (config.low, config.high) == (2, 4500)
    assert (config.out, config.file, config.plot) == (Path("out"), True, False)
    assert config.meaningless == ""
    assert load_settings(filter=config.filter).filter.high == 4500


@pytest.mark.realdata
def test_the_origins_own_sample() -> None:
    path = SHARED_DATA / "origin_config.yaml"
    assert is_origin_config(read_yaml(path))
    config = read_origin_config(path)
    assert config.master == Path("/data/speed_test_full_16M_master.h5")
    assert (config.start, config.end, config.low, config.high) == (0, 0, 0, 4500)
    assert (config.file, config.plot, config.out) == (True, True, Path("out"))
    for key in ("out.redis", "out.prefix", "out.expire", "sys_settings.threads"):
        assert key in config.meaningless
    assert "\n" not in config.meaningless


def test_our_own_settings_are_something_else() -> None:
    assert not is_origin_config({"filter": {"low": 0}, "stream": {}})


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    config = read_origin_config(write(tmp_path, {"in": None}))
    assert config.master is None
    assert (config.start, config.end, config.low, config.high) == (0, 0, None, None)
    assert (config.file, config.plot, config.filter) == (True, True, {})


def test_redis_has_no_meaning_any_more(tmp_path: Path) -> None:
    config = read_origin_config(write(tmp_path, changed("out", redis=True)))
    assert "out.redis" in config.meaningless


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (changed("in", start=-1), ["in.start = -1", "0 or more"]),
        (changed("in", start="first"), ["in.start = 'first'", "whole number"]),
        (changed("in", end=True), ["in.end = True"]),
        (changed("in", end=1.5), ["in.end = 1.5"]),
        (changed("in", start=91), ["in.start = 91", "in.end = 90"]),
        (changed("in", master=7), ["in.master = 7", "a path"]),
        (changed("in", master=""), ["in.master = ''"]),
        (changed("filter", high=1), ["filter.high = 1", "filter.low = 2"]),
        (changed("filter", low=[0]), ["filter.low = [0]"]),
        (changed("out", plot="maybe"), ["out.plot = 'maybe'", "True or False"]),
        ({"in": "x_master.h5"}, ["in = 'x_master.h5'", "master, start, end"]),
        ({**CONTENT, "out": [1]}, ["out = [1]"]),
    ],
)
def test_bad_values_are_named(
    tmp_path: Path, content: dict[str, Any], parts: list[str]
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        read_origin_config(path)
    text = str(caught.value)
    assert "\n" not in text
    for part in (str(path), *parts):
        assert part in text
