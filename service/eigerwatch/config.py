"""Settings: environment beats file beats default; unknown keys are errors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from eigerwatch.errors import ConfigError
from eigerwatch.sections import (
    TAGS,
    AnalysisSettings,
    ArchiveSettings,
    FilterSettings,
    HomePath,
    LogSettings,
    ReduceSettings,
    RegionSettings,
    ReplaySettings,
    SeriesSettings,
    StoreSettings,
    StreamSettings,
    TargetSettings,
    WebSettings,
)

ENV_PREFIX = "EIGERWATCH_"
KERNEL_VARIANT_VARIABLE = "EIGERWATCH_KERNEL_VARIANT"
"""Read by the compiled kernel itself, so no settings key."""


class Settings(BaseSettings):
    """Everything the service can be told."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    stream: StreamSettings = StreamSettings()
    replay: ReplaySettings = ReplaySettings()
    filter: FilterSettings = FilterSettings()
    mask: HomePath | None = None
    """File of a mask of your own: an ``.npy``, ``FILE.h5::/DATASET`` or an image;
    pixels other than 0 are left out."""
    regions: RegionSettings = RegionSettings()
    series: SeriesSettings = SeriesSettings()
    reduce: ReduceSettings = ReduceSettings()
    executor: str | None = Field(default=None, pattern=r"^[a-z]+://\S+$")
    """Address of a Dask scheduler whose workers reduce the images, e.g.
    ``tcp://10.0.0.5:8786``; unset: threads of this process do."""
    store: StoreSettings = StoreSettings()
    archive: ArchiveSettings = ArchiveSettings()
    web: WebSettings = WebSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    targets: TargetSettings = TargetSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before what the file says."""
        return env_settings, init_settings

    @property
    def archive_dir(self) -> Path:
        """Folder of archived series."""
        return self.archive.dir or self.store.data_dir / "archive"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises
    ------
    ConfigError
        The file cannot be read, is no YAML, or holds no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: cannot be read ({exc}); name a YAML file") from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or "not YAML"
        raise ConfigError(f"{path}{where}: {problem}; correct the YAML") from exc
    except (ValueError, OverflowError, RecursionError) as exc:
        # From a date such as 2020-99-99, a number of 5000 digits, a thousand brackets.
        problem = f"a value that cannot be read ({exc!s:.80})"
        raise ConfigError(f"{path}: {problem}; correct the YAML") from exc
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds no settings, only {content!r:.60}")
    return content


def load_settings(
    path: Path | None = None,
    *,
    command_line: Mapping[str, Mapping[str, Any]] | None = None,
    **overrides: Any,
) -> Settings:
    """Read settings from a file, the environment, `overrides` and the command line.

    Parameters
    ----------
    path
        YAML file, or None for the defaults.
    command_line
        Sections as mappings; their keys beat all others.
    overrides
        Sections as mappings; their keys replace those of the file, but the
        environment still beats them.

    Raises
    ------
    ConfigError
        Unknown key, wrong type or value; one line naming key, value and cure.
    """
    content = read_yaml(path) if path else {}
    for section, values in overrides.items():
        merged = content.get(section) or {}
        if not isinstance(merged, dict):
            raise ConfigError(f"{path}: {section}: a mapping is expected")
        content[section] = {**merged, **values}
    origin = str(path) if path else "settings"
    try:
        settings = Settings(**{k: v for k, v in content.items() if v is not None})
        return settings.model_copy(
            update={
                section: _with(section, getattr(settings, section), keys)
                for section, keys in (command_line or {}).items()
            }
        )
    except ValidationError as exc:
        raise ConfigError(describe(exc, origin)) from exc
    except TypeError as exc:
        raise ConfigError(f"{origin}: {exc}; keys must be words") from exc
    except (SettingsError, RecursionError) as exc:
        raise ConfigError(_not_json() or f"{origin}: {exc}") from exc


_KINDS = ("int", "constrained-int")
"""What pydantic puts into the path of an error for a number that may be a word."""


def _with(name: str, section: BaseModel, keys: Mapping[str, Any]) -> BaseModel:
    """Return a section with some keys changed, as strictly as at first."""
    try:
        return type(section).model_validate({**section.model_dump(), **keys})
    except ValidationError as exc:
        raise ConfigError(describe(exc, "command line", (name,))) from exc


def describe(error: ValidationError, origin: str, within: tuple[str, ...] = ()) -> str:
    """Turn pydantic's first complaint into one line with key, value and cure."""
    first = error.errors()[0]
    location = [*within, *(str(part) for part in first["loc"])]
    key = ".".join(
        part
        for part in location
        if part not in TAGS and part not in _KINDS and not part.startswith("literal[")
    )
    variables = [ENV_PREFIX + "__".join(location[:k]).upper() for k in (2, 1)]
    given = [name for name in variables if name in os.environ and not within]
    where = f"environment variable {given[0]}" if given else origin
    more = len(error.errors()) - 1
    if first["type"] == "extra_forbidden":
        text = f"{where}: unknown key {key!r}; known: {', '.join(_siblings(location))}"
    else:
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason.replace("a valid tuple", "a list, such as [one, two]")
        reason = reason[:1].lower() + reason[1:]
        text = f"{where}: {key} = {_shown(first['input'])}: {reason}"
    return text if more <= 0 else f"{text} (and {more} more)"


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except ValueError:  # Python writes no integer of more than 4300 digits.
        return "a huge number"


def _not_json() -> str | None:
    """Return one line about the first variable that must be JSON and is not."""
    for variable, text in sorted(os.environ.items()):
        section, _, key = variable.upper().removeprefix(ENV_PREFIX).partition("__")
        field = Settings.model_fields.get(section.lower())
        if field is None or not variable.upper().startswith(ENV_PREFIX):
            continue
        value = getattr(field.default, key.lower(), None) if key else field.default
        if isinstance(value, tuple):
            name = f"{section}.{key}".lower()
            example = "localhost" if set(text) & set('[]"') else f"{text:.80}"
            cure = f"lists are written as JSON: {json.dumps([example])}"
        elif isinstance(value, BaseModel):
            name = section.lower()
            one = next(iter(type(value).model_fields)).upper()
            cure = f"a whole section is written as JSON; or set {variable}__{one}"
        else:
            continue
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return f"environment variable {variable}: {name} = {text!r:.80}: {cure}"
    return None


def _siblings(location: list[str]) -> list[str]:
    """Return the keys that are known where an unknown one stands."""
    model: Any = Settings
    for part in location[:-1]:
        if part.isdigit():  # the members of a list are alike
            continue
        fields = getattr(model, "model_fields", {})
        model = fields[part].annotation if part in fields else None
        members = get_args(model)
        model = members[0] if members else model
    return sorted(getattr(model, "model_fields", {}))


def unknown_variables() -> list[str]:
    """Return environment variables with our prefix that no setting answers to."""
    known = {KERNEL_VARIANT_VARIABLE}
    for name, info in Settings.model_fields.items():
        known.add(ENV_PREFIX + name.upper())
        for key in getattr(info.annotation, "model_fields", {}):
            known.add(f"{ENV_PREFIX}{name}__{key}".upper())
    return sorted(v for v in os.environ if v.startswith(ENV_PREFIX) and v not in known)
