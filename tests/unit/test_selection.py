from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eigerwatch import masks
from eigerwatch.config import load_settings
from eigerwatch.errors import ConfigError
from eigerwatch.model import PixelMask, SeriesStart
from eigerwatch.sections import FilterSettings, RegionSettings
from eigerwatch.selection import PixelSelection, Selector

U2 = np.dtype("<u2")
SHAPE = (1062, 1028)
GEOMETRY = {
    "beam_center_x": 500.0,
    "beam_center_y": 500.0,
    "detector_distance": 0.2,
    "pixel_size_x": 7.5e-5,
    "pixel_size_y": 7.5e-5,
    "incident_wavelength": 1.0,
}


def mask_of(*rows: int, shape: tuple[int, int] = SHAPE) -> PixelMask:
    masked = np.zeros(shape, bool)
    masked[list(rows)] = True
    return masks.packed(masked)


def select(
    *,
    channel: str = "threshold_1",
    dtype: np.dtype[Any] = U2,
    shape: tuple[int, int] = SHAPE,
    user: PixelMask | None = None,
    filters: dict[str, Any] | None = None,
    regions: dict[str, Any] | None = None,
    missed: bool = False,
    **header: Any,
) -> PixelSelection:
    selector = Selector(
        FilterSettings.model_validate(filters or {}),
        RegionSettings.model_validate(regions or {}),
        user,
    )
    start = None if missed else SeriesStart(1, **header)
    return selector.select(start, channel, dtype, shape)


def test_by_default_modules_are_summed_and_the_detectors_limits_hold() -> None:
    chosen = select(saturation_value=1000)
    assert (chosen.low, chosen.high, chosen.high_from) == (0, 1000, "saturation_value")
    assert chosen.mask is None
    assert [r["name"] for r in chosen.regions.described] == ["module_1", "module_2"]
    assert chosen.notes == ()


def test_a_missed_header_leaves_modules_and_the_types_limit() -> None:
    chosen = select(missed=True)
    assert (chosen.high, chosen.high_from) == (65533, "dtype")
    assert len(chosen.regions) == 2


def test_a_lower_limit_above_the_detectors_is_told() -> None:
    chosen = select(filters={"low": 2000}, saturation_value=1000)
    assert (chosen.low, chosen.high) == (2000, 2000)
    assert "filter.low = 2000 is above the upper limit 1000" in chosen.notes[0]


def test_masks_of_detector_and_user_are_joined() -> None:
    found = select(user=mask_of(5), pixel_masks={"threshold_1": mask_of(3, 4)})
    assert found.mask == mask_of(3, 4, 5)
    assert found.mask_from == ("detector", "user")
    only_user = select(
        user=mask_of(5),
        pixel_masks={"threshold_1": mask_of(3)},
        filters={"pixel_mask": False},
    )
    assert (only_user.mask, only_user.mask_from) == (mask_of(5), ("user",))


def test_each_channel_has_its_own_mask_and_the_others_have_all() -> None:
    header = {"pixel_masks": {"threshold_1": mask_of(3), "threshold_2": mask_of(4)}}
    assert select(channel="threshold_2", **header).mask == mask_of(4)
    assert select(channel="difference", **header).mask == mask_of(3, 4)


def test_a_mask_of_another_size_is_never_used_and_that_is_told() -> None:
    """Row 21: a mask of a 16M must not count for a 4M."""
    small = mask_of(1, shape=(512, 1028))
    chosen = select(user=small, pixel_masks={"threshold_1": mask_of(3)})
    assert (chosen.mask, chosen.mask_from) == (mask_of(3), ("detector",))
    (note,) = chosen.notes
    assert note == (
        "the user's mask of 512 x 1028 pixels is not used: the images have 1062 x 1028"
    )


def test_regions_stand_in_one_order_modules_rois_rings() -> None:
    regions = {
        "rois": [
            {"name": "spot", "rectangle": [10, 20, 30, 40]},
            {"name": "disc", "disc": [100, 100, 5]},
            {"name": "halo", "annulus": [100, 100, 5, 9]},
            {"name": "wedge", "polygon": [[0, 0], [50, 0], [0, 50]]},
        ],
        "rings": 2,
    }
    chosen = select(regions=regions, header=GEOMETRY)
    names = [r["name"] for r in chosen.regions.described]
    assert names == [
        *("module_1", "module_2", "spot", "disc", "halo", "wedge", "ring_1", "ring_2")
    ]
    assert chosen.regions.described[2]["pixels"] == 100
    assert all(r["pixels"] for r in chosen.regions.described)


def test_rings_keep_their_rows_without_a_geometry() -> None:
    """A header that comes later must not move the rows of the other regions."""
    for wanted, n in ((3, 3), ([9.0, 5.0, 4.0], 2)):
        without = select(regions={"rings": wanted}, missed=True)
        with_it = select(regions={"rings": wanted}, header=GEOMETRY)
        assert [r["name"] for r in without.regions.described] == [
            r["name"] for r in with_it.regions.described
        ]
        assert len(without.regions) == 2 + n
        assert sum(r["pixels"] for r in without.regions.described[2:]) == 0
        assert "no resolution rings" in without.notes[0]
        assert with_it.notes == ()


def test_modules_of_an_unknown_detector_come_from_its_mask() -> None:
    shape = (210, 300)
    gaps = np.zeros(shape, bool)
    gaps[100:110] = True
    with_mask = select(shape=shape, pixel_masks={"threshold_1": masks.packed(gaps)})
    assert [r["y"] for r in with_mask.regions.described] == [[0, 100], [110, 210]]
    assert len(select(shape=shape).regions) == 0


def test_modules_can_be_given_or_left_out() -> None:
    given = select(regions={"modules": [[0, 9, 0, 9]]})
    assert [r["pixels"] for r in given.regions.described] == [81]
    assert len(select(regions={"modules": "none"}).regions) == 0


def test_a_region_outside_the_image_is_told() -> None:
    chosen = select(regions={"rois": [{"name": "far", "disc": [5000, 5000, 9]}]})
    assert chosen.notes == ("region far holds no pixel of the image",)


def test_the_settings_name_the_users_mask(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.eye(8))
    selector = Selector.of(load_settings(None, filter={"low": 1}))
    assert selector.select(None, "image", U2, (8, 8)).mask is None
    settings = load_settings().model_copy(update={"mask": tmp_path / "m.npy"})
    chosen = Selector.of(settings).select(None, "image", U2, (8, 8))
    assert chosen.mask is not None
    assert masks.n_masked(chosen.mask) == 8
    with pytest.raises(ConfigError, match="no such file"):
        Selector.of(settings.model_copy(update={"mask": tmp_path / "absent.npy"}))
