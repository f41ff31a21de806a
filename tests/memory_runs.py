"""What the list of runs asks of the store, answered from memory."""

from __future__ import annotations

from collections.abc import Sequence

from memory_store import MemoryNotes, MemoryStore

from eigerwatch.errors import UnknownSeriesError
from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.labels import MOST_TAGS, LabelError, tag_of
from eigerwatch.store.listing import Listed, Said, edits_version
from eigerwatch.store.summaries import Summary
from eigerwatch.web.run_store import RunStore


class MemoryLabels:
    """Answers like `eigerwatch.store.labels.Labels`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.tags: dict[str, list[str]] = {}

    def tag(self, key: str, text: str) -> None:
        tag = tag_of(text)
        self._store.info(key)
        given = self.tags.setdefault(key, [])
        if tag not in given:
            if len(given) >= MOST_TAGS:
                raise LabelError(f"{key} has {MOST_TAGS} tags already")
            given.append(tag)

    def untag(self, key: str, text: str) -> None:
        self._store.info(key)
        self.tags[key] = [tag for tag in self.tags.get(key, []) if tag != text]

    def pin(self, key: str, pinned: bool) -> None:
        self._store.update(key, pinned=pinned)


class MemoryListing:
    """Answers like `eigerwatch.store.listing.Listing`."""

    def __init__(
        self, store: MemoryStore, notes: MemoryNotes | None, labels: MemoryLabels
    ) -> None:
        self._store = store
        self._notes = notes
        self._labels = labels

    def listed(self) -> list[Listed]:
        return [
            Listed(i.key, (i.last_write_ms or 0, hash(repr(i))), i.archived)
            for i in self._store.series(100_000)
        ]

    def find(self, key: str) -> list[Listed]:
        return [one for one in self.listed() if one.key == key]

    def infos(self, wanted: Sequence[Listed]) -> dict[str, SeriesInfo]:
        found = {}
        for one in wanted:
            try:
                found[one.key] = self._store.info(one.key)
            except UnknownSeriesError:
                continue
        return found

    def said(self, wanted: Sequence[Listed]) -> dict[str, Said]:
        return {one.key: self._said(one.key) for one in wanted}

    def _said(self, key: str) -> Said:
        notes = self._notes.all(key) if self._notes else []
        edits = self._notes.exclusions(key) if self._notes else []
        return Said(
            notes=tuple(f"{note.author} {note.text}" for note in notes),
            tags=tuple(self._labels.tags.get(key, ())),
            exclusions=edits_version(len(edits), edits[-1].id if edits else ""),
        )


class MemorySummaries:
    """Answers like `eigerwatch.store.summaries.Summaries`."""

    def __init__(self) -> None:
        self.kept: dict[str, Summary] = {}
        self.written: list[str] = []

    def read(self, series: Sequence[str]) -> dict[str, Summary]:
        return {key: self.kept[key] for key in series if key in self.kept}

    def read_archived(self, key: str) -> Summary | None:
        return self.kept.get(key)

    def write(self, key: str, summary: Summary) -> None:
        self.kept[key] = summary
        self.written.append(key)

    write_archived = write


def memory_runs(store: MemoryStore, notes: MemoryNotes | None = None) -> RunStore:
    """Return a list of runs over a store in memory."""
    labels = MemoryLabels(store)
    return RunStore(MemoryListing(store, notes, labels), labels, MemorySummaries())
