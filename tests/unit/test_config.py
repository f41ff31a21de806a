from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from eigerwatch.config import Settings, load_settings, unknown_variables
from eigerwatch.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config" / "eigerwatch.yaml"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return path


def test_the_shipped_file_holds_every_key_with_its_default() -> None:
    assert load_settings(EXAMPLE) == Settings()
    content = yaml.safe_load(EXAMPLE.read_text())
    assert set(content) == set(Settings.model_fields)
    for section, info in Settings.model_fields.items():
        if isinstance(info.default, BaseModel):
            assert set(content[section]) == set(type(info.default).model_fields)


def test_every_key_of_the_shipped_file_is_explained() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        key, colon, value = line.strip().partition(":")
        if key.startswith("#") or not colon or not (value or line.startswith("  ")):
            continue
        # web.port shares the comment of web.host
        assert "#" in lines[number - 1] or key == "port", key


def test_environment_beats_file_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "stream: {receive_hwm: 7, endpoint: ipc:///tmp/x}")
    assert load_settings(path).stream.receive_hwm == 7
    monkeypatch.setenv("EIGERWATCH_STREAM__RECEIVE_HWM", "99")
    settings = load_settings(path)
    assert settings.stream.receive_hwm == 99
    assert settings.stream.endpoint == "ipc:///tmp/x"
    assert settings.stream.max_pixels == 64_000_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stream: {endpont: x}", ["stream.endpont", "known: endpoint"]),
        ("strem: {}", ["'strem'", "known:", "stream"]),
        ("web: {port: 99999}", ["web.port", "99999", "65535"]),
        ("web: {port: abc}", ["web.port", "'abc'", "integer"]),
        ("filter: {low: 5, high: 3}", ["filter.high", "3", "filter.low"]),
        ("filter: {high: many}", ["filter.high", "'many'", "auto"]),
        ("stream: {endpoint: 10.0.0.1}", ["stream.endpoint", "tcp://"]),
        ("stream: 5", ["stream", "5"]),
        ("- a\n- b", ["holds no settings"]),
        ("a: [1", ["line", "correct the YAML"]),
        ("1: 2", ["keys must be words"]),
        ("x: 2020-99-99", ["cannot be read", "correct the YAML"]),
        ("x: " + "9" * 5000, ["cannot be read", "correct the YAML"]),
        ("x: " + "[" * 5000, ["cannot be read", "correct the YAML"]),
        ("web: {port: 0x" + "f" * 5000 + "}", ["web.port", "a huge number"]),
        ("filter: {low: 4294967296}", ["filter.low", "4294967295"]),
        ("filter: {high: 4294967296}", ["filter.high", "4294967295"]),
        ("store: {data_dir: ~nobody-of-this-name/x}", ["data_dir", "whole path"]),
        ("series: {max_open: 7}", ["series.max_open", "8"]),
        ("mask: ~nobody-of-this-name/x", ["mask", "whole path"]),
        ("mask: {a: 1}", ["mask"]),
        ("regions: {modules: some}", ["regions.modules", "auto"]),
        ("regions: {modules: [[5, 5, 0, 9]]}", ["regions", "y0 < y1"]),
        ("regions: {rings: -1}", ["regions.rings", "-1"]),
        ("regions: {rings: [3]}", ["regions.rings", "2"]),
        ("regions: {rings: [3, 0]}", ["regions.rings", "greater than 0"]),
        ("regions: {rings: [3, 3]}", ["regions", "twice"]),
        ("regions: {rois: [{name: a}]}", ["needs one shape", "rectangle", "none"]),
        (
            "regions: {rois: [{name: a, disc: [1, 2, 3], rectangle: [0, 1, 0, 1]}]}",
            ["'a'", "rectangle and disc"],
        ),
        ("regions: {rois: [{name: a b, disc: [1, 2, 3]}]}", ["name", "'a b'"]),
        ("regions: {rois: [{name: a, dics: [1, 2, 3]}]}", ["dics", "known", "disc"]),
        ("regions: {rois: [{name: a, disc: [1, 2]}]}", ["regions.rois", "disc"]),
        ("regions: {rois: [{name: a, disc: [1, 2, .nan]}]}", ["disc"]),
        ("regions: {rois: [{name: a, annulus: [1, 2, 5, 5]}]}", ["inner < outer"]),
        ("regions: {rois: [{name: a, rectangle: [9, 1, 0, 4]}]}", ["y0 < y1"]),
        ("regions: {rois: [{name: a, polygon: [[0, 0], [1, 1]]}]}", ["polygon", "3"]),
        ("regions: {rois: [{name: ring_1, disc: [1, 2, 3]}]}", ["ring_1", "taken"]),
        (
            "regions: {rois: [{name: a, disc: [1, 2, 3]}, {name: a, disc: [1, 2, 3]}]}",
            ["two regions", "'a'"],
        ),
    ],
)
def test_bad_settings_get_one_line_naming_key_value_and_cure(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in [*said, str(path)]:
        assert part in message


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EIGERWATCH_WEB__PORT", "many")
    with pytest.raises(ConfigError, match="EIGERWATCH_WEB__PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("WEB__ALLOWED_HOSTS", "localhost", ["web.allowed_hosts", '["localhost"]']),
        ("WEB__ALLOWED_HOSTS", '["a"', ["web.allowed_hosts", '["localhost"]']),
        ("REPLAY__ROOTS", "/data", ["replay.roots", '["/data"]']),
        ("WEB", "foo", ["web = 'foo'", "JSON", "EIGERWATCH_WEB__HOST"]),
        ("WEB", "", ["web = ''", "JSON"]),
        ("WEB", "[" * 100_000, ["web = '[[", "JSON"]),
    ],
)
def test_a_variable_that_is_no_json_gets_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: list[str]
) -> None:
    monkeypatch.setenv(f"EIGERWATCH_{variable}", value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    for part in [*said, f"environment variable EIGERWATCH_{variable}: "]:
        assert part in message


def test_lists_and_sections_can_be_given_as_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EIGERWATCH_WEB__ALLOWED_HOSTS", '["a", "b"]')
    monkeypatch.setenv("EIGERWATCH_FILTER", '{"low": 3}')
    settings = load_settings()
    assert settings.web.allowed_hosts == ("a", "b")
    assert settings.filter.low == 3


NUMBERS = [
    (name, key)
    for name, section in Settings.model_fields.items()
    if isinstance(section.default, BaseModel)
    for key, value in section.default
    if isinstance(value, (int, float)) and not isinstance(value, bool)
] + [("store", "memory_limit"), ("filter", "high")]


@pytest.mark.parametrize("huge", [10**15 + 10**18, 10**400, float("inf"), float("nan")])
@pytest.mark.parametrize(("section", "key"), NUMBERS)
def test_no_number_may_be_huge(section: str, key: str, huge: float) -> None:
    with pytest.raises(ConfigError, match=f"{section}.{key}"):
        load_settings(**{section: {key: huge}})


def test_a_string_of_redis_can_hold_every_frame() -> None:
    assert load_settings(store={"max_frames": 2**29}).store.max_frames == 2**29
    with pytest.raises(ConfigError, match=r"store\.max_frames"):
        load_settings(store={"max_frames": 2**29 + 1})


def test_regions_of_every_shape_are_taken() -> None:
    regions = load_settings(
        regions={
            "modules": [[0, 512, 0, 1028]],
            "rois": [
                {"name": "a", "rectangle": [0, 1, 2, 3]},
                {"name": "b", "disc": [1, 2.5, 3]},
                {"name": "c", "annulus": [1, 2, 0.5, 3]},
                {"name": "d", "polygon": [[0, 0], [1, 1], [0, 2]]},
            ],
            "rings": [20, 3.5],
        }
    ).regions
    assert regions.modules == ((0, 512, 0, 1028),)
    assert [roi.name for roi in regions.rois] == ["a", "b", "c", "d"]
    assert regions.rings == (20.0, 3.5)
    assert load_settings(regions={"rings": 16}).regions.rings == 16


def test_a_scalar_at_the_top_can_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EIGERWATCH_MASK", "/data/mask.npy")
    assert load_settings().mask == Path("/data/mask.npy")
    assert unknown_variables() == []


def test_tilde_is_the_home_folder_in_every_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load_settings(
        store={"binary": "~/bin/valkey-server", "data_dir": "~/data"},
        replay={"roots": ["~/recorded", "/data"]},
        archive={"dir": "~/archive"},
    )
    assert settings.store.binary == tmp_path / "bin/valkey-server"
    assert settings.store.data_dir == tmp_path / "data"
    assert settings.replay.roots == (tmp_path / "recorded", Path("/data"))
    assert settings.archive_dir == tmp_path / "archive"


def test_variables_that_set_nothing_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EIGERWATCH_TYPO", "1")
    monkeypatch.setenv("EIGERWATCH_WEB__PORT", "1")
    monkeypatch.setenv("EIGERWATCH_KERNEL_VARIANT", "avx2")
    assert unknown_variables() == ["EIGERWATCH_TYPO"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        load_settings(tmp_path / "absent.yaml")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().stream.receive_hwm = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("analysis: {interval: 3}", "unknown key 'analysis.interval'"),
        ("targets: {intensity: 5}", "unknown key 'targets.intensity'"),
        ("integral: 4", "unknown key 'integral'"),
        ("analysis: {exclude: empty}", "a list, such as [one, two]"),
        ("targets: {webhooks: http://x/y}", "a list, such as [one, two]"),
        ("targets: {webhooks: [ftp://x/y]}", "targets.webhooks"),
        ("analysis: {exclude: [shutter]}", "analysis.exclude"),
        ("analysis: {mains_hz: 55}", "analysis.mains_hz = 55"),
    ],
)
def test_mistakes_of_typing_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(write(tmp_path, text))
    assert said in str(refused.value)


def test_numbers_of_choice_can_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EIGERWATCH_ANALYSIS__MAINS_HZ", "60")
    assert load_settings().analysis.mains_hz == 60


def test_a_whole_section_of_the_environment_is_blamed_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EIGERWATCH_ANALYSIS", '{"exclude": ["x"]}')
    with pytest.raises(ConfigError, match="environment variable EIGERWATCH_ANALYSIS:"):
        load_settings()


def test_a_wrong_option_is_blamed_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EIGERWATCH_FILTER__HIGH", "5000")
    assert load_settings(command_line={"filter": {"high": 30}}).filter.high == 30
    with pytest.raises(ConfigError, match=r"^command line: filter\.high = 3: "):
        load_settings(command_line={"filter": {"low": 9, "high": 3}})
