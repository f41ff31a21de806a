"""All stored series at once, for lists: few round trips, and only for what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigerwatch.errors import StoreError
from eigerwatch.store import keys
from eigerwatch.store.archive import Archive
from eigerwatch.store.client import Client, translated
from eigerwatch.store.info import SeriesInfo, json_of, ledger_of, series_info, text_of
from eigerwatch.store.labels import ordered
from eigerwatch.store.lifetime import channels_of

PIPELINED = 200
"""Series asked about at once."""
MOST_SERIES = 20_000


@dataclass(frozen=True, slots=True)
class Listed:
    """A series, and a version that changes when frames came or its file did."""

    key: str
    version: tuple[int, ...]
    archived: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What people said about a series."""

    notes: tuple[str, ...] = ()
    """Author and text of each."""
    tags: tuple[str, ...] = ()
    exclusions: str = "0"
    """Changes with every exclusion made or withdrawn."""


class Listing:
    """Reads about many series; may be shared by threads."""

    def __init__(self, client: Client, archive_dir: Path | None = None) -> None:
        self._client = client
        self._archive = Archive(archive_dir) if archive_dir else None
        self._archived: dict[str, tuple[tuple[int, ...], Said]] = {}

    def listed(self) -> list[Listed]:
        """Return all series, in no order; one in Redis and in the archive once."""
        with translated():
            members = self._client.zrevrange(
                keys.SERIES, 0, MOST_SERIES - 1, withscores=True
            )
        found = {}
        for member, score in members:
            key = member.decode("utf-8", "replace")
            if keys.is_series_key(key):
                found[key] = Listed(key, (int(score),), False)
        if self._archive:
            for key, version in self._archive.versions().items():
                if keys.is_series_key(key) and key not in found:
                    found[key] = Listed(key, version, True)
        return list(found.values())

    def find(self, key: str) -> list[Listed]:
        """Return one series, or nothing."""
        with translated():
            score = self._client.zscore(keys.SERIES, key)
        if score is not None:
            return [Listed(key, (int(score),), False)]
        version = self._archive.version(key) if self._archive else None
        return [] if version is None else [Listed(key, version, True)]

    def infos(self, wanted: Sequence[Listed]) -> dict[str, SeriesInfo]:
        """Return what is known about these series; those that are gone are left out."""
        found: dict[str, SeriesInfo] = {}
        stored = [one for one in wanted if not one.archived]
        for start in range(0, len(stored), PIPELINED):
            found.update(self._infos(stored[start : start + PIPELINED]))
        for one in wanted:
            if one.key not in found and self._archive:
                try:
                    info = self._archive.find(one.key)
                except StoreError:
                    continue  # `eigerwatch list` names damaged files
                if info is not None:
                    found[one.key] = info
        return found

    def said(self, wanted: Sequence[Listed]) -> dict[str, Said]:
        """Return what people said about these series."""
        found = {}
        stored = [one.key for one in wanted if not one.archived]
        for start in range(0, len(stored), PIPELINED):
            found.update(self._said(stored[start : start + PIPELINED]))
        for one in wanted:
            if one.archived:
                found[one.key] = self._said_archived(one)
        return found

    def _infos(self, wanted: Sequence[Listed]) -> dict[str, SeriesInfo]:
        with translated():
            pipe = self._client.pipeline(transaction=False)
            for one in wanted:
                pipe.hgetall(keys.meta(one.key))
            metas = [
                (one, meta, channels_of(meta))
                for one, meta in zip(
                    wanted, pipe.execute(raise_on_error=False), strict=True
                )
                if isinstance(meta, dict) and meta
            ]
            for one, _, channels in metas:
                for channel in channels:
                    pipe.strlen(keys.ok(one.key, channel))
                    pipe.bitcount(keys.ok(one.key, channel))
                    pipe.hlen(keys.rejected(one.key, channel))
            counts = iter(pipe.execute(raise_on_error=False))
        found = {}
        for one, meta, channels in metas:
            text = text_of(meta)
            ledgers = {}
            for channel in channels:
                frames, stored, rejected = (_count(next(counts)) for _ in range(3))
                ledgers[channel] = ledger_of(text, channel, stored, rejected, frames)
            found[one.key] = series_info(
                one.key,
                text,
                channels,
                ledgers,
                last_write_ms=one.version[0],
                archived=False,
            )
        return found

    def _said(self, series: Sequence[str]) -> dict[str, Said]:
        with translated():
            pipe = self._client.pipeline(transaction=False)
            for key in series:
                pipe.hvals(keys.notes(key))
                pipe.hgetall(keys.tags(key))
                pipe.xlen(keys.exclusions(key))
                pipe.xrevrange(keys.exclusions(key), count=1)
            answers = iter(pipe.execute(raise_on_error=False))
        found = {}
        for key in series:
            notes, tags, count, last = (next(answers) for _ in range(4))
            entries = last if isinstance(last, list) else []
            found[key] = Said(
                notes=_notes(
                    value.decode("utf-8", "replace")
                    for value in (notes if isinstance(notes, list) else [])
                ),
                tags=ordered(text_of(tags)) if isinstance(tags, dict) else (),
                exclusions=edits_version(
                    _count(count), entries[0][0].decode() if entries else ""
                ),
            )
        return found

    def _said_archived(self, one: Listed) -> Said:
        known = self._archived.get(one.key)
        if known is not None and known[0] == one.version:
            return known[1]
        assert self._archive is not None
        try:
            edits = self._archive.entries(one.key, "exclusions")
            said = Said(
                notes=_notes(self._archive.notes(one.key).values()),
                tags=ordered(self._archive.hash(one.key, "tags")),
                exclusions=edits_version(len(edits), edits[-1][0] if edits else ""),
            )
        except StoreError:
            said = Said()
        self._archived[one.key] = (one.version, said)
        return said


def edits_version(count: int, last: str) -> str:
    """Return what changes when a decision about frames is made or undone."""
    return f"{count} {last}" if count else "0"


def _count(answer: Any) -> int:
    return answer if isinstance(answer, int) else 0


def _notes(values: Any) -> tuple[str, ...]:
    found = []
    for value in values:
        said = json_of(value, dict)
        if said and isinstance(said.get("text"), str):
            found.append(f"{said.get('author', '')} {said['text']}")
    return tuple(found)
