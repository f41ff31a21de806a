"""A series as the store describes it: its meta fields, written and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from eigerwatch.model import FRAME_RECORD, SeriesStart, SourceKind, SourceState
from eigerwatch.series.ledger import ChannelLedger
from eigerwatch.series.remembered import Remembered, RememberedChannel
from eigerwatch.series.state import Series, SettingsVersion
from eigerwatch.store import keys
from eigerwatch.store.info import SeriesInfo, json_of
from eigerwatch.store.read import Reader

Meta = dict[str, str | int | float]

_RECORD_UNITS = {
    "total": "counts",
    "kept": "pixels",
    "below": "pixels",
    "above": "pixels",
    "sentinel": "pixels",
    "masked": "pixels",
    "max_kept": "counts",
    "start_ns": "ns",
    "real_ns": "ns",
    "received_ns": "ns",
}


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def record_fields() -> str:
    """Return the layout of a row as JSON: name, dtype, offset [bytes] and unit."""
    assert FRAME_RECORD.fields is not None
    described = []
    for name, (dtype, offset, *_) in FRAME_RECORD.fields.items():
        unit = _RECORD_UNITS.get(name, "")
        described.append(
            {"name": name, "dtype": dtype.str, "offset": offset, "unit": unit}
        )
    return _json(described)


def opening_meta(series: Series) -> Meta:
    """Return the meta fields of a series that has just begun."""
    changes = series.selector.changes
    return {
        **({} if changes is None else {"changes": _json(changes)}),
        "v": 1,
        "software": f"eigerwatch {version('eigerwatch')}",
        "source": series.source.value,
        "series_id": series.series_id,
        "series_unique_id": series.series_unique_id or "",
        "started_ms": series.opened_ms,
        "fields": record_fields(),
        **header_meta(series),
        **state_meta(series),
    }


def header_meta(series: Series) -> Meta:
    """Return the fields that come from the header; few where START was missed."""
    start = series.start
    if start is None:
        return {"header_missing": 1}
    meta: Meta = {
        "header_missing": 0,
        "stream": start.stream,
        "header_detail": start.header_detail or "",
        "detector": start.detector or "",
        "serial": start.serial or "",
        "header": _json(start.header),
        "user_data": _json(start.user_data),
        "announced_channels": _json(start.channels),
    }
    optional: dict[str, Any] = {
        "number_of_images": start.number_of_images,
        "frame_time_s": start.frame_time_s,
        "count_time_s": start.count_time_s,
        "saturation_value": start.saturation_value,
        "countrate_cutoff": start.countrate_cutoff,
        "shape": _json(start.shape) if start.shape else None,
        "dtype": start.dtype.name if start.dtype is not None else None,
    }
    meta.update({k: v for k, v in optional.items() if v is not None})
    if series.source is SourceKind.REPLAY:
        meta["origin"] = _json(_origin_of(start))
    return meta


def _origin_of(start: SeriesStart) -> Any:
    """Return what the simulator says about the recording, else the stream's ids."""
    told = start.user_data
    if isinstance(told, Mapping):
        told = told.get("eigersim", told)
    if isinstance(told, Mapping) and "origin" in told:
        return told["origin"]
    return {
        "series_id": start.series_id,
        "series_unique_id": start.series_unique_id,
        "serial": start.serial,
    }


def state_meta(series: Series) -> Meta:
    """Return the fields that change while a series goes on."""
    meta: Meta = {
        "state": series.state.value,
        "end_seen": int(series.end_seen),
        "channels": _json(series.channel_names()),
        "settings": _json([asdict(v) for v in series.settings]),
        "refused": series.refused,
    }
    if series.settings:
        last = series.settings[-1]
        meta["filter"] = _json(
            {"low": last.low, "high": last.high, "high_from": last.high_from}
        )
    if series.time_origin_ns is not None:
        meta["time_origin_ns"] = series.time_origin_ns
    for channel, slots in series.region_slots.items():
        meta[keys.slots_field(channel)] = slots
    return meta


def ledger_counts(ledger: ChannelLedger, highest: int) -> dict[str, int]:
    """Return one channel's ledger as the store keeps it."""
    return {
        "stored": ledger.stored,
        "rejected": ledger.rejected,
        "outstanding": ledger.outstanding(highest),
        "missing": ledger.missing,
        "highest": highest,
        "late": ledger.late,
        "duplicates": ledger.duplicates,
        "conflicts": ledger.conflicts,
        "settled_below": ledger.settled_below,
    }


def _number(meta: Mapping[str, str], name: str, kind: type[Any]) -> Any:
    try:
        return kind(meta[name])
    except (KeyError, ValueError):
        return None


def remembered(info: SeriesInfo, reader: Reader) -> Remembered:
    """Return a stored series in the form in which the tracker takes it up again.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError
        The stored fields are not ours.
    StoreError
        Redis is away, or the series has expired meanwhile.
    """
    meta = info.meta
    channels = {
        channel: RememberedChannel(
            ok=reader.stored(info.key, channel).tobytes(),
            rejected=tuple(reader.rejected(info.key, channel)),
            settled_below=ledger.settled_below,
            late=ledger.late,
            duplicates=ledger.duplicates,
            conflicts=ledger.conflicts,
        )
        for channel, ledger in info.ledgers.items()
        if ledger.highest >= 0
    }
    return Remembered(
        key=info.key,
        series_id=int(meta["series_id"]),
        series_unique_id=meta.get("series_unique_id") or None,
        start=_start_of(info, reader) if meta.get("header_missing") == "0" else None,
        state=SourceState(meta["state"]),
        end_seen=meta.get("end_seen") == "1",
        opened_ms=_number(meta, "started_ms", int) or 0,
        time_origin_ns=_number(meta, "time_origin_ns", int),
        refused=_number(meta, "refused", int) or 0,
        channels=channels,
        settings=tuple(map(_version_of, json.loads(meta.get("settings", "[]")))),
        region_slots={
            channel: int(meta[keys.slots_field(channel)])
            for channel in channels
            if keys.slots_field(channel) in meta
        },
        changes=json_of(meta.get("changes"), dict),
    )


def _version_of(stored: Mapping[str, Any]) -> SettingsVersion:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
    }
    return SettingsVersion(**fields)


def _start_of(info: SeriesInfo, reader: Reader) -> SeriesStart:
    meta = info.meta
    masks = {
        channel: mask
        for channel in info.channels
        if (mask := reader.mask(info.key, channel)) is not None
    }
    shape = json.loads(meta.get("shape", "null"))
    dtype = meta.get("dtype")
    return SeriesStart(
        series_id=int(meta["series_id"]),
        series_unique_id=meta.get("series_unique_id") or None,
        channels=tuple(json.loads(meta.get("announced_channels", "[]"))),
        shape=(int(shape[0]), int(shape[1])) if shape else None,
        dtype=np.dtype(dtype) if dtype else None,
        number_of_images=_number(meta, "number_of_images", int),
        frame_time_s=_number(meta, "frame_time_s", float),
        count_time_s=_number(meta, "count_time_s", float),
        detector=meta.get("detector") or None,
        serial=meta.get("serial") or None,
        saturation_value=_number(meta, "saturation_value", int),
        countrate_cutoff=_number(meta, "countrate_cutoff", int),
        header_detail=meta.get("header_detail") or None,
        header=json.loads(meta.get("header", "{}")),
        user_data=json.loads(meta.get("user_data", "null")),
        stream=meta.get("stream", ""),
        pixel_masks=masks,
    )
