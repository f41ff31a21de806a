from __future__ import annotations

from pathlib import Path

import pytest
import yaml

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
    for section, info in Settings.model_fields.items():
        keys = set(info.annotation.model_fields)  # type: ignore[union-attr]
        assert set(content[section]) == keys, section


def test_every_key_of_the_shipped_file_is_explained() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("  ") and not line.strip().startswith("#"):
            key = line.strip().partition(":")[0]
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
