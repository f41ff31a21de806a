"""Opens the store for reading as the settings say."""

from __future__ import annotations

from eigerwatch.config import Settings
from eigerwatch.store.client import connect
from eigerwatch.store.read import Reader


def open_reader(settings: Settings, store_url: str) -> Reader:
    """Return a reader of the Redis server in use and of the archive beside it."""
    return Reader(connect(store_url), settings.archive_dir, settings.store.max_frames)
