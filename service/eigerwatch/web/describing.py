"""Store types to the answers of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eigerwatch.analysis.shot_noise import shot_noise
from eigerwatch.analysis.statistics import Description
from eigerwatch.store.events import StoredEvent
from eigerwatch.store.info import Ledger, SeriesInfo
from eigerwatch.web import schemas
from eigerwatch.web.messages import event_dict
from eigerwatch.web.watch import Situation, Watch, plain


def series(info: SeriesInfo, watch: Watch) -> schemas.Series:
    """Return a series in short."""
    return schemas.Series(**_short(info, watch))


def series_detail(info: SeriesInfo, watch: Watch) -> schemas.SeriesDetail:
    """Return everything known about a series."""
    return schemas.SeriesDetail(
        **_short(info, watch),
        serial=info.serial,
        shape=list(info.shape) if info.shape else None,
        dtype=str(info.dtype) if info.dtype is not None else None,
        frame_time_s=plain(info.frame_time_s),
        count_time_s=plain(info.count_time_s),
        filter_low=info.filter_low,
        filter_high=info.filter_high,
        end_seen=info.end_seen,
        header_missing=info.header_missing,
        ledgers={name: _ledger(ledger) for name, ledger in info.ledgers.items()},
        meta=dict(info.meta),
    )


def _short(info: SeriesInfo, watch: Watch) -> dict[str, Any]:
    judgement = watch.judge(info)
    channels = list(info.channels or info.ledgers)
    ledgers = info.ledgers.values()
    first = info.ledgers.get(channels[0]) if channels else None
    return {
        "series": info.key,
        "source": info.source,
        "series_id": info.series_id,
        "series_unique_id": info.series_unique_id,
        "state": judgement.state,
        "state_text": judgement.text,
        "channels": channels,
        "frames": max((ledger.highest + 1 for ledger in ledgers), default=0),
        "stored": first.stored if first else 0,
        "number_of_images": info.number_of_images,
        "detector": info.detector,
        "started_ms": info.started_ms,
        "last_write_ms": info.last_write_ms,
        "ended_ms": info.ended_ms,
        "age_s": watch.silence_s(info),
        "pinned": info.pinned,
        "archived": info.archived,
        "origin": info.origin,
    }


def _ledger(ledger: Ledger) -> schemas.Ledger:
    return schemas.Ledger(
        stored=ledger.stored,
        rejected=ledger.rejected,
        outstanding=ledger.outstanding,
        missing=ledger.missing,
        frames=ledger.highest + 1,
        late=ledger.late,
        duplicates=ledger.duplicates,
        conflicts=ledger.conflicts,
    )


def statistics(
    series_key: str,
    channel: str,
    scope: str,
    description: Description,
    region: str | None = None,
) -> schemas.Statistics:
    """Return the statistics of a selection."""
    content = description.as_dict()
    first, last = content["first"], content["last"]
    return schemas.Statistics(
        series=series_key,
        channel=channel,
        region=region,
        scope=scope,
        first=None if first is None else round(first),
        newest=None if last is None else round(last),
        raw=content["raw"],
        detrended=content["detrended"],
        slope=content["slope"],
        drift_percent=content["drift_percent"],
        shot_noise=schemas.ShotNoise(**shot_noise(description.detrended).as_dict()),
    )


def events(series_key: str, found: list[StoredEvent]) -> schemas.Events:
    """Return the events of a series."""
    return schemas.Events(
        series=series_key,
        events=[schemas.Event(**event_dict(event)) for event in found],
    )


def status(
    situation: Situation, message: Mapping[str, Any], n_clients: int
) -> schemas.Status:
    """Return what the source, the consumer and the store are doing.

    Parameters
    ----------
    message
        The ``state`` message of the live protocol.
    """
    owner = plain(situation.owner or {})
    return schemas.Status(
        source=message["source"],
        text=message["text"],
        since_ms=message["since"],
        now_ms=message["now"],
        series=message["series"],
        others=message["others"],
        ledgers=message["ledgers"],
        consumer=schemas.Consumer(
            **message["consumer"],
            **{name: owner.get(name) for name in ("owner", "host", "pid", "since_ms")},
        ),
        store=message["store"],
        beam=message["beam"],
        alarms=message["alarms"],
        files=message["files"],
        clients=n_clients,
    )
