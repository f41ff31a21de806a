"""Sends queued batches to Redis, through all that may befall a server."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import redis
import structlog

from eigerwatch.model import EventKind
from eigerwatch.store import keys, lifetime
from eigerwatch.store.backlog import (
    Backlog,
    rows_by_series,
    without_records,
    without_rows,
)
from eigerwatch.store.client import Client, connect, explain, is_curable
from eigerwatch.store.commands import OPENED, WORD_BYTES, Batch, Builder
from eigerwatch.store.losses import Losses
from eigerwatch.store.spool import Command
from eigerwatch.store.timeseries import Mirror

log = structlog.get_logger()

OPERATIONS = 200
"""Flushes joined into one batch when a lost series is written again."""
BACKOFF_S = 0.25
"""Pause after a failed attempt."""
CHECK_S = 1.0
"""Time between two looks whether the live series are still there."""
REFRESH_S = 60.0
"""Time between two renewals of the TTL."""
RESEND_S = 5.0
"""A restarted server is sent again what it acknowledged in this time: with
appendfsync everysec it may have lost the last second in a power cut."""
RESEND_BYTES = 32 * 2**20
ATTEMPTS = 5
"""A batch that the server calls wrong this often is given up."""


class Sender:
    """One connection, used by the writer's thread only.

    Parameters
    ----------
    url
        The server.
    ttl_ms
        Life of a key after its last write.
    backlog
        What is to be sent, in order.
    builder
        Knows the live series and can write them again.
    losses
        Counts what cannot be kept.
    event
        Enqueues an event about a series.
    """

    def __init__(
        self,
        url: str,
        ttl_ms: int,
        backlog: Backlog,
        builder: Builder,
        losses: Losses,
        event: Callable[[str, EventKind, Mapping[str, str]], None],
    ) -> None:
        self._client = connect(url, retries=0, on_connect=self._met)
        self._ttl_ms = ttl_ms
        self._builder = builder
        self._losses = losses
        self._event = event
        self._mirror: Mirror | None = None
        self._new_connection = True
        self._run_id: str | None = None
        self._recent: deque[tuple[float, list[Command], int]] = deque()
        self._attempts = 0
        self._refresh_s = min(REFRESH_S, ttl_ms / 3000)
        self._check_at = 0.0
        self._refresh_at = time.monotonic() + self._refresh_s
        self.backlog = backlog
        self.connected = False
        """The last exchange with Redis went well."""
        self.answered: float | None = None
        """When Redis answered last, monotonic clock [s]."""
        self.error: str | None = None
        """One sentence with its cure."""
        self.refresh: set[str] = set()
        """Series whose TTL is to be renewed now."""
        self.previews: dict[str, bytes] = {}
        """Key to newest preview image; replaced as a whole when taken."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def keep(self, batch: Batch) -> None:
        """Queue a batch; what finds no room is counted."""
        try:
            kept = self.backlog.put(batch)
            trouble = (
                f"the spool is full ({self.backlog.spool.limit_mb} MB): records are "
                "lost until Redis answers; start it or raise store.spool_mb"
            )
        except OSError as exc:
            kept, trouble = False, disk_trouble(exc)
        if not kept:
            for key, records in rows_by_series(batch.commands).items():
                self._losses.lose(key, records)
            self.error = trouble
            # States, events and which frames there were are small and matter more.
            rest = without_records(batch.commands)
            try:
                kept = self.backlog.spool.append(rest, reserve=True)
            except OSError:
                kept = False
            if not kept:
                entries = sum(words[0] in (b"HSET", b"XADD") for words in rest)
                self._losses.lose("", 0, entries)

    def send_oldest(self) -> bool:
        """Send the oldest batch; False when Redis did not take it."""
        try:
            if self._new_connection or not self.connected:
                self._greet()
        except (redis.RedisError, OSError) as exc:
            return self._failed(exc)
        try:
            batch = self.backlog.peek()
        except OSError as exc:
            self.error = f"the spool cannot be read ({exc.strerror}): check its disk"
            return False
        while self.backlog.spool.damaged:
            self._losses.warn(self.backlog.spool.damaged.pop(0))
        if batch is None:
            return True
        try:
            results = self._execute(batch)
        except (redis.RedisError, OSError) as exc:
            return self._refused(exc, batch)
        self._answer()
        self._attempts = 0
        wrong = [
            (words, result)
            for words, result in zip(batch, results, strict=True)
            if isinstance(result, Exception)
        ]
        self.backlog.pop()
        if wrong:
            self._give_up([words for words, _ in wrong], wrong[0][1])
        elif not self.backlog:
            self.error = self._builder.trouble
        self._remember(batch)
        self._extras(batch)
        return True

    def _execute(self, batch: list[Command]) -> list[Any]:
        with self._client.pipeline(transaction=True) as pipe:
            for words in batch:
                pipe.execute_command(*words)
            results: list[Any] = pipe.execute(raise_on_error=False)
        return results

    def _refused(self, exc: Exception, batch: list[Command]) -> bool:
        self._failed(exc)
        if not is_curable(exc):
            self._attempts += 1
            if self._attempts >= ATTEMPTS:
                self._attempts = 0
                self.backlog.pop()
                self._give_up(batch, exc)
        return False

    def _give_up(self, wrong: list[Command], exc: BaseException) -> None:
        """Go on without commands that can never be carried out."""
        undo = Batch()
        for words in wrong:
            for key, records in rows_by_series([words]).items():
                self._losses.lose(key, records)
            if not_stored := without_rows(words):
                key, command = not_stored
                self._losses.lose(key, len(command[3]))
                undo.commands.append(command)
        if undo.commands:
            self.keep(undo)
        name = wrong[0][1].decode("utf-8", "replace") if len(wrong[0]) > 1 else ""
        self.error = f"{explain(exc)} (key {name})"
        self._losses.warn(self.error)

    def _failed(self, exc: BaseException) -> bool:
        self.error = explain(exc)
        if self.connected:
            log.warning("storing late", cause=self.error)
        self.connected = False
        return False

    def _answer(self) -> None:
        self.connected = True
        self.answered = time.monotonic()

    def _met(self) -> None:
        """Note that redis-py made a new connection, maybe to a restarted server."""
        self._new_connection = True

    def _greet(self) -> None:
        """Meet the server after a break; what it may have lost is queued again."""
        # A connection from before the break may be half dead.
        self._client.connection_pool.disconnect()
        run_id = _run_id(self._client)
        again = run_id is not None and self._run_id not in (None, run_id)
        if run_id is not None:
            self._run_id = run_id
        self._new_connection = False
        self._mirror = Mirror(self._ttl_ms) if Mirror.available(self._client) else None
        self._answer()
        self._check_at = 0.0
        if again and self._recent:
            log.info("server restarted", resent_batches=len(self._recent))
            self.backlog.put_back([commands for _, commands, _ in self._recent])
            self._recent.clear()

    def _remember(self, batch: list[Command]) -> None:
        now = time.monotonic()
        size = sum(len(word) + WORD_BYTES for words in batch for word in words)
        self._recent.append((now, batch, size))
        total = sum(entry[2] for entry in self._recent)
        while self._recent and (
            self._recent[0][0] < now - RESEND_S or total > RESEND_BYTES
        ):
            total -= self._recent.popleft()[2]

    def _extras(self, batch: list[Command]) -> None:
        """Write what may be missed: previews and the mirror."""
        try:
            self._write_previews()
            if self._mirror is not None:
                self._mirror.add(self._client, batch)
        except redis.RedisError as exc:
            self._failed(exc)

    def _write_previews(self) -> None:
        previews, self.previews = self.previews, {}
        for name, image in list(previews.items()):
            self._client.set(name, image, px=self._ttl_ms)

    def maintain(self) -> bool:
        """Do what is due when nothing waits; False when Redis is away."""
        now = time.monotonic()
        due = now >= min(self._check_at, self._refresh_at)
        if not (due or self.refresh or self.previews or self._new_connection):
            return True
        try:
            if self._new_connection or not self.connected:
                self._greet()
                if self.backlog:
                    return True
            self._write_previews()
            if now >= self._check_at:
                self._check_at = now + CHECK_S
                self._look_after_live_series()
                self._declare_lost()
            if now >= self._refresh_at:
                self._refresh_at = now + self._refresh_s
                self.refresh.update(self._live())
            while self.refresh:
                key = next(iter(self.refresh))
                series = self._builder.series.get(key)
                channels = () if series is None else tuple(series.channels)
                lifetime.refresh(self._client, key, self._ttl_ms, channels)
                self.refresh.discard(key)
                if self._mirror is not None and series is not None and series.closed:
                    self._mirror.forget(key)
        except (redis.RedisError, OSError) as exc:
            return self._failed(exc)
        self._answer()
        self.error = self._builder.trouble
        return True

    def _live(self) -> list[str]:
        return [k for k, s in self._builder.series.items() if not s.closed and s.opened]

    def _look_after_live_series(self) -> None:
        live = self._live()
        pipe = self._client.pipeline(transaction=False)
        pipe.ping()
        asked: list[tuple[str, str]] = []
        for key in live:
            pipe.hmget(keys.meta(key), OPENED, "pinned")
            for name, channel in self._builder.series[key].channels.items():
                if channel.maybe_rejected:
                    asked.append((key, name))
        for key, name in asked:
            pipe.hlen(keys.rejected(key, name))
        answers = pipe.execute(raise_on_error=False)[1:]
        for key, answer in zip(live, answers, strict=False):
            if isinstance(answer, Exception):
                continue
            series = self._builder.series[key]
            opened, pinned = answer
            if series.pinned != (pinned == b"1"):
                series.pinned = pinned == b"1"
                self.refresh.add(key)
            if opened != series.opened:
                self._write_again(key)
        for (key, name), count in zip(asked, answers[len(live) :], strict=True):
            channel = self._builder.series[key].channels[name]
            channel.maybe_rejected = count != 0 or bool(channel.memory.rejected)

    def _write_again(self, key: str) -> None:
        held, written = self._builder.memory_of(key)
        text = (
            f"the server lost the series {key} (FLUSHALL, or a restart without its "
            f"data): {held} of {written} frames are written again"
        )
        self._losses.warn(text)
        known = self._builder.again(key)
        self.keep(self._builder.rewrite_meta(key))
        for start in range(0, len(known), OPERATIONS):
            self.keep(self._builder.build(known[start : start + OPERATIONS]))
        self._event(key, EventKind.ALARM, {"reason": "store_lost", "text": text})

    def _declare_lost(self) -> None:
        for key, (records, entries) in self._losses.take().items():
            others = f"{entries} events, states or counts"
            what = f"{records} records" if records or not entries else others
            if records and entries:
                what += f" and {others}"
            text = f"{what} of {key} could not be kept and are lost"
            self._losses.warn(text)
            self._event(key, EventKind.ALARM, {"reason": "lost", "text": text})


def _run_id(client: Client) -> str | None:
    try:
        return str(client.info("server").get("run_id"))
    except redis.ResponseError:  # NOPERM
        client.ping()
        return None


def disk_trouble(exc: OSError) -> str:
    """Return one sentence about a spool that cannot be written."""
    return (
        f"the spool cannot be written ({exc.strerror}): records are lost until Redis "
        "answers; free disk space or change store.data_dir"
    )
