"""Copies of the per-flush aggregates as native time series, where the server can."""

from __future__ import annotations

from typing import Any

from eigerwatch.store import keys
from eigerwatch.store.client import Client, has_command
from eigerwatch.store.spool import Command

COLUMNS = ("mean", "cv", "n")
"""What is mirrored of each tick."""


def samples(commands: list[Command]) -> list[tuple[str, str, dict[str, str]]]:
    """Return (series key, channel, fields) of the ticks in a batch."""
    found = []
    for words in commands:
        if words[0] == b"XADD" and words[1].endswith(b":ticks"):
            text = [word.decode("utf-8", "replace") for word in words]
            key = text[1][len(keys.PREFIX) + 1 : -len("}:ticks")]
            fields = dict(zip(text[6::2], text[7::2], strict=True))
            found.append((key, fields["channel"], fields))
    return found


class Mirror:
    """Writes ticks into ``{S}:ts:<column>``, best effort, for Grafana and TS.RANGE.

    The first channel of a series has the plain name; the others' names end in the
    channel. Frames never go there: doubles only, one sample a millisecond.
    """

    def __init__(self, ttl_ms: int) -> None:
        self._ttl_ms = ttl_ms
        self._first: dict[str, str] = {}
        self._made: set[str] = set()

    @staticmethod
    def available(client: Client) -> bool:
        """Tell whether the server has time series."""
        return has_command(client, "TS.ADD")

    def add(self, client: Client, commands: list[Command]) -> None:
        """Mirror the ticks of one acknowledged batch."""
        pipe = client.pipeline(transaction=False)
        pairs: list[Any] = []
        for key, channel, fields in samples(commands):
            first = self._first.setdefault(key, channel)
            for column in COLUMNS:
                name = keys.ts(key, column, None if channel == first else channel)
                if name not in self._made:
                    self._made.add(name)
                    pipe.execute_command(*self._create(name, key, channel, column))
                    pipe.pexpire(name, self._ttl_ms)
                pairs += [name, fields["ms"], fields[column]]
        if pairs:
            pipe.execute_command("TS.MADD", *pairs)
            # A series that exists already answers TS.CREATE with an error.
            pipe.execute(raise_on_error=False)

    def forget(self, key: str) -> None:
        """Drop what is remembered of a closed series."""
        self._first.pop(key, None)
        self._made = {n for n in self._made if f"{{{key}}}" not in n}

    def _create(
        self, name: str, key: str, channel: str, column: str
    ) -> tuple[str | int, ...]:
        retention = ("RETENTION", self._ttl_ms, "DUPLICATE_POLICY", "LAST")
        labels = ("app", "eigerwatch", "series", key, "channel", channel)
        return ("TS.CREATE", name, *retention, "LABELS", *labels, "column", column)
