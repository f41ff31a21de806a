"""Alarms: which limits were not held, from when to when, and who has seen it."""

from __future__ import annotations

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from eigerwatch.store import keys
from eigerwatch.store.client import Client, translated
from eigerwatch.store.info import json_of, text_of

LENGTH = 4000
"""Entries kept in the stream, roughly; an alarm takes three or four."""
KEPT = 500
"""Alarms kept at hand; the oldest go."""
READ = 1000
"""Entries read at a time."""
TEXT_LIMIT = 2000
"""Longest text kept [characters]."""

Entry = dict[str, str]
"""Fields of one entry, all text."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is wrong."""

    name: str
    """Of the limit, e.g. ``CV``; ``source`` where no frames come."""
    text: str
    """One sentence with the figures as it began."""
    since_ms: int
    """When it began, UTC epoch [ms]."""
    value: float | None = None
    """As it began [%]."""
    limit: float | None = None
    """[%]"""
    worst: float | None = None
    """The largest value; told when the alarm ends [%]."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody has seen it."""

    ms: int
    """UTC epoch [ms]."""
    author: str
    comment: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """A time during which something was wrong."""

    id: str
    series: str | None
    channel: str | None
    decision: str
    began_ms: int
    """UTC epoch [ms]."""
    reasons: tuple[Reason, ...]
    """In the order in which they began."""
    ended_ms: int | None = None
    """None: it lasts."""
    ending: str = ""
    """Why it ended, one sentence."""
    acknowledgements: tuple[Acknowledgement, ...] = ()
    """Also those from before another reason came, oldest first."""
    acknowledged: bool = False
    """Somebody has seen all of its reasons."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON."""
        return asdict(self)


@dataclass(slots=True)
class AlarmBook:
    """Alarms as the entries of the stream tell them; pure."""

    version: int = 0
    """Grows with every change."""
    _alarms: OrderedDict[str, Alarm] = field(default_factory=OrderedDict)
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    @property
    def newest_first(self) -> list[Alarm]:
        """All alarms that are known."""
        return list(reversed(self._alarms.values()))

    @property
    def lasting(self) -> Alarm | None:
        """The newest alarm, if it has not ended."""
        newest = next(reversed(self._alarms.values()), None)
        return newest if newest and newest.ended_ms is None else None

    @property
    def unseen(self) -> int:
        """How many have ended before anybody acknowledged them."""
        known = self._alarms.values()
        return sum(one.ended_ms is not None and not one.acknowledged for one in known)

    def find(self, alarm: str) -> Alarm | None:
        """Return an alarm by its id."""
        return self._alarms.get(alarm)

    def take(self, entry: Mapping[str, str]) -> None:
        """Take an entry in; one that was taken before, or makes no sense, is left."""
        number = entry.get("id", "")
        if not number or number in self._seen:
            return
        self._seen[number] = None
        while len(self._seen) > 2 * LENGTH:
            self._seen.popitem(last=False)
        if entry.get("kind") == "begin":
            made = _begun(entry)
        else:
            known = self._alarms.get(entry.get("alarm", ""))
            made = known and _changed(known, entry)
        if made is None:
            return
        self._alarms[made.id] = made
        while len(self._alarms) > KEPT:
            self._alarms.popitem(last=False)
        self.version += 1


class Alarms:
    """The stream of what happened to alarms; may be shared by threads.

    Parameters
    ----------
    client
        Connection pool of `client.connect`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def append(self, entry: Entry) -> None:
        """Write an entry.

        Raises
        ------
        StoreError
            Redis is away or refuses.
        """
        with translated():
            self._client.xadd(keys.ALARMS, dict(entry), maxlen=LENGTH, approximate=True)

    def read(self, after: str | None = None) -> list[tuple[str, Entry]]:
        """Return position and fields of the entries after a position.

        Raises
        ------
        StoreError
            Redis is away or refuses.
        """
        start = "-" if after is None else f"({after}"
        found: list[tuple[str, Entry]] = []
        while True:
            with translated():
                raw = self._client.xrange(keys.ALARMS, min=start, count=READ)
            found += [(position.decode(), text_of(said)) for position, said in raw]
            if len(raw) < READ:
                return found
            start = f"({found[-1][0]}"


def entry_begin(
    series: str | None,
    channel: str | None,
    decision: str,
    reasons: Iterable[Reason],
    ms: int,
) -> Entry:
    """Return the entry that begins an alarm."""
    return {
        **_entry("begin", f"{ms}-{secrets.token_hex(4)}", ms),
        "series": series or "",
        "channel": channel or "",
        "decision": decision,
        "reasons": _dumped(reasons),
    }


def entry_reasons(alarm: str, reasons: Iterable[Reason], ms: int) -> Entry:
    """Return the entry that adds reasons to an alarm, which is new again by that."""
    return {**_entry("reasons", alarm, ms), "reasons": _dumped(reasons)}


def entry_acknowledge(alarm: str, author: str, comment: str) -> Entry:
    """Return the entry by which somebody has seen an alarm."""
    return {
        **_entry("acknowledge", alarm, time.time_ns() // 1_000_000),
        "author": author[:200],
        "comment": comment[:TEXT_LIMIT],
    }


def entry_end(alarm: str, text: str, worst: Mapping[str, float], ms: int) -> Entry:
    """Return the entry that ends an alarm.

    Parameters
    ----------
    worst
        Largest value of each reason that has one [%].
    """
    return {
        **_entry("end", alarm, ms),
        "text": text[:TEXT_LIMIT],
        "worst": json.dumps(dict(worst), allow_nan=False),
    }


def _entry(kind: str, alarm: str, ms: int) -> Entry:
    return {
        "id": secrets.token_hex(8),
        "kind": kind,
        "alarm": alarm,
        "ms": str(ms),
    }


def _dumped(reasons: Iterable[Reason]) -> str:
    told = [asdict(replace(r, text=r.text[:TEXT_LIMIT])) for r in reasons]
    return json.dumps(told, allow_nan=False)


def _begun(entry: Mapping[str, str]) -> Alarm | None:
    ms, reasons = _number(entry.get("ms")), _reasons(entry)
    if ms is None or not entry.get("alarm") or not reasons:
        return None
    return Alarm(
        id=entry["alarm"],
        series=entry.get("series") or None,
        channel=entry.get("channel") or None,
        decision=entry.get("decision", ""),
        began_ms=ms,
        reasons=reasons,
    )


def _changed(alarm: Alarm, entry: Mapping[str, str]) -> Alarm | None:
    ms, kind = _number(entry.get("ms")), entry.get("kind")
    if ms is None:
        return None
    if kind == "acknowledge":
        said = Acknowledgement(ms, entry.get("author", ""), entry.get("comment", ""))
        told = (*alarm.acknowledgements, said)
        return replace(alarm, acknowledgements=told, acknowledged=True)
    if alarm.ended_ms is not None:
        return None
    if kind == "reasons" and (added := _reasons(entry)):
        names = {reason.name for reason in added}
        kept = tuple(r for r in alarm.reasons if r.name not in names)
        return replace(alarm, reasons=kept + added, acknowledged=False)
    if kind == "end":
        worst = json_of(entry.get("worst"), dict) or {}
        reasons = tuple(
            replace(r, worst=_finite(worst.get(r.name))) for r in alarm.reasons
        )
        return replace(
            alarm, reasons=reasons, ended_ms=ms, ending=entry.get("text", "")
        )
    return None


def _reasons(entry: Mapping[str, str]) -> tuple[Reason, ...]:
    found = []
    for said in json_of(entry.get("reasons"), list) or []:
        if not isinstance(said, dict):
            continue
        since_ms = said.get("since_ms")
        if isinstance(since_ms, int) and said.get("name"):
            found.append(
                Reason(
                    name=str(said["name"]),
                    text=str(said.get("text", "")),
                    since_ms=since_ms,
                    value=_finite(said.get("value")),
                    limit=_finite(said.get("limit")),
                )
            )
    return tuple(found)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 16 else None


def _finite(value: object) -> float | None:
    # JSON's own numbers may be Infinity or NaN, which our answers may not hold.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None
