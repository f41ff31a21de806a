"""A drawn run in a memory store, with the modules of its detector."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from memory_store import MemoryStore
from scenarios import Scenario

from eigerwatch.model import REGION_ROW


def modules(drawn: Scenario) -> list[dict[str, Any]]:
    """Return what the settings say of the modules of a 16M."""
    return [
        {
            "name": f"module_{k + 1}",
            "kind": "rectangle",
            "module": True,
            "pixels": 512 * 1028,
            "y": [514 * (k // 4), 514 * (k // 4) + 512],
            "x": [1040 * (k % 4), 1040 * (k % 4) + 1028],
        }
        for k in range(drawn.regions.shape[1])
    ]


def store_scenario(
    store: MemoryStore, key: str, drawn: Scenario, **fields: Any
) -> None:
    """Store a run as a series with these fields."""
    versions = [{"number": 0, "regions": modules(drawn)}]
    store.open(
        key,
        frame_time_s=drawn.frame_time_s,
        meta={"stream": "v2", "settings": json.dumps(versions)},
        **fields,
    )
    store.append(key, drawn.totals)
    rows = np.zeros(drawn.regions.shape, REGION_ROW)
    rows["total"] = drawn.regions
    rows["kept"], rows["sentinel"] = drawn.region_kept, drawn.region_sentinel
    store.show(key, rows)
