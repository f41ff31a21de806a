"""Small pictures of single images: binned, on a logarithmic scale, as PNG."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from eigerwatch.model import Image, PixelFilter
from eigerwatch.reduce import bin_image

LONGEST_SIDE = 1024
"""A preview has no side longer than this [pixels]."""
LEVELS = 255
"""Grey levels; palette index 0 is none of them but transparent."""
FACTS = "eigerwatch"
"""Name of the PNG's text with what the picture shows, as JSON."""

_PALETTE = [0, 0, 0, *(level for level in range(LEVELS) for _ in range(3))]
_FAST = 1
"""zlib's level: a preview a second shall cost no core."""


def make_preview(
    image: Image, pixel_filter: PixelFilter, facts: dict[str, Any]
) -> bytes:
    """Return a picture of one image.

    Brightness grows with the logarithm of the mean of a square's kept pixels, from
    none to the brightest square; squares without a kept pixel are transparent.

    Parameters
    ----------
    image
        Compressed (y, x) image.
    pixel_filter
        Limits and mask.
    facts
        Ready for JSON; go into the PNG's text `FACTS` together with ``shape``,
        ``factor`` (pixels per square and axis) and ``brightest`` (mean of the
        brightest square [counts per pixel]).

    Returns
    -------
    bytes
        PNG with a palette of greys.

    Raises
    ------
    KernelError
        The payload is corrupt or does not fill the image.
    """
    factor = max(1, -(-max(image.shape) // LONGEST_SIDE))
    sums, kept = bin_image(image, pixel_filter, factor)
    mean = sums / np.maximum(kept, 1).astype(np.float32)
    brightest = float(mean.max(initial=0.0))
    # One count in a whole square is the smallest step there is.
    levels = np.log1p(mean * factor**2, dtype=np.float32)
    levels *= (LEVELS - 1) / max(float(levels.max(initial=0.0)), 1e-6)
    index = levels.astype(np.uint8) + 1
    index[kept == 0] = 0
    picture = Picture.fromarray(index, "P")
    picture.putpalette(_PALETTE)
    text = PngInfo()
    shown = {"shape": image.shape, "factor": factor, "brightest": brightest}
    text.add_text(FACTS, json.dumps({**facts, **shown}, allow_nan=False))
    out = io.BytesIO()
    picture.save(out, "PNG", transparency=0, pnginfo=text, compress_level=_FAST)
    return out.getvalue()
