"""The JSON parts of stream v1."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from eigerwatch.errors import DecodeError
from eigerwatch.model import Buffer

MAX_BYTES = 1_000_000
"""Longest JSON part [bytes]; the longest ones seen have 2 kB."""
_WHITE_SPACE = " \t\r\n"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is given twice")
    return result


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)


def parse(part: Buffer) -> Any:
    """Return the value of one JSON part.

    Raises
    ------
    DecodeError
        Kind ``"json"``: too long, not UTF-8, not JSON, nested too deeply, a key given
        twice, or NaN and its kin.
    """
    if len(part) > MAX_BYTES:
        raise DecodeError(f"a JSON part of {len(part)} bytes is too long", kind="json")
    try:
        text = str(part, "utf-8").strip(_WHITE_SPACE)
        value, end = _DECODER.raw_decode(text)
    except RecursionError:
        raise DecodeError("a JSON part is nested too deeply", kind="json") from None
    except ValueError as exc:
        raise DecodeError(f"a part is not JSON: {exc!s:.200}", kind="json") from None
    if end != len(text):
        raise DecodeError(f"{len(text) - end} characters follow the JSON", kind="json")
    return value
