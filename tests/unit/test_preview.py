from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from kernel_cases import BSLZ4, bitmap, encode, image
from PIL import Image as Picture

from eigerwatch.errors import KernelError
from eigerwatch.model import Encoding, Image, PixelFilter
from eigerwatch.preview import FACTS, LONGEST_SIDE, make_preview


def pixels_of(png: bytes) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Return (y, x, 4) of red, green, blue, alpha, and the facts."""
    with Picture.open(io.BytesIO(png)) as picture:
        facts = json.loads(picture.info[FACTS])
        return np.asarray(picture.convert("RGBA")), facts


def packed(values: np.ndarray[Any, Any]) -> Image:
    payload = encode(values, BSLZ4)
    shape = (values.shape[0], values.shape[1])
    return Image("image", Encoding.BSLZ4, values.dtype, shape, payload)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_brightness_is_the_logarithm_of_the_mean(dtype: str) -> None:
    values = np.zeros((64, 96), dtype)
    values[:, 32:64] = 9
    values[:, 64:] = 99
    picture, facts = pixels_of(make_preview(packed(values), PixelFilter(0, 254), {}))
    assert picture.shape == (64, 96, 4)
    assert (picture[..., 3] == 255).all()
    grey = picture[0, [0, 40, 80], 0].tolist()
    assert grey == [0, 127, 254]
    assert facts == {
        "shape": [64, 96],
        "factor": 1,
        "darkest": 0.0,
        "brightest": 99.0,
    }


def test_a_few_squares_do_not_make_the_rest_dark() -> None:
    values = image("uint16", (200, 200), 10.0, module=(200, 200))
    values[100, 100] = 4000
    picture, facts = pixels_of(make_preview(packed(values), PixelFilter(0, 4500), {}))
    assert 18 <= facts["brightest"] <= 25
    assert picture[100, 100, 0] == 254
    assert 90 <= np.median(picture[..., 0]) <= 180


def test_what_is_not_kept_is_transparent() -> None:
    values = image("uint16", (130, 140), 2.0, module=(60, 60), gap=(8, 8))
    used = np.ones(values.shape, bool)
    used[10:20, 10:20] = False
    values[0, 0] = 5000
    mask = bitmap(used)
    png = make_preview(packed(values), PixelFilter(0, 4500, mask=mask), {})
    picture, _ = pixels_of(png)
    kept = used & (values <= 4500)
    assert np.array_equal(picture[..., 3] == 255, kept)


def test_large_images_are_binned() -> None:
    """2162 x 2068 in squares of 3; a square has a mean if one of its pixels has."""
    values = image("uint16", (2162, 2068), 0.36)
    facts = {"image_id": 7}
    picture, told = pixels_of(make_preview(packed(values), PixelFilter(0, 9), facts))
    assert picture.shape[:2] == (721, 690)
    assert max(picture.shape) <= LONGEST_SIDE
    assert (told["image_id"], told["factor"]) == (7, 3)
    gaps = values == 65535
    padded = np.pad(gaps, ((0, 1), (0, 2)), constant_values=True)
    empty = padded.reshape(721, 3, 690, 3).all(axis=(1, 3))
    assert np.array_equal(picture[..., 3] == 0, empty)
    assert told["darkest"] < 0.36 < told["brightest"]


def test_an_image_without_counts_is_black() -> None:
    values = np.zeros((8, 8), np.uint16)
    picture, facts = pixels_of(make_preview(packed(values), PixelFilter(0, 9), {}))
    assert set(picture[..., 0].flat) == {0}
    assert facts["brightest"] == 0.0
    nothing, _ = pixels_of(make_preview(packed(values), PixelFilter(1, 9), {}))
    assert set(nothing[..., 3].flat) == {0}


def test_a_corrupt_image_has_no_preview() -> None:
    broken = packed(np.ones((64, 64), np.uint16))
    broken.payload = bytes(broken.payload)[:-1]  # type: ignore[arg-type]
    with pytest.raises(KernelError):
        make_preview(broken, PixelFilter(0, 9), {})
