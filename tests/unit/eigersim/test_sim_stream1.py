from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest
from unit.eigersim.sim_decode import SMALL, total_of, unpack

from eigersim import stream1
from eigersim.acquisition import HeaderDetail
from eigersim.errors import SimulatorError
from eigersim.images import Encoding
from eigersim.source import SyntheticSource


def source_of(**more):
    more = {"frames": 4, "frame_time": 1e-3} | more
    return SyntheticSource(SMALL, np.dtype(more.pop("dtype", "u2")), **more)


def test_basic_header_is_announcement_configuration_and_appendix():
    series = source_of().series(7)
    announcement, config, appendix = map(
        json.loads, stream1.Encoder(series.acquisition).start()
    )
    assert announcement == {
        "header_detail": "basic",
        "htype": "dheader-1.0",
        "series": 7,
    }
    assert list(config) == sorted(config)
    assert config["x_pixels_in_detector"] == 183
    assert config["y_pixels_in_detector"] == 145
    assert config["nimages"] == 4
    assert config["ntrigger"] == 1
    assert config["frame_time"] == 1e-3
    assert config["count_time"] < config["frame_time"]
    assert config["bit_depth_image"] == 16
    assert config["countrate_correction_count_cutoff"] == 12_440
    assert config["detector_number"] == "E-00-9999"
    assert datetime.fromisoformat(config["data_collection_date"]).tzinfo is not None
    assert appendix["eigersim"]["mode"] == "synthetic"
    assert appendix["eigersim"]["origin"]["seed"] == 0


def test_header_detail_none_says_nothing_but_the_appendix():
    parts = stream1.Encoder(
        source_of().series(1).acquisition, HeaderDetail.NONE
    ).start()
    assert len(parts) == 2
    assert json.loads(parts[0])["header_detail"] == "none"


def test_header_detail_all_adds_three_arrays():
    parts = stream1.Encoder(source_of().series(1).acquisition, HeaderDetail.ALL).start()
    assert len(parts) == 9
    heads = [json.loads(part) for part in parts[2:8:2]]
    assert [head["htype"] for head in heads] == [
        "dflatfield-1.0",
        "dpixelmask-1.0",
        "dcountrate_table-1.0",
    ]
    assert heads[1]["shape"] == [183, 145]
    mask = np.frombuffer(parts[5], heads[1]["type"]).reshape(145, 183)
    assert np.array_equal(mask == 0, SMALL.active)
    table = np.frombuffer(parts[7], heads[2]["type"]).reshape(heads[2]["shape"])
    assert table.shape[0] == 2


@pytest.mark.parametrize(
    ("encoding", "name"),
    [(Encoding.BSLZ4, "bs{}-lz4<"), (Encoding.LZ4_BLOCK, "lz4<"), (Encoding.NONE, "<")],
)
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_images_decode_to_the_totals(encoding, name, dtype):
    series = source_of(dtype=dtype, encoding=encoding).series(3)
    encoder = stream1.Encoder(series.acquisition)
    times = []
    for exposure in series.exposures:
        first, second, payload, fourth = encoder.image(exposure)
        assert json.loads(first) == {
            "frame": exposure.image_id,
            "hash": "",
            "htype": "dimage-1.0",
            "series": 3,
        }
        image = json.loads(second)
        kind = np.dtype(image["type"])
        assert image["encoding"] == name.format(8 * kind.itemsize)
        assert image["shape"] == [183, 145]
        assert image["size"] == len(payload)
        pixels = unpack(payload, encoding.value, kind, SMALL.shape)
        assert total_of(pixels) == series.totals["threshold_1"][exposure.image_id]
        clock = json.loads(fourth)
        assert clock["stop_time"] - clock["start_time"] == clock["real_time"] == 999_900
        times.append(clock["start_time"])
    assert np.array_equal(np.diff(times), [1_000_000] * 3)
    assert times[0] > 0


def test_the_image_appendix_is_a_fifth_part():
    series = source_of().series(1)
    encoder = stream1.Encoder(series.acquisition, image_appendix="sample 7")
    assert encoder.image(next(series.exposures))[4] == b"sample 7"


def test_the_end_is_one_part():
    encoder = stream1.Encoder(source_of().series(5).acquisition)
    assert [json.loads(part) for part in encoder.end()] == [
        {"htype": "dseries_end-1.0", "series": 5}
    ]


def test_several_channels_are_refused():
    series = source_of(channels=("threshold_1", "threshold_2")).series(1)
    with pytest.raises(SimulatorError, match="one channel, not 2"):
        stream1.Encoder(series.acquisition)


def test_framed_lz4_is_refused():
    series = source_of(encoding=Encoding.LZ4).series(1)
    encoder = stream1.Encoder(series.acquisition)
    with pytest.raises(SimulatorError, match="use --stream v2"):
        encoder.image(next(series.exposures))
