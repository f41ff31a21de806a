"""Opens the store for reading as the settings say, and what people write into it."""

from __future__ import annotations

from eigerwatch.config import Settings
from eigerwatch.store.client import connect
from eigerwatch.store.notes import Notes
from eigerwatch.store.read import Reader


def open_reader(settings: Settings, store_url: str) -> Reader:
    """Return a reader of the Redis server in use and of the archive beside it."""
    return Reader(connect(store_url), settings.archive_dir, settings.store.max_frames)


def open_notes(settings: Settings, store_url: str) -> Notes:
    """Return the notes and exclusions of the series, archived ones included."""
    return Notes(connect(store_url), settings.archive_dir)
