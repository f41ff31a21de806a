"""Short labels that people give a series, and whether it is kept for ever."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

from eigerwatch.errors import UnknownSeriesError
from eigerwatch.store import keys, lifetime
from eigerwatch.store.client import Client, translated

MOST_TAGS = 20
"""Labels of one series,"""
TAG_LENGTH = 40
"""each of so many characters."""


class LabelError(ValueError):
    """A label that cannot be given; says why. The caller tells who gave it."""


def tag_of(text: str) -> str:
    """Return a label as it is stored: composed, single spaces, nothing around.

    Raises
    ------
    LabelError
        It is empty, too long, or cannot be seen.
    """
    tag = " ".join(unicodedata.normalize("NFC", text).split())
    kinds = {unicodedata.category(character) for character in tag}
    if kinds & {"Cc", "Cs"}:
        raise LabelError("a tag must not hold control characters: leave them out")
    if not any(kind[0] in "LNPS" or kind == "Co" for kind in kinds):
        raise LabelError("a tag must have something that can be seen: type a word")
    if len(tag) > TAG_LENGTH:
        raise LabelError(
            f"a tag has at most {TAG_LENGTH} characters, not {len(tag)}: shorten it"
        )
    return tag


def ordered(raw: dict[str, str]) -> tuple[str, ...]:
    """Return labels in the order in which they were given."""
    given = sorted(raw, key=lambda tag: (raw[tag].zfill(20), tag))
    return tuple(given[:MOST_TAGS])


class Labels:
    """Tags and pins of the series in Redis; may be shared by threads.

    Parameters
    ----------
    client
        Connection pool of `client.connect`.
    ttl_days
        How long a series lives that is pinned no longer.
    """

    def __init__(self, client: Client, ttl_days: float) -> None:
        self._client = client
        self._ttl_ms = round(ttl_days * 86_400_000)

    def tag(self, key: str, text: str) -> None:
        """Give a series a label; nothing happens if it has it already.

        Raises
        ------
        UnknownSeriesError
            Redis has no such series; an archived one takes no tags.
        LabelError
            The label is none, or the series has as many as it may.
        """
        tag, name = tag_of(text), keys.tags(key)
        self._known(key)

        def add(pipe: Any) -> None:
            given = pipe.hkeys(name)
            if tag.encode() in given:
                pipe.multi()
                return
            if len(given) >= MOST_TAGS:
                raise LabelError(
                    f"{key} has {MOST_TAGS} tags already: remove one of them first"
                )
            left = int(pipe.pttl(keys.meta(key)))
            pipe.multi()
            pipe.hset(name, tag, time.time_ns())
            if left > 0:
                pipe.pexpire(name, left)

        with translated():
            self._client.transaction(add, name)

    def untag(self, key: str, text: str) -> None:
        """Take a label away; nothing happens if the series does not have it."""
        self._known(key)
        with translated():
            self._client.hdel(keys.tags(key), text)

    def pin(self, key: str, pinned: bool) -> None:
        """Keep a series in Redis for ever, or let its time run again.

        Raises
        ------
        UnknownSeriesError
            Redis has no such series.
        """
        self._known(key)
        lifetime.pin(self._client, key, pinned, self._ttl_ms)

    def _known(self, key: str) -> None:
        with translated():
            if not keys.is_series_key(key) or not self._client.exists(keys.meta(key)):
                raise UnknownSeriesError(key)
