from __future__ import annotations

import cbor2
import numpy as np
import pytest
from unit.eigersim.sim_decode import SMALL, image_of, message_of, total_of

from eigersim import stream2
from eigersim.acquisition import HeaderDetail, new_unique_id
from eigersim.errors import SimulatorError
from eigersim.images import Encoding
from eigersim.source import SyntheticSource

CHANNELS = ("threshold_1", "threshold_2")


def source_of(**more):
    more = {"frames": 4, "frame_time": 1e-3} | more
    return SyntheticSource(SMALL, np.dtype(more.pop("dtype", "u2")), **more)


@pytest.mark.parametrize("detail", [HeaderDetail.BASIC, HeaderDetail.NONE])
def test_start_tells_everything_but_the_arrays(detail):
    series = source_of(channels=CHANNELS).series(7)
    start = message_of(stream2.Encoder(series.acquisition, detail).start())
    assert start["type"] == "start"
    assert start["series_id"] == 7
    assert start["series_unique_id"] == series.acquisition.series_unique_id
    assert start["channels"] == list(CHANNELS)
    assert start["image_size_x"] == 183
    assert start["image_size_y"] == 145
    assert start["image_dtype"] == "uint16"
    assert start["number_of_images"] == 4
    assert start["frame_time"] == 1e-3
    assert start["saturation_value"] == 12_440
    assert set(start["threshold_energy"]) == set(CHANNELS)
    assert start["arm_date"].tzinfo is not None
    assert start["user_data"]["eigersim"]["mode"] == "synthetic"
    assert not {"flatfield", "pixel_mask"} & set(start)


@pytest.mark.parametrize("encoding", [Encoding.BSLZ4, Encoding.LZ4, Encoding.NONE])
def test_header_detail_all_adds_arrays_for_every_channel(encoding):
    series = source_of(channels=CHANNELS, encoding=encoding).series(1)
    encoder = stream2.Encoder(series.acquisition, HeaderDetail.ALL)
    start = message_of(encoder.start())
    assert set(start["pixel_mask"]) == set(start["flatfield"]) == set(CHANNELS)
    mask = image_of(start["pixel_mask"]["threshold_2"])
    assert mask.dtype == np.uint32
    assert np.array_equal(mask == 0, SMALL.active)
    flatfield = image_of(start["flatfield"]["threshold_1"])
    assert flatfield.dtype == np.float32
    assert flatfield.shape == SMALL.shape
    table = start["countrate_correction_lookup_table"]
    assert table.tag == 85
    assert len(table.value) % 4 == 0


@pytest.mark.parametrize("encoding", [Encoding.BSLZ4, Encoding.LZ4, Encoding.NONE])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
@pytest.mark.parametrize("channels", [CHANNELS[:1], CHANNELS])
def test_images_decode_to_the_totals(encoding, dtype, channels):
    source = source_of(dtype=dtype, encoding=encoding, channels=channels)
    series = source.series(3)
    encoder = stream2.Encoder(series.acquisition)
    for exposure in series.exposures:
        message = message_of(encoder.image(exposure))
        assert message["type"] == "image"
        assert message["series_id"] == 3
        assert message["image_id"] == exposure.image_id
        assert message["start_time"] == [50_000 * exposure.image_id, 50_000_000]
        assert message["real_time"] == [49_995, 50_000_000]
        assert message["stop_time"][0] == message["start_time"][0] + 49_995
        assert message["series_date"].tzinfo is not None
        assert list(message["data"]) == list(channels)
        for channel, tagged in message["data"].items():
            image = image_of(tagged)
            assert image.dtype == np.dtype(dtype)
            assert image.shape == SMALL.shape
            assert total_of(image) == series.totals[channel][exposure.image_id]
    first, *others = (totals.sum() for totals in series.totals.values())
    assert all(0.5 * first < other < 0.7 * first for other in others)


def test_the_image_appendix_is_user_data():
    series = source_of().series(1)
    encoder = stream2.Encoder(series.acquisition, image_appendix="sample 7")
    assert message_of(encoder.image(next(series.exposures)))["user_data"] == "sample 7"


def test_the_end_names_the_series():
    series = source_of().series(5)
    assert message_of(stream2.Encoder(series.acquisition).end()) == {
        "type": "end",
        "series_id": 5,
        "series_unique_id": series.acquisition.series_unique_id,
    }


def test_bare_lz4_blocks_are_refused():
    series = source_of(encoding=Encoding.LZ4_BLOCK).series(1)
    with pytest.raises(SimulatorError, match="no bare LZ4"):
        stream2.Encoder(series.acquisition).image(next(series.exposures))


@pytest.mark.parametrize("n", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32])
def test_heads_are_those_of_cbor(n):
    assert stream2._head(0, n) == cbor2.dumps(n)


def test_unique_ids_are_sortable_ulids():
    ids = [new_unique_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(len(i) == 26 and i[0] in "01234567" for i in ids)
    assert {c for i in ids for c in i} <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert ids[0][:10] <= ids[-1][:10]


def test_the_same_seed_gives_the_same_series_and_another_id_another():
    def totals(seed, series_id):
        series = source_of(seed=seed).series(series_id)
        list(series.exposures)
        return series.totals["threshold_1"].tolist()

    assert totals(1, 1) == totals(1, 1)
    assert totals(1, 1) != totals(1, 2)
    assert totals(1, 1) != totals(2, 1)


@pytest.mark.parametrize("channels", [(), ("difference",), ("threshold_1",) * 2])
def test_channels_that_cannot_be_made_up_are_refused(channels):
    with pytest.raises(SimulatorError, match="--channels"):
        source_of(channels=channels)
