"""Commands from the page to the consumer, as entries of one stream."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from eigerwatch.store import keys
from eigerwatch.store.client import Client, translated
from eigerwatch.store.info import text_of

LENGTH = 1000
"""Commands kept, roughly."""
BLOCK_MS = 500
"""Longest single XREAD BLOCK: below every socket deadline."""
ANSWER_KEPT_S = 60
"""How long an answer waits for whoever gave the command [s]."""


@dataclass(frozen=True, slots=True)
class ControlCommand:
    """One command."""

    id: str
    """Position in the stream: what `Control.read` takes as `after`."""
    ms: int
    """When it was given, UTC epoch of the server [ms]."""
    command: str
    fields: dict[str, str]


class Control:
    """The stream of commands; may be shared by threads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def append(self, command: str, fields: Mapping[str, str] | None = None) -> str:
        """Give a command and return its position.

        Raises
        ------
        StoreError
            Redis is away or refuses.
        """
        entry: dict[str | bytes, str] = {"command": command}
        entry.update({n: v for n, v in (fields or {}).items() if n != "command"})
        with translated():
            position: bytes = self._client.xadd(
                keys.CONTROL, dict(entry), maxlen=LENGTH, approximate=True
            )
        return position.decode()

    def newest(self) -> str:
        """Return the position of the newest command, to read what comes after."""
        with translated():
            last = self._client.xrevrange(keys.CONTROL, count=1)
        return last[0][0].decode() if last else "0-0"

    def read(
        self, after: str = "0-0", limit: int = 100, wait_s: float = 0.0
    ) -> list[ControlCommand]:
        """Return the commands after a position, waiting up to `wait_s` <= 0.5 s.

        Raises
        ------
        StoreError
            Redis is away or refuses.
        """
        block = max(1, min(BLOCK_MS, round(1000 * wait_s))) if wait_s > 0 else None
        with translated():
            raw = self._client.xread({keys.CONTROL: after}, count=limit, block=block)
        found = []
        for _, entries in raw or []:
            for position, fields in entries:
                said = text_of(fields or {})
                entry = position.decode()
                found.append(
                    ControlCommand(
                        id=entry,
                        ms=int(entry.partition("-")[0]),
                        command=said.pop("command", ""),
                        fields=said,
                    )
                )
        return found

    def answer(self, command: str, problem: str = "") -> None:
        """Say what became of a command, and strike it off the stream.

        Parameters
        ----------
        command
            Its `id`.
        problem
            Why it was not carried out, one sentence; empty: it was.

        Raises
        ------
        StoreError
            Redis is away or refuses.
        """
        with translated(), self._client.pipeline() as pipe:
            pipe.rpush(keys.answer(command), problem)
            pipe.expire(keys.answer(command), ANSWER_KEPT_S)
            pipe.xdel(keys.CONTROL, command)
            pipe.execute()

    def answered(self, command: str, wait_s: float) -> str | None:
        """Return what became of a command: a problem or ""; None: not known in time.

        Raises
        ------
        StoreError
            Redis is away or refuses.
        """
        deadline = time.monotonic() + wait_s
        while (left_s := deadline - time.monotonic()) > 0:
            block_s = max(0.01, min(BLOCK_MS / 1000, left_s))
            with translated():
                found = self._client.blpop([keys.answer(command)], timeout=block_s)
            if found is not None:
                return str(found[1].decode("utf-8", "replace"))
        return None
