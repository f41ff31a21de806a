"""The stored series and the running service, told on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from eigerwatch.app import running_store
from eigerwatch.config import Settings
from eigerwatch.log import printable
from eigerwatch.reading import open_reader
from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.read import Reader


@contextmanager
def opened(settings: Settings) -> Iterator[Reader]:
    """Yield a reader of the store in the settings."""
    with running_store(settings) as store_url:
        yield open_reader(settings, store_url)


def series_dict(info: SeriesInfo) -> dict[str, Any]:
    """Return what `list --json` says of one series."""
    return {
        "series": info.key,
        "source": info.source,
        "state": info.state,
        "series_id": info.series_id,
        "started_ms": info.started_ms,
        "number_of_images": info.number_of_images,
        "channels": {
            channel: {
                "stored": ledger.stored,
                "rejected": ledger.rejected,
                "outstanding": ledger.outstanding,
                "missing": ledger.missing,
            }
            for channel, ledger in info.ledgers.items()
        },
        "archived": info.archived,
        "pinned": info.pinned,
    }


def print_series(found: list[SeriesInfo]) -> None:
    """Print a table of series, one line per channel."""
    console = Console(highlight=False)
    if not found:
        console.print("no series stored yet")
        return
    table = Table("started (UTC)", "series", "state", box=None, pad_edge=False)
    for name in ("stored", "missing", "rejected"):
        table.add_column(name, justify="right")
    for info in found:
        started = datetime.fromtimestamp((info.started_ms or 0) / 1000, UTC)
        for channel, ledger in info.ledgers.items() or [("", None)]:
            label = info.key if len(info.ledgers) < 2 else f"{info.key} {channel}"
            counts = (
                (ledger.stored, ledger.missing + ledger.outstanding, ledger.rejected)
                if ledger
                else (0, 0, 0)
            )
            table.add_row(
                f"{started:%Y-%m-%d %H:%M:%S}",
                printable(label).replace("[", r"\["),
                info.state + (" (archived)" if info.archived else ""),
                *(str(count) for count in counts),
            )
    console.print(table)


def print_owner(owner: dict[str, Any] | None) -> None:
    """Print what the running service says about itself."""
    console = Console(highlight=False, soft_wrap=True)
    if owner is None:
        console.print("no service is running on this store")
        return
    status = owner.get("status") or {}
    age_s = time.time() - (owner.get("beat_ms") or 0) / 1000
    console.print(
        f"service on {owner.get('host')}, process {owner.get('pid')}, "
        f"last sign of life {age_s:.0f} s ago, kernel {status.get('kernel')}, "
        f"{status.get('threads')} threads, {status.get('images_reduced')} images",
        markup=False,
    )
    for name, source in (status.get("sources") or {}).items():
        link = "connected" if source.get("connected") else "not connected"
        console.print(
            f"{name}: {source.get('endpoint')} {link}, {source.get('state')}, "
            f"series {source.get('series') or '-'}",
            markup=False,
        )
    writer = status.get("writer") or {}
    if writer.get("last_error"):
        console.print(f"storing late: {writer['last_error']}", markup=False)
    for kind, count in (status.get("rejected_messages") or {}).items():
        console.print(f"rejected messages, {kind}: {count}", markup=False)
