"""Writes what is known about the series that were sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from eigersim.push import Outcome
from eigersim.source import Series


def write_truth(folder: Path, series: Series, outcome: Outcome, stream: str) -> None:
    """Write ``series_<n>.npy`` and ``series_<n>.json`` into `folder`.

    The array holds the exact totals, uint64, indexed by image_id, up to the last frame
    that was tried. Where frames were dropped ``series_<n>.sent.npy`` tells which went
    out; with several channels each has an array ``series_<n>.<channel>.npy`` and the
    plain one is the first channel's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    a = series.acquisition
    name = f"series_{a.series_id}"
    tried = 1 + max([*outcome.sent[-1:], *outcome.dropped[-1:]], default=-1)
    for i, (channel, totals) in enumerate(series.totals.items()):
        if i == 0:
            np.save(folder / f"{name}.npy", totals[:tried])
        if len(series.totals) > 1:
            np.save(folder / f"{name}.{channel}.npy", totals[:tried])
    if outcome.dropped:
        sent = np.zeros(tried, bool)
        sent[outcome.sent] = True
        np.save(folder / f"{name}.sent.npy", sent)
    facts: dict[str, Any] = {
        "series_id": a.series_id,
        "series_unique_id": a.series_unique_id,
        "stream": stream,
        "channels": list(a.channels),
        "shape": list(a.shape),
        "dtype": a.dtype.name,
        "frame_time_s": a.frame_time,
        "frames_announced": a.number_of_images,
        "frames_tried": tried,
        "sent": len(outcome.sent),
        "dropped": len(outcome.dropped),
        "late": outcome.late,
        "totals_known": bool(series.totals),
        **series.facts,
    }
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
