from __future__ import annotations

import math
import struct
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eigerwatch.errors import DecodeError
from eigerwatch.simplon import cbor
from eigerwatch.simplon.cbor import CborError, Tag, loads


def head(major: int, argument: int) -> bytes:
    """Encode a head with the longest argument CBOR has."""
    return bytes([major << 5 | 27]) + struct.pack(">Q", argument)


# The examples of RFC 8949, appendix A, that lie within our part of CBOR.
RFC_EXAMPLES = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1_000_000),
    ("1bffffffffffffffff", 2**64 - 1),
    ("3bffffffffffffffff", -(2**64)),
    ("20", -1),
    ("3903e7", -1000),
    ("f90000", 0.0),
    ("f93c00", 1.0),
    ("f97bff", 65504.0),
    ("f90001", 5.960464477539063e-8),
    ("fa47c35000", 100_000.0),
    ("fb3ff199999999999a", 1.1),
    ("f97c00", math.inf),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("f7", None),
    ("60", ""),
    ("6449455446", "IETF"),
    ("62c3bc", "ü"),
    ("64f0908591", "\U00010151"),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("c11a514b67b0", Tag(1, 1363896240)),
    ("d74401020304", Tag(23, b"\x01\x02\x03\x04")),
    ("d9d9f7a0", {}),
    ("c249010000000000000000", Tag(2, b"\x01" + bytes(8))),
]


@pytest.mark.parametrize(("encoded", "value"), RFC_EXAMPLES)
def test_examples_of_the_rfc(encoded: str, value: Any) -> None:
    result = loads(bytes.fromhex(encoded))
    assert result == value
    assert type(result) is type(value) or isinstance(result, memoryview)


def test_nan() -> None:
    assert math.isnan(loads(bytes.fromhex("f97e00")))


def test_byte_strings_are_views_of_the_message() -> None:
    message = cbor2.dumps({"data": bytes(100_000)})
    view = loads(message)["data"]
    assert view.obj is message
    assert view == bytes(100_000)


@pytest.mark.parametrize("number", [2, 3, 4, 5, 28, 29, 35, 36, 258, 30, 43000])
def test_tags_are_never_interpreted(number: int) -> None:
    content = cbor2.dumps([1, "a(b"])
    assert loads(head(6, number) + content) == Tag(number, [1, "a(b"])


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "cut off"),
        (b"\x18", "cut off"),
        (b"\x19\x01", "cut off"),
        (b"\x1b" + bytes(7), "cut off"),
        (b"\xfb" + bytes(7), "cut off"),
        (b"\xa1", "cut off"),
        (b"\xa1\x61a", "cut off"),
        (b"\xc1", "cut off"),
        (b"\x82\x01", "cut off"),
        (b"\x63ab", "cut off"),
        (b"\x43ab", "cut off"),
        (head(2, 2**64 - 1), "cut off"),
        (head(3, 2**64 - 1), "cut off"),
        (head(3, 1_000_001) + b"x" * 1_000_001, "too long"),
        (head(4, 2**64 - 1), "data items"),
        (head(5, 2**63), "data items"),
        (head(4, 70_000) + b"\x01" * 70_000, "data items"),
        (b"\x84" + (head(4, 30_000) + b"\x01" * 30_000) * 4, "data items"),
        (b"\x00\x00", "1 bytes follow"),
        (b"\xa0" + bytes(1000), "1000 bytes follow"),
        (b"\x1c", "reserved"),
        (b"\x1d", "reserved"),
        (b"\x1e", "reserved"),
        (b"\xbf\xff", "indefinite"),
        (b"\x9f\xff", "indefinite"),
        (b"\x5f\xff", "indefinite"),
        (b"\x7f\xff", "indefinite"),
        (b"\xff", "simple value"),
        (b"\xf8\x20", "simple value"),
        (b"\xe0", "simple value"),
        (b"\x61\xff", "UTF-8"),
        (b"\x63\xed\xa0\x80", "UTF-8"),
        (b"\xa2\x61a\x01\x61a\x02", "given twice"),
        (b"\xa2\x01\x01\x01\x02", "given twice"),
        (b"\xa1\x80\x01", "map key"),
        (b"\xa1\x41a\x01", "map key"),
        (b"\xa1\xf5\x01", "map key"),
        (b"\xa1\xc1\x01\x01", "map key"),
        (b"\x81" * 17 + b"\x01", "nested"),
        (b"\x81" * 1_000_000, "nested"),
        (b"\xc1" * 1_000_000, "nested"),
        (b"\xa1\x61a" * 1_000_000, "nested"),
    ],
    ids=lambda value: value[:10].hex() if isinstance(value, bytes) else value,
)
def test_refused(data: bytes, named: str) -> None:
    with pytest.raises(CborError, match=named) as caught:
        loads(data)
    assert caught.value.kind == "cbor"
    assert isinstance(caught.value, DecodeError)


def test_deepest_nesting_accepted() -> None:
    value = loads(b"\x81" * 16 + b"\x01")
    for _ in range(16):
        (value,) = value
    assert value == 1


def test_error_tells_what_was_complete() -> None:
    message = cbor2.dumps({"type": "image", "image_id": 3, "data": bytes(50)})
    with pytest.raises(CborError) as caught:
        loads(b"\xd9\xd9\xf7" + message[:-1])
    assert caught.value.partial == {"type": "image", "image_id": 3}
    with pytest.raises(CborError) as caught:
        loads(message + b"\0")
    assert caught.value.partial["data"] == bytes(50)


def test_error_after_a_double_key_tells_nothing() -> None:
    with pytest.raises(CborError) as caught:
        loads(b"\xa2\x62id\x01\x62id\x02")
    assert caught.value.partial == {}


def same(ours: Any, theirs: Any) -> bool:
    """Compare with what cbor2 makes of the same document."""
    if isinstance(ours, memoryview):
        return bool(ours == theirs)
    if type(ours) is Tag:
        return ours.number == theirs.tag and same(ours.value, theirs.value)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(
            same(v, theirs[k]) for k, v in ours.items()
        )
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) and math.isnan(ours):
        return math.isnan(theirs)
    return type(ours) is type(theirs) and bool(ours == theirs)


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats()
    | st.floats(width=16)
    | st.text(max_size=300)
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(st.text(max_size=30) | st.integers(0, 99), inner)
        | st.builds(cbor2.CBORTag, st.sampled_from([40, 64, 69, 56500, 99999]), inner)
    ),
    max_leaves=60,
)


@given(documents, st.booleans())
def test_agrees_with_cbor2(document: Any, canonical: bool) -> None:
    encoded = cbor2.dumps(document, canonical=canonical)
    try:
        ours = loads(encoded)
    except CborError as exc:
        assert "nested" in str(exc)  # noqa: PT017
        return
    assert same(ours, cbor2.loads(encoded))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    try:
        cbor.loads(data)
    except CborError as exc:
        assert exc.kind == "cbor"  # noqa: PT017
