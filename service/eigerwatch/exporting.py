"""`eigerwatch export`: a stored series as a file."""

from __future__ import annotations

from pathlib import Path

from eigerwatch.app import running_store
from eigerwatch.config import Settings
from eigerwatch.errors import ConfigError, UnknownSeriesError
from eigerwatch.export.files import prepare_folder, replacing
from eigerwatch.filing import frame_lines, write_series
from eigerwatch.framecache import FrameCache
from eigerwatch.reading import open_notes, open_reader
from eigerwatch.runs import StoredRun
from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.read import Reader

NEXUS = (".nxs", ".h5", ".hdf5")
CSV = ".csv"


def export(settings: Settings, name: str, channel: str | None, output: Path) -> int:
    """Write one channel of a stored series to a file, whose suffix says how.

    Parameters
    ----------
    name
        Key of a series, or ``latest``.
    channel
        None: the series' first.
    output
        ``.nxs``, ``.h5`` or ``.hdf5``: NeXus; ``.csv``: one line per frame.

    Returns
    -------
    int
        Number of frames, missing ones included.

    Raises
    ------
    ConfigError
        There is no such series or channel, or the file cannot be written.
    """
    suffix = output.suffix.lower()
    if suffix not in (*NEXUS, CSV):
        raise ConfigError(
            f"{output}: its suffix says no format; use {', '.join((*NEXUS, CSV))}"
        )
    prepare_folder(output.parent)
    with running_store(settings) as url:
        reader, notes = open_reader(settings, url), open_notes(settings, url)
        info = _found(reader, name)
        channel = _channel(info, channel)
        frames = FrameCache(reader).get(info, channel)
        try:
            with replacing(output) as part:
                if suffix == CSV:
                    lines = frame_lines(reader, frames, info.key, 0, frames.n)
                    with part.open("w", encoding="utf-8", newline="") as file:
                        file.writelines(lines)
                else:
                    events = StoredRun(reader, frames).events(info)
                    write_series(
                        part,
                        reader,
                        notes,
                        info,
                        frames,
                        events,
                        settings.analysis,
                        settings.targets,
                    )
        except OSError as exc:
            raise ConfigError(
                f"{output}: cannot be written ({exc.strerror or exc}); make room, or "
                "choose another --output"
            ) from exc
        return frames.n


def _found(reader: Reader, name: str) -> SeriesInfo:
    if name == "latest":
        newest = reader.series(1)
        if not newest:
            raise ConfigError("no series is stored yet")
        return newest[0]
    try:
        return reader.info(name)
    except UnknownSeriesError as exc:
        raise ConfigError(
            f"{name}: no stored series; `eigerwatch list` shows those, and "
            "`eigerwatch sum` is for master files"
        ) from exc


def _channel(info: SeriesInfo, channel: str | None) -> str:
    channels = list(info.channels or info.ledgers)
    if channel is None and channels:
        return channels[0]
    if channel is None or channel not in channels:
        raise ConfigError(
            f"{info.key} has no channel {channel or ''}; it has "
            f"{', '.join(channels) or 'none yet'}"
        )
    return channel
