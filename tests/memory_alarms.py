"""A stream of alarms in memory that answers like `eigerwatch.store.alarms.Alarms`."""

from __future__ import annotations

from eigerwatch.errors import StoreError
from eigerwatch.store.alarms import Entry


class MemoryAlarms:
    """Entries in the order in which they came."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.away = False

    def append(self, entry: Entry) -> None:
        if self.away:
            raise StoreError("gone")
        self.entries.append(dict(entry))

    def read(self, after: str | None = None) -> list[tuple[str, Entry]]:
        if self.away:
            raise StoreError("gone")
        start = 0 if after is None else int(after.partition("-")[0]) + 1
        return [
            (f"{k}-0", dict(self.entries[k])) for k in range(start, len(self.entries))
        ]

    def kinds(self) -> list[str]:
        return [entry["kind"] for entry in self.entries]
