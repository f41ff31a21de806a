"""Which settings the next series is counted with: the file's, or what people chose."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from eigerwatch.config import Settings
from eigerwatch.countable import Changes, changed, plain
from eigerwatch.errors import ConfigError
from eigerwatch.selection import Selector
from eigerwatch.store.commanded import NextSettings

log = structlog.get_logger()


class Chooser:
    """Makes the selector of the next series; a series that has begun keeps its own.

    Parameters
    ----------
    settings
        What the file says.

    Raises
    ------
    ConfigError
        The user's mask cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._of_file = Selector.of(settings)
        self._file = {
            "filter": plain(settings.filter),
            "regions": plain(settings.regions),
        }
        self.current = NextSettings(self._file)
        self.selector = self._of_file
        self.users: Sequence[Callable[[Selector], None]] = ()
        """Told the selector of the series that begin from now on."""

    def take_up(self, kept: NextSettings | None) -> None:
        """Go on with what people chose before this process began."""
        if kept is None or kept.changes is None:
            self._set(NextSettings(self._file))
            return
        chosen = NextSettings(self._file, kept.changes, kept.by, kept.changed_ms)
        try:
            self._set(chosen)
        except ConfigError as exc:
            log.warning("settings chosen on the page are not used", problem=str(exc))
            self._set(
                NextSettings(
                    self._file, kept.changes, kept.by, kept.changed_ms, str(exc)
                )
            )

    def change(self, changes: Changes, by: str) -> None:
        """Choose other settings for the series that begin from now on.

        Raises
        ------
        ConfigError
            They are wrong; those of before stay.
        """
        self._set(NextSettings(self._file, _copied(changes), by, _now_ms()))
        log.info("settings of the next series chosen", by=by)

    def reset(self, by: str) -> None:
        """Let the file's settings hold again."""
        self._set(NextSettings(self._file, None, by, _now_ms()))
        log.info("settings of the next series are the file's again", by=by)

    def put_back(self, before: NextSettings) -> None:
        """Go back to what was chosen before, which was in effect."""
        self._set(before)

    def selector_of(self, changes: Changes | None) -> Selector:
        """Return the selector of a series that began with such changes.

        Where they are not ours, that of the settings file.
        """
        try:
            return self._selector(NextSettings(self._file, _copied(changes)))
        except ConfigError as exc:
            log.warning("a series goes on with the file's settings", problem=str(exc))
            return self._of_file

    def _set(self, chosen: NextSettings) -> None:
        self.selector = self._selector(chosen)
        self.current = chosen
        for use in self.users:
            use(self.selector)

    def _selector(self, chosen: NextSettings) -> Selector:
        if chosen.changes is None or chosen.problem:
            return self._of_file
        return self._of_file.changed(
            *changed(self._file, chosen.changes), chosen.changes
        )


def _copied(changes: Changes | None) -> dict[str, dict[str, object]] | None:
    if not changes:
        return None
    if not all(isinstance(keys, Mapping) for keys in changes.values()):
        raise ConfigError("page: settings that have no keys")
    return {name: dict(keys) for name, keys in changes.items()}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
