"""What a preview says about itself."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image as Picture

from eigerwatch.store.info import json_of

FACTS = "eigerwatch"
"""Name of the PNG's text with what the picture shows, as JSON."""


@dataclass(frozen=True, slots=True)
class Pictured:
    """Which image a preview shows, and how."""

    covers: tuple[int, int]
    """(y, x) pixels of the image that it covers, a whole number of squares."""
    image_id: int | None
    received_ms: int | None
    """UTC epoch [ms]."""


def read_facts(png: bytes) -> Pictured | None:
    """Return what a preview says, None where it says nothing that makes sense."""
    try:
        with Picture.open(io.BytesIO(png), formats=["PNG"]) as picture:
            facts = json_of(picture.info.get(FACTS), dict) or {}
            width, height = picture.size
    except (OSError, ValueError, SyntaxError):
        return None
    factor = facts.get("factor")
    if not isinstance(factor, int) or not 0 < factor < 2**20:
        return None
    image_id, received = facts.get("image_id"), str(facts.get("received_ns", ""))
    return Pictured(
        (height * factor, width * factor),
        image_id if isinstance(image_id, int) else None,
        int(received) // 10**6 if received.isdecimal() and len(received) < 20 else None,
    )
