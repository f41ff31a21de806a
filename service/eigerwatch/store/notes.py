"""What people say about a series: notes, and frames they exclude."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from eigerwatch.errors import UnknownSeriesError
from eigerwatch.store import keys
from eigerwatch.store.archive import Archive
from eigerwatch.store.client import Client, translated
from eigerwatch.store.info import json_of, text_of

TEXT_LIMIT = 4000
"""Longest text kept of a note [characters]."""
EXCLUSIONS_LENGTH = 10_000


@dataclass(frozen=True, slots=True)
class Note:
    """One note."""

    id: str
    ms: int
    """When it was written, UTC epoch [ms]."""
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Frames left out of the analysis, or taken back into it."""

    id: str
    first: int
    last: int
    """Inclusive image_id."""
    excluded: bool
    author: str
    reason: str


class Notes:
    """Notes and exclusions of the series; may be shared by threads.

    Parameters
    ----------
    client
        Connection pool of `client.connect`.
    archive_dir
        Folder of archived series, whose notes can be read only; None: there is none.
    """

    def __init__(self, client: Client, archive_dir: Path | None = None) -> None:
        self._client = client
        self._archive = Archive(archive_dir) if archive_dir else None

    def add(self, key: str, text: str, author: str = "") -> Note:
        """Write a note.

        Raises
        ------
        UnknownSeriesError
            Redis has no such series; an archived one takes no notes.
        """
        self._known(key)
        ms = time.time_ns() // 1_000_000
        note = Note(f"{ms}-{secrets.token_hex(4)}", ms, author[:200], text[:TEXT_LIMIT])
        with translated():
            self._client.hset(keys.notes(key), note.id, json.dumps(asdict(note)))
            self._same_life(key, keys.notes(key))
        return note

    def remove(self, key: str, note_id: str) -> None:
        """Delete a note; nothing happens if there is none."""
        with translated():
            self._client.hdel(keys.notes(key), note_id)

    def all(self, key: str) -> list[Note]:
        """Return the notes, oldest first."""
        if (archive := self._archived(key)) is not None:
            values = list(archive.notes(key).values())
        else:
            with translated():
                raw = self._client.hgetall(keys.notes(key))
            values = [value.decode("utf-8", "replace") for value in raw.values()]
        found = []
        for value in values:
            said = json_of(value, dict) or {}
            try:
                found.append(Note(**said))
            except TypeError:
                continue
        return sorted(found, key=lambda note: note.id)

    def exclude(
        self,
        key: str,
        first: int,
        last: int,
        *,
        excluded: bool = True,
        author: str = "",
        reason: str = "",
    ) -> str:
        """Exclude frames first to last, both inclusive, or take them back.

        Raises
        ------
        UnknownSeriesError
            Redis has no such series.
        """
        self._known(key)
        with translated():
            position: bytes = self._client.xadd(
                keys.exclusions(key),
                {
                    "first": int(first),
                    "last": int(last),
                    "excluded": int(excluded),
                    "author": author[:200],
                    "reason": reason[:TEXT_LIMIT],
                },
                maxlen=EXCLUSIONS_LENGTH,
                approximate=True,
            )
            self._same_life(key, keys.exclusions(key))
        return position.decode()

    def withdraw(self, key: str, exclusion_id: str) -> None:
        """Undo one decision about frames; nothing happens if there is none."""
        with translated():
            self._client.xdel(keys.exclusions(key), exclusion_id)

    def exclusions(self, key: str) -> list[Exclusion]:
        """Return what was excluded and taken back, in order."""
        if (archive := self._archived(key)) is not None:
            entries = archive.entries(key, "exclusions")
        else:
            with translated():
                raw = self._client.xrange(keys.exclusions(key))
            entries = [(position.decode(), text_of(said)) for position, said in raw]
        found = []
        for position, fields in entries:
            try:
                found.append(
                    Exclusion(
                        id=position,
                        first=int(fields["first"]),
                        last=int(fields["last"]),
                        excluded=fields.get("excluded") != "0",
                        author=fields.get("author", ""),
                        reason=fields.get("reason", ""),
                    )
                )
            except (KeyError, ValueError):
                continue
        return found

    def _archived(self, key: str) -> Archive | None:
        """Return the archive, if it alone has the series."""
        if self._archive is None or not keys.is_series_key(key):
            return None
        with translated():
            if self._client.exists(keys.meta(key)):
                return None
        return None if self._archive.find(key) is None else self._archive

    def _known(self, key: str) -> None:
        with translated():
            if not keys.is_series_key(key) or not self._client.exists(keys.meta(key)):
                raise UnknownSeriesError(key)

    def _same_life(self, key: str, name: str) -> None:
        """Let a new key live as long as the series does."""
        left = int(self._client.pttl(keys.meta(key)))
        if left > 0:
            self._client.pexpire(name, left)
