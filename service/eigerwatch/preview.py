"""Small pictures of single images: binned, on a logarithmic scale, as PNG."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
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
_BETWEEN = (0.01, 0.999)
"""Parts of the squares that are darker than black, and than white."""
_SAMPLED = 50_000
_FAST = 1
"""zlib's level: a preview a second shall cost no core."""


def make_preview(
    image: Image, pixel_filter: PixelFilter, facts: dict[str, Any]
) -> bytes:
    """Return a picture of one image.

    Brightness grows with the logarithm of the mean of a square's kept pixels, between
    those of the darkest and the brightest squares; squares without a kept pixel are
    transparent.

    Parameters
    ----------
    image
        Compressed (y, x) image.
    pixel_filter
        Limits and mask.
    facts
        Ready for JSON; go into the PNG's text `FACTS` together with ``shape``,
        ``factor`` (pixels per square and axis), ``darkest`` and ``brightest`` (means
        [counts per pixel] that black and white stand for).

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
    there = kept > 0
    mean = sums / np.maximum(kept, 1).astype(np.float32)
    darkest, brightest = _range(mean[there])
    # One count in a whole square is the smallest step there is.
    levels = np.log1p(mean * factor**2, dtype=np.float32)
    black, white = math.log1p(darkest * factor**2), math.log1p(brightest * factor**2)
    levels -= black
    levels *= (LEVELS - 1) / max(white - black, 1e-6)
    index = np.clip(levels, 0, LEVELS - 1).astype(np.uint8) + 1
    index[~there] = 0
    picture = Picture.fromarray(index, "P")
    picture.putpalette(_PALETTE)
    text = PngInfo()
    shown = {
        "shape": image.shape,
        "factor": factor,
        "darkest": darkest,
        "brightest": brightest,
    }
    text.add_text(FACTS, json.dumps({**facts, **shown}, allow_nan=False))
    out = io.BytesIO()
    picture.save(out, "PNG", transparency=0, pnginfo=text, compress_level=_FAST)
    return out.getvalue()


def _range(means: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return the means for black and white: nearly all squares lie between."""
    if means.size == 0:
        return 0.0, 0.0
    sample = means[:: 1 + means.size // _SAMPLED]
    darkest, brightest = np.quantile(sample, _BETWEEN).tolist()
    return darkest, brightest
