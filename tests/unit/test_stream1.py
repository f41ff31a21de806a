from __future__ import annotations

import json
import struct
import tracemalloc
from typing import Any

import lz4.block
import numpy as np
import pytest
from simplon_messages import (
    CONFIG,
    bslz4,
    end1,
    header1,
    image1,
    lz4_block,
    part,
    pixels,
)

from eigerwatch.errors import DecodeError
from eigerwatch.model import (
    BadFrame,
    Encoding,
    Frame,
    RejectReason,
    SeriesEnd,
    SeriesStart,
)
from eigerwatch.simplon.header1 import TEXT_SERIES
from eigerwatch.simplon.stream1 import Decoder


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(max_pixels=1_000_000)


def kinds(messages: list[Any]) -> list[str]:
    """Name what came out: types of messages, kinds of errors."""
    return [
        f"error:{m.kind}" if isinstance(m, DecodeError) else type(m).__name__
        for m in messages
    ]


def only(messages: list[Any]) -> Any:
    assert len(messages) == 1, messages
    return messages[0]


# Header


def test_basic_header_fills_the_series_start(decoder: Decoder) -> None:
    config = CONFIG | {
        "bit_depth_image": 16,
        "nimages": 1000,
        "ntrigger": 3,
        "description": "Dectris Eiger 4M",
        "detector_number": "E-08-0115",
        "countrate_correction_count_cutoff": 133343,
        "auto_summation": 1,
    }
    start = only(decoder.feed(header1(6, config=config)))
    assert start == SeriesStart(
        6,
        channels=("image",),
        shape=(5, 8),
        dtype=np.dtype("<u2"),
        number_of_images=3000,
        frame_time_s=0.002,
        count_time_s=0.00199,
        detector="Dectris Eiger 4M",
        serial="E-08-0115",
        countrate_cutoff=133343,
        header_detail="basic",
        header={"header_detail": "basic", "series": 6} | config,
        stream="v1",
    )


@pytest.mark.parametrize("detail", ["all", "basic", "none"])
@pytest.mark.parametrize(
    ("appendix", "user_data"),
    [
        (None, None),
        (b'{"acqID": "test_1"}', {"acqID": "test_1"}),
        (b"sample 12, plain text", "sample 12, plain text"),
        (b"{not json", "{not json"),
        (b"[1, 2.5, null]", [1, 2.5, None]),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
    ids=["none", "object", "text", "brace", "list", "binary"],
)
def test_header_of_every_detail_with_and_without_appendix(
    decoder: Decoder, detail: str, appendix: bytes | None, user_data: Any
) -> None:
    parts = header1(detail=detail) + ([] if appendix is None else [appendix])
    start = only(decoder.feed(parts))
    assert (start.header_detail, start.user_data) == (detail, user_data)
    assert start.shape == (None if detail == "none" else (5, 8))


def test_appendix_of_header_without_detail_is_not_taken_for_the_config(
    decoder: Decoder,
) -> None:
    start = only(decoder.feed([*header1(detail="none"), part(frame_time="mine")]))
    assert start.user_data == {"frame_time": "mine"}
    assert "frame_time" not in start.header


def test_the_pixel_mask_comes_with_the_header(decoder: Decoder) -> None:
    mask = np.arange(40, dtype="<u4").reshape(5, 8)
    start = only(decoder.feed(header1(detail="all", mask=mask)))
    (image,) = start.mask_images.values()
    assert list(start.mask_images) == [image.channel] == ["image"]
    assert (image.encoding, image.dtype, image.shape) == (Encoding.NONE, "<u4", (5, 8))
    assert bytes(image.payload) == mask.tobytes()
    assert only(decoder.feed(header1(2))).mask_images == {}


@pytest.mark.parametrize("first", [1, 2, 4, 5])
def test_the_parts_of_a_header_may_come_in_several_messages(
    decoder: Decoder, first: int
) -> None:
    mask = np.arange(40, dtype="<u4").reshape(5, 8)
    parts = header1(detail="all", mask=mask)
    out = decoder.feed(parts[:first]) + decoder.feed(parts[first:])
    starts = [m for m in out if isinstance(m, SeriesStart)]
    assert len(starts) == 1
    # What comes after a header that was complete is not used, and that is said.
    apart = [m for m in out if isinstance(m, DecodeError)]
    assert bool(starts[0].mask_images) != bool(apart)
    assert all("apart from its header" in str(m) for m in apart)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "float32"}, "type 'float32'"),
        ({"type": "uint16"}, "160 bytes, the image has 80"),
        ({"shape": [4, 5]}, "160 bytes, the image has 80"),
        ({"shape": [8]}, "no image's"),
        ({"shape": [8, 5, 2]}, "no image's"),
        ({"shape": "8x5"}, "no image's"),
    ],
)
def test_a_pixel_mask_that_contradicts_itself_costs_only_itself(
    decoder: Decoder, changes: dict[str, Any], said: str
) -> None:
    parts = header1(detail="all")
    described = {"htype": "dpixelmask-1.0", "shape": [8, 5], "type": "uint32"}
    parts[4] = part(**(described | changes))
    error, start = decoder.feed(parts)
    assert isinstance(error, DecodeError)
    assert error.kind == "pixel mask"
    assert said in str(error)
    assert start.mask_images == {}
    assert kinds(decoder.feed(image1())) == ["Frame"]


def test_arrays_left_out_have_no_shape_and_empty_blobs(decoder: Decoder) -> None:
    parts = header1()
    parts[0] = part(htype="dheader-1.0", header_detail="all", series=71)
    for name in ("flatfield", "pixelmask"):
        parts.append(part(htype=f"d{name}-1.0", shape=[], type="undefined"))
        parts.append(b"")
    parts.append(part(htype="dcountrate_table-1.0", shape=[2, 1001], type="float32"))
    parts.append(bytes(8008))
    assert kinds(decoder.feed(parts)) == ["SeriesStart"]
    assert kinds(decoder.feed(image1(71))) == ["Frame"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"nimages": 2**48, "ntrigger": 1}, 2**48),
        ({"nimages": 1, "ntrigger": 500}, 500),
        ({"nimages": 2**40, "ntrigger": 2**40}, None),
        ({"nimages": -1, "ntrigger": 4}, 4),
        ({"nimages": "10", "ntrigger": True}, None),
        ({"nimages": 10.0}, 10),
    ],
)
def test_number_of_images_is_the_product_within_range(
    decoder: Decoder, changes: dict[str, Any], expected: int | None
) -> None:
    start = only(decoder.feed(header1(**changes)))
    assert start.number_of_images == expected


def test_fields_of_wrong_type_stay_unknown(decoder: Decoder) -> None:
    names = [*CONFIG, "description", "detector_number", "bit_depth_image"]
    odd = {name: ["odd"] for name in names}
    start = only(decoder.feed(header1(config=odd)))
    assert start.shape is None
    assert start.dtype is None
    assert start.number_of_images is None
    assert start.frame_time_s is None
    assert start.detector is None
    assert start.header["nimages"] == ["odd"]


def test_header_is_safe_for_json_and_utf8(decoder: Decoder) -> None:
    raw = (
        b'{"nimages": 1, "big": 1e999, "lone": "\\ud800", "deep": '
        + b"[" * 50
        + b"]" * 50
        + b', "long": "'
        + b"x" * 10_000
        + b'"}'
    )
    start = only(decoder.feed([header1()[0], raw]))
    text = json.dumps(start.header, allow_nan=False, ensure_ascii=False)
    assert len(text.encode()) < 6000
    assert start.header["big"] is None
    assert start.header["lone"] == "?"


@pytest.mark.parametrize("value", [86_401, 1e300, 10**400, -1, 0, 1e-300])
def test_frame_times_nobody_can_mean_stay_unknown(
    decoder: Decoder, value: float
) -> None:
    start = only(decoder.feed(header1(frame_time=value, count_time=value)))
    assert (start.frame_time_s, start.count_time_s) == (None, None)
    frame = only(decoder.feed(image1(real_time=5)))
    assert frame.real_ns == 5


def test_header_is_bounded_as_a_whole(decoder: Decoder) -> None:
    hostile = [[{"": []}] * 250] * 200
    start, *_ = decoder.feed([*header1(newcomer=hostile), json.dumps(hostile).encode()])
    assert len(json.dumps(start.header)) <= 65_536
    assert len(json.dumps(start.user_data)) <= 65_536
    assert start.header["nimages"] == CONFIG["nimages"]


def test_what_is_remembered_of_past_headers_is_small(decoder: Decoder) -> None:
    tracemalloc.start()
    try:
        for series in range(8):
            parts = header1(series, newcomer=[{"": []}] * 30_000)
            decoder.feed([*parts, *image1(series)])
        del parts
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 1_000_000


@pytest.mark.parametrize(("series", "expected"), [(3, 3), ("15", 15), (2**62, 2**62)])
def test_series_ids(decoder: Decoder, series: Any, expected: int) -> None:
    assert only(decoder.feed(header1(series))).series_id == expected


def test_text_series_ids_get_a_number_of_their_own(decoder: Decoder) -> None:
    first = only(decoder.feed(header1("08/15")))
    frame = only(decoder.feed(image1("08/15")))
    other = only(decoder.feed(header1("08/16")))
    assert first.series_id == frame.series_id >= TEXT_SERIES
    assert other.series_id != first.series_id
    assert first.header["series"] == "08/15"


@pytest.mark.parametrize("series", [None, -1, True, 1.5, "", "x" * 65, [1], 2**63])
def test_unusable_series_ids_are_refused(decoder: Decoder, series: Any) -> None:
    for parts in (header1(series), image1(series), end1(series)):
        assert kinds(decoder.feed(parts)) == ["error:value"]
    assert kinds(decoder.feed(image1())) == ["Frame"]


# Message boundaries


@pytest.mark.parametrize("detail", ["all", "basic", "none"])
def test_messages_merged_at_will(decoder: Decoder, detail: str) -> None:
    merged = [*header1(detail=detail), *image1(frame=0), *end1()]
    assert kinds(decoder.feed(merged)) == ["SeriesStart", "Frame", "SeriesEnd"]


@pytest.mark.parametrize("detail", ["all", "basic", "none"])
def test_one_part_per_message(decoder: Decoder, detail: str) -> None:
    parts = [*header1(detail=detail), *image1(frame=0), *image1(frame=1), *end1()]
    out = [m for p in parts for m in decoder.feed([p])]
    # Each part by itself: the mask has come apart from the header.
    apart = ["error:pixel mask"] if detail == "all" else []
    assert kinds(out) == ["SeriesStart", *apart, "Frame", "Frame", "SeriesEnd"]
    out = [m for m in out if not isinstance(m, DecodeError)]
    assert out[0].shape == (None if detail == "none" else (5, 8))
    assert [m.image_id for m in out[1:3]] == [0, 1]
    assert out[1].start_ns == 10**15


def test_header_waits_for_its_config(decoder: Decoder) -> None:
    dheader, config = header1()
    assert decoder.feed([dheader]) == []
    assert only(decoder.feed([config])).frame_time_s == 0.002


def test_header_without_config_is_given_out_before_the_image(
    decoder: Decoder,
) -> None:
    assert decoder.feed(header1()[:1]) == []
    start, frame = decoder.feed(image1())
    assert isinstance(start, SeriesStart)
    assert start.frame_time_s is None
    assert isinstance(frame, Frame)


def test_image_without_times_is_kept_and_follows_with_the_next_message(
    decoder: Decoder,
) -> None:
    assert decoder.feed(image1(frame=4)[:3]) == []
    frame, end = decoder.feed(end1())
    assert (frame.image_id, frame.start_ns, frame.real_ns) == (4, None, None)
    assert end == SeriesEnd(1)


def test_flush_gives_out_what_is_usable(decoder: Decoder) -> None:
    decoder.feed(image1(frame=4)[:3])
    assert only(decoder.flush()).image_id == 4
    decoder.feed(image1(frame=5)[:2])
    bad = only(decoder.flush())
    assert (bad.image_id, bad.reason) == (5, RejectReason.MESSAGE)
    assert decoder.flush() == []


@pytest.mark.parametrize("kept", [1, 2])
def test_image_cut_off_is_rejected_by_number(decoder: Decoder, kept: int) -> None:
    assert decoder.feed(image1(frame=2)[:kept]) == []
    bad, frame = decoder.feed(image1(frame=3))
    assert (bad.series_id, bad.image_id, bad.reason) == (1, 2, RejectReason.MESSAGE)
    assert (frame.image_id, kinds([frame])) == (3, ["Frame"])


def test_image_with_its_binary_part_lost(decoder: Decoder) -> None:
    parts = image1(frame=2)
    del parts[2]
    bad = only(decoder.feed(parts))
    assert (bad.image_id, bad.detail) == (2, "the image data is missing")
    assert kinds(decoder.feed(image1())) == ["Frame"]


def test_blob_that_starts_like_json_is_still_the_blob(decoder: Decoder) -> None:
    blob = (b'{"htype":"dimage-1.0","series":1,"frame":9}' + b" " * 80)[:80]
    frame = only(decoder.feed(image1(blob=blob, encoding="<")))
    assert bytes(frame.images[0].payload) == blob


# Images


@pytest.mark.parametrize(
    ("stated", "dtype", "compress", "encoding"),
    [
        ("bs8-lz4<", "uint8", bslz4, Encoding.BSLZ4),
        ("bs16-lz4<", "uint16", bslz4, Encoding.BSLZ4),
        ("bs16lz4<", "uint16", bslz4, Encoding.BSLZ4),
        ("bs32-lz4<", "uint32", bslz4, Encoding.BSLZ4),
        ("bs32-lz4", "uint32", bslz4, Encoding.BSLZ4),
        ("lz4<", "uint32", lz4_block, Encoding.LZ4_BLOCK),
        ("lz4", "uint8", lz4_block, Encoding.LZ4_BLOCK),
        ("<", "uint16", np.ndarray.tobytes, Encoding.NONE),
        ("", "uint8", np.ndarray.tobytes, Encoding.NONE),
    ],
)
def test_encodings(
    decoder: Decoder, stated: str, dtype: str, compress: Any, encoding: Encoding
) -> None:
    blob = compress(pixels(dtype))
    frame = only(decoder.feed(image1(blob=blob, encoding=stated, type=dtype)))
    image = frame.images[0]
    assert (image.channel, image.encoding) == ("image", encoding)
    assert (image.dtype, image.shape) == (np.dtype(dtype), (5, 8))
    assert bytes(image.payload) == blob


def test_payload_is_a_view_of_the_part(decoder: Decoder) -> None:
    parts = image1()
    payload = only(decoder.feed(parts)).images[0].payload
    assert payload.obj is parts[2]


@pytest.mark.parametrize(
    ("changes", "reason", "named"),
    [
        ({"encoding": "bs16-lz4>"}, RejectReason.ENCODING, "big-endian"),
        ({"encoding": ">"}, RejectReason.ENCODING, "big-endian"),
        ({"encoding": "bs16-zstd<"}, RejectReason.ENCODING, "Zstandard"),
        ({"encoding": "bs16<"}, RejectReason.ENCODING, "bs16<"),
        ({"encoding": None}, RejectReason.ENCODING, "None"),
        ({"encoding": ["<"]}, RejectReason.ENCODING, "not supported"),
        ({"type": "float32"}, RejectReason.ENCODING, "float32"),
        ({"type": "undefined"}, RejectReason.ENCODING, "undefined"),
        ({"type": {}}, RejectReason.ENCODING, "element type"),
        ({"type": "uint32"}, RejectReason.CONTRADICTION, "bs16-lz4<"),
        ({"encoding": "bs32-lz4<"}, RejectReason.CONTRADICTION, "uint16"),
        ({"size": 12}, RejectReason.CONTRADICTION, "12 announced"),
        ({"size": "big"}, RejectReason.CONTRADICTION, "announced"),
        ({"shape": []}, RejectReason.CONTRADICTION, "shape"),
        ({"shape": [8]}, RejectReason.CONTRADICTION, "shape"),
        ({"shape": [8, 5, 2]}, RejectReason.CONTRADICTION, "shape"),
        ({"shape": "8x5"}, RejectReason.CONTRADICTION, "shape"),
        ({"shape": [8, -5]}, RejectReason.CONTRADICTION, "shape"),
        ({"shape": [8, 0]}, RejectReason.CONTRADICTION, "shape"),
        ({"shape": [8.0, 5.0]}, RejectReason.CONTRADICTION, "shape"),
        ({"shape": [True, 5]}, RejectReason.CONTRADICTION, "shape"),
        ({"shape": [8, 6]}, RejectReason.CONTRADICTION, "the image has 96"),
        ({"shape": [100_000, 100_000]}, RejectReason.SIZE, "1000000 allowed"),
        ({"shape": [1001, 1000]}, RejectReason.SIZE, "1000000 allowed"),
        ({"shape": [10**4000, 10**4000]}, RejectReason.SIZE, "allowed"),
    ],
)
def test_unusable_image_is_rejected_by_number(
    decoder: Decoder, changes: dict[str, Any], reason: RejectReason, named: str
) -> None:
    bad = only(decoder.feed(image1(6, 42, **changes)))
    assert isinstance(bad, BadFrame)
    assert (bad.series_id, bad.image_id, bad.reason) == (6, 42, reason)
    assert named in bad.detail
    assert len(bad.detail) < 200
    assert kinds(decoder.feed(image1())) == ["Frame"]


@pytest.mark.parametrize("encoding", ["<", "lz4<", "bs16-lz4<"])
def test_empty_blob_is_rejected(decoder: Decoder, encoding: str) -> None:
    bad = only(decoder.feed(image1(blob=b"", encoding=encoding)))
    assert bad.reason is RejectReason.CONTRADICTION


def test_third_dimension_of_one_is_no_dimension(decoder: Decoder) -> None:
    assert only(decoder.feed(image1(shape=[8, 5, 1]))).images[0].shape == (5, 8)


@pytest.mark.parametrize("shape", [[8, 5], [5, 8]])
def test_the_config_decides_which_way_the_shape_is_stated(
    decoder: Decoder, shape: list[int]
) -> None:
    decoder.feed(header1(1))
    decoder.feed(header1(2, x_pixels_in_detector=5, y_pixels_in_detector=8))
    assert only(decoder.feed(image1(1, shape=shape))).images[0].shape == (5, 8)
    assert only(decoder.feed(image1(2, shape=shape))).images[0].shape == (8, 5)


def test_missing_size_is_no_contradiction(decoder: Decoder) -> None:
    parts = image1()
    description = json.loads(parts[1])
    del description["size"]
    parts[1] = json.dumps(description).encode()
    assert kinds(decoder.feed(parts)) == ["Frame"]


@pytest.mark.parametrize("shape", [(5, 8), (100, 103), (1, 5), (64, 64)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("header", ["absent", "zero"])
def test_bslz4_without_its_header_is_given_one(
    decoder: Decoder, shape: tuple[int, int], dtype: str, header: str
) -> None:
    whole = bslz4(pixels(dtype, shape))
    blob = whole[12:] if header == "absent" else bytes(12) + whole[12:]
    parts = image1(
        blob=blob,
        shape=list(shape[::-1]),
        type=dtype,
        encoding=f"bs{8 * np.dtype(dtype).itemsize}-lz4<",
    )
    frame = only(decoder.feed(parts))
    assert bytes(frame.images[0].payload) == whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[12:-1],
        lambda b: b[12:] + b"\0",
        lambda b: bytes(12) + b[12:-1],
        lambda b: bytes(12) + b[13:],
        lambda b: b[:11],
        lambda b: struct.pack(">Q", 2**34) + b[8:],
        lambda b: bytes(300),
    ],
    ids=["short", "long", "zero-short", "zero-shifted", "stub", "lie", "zeros"],
)
def test_bslz4_that_fits_no_geometry_is_refused(decoder: Decoder, damage: Any) -> None:
    bad = only(decoder.feed(image1(blob=damage(bslz4(pixels())))))
    assert bad.reason is RejectReason.CONTRADICTION
    assert "the image has 80" in bad.detail


@pytest.mark.parametrize(
    ("appendix", "user_data"),
    [(b"shutter open", "shutter open"), (b'{"a": [1, NaN]}', '{"a": [1, NaN]}')],
)
def test_image_appendix(decoder: Decoder, appendix: bytes, user_data: Any) -> None:
    frame = only(decoder.feed([*image1(), appendix]))
    assert frame.user_data == user_data


# Times


@pytest.mark.parametrize(
    ("header", "real_time", "unit_ns"),
    [
        ({}, 1_990_000, 1),
        ({}, 99_500, 20),
        ({"software_version": "1.6.6"}, 1_990_000, 1),
        ({"software_version": "1.6.6"}, 99_500, 20),
        # An external gate: count_time says nothing, the firmware does.
        ({"trigger_mode": "exte"}, 99_500, 1),
        ({"trigger_mode": "exte", "software_version": "1.6.6"}, 77, 20),
        (
            {
                "trigger_mode": "exte",
                "software_version": "1.6.6",
                "eiger_fw_version": "release-2020.2.5",
            },
            77,
            1,
        ),
        ({"trigger_mode": ["ints"]}, 99_500, 1),
        ({"count_time": 0}, 99_500, 1),
    ],
)
def test_time_unit(
    decoder: Decoder, header: dict[str, Any], real_time: int, unit_ns: int
) -> None:
    decoder.feed(header1(**header))
    parts = image1(real_time=real_time, start_time=5000, stop_time=5000 + real_time)
    frame = only(decoder.feed(parts))
    assert (frame.start_ns, frame.real_ns) == (5000 * unit_ns, real_time * unit_ns)


def test_time_unit_stays_the_same_within_a_series(decoder: Decoder) -> None:
    decoder.feed(header1())
    decoder.feed(image1(frame=0, real_time=99_500))
    odd = only(decoder.feed(image1(frame=1, real_time=1_990_000, start_time=7)))
    assert (odd.start_ns, odd.real_ns) == (140, 20 * 1_990_000)


def test_times_beyond_2_to_53_are_exact(decoder: Decoder) -> None:
    start = 2**53 + 1
    frame = only(decoder.feed(image1(start_time=start, stop_time=start + 9)))
    assert frame.start_ns == start


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"start_time": None}, (None, 1_990_000)),
        ({"start_time": -5}, (None, 1_990_000)),
        ({"start_time": "12"}, (None, 1_990_000)),
        ({"start_time": 2**63}, (None, 1_990_000)),
        ({"start_time": 10**400, "stop_time": 10**401}, (None, 1_990_000)),
        ({"real_time": 2**63}, (10**15, None)),
        ({"real_time": -1}, (10**15, None)),
        ({"real_time": 1e300}, (10**15, None)),
        ({"stop_time": 3}, (None, 1_990_000)),
        ({"real_time": 1.5}, (10**15, None)),
    ],
)
def test_frame_is_kept_where_a_time_is_bad(
    decoder: Decoder, changes: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    frame = only(decoder.feed(image1(**changes)))
    assert (frame.start_ns, frame.real_ns) == expected


# Faults


def test_series_end_missing_or_doubled(decoder: Decoder) -> None:
    out = [*decoder.feed(end1(1)), *decoder.feed(end1(1)), *decoder.feed(header1(2))]
    assert kinds(out) == ["SeriesEnd", "SeriesEnd", "SeriesStart"]


def test_start_missed(decoder: Decoder) -> None:
    frame = only(decoder.feed(image1(9, 1234)))
    assert (frame.series_id, frame.image_id, frame.images[0].shape) == (9, 1234, (5, 8))


def test_earlier_items_survive_a_later_bad_one(decoder: Decoder) -> None:
    parts = [*header1(), *image1(1, 0), *image1(1, "seven"), *image1(1, 8)]
    out = decoder.feed(parts)
    assert kinds(out) == ["SeriesStart", "Frame", "error:value", "Frame"]


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (0, ["error:json"]),
        (1, ["BadFrame"]),
        # The frame is kept even if its time is bad.
        (3, ["Frame", "error:json"]),
    ],
)
@pytest.mark.parametrize(
    "junk",
    [
        b"{",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\xff"}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a":' * 100_000,
        b'{"a": "' + b"x" * 1_000_000 + b'"}',
        b'{"a": 1} {"b": 2}',
    ],
    ids=lambda junk: f"{junk[:12].decode('latin-1')}-{len(junk)}",
)
def test_broken_json_costs_one_item(
    decoder: Decoder, broken: int, expected: list[str], junk: bytes
) -> None:
    parts = image1()
    parts[broken] = junk
    assert kinds(decoder.feed(parts)) == expected
    assert kinds(decoder.feed(image1(frame=1))) == ["Frame"]


def test_broken_config_still_opens_the_series(decoder: Decoder) -> None:
    out = decoder.feed([header1()[0], b'{"nimages": }'])
    assert kinds(out) == ["SeriesStart", "error:json"]


def test_unknown_htype_is_counted_and_stepped_over(decoder: Decoder) -> None:
    unknown = [part(htype="dmystery-2.0", series=1), b"\x00\x01binary"]
    image = image1()
    out = decoder.feed([*header1(), *unknown, *image, *unknown])
    assert sorted(kinds(out)) == ["Frame", "SeriesStart", "error:type", "error:type"]
    assert kinds(decoder.feed(image1(frame=1))) == ["Frame"]


@pytest.mark.parametrize(
    "parts",
    [
        [part(htype="dimage_d-1.0", shape=[8, 5])],
        [part(htype="dconfig-1.0", real_time=1)],
        [part(nothing=1)],
        [b"stray text"],
        [*end1(), b"stray text"],
        [*image1(), b"appendix", b"and another"],
        [*image1(), image1()[3]],
    ],
)
def test_parts_out_of_place(decoder: Decoder, parts: list[bytes]) -> None:
    assert "error:sequence" in kinds(decoder.feed(parts))
    assert kinds(decoder.feed(image1(frame=1))) == ["Frame"]


def test_one_error_for_all_parts_of_a_lost_image(decoder: Decoder) -> None:
    assert kinds(decoder.feed(image1(frame="x"))) == ["error:value"]


def test_memory_of_past_series_is_bounded(decoder: Decoder) -> None:
    for series in range(1000):
        decoder.feed(header1(series))
    assert len(decoder._series) <= 8
    assert only(decoder.feed(image1(999, shape=[5, 8]))).images[0].shape == (5, 8)


def test_raw_block_decodes(decoder: Decoder) -> None:
    image = pixels("uint32")
    blob = lz4_block(image)
    frame = only(decoder.feed(image1(blob=blob, encoding="lz4<", type="uint32")))
    raw = lz4.block.decompress(
        bytes(frame.images[0].payload), uncompressed_size=image.nbytes
    )
    assert raw == image.tobytes()
