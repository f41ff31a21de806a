"""Figures of finished series, kept beside them so that nobody computes them twice."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigerwatch.errors import StoreError
from eigerwatch.store import keys
from eigerwatch.store.archive import Archive, file_name
from eigerwatch.store.client import Client, translated
from eigerwatch.store.info import json_of, text_of

PIPELINED = 200
LARGEST = 64 * 2**10
"""A longer summary is not ours [bytes]."""
SUFFIX = ".summary.json"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list tells of a series."""

    stamp: str
    """What it was made from; unlike now: it holds no longer."""
    content: dict[str, Any]


class Summaries:
    """Reads and writes summaries; may be shared by threads.

    Those of archived series lie beside their files. Where that folder cannot be
    written, they are made again after a restart.
    """

    def __init__(self, client: Client, archive_dir: Path | None = None) -> None:
        self._client = client
        self._folder = archive_dir
        self._archive = Archive(archive_dir) if archive_dir else None

    def read(self, series: Sequence[str]) -> dict[str, Summary]:
        """Return the summaries that there are of these series in Redis."""
        found = {}
        for start in range(0, len(series), PIPELINED):
            part = series[start : start + PIPELINED]
            with translated():
                pipe = self._client.pipeline(transaction=False)
                for key in part:
                    pipe.hgetall(keys.summary(key))
                answers = pipe.execute(raise_on_error=False)
            for key, raw in zip(part, answers, strict=True):
                summary = _summary(text_of(raw)) if isinstance(raw, dict) else None
                if summary is not None:
                    found[key] = summary
        return found

    def read_archived(self, key: str) -> Summary | None:
        """Return the summary of an archived series: the newer one of two places."""
        if self._archive is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            text = self._beside(key).read_text(encoding="utf-8")
            found = _summary(json_of(text[:LARGEST], dict) or {})
            if found is not None:
                return found
        try:
            return _summary(self._archive.hash(key, "summary"))
        except StoreError:
            return None

    def write(self, key: str, summary: Summary) -> None:
        """Keep the summary of a series in Redis for as long as the series lives.

        Nothing is written where Redis does not have it (any more).
        """
        fields = _fields(summary)
        with translated():
            left = int(self._client.pttl(keys.meta(key)))
            if left == -2:  # Redis: no such key
                return
            pipe = self._client.pipeline(transaction=True)
            pipe.hset(keys.summary(key), mapping=dict(fields))
            if left > 0:
                pipe.pexpire(keys.summary(key), left)
            else:
                pipe.persist(keys.summary(key))
            pipe.execute()

    def write_archived(self, key: str, summary: Summary) -> None:
        """Keep the summary of an archived series beside it, if that can be."""
        path = self._beside(key)
        part = path.with_suffix(f".{os.getpid()}.part")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(_fields(summary)), encoding="utf-8")
            part.replace(path)

    def _beside(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / (file_name(key) + SUFFIX)


def _fields(summary: Summary) -> dict[str, str]:
    content = json.dumps(summary.content, allow_nan=False, separators=(",", ":"))
    return {"stamp": summary.stamp, "content": content}


def _summary(fields: dict[str, Any]) -> Summary | None:
    stamp, text = fields.get("stamp"), fields.get("content")
    if not isinstance(stamp, str) or not isinstance(text, str) or len(text) > LARGEST:
        return None
    content = json_of(text, dict)
    return None if content is None else Summary(stamp, content)
