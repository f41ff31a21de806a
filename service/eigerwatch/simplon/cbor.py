"""A strict parser for the part of CBOR (RFC 8949) that stream v2 uses.

Byte strings are views of the message, never copies. What the stream has no use for
is refused: indefinite lengths, keys given twice, bytes after the item, deep nesting.
Tags are kept as they are and never interpreted, so an unknown one costs nothing.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from eigerwatch.errors import DecodeError
from eigerwatch.model import Buffer

MAX_DEPTH = 16
"""Maps, arrays and tags inside each other; stream v2 needs 8."""
MAX_ITEMS = 65_536
"""Data items of one message; array data is a byte string, which counts as one."""
MAX_TEXT = 1_000_000
"""Longest text string [bytes]."""
SELF_DESCRIBED = 55799
"""Tag that marks the message as CBOR and means nothing else."""

SHORT_TEXT = 64
MAX_TEXTS = 1024
"""Texts of at most `SHORT_TEXT` bytes that are remembered."""

_MARK = b"\xd9\xd9\xf7"
"""`SELF_DESCRIBED` as it is written."""
_TEXTS: dict[bytes, str] = {}
_UINT16 = struct.Struct(">H").unpack_from
_UINT32 = struct.Struct(">I").unpack_from
_UINT64 = struct.Struct(">Q").unpack_from
_FLOAT16 = struct.Struct(">e").unpack_from
_FLOAT32 = struct.Struct(">f").unpack_from
_FLOAT64 = struct.Struct(">d").unpack_from


class Tag(NamedTuple):
    """A tagged item, not interpreted."""

    number: int
    value: Any


class CborError(DecodeError):
    """The bytes are no CBOR that we accept.

    Attributes
    ----------
    partial
        Entries of the outermost map that were complete before the fault.
    """

    def __init__(
        self, message: str, *, partial: dict[int | str, Any] | None = None
    ) -> None:
        super().__init__(message, kind="cbor")
        self.partial = partial or {}


def loads(data: Buffer) -> Any:
    """Return the one data item of `data`, without an enclosing tag 55799.

    Maps become dict with text or integer keys, arrays list, byte strings memoryview,
    undefined None.

    Raises
    ------
    CborError
        Not well-formed, beyond a limit, or of a kind that is refused.
    """
    parser = _Parser(memoryview(data))
    try:
        item = parser.item(0)
        if type(item) is Tag and item.number == SELF_DESCRIBED:
            item = item.value
        if parser.pos != parser.end:
            parser.outermost = item if type(item) is dict else None
            raise CborError(f"{parser.end - parser.pos} bytes follow the message")
    except (IndexError, struct.error):
        raise CborError("the message is cut off", partial=parser.outermost) from None
    except UnicodeDecodeError as exc:
        raise CborError(
            f"a text string is not UTF-8: {exc.reason}", partial=parser.outermost
        ) from None
    except CborError as exc:
        # A key given twice leaves open which of the two was meant.
        exc.partial = {} if parser.ambiguous else parser.outermost or {}
        raise
    return item


def entries(data: memoryview, start: int = 0) -> list[tuple[int | str, int, int]]:
    """Return key, begin and end of each value of a map.

    Parameters
    ----------
    data
        A message that `loads` took.
    start
        Where the map begins; one of more than 23 entries is not looked into.
    """
    pos = start + 3 if data[start : start + 3] == _MARK else start
    length = data[pos] - 0xA0
    if not 0 <= length < 24:
        return []
    parser = _Parser(data)
    parser.pos = pos + 1
    found = []
    for _ in range(length):
        key = parser.item(0)
        begin = parser.pos
        parser.item(0)
        found.append((key, begin, parser.pos))
    return found


def head_size(length: int) -> int:
    """Return the bytes before a byte string so long, at the least."""
    limits = (24, 2**8, 2**16, 2**32)
    sizes = (1, 2, 3, 5)
    return next((s for n, s in zip(limits, sizes, strict=True) if length < n), 9)


class _Parser:
    __slots__ = ("ambiguous", "budget", "data", "end", "outermost", "pos")

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.end = len(data)
        self.pos = 0
        self.budget = MAX_ITEMS
        self.outermost: dict[int | str, Any] | None = None
        self.ambiguous = False

    def item(self, depth: int) -> Any:
        """Return the item at `pos` and move behind it."""
        data = self.data
        pos = self.pos
        head = data[pos]
        pos += 1
        if head < 0x18:
            self.pos = pos
            return head
        if 0x60 <= head < 0x78:
            return self._text(pos, pos + head - 0x60)
        if head >= 0xE0:
            return self._simple(head, pos)
        argument = head & 0x1F
        if argument >= 24:
            if argument == 24:
                argument = data[pos]
                pos += 1
            elif argument == 25:
                (argument,) = _UINT16(data, pos)
                pos += 2
            elif argument == 26:
                (argument,) = _UINT32(data, pos)
                pos += 4
            elif argument == 27:
                (argument,) = _UINT64(data, pos)
                pos += 8
            elif argument == 31:
                raise CborError("an indefinite length, which is not supported")
            else:
                raise CborError(f"head byte 0x{head:02x} is reserved")
        major = head >> 5
        if major == 3:
            return self._text(pos, pos + argument)
        self.pos = pos
        if major == 0:
            return argument
        if major == 5:
            return self._map(argument, depth)
        if major == 4:
            return self._array(argument, depth)
        if major == 6:
            self._enter(1, depth)
            return Tag(argument, self.item(depth + 1))
        if major == 2:
            stop = pos + argument
            if stop > self.end:
                raise CborError(f"a byte string of {argument} bytes is cut off")
            self.pos = stop
            return data[pos:stop]
        return -1 - argument

    def _text(self, pos: int, stop: int) -> str:
        if stop > self.end:
            raise CborError(f"a text string of {stop - pos} bytes is cut off")
        self.pos = stop
        if stop - pos > SHORT_TEXT:
            if stop - pos > MAX_TEXT:
                raise CborError(f"a text string of {stop - pos} bytes is too long")
            return str(self.data[pos:stop], "utf-8")
        # Nearly all texts are keys and names that come again and again.
        raw = self.data[pos:stop].tobytes()
        text = _TEXTS.get(raw)
        if text is None:
            text = str(raw, "utf-8")
            if len(_TEXTS) < MAX_TEXTS:
                _TEXTS[raw] = text
        return text

    def _enter(self, items: int, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise CborError(f"nested deeper than {MAX_DEPTH}")
        self.budget -= items
        if self.budget < 0:
            raise CborError(f"more than {MAX_ITEMS} data items")

    def _array(self, length: int, depth: int) -> list[Any]:
        self._enter(length, depth)
        result: list[Any] = []
        depth += 1
        data = self.data
        pos = self.pos
        for _ in range(length):
            # Nearly all are times and dimensions: they cost no call each.
            head = data[pos]
            if head == 0x1A:
                result.append(_UINT32(data, pos + 1)[0])
                pos += 5
            elif head == 0x19:
                result.append(_UINT16(data, pos + 1)[0])
                pos += 3
            else:
                self.pos = pos
                result.append(self.item(depth))
                pos = self.pos
        self.pos = pos
        return result

    def _map(self, length: int, depth: int) -> dict[int | str, Any]:
        self._enter(2 * length, depth)
        result: dict[int | str, Any] = {}
        if self.outermost is None:
            self.outermost = result
        depth += 1
        data = self.data
        pos = self.pos
        for _ in range(length):
            # A short text and a small number are most of an image's message: here,
            # they cost no call each.
            head = data[pos]
            key: Any
            if 0x60 <= head < 0x78:
                start = pos + 1
                pos = start + head - 0x60
                raw = data[start:pos].tobytes()
                key = _TEXTS.get(raw)
                if key is None:
                    key = self._text(start, pos)
            else:
                self.pos = pos
                key = self.item(depth)
                pos = self.pos
                if type(key) is not str and type(key) is not int:
                    raise CborError(f"a map key of type {type(key).__name__}")
            if key in result:
                self.ambiguous = True
                raise CborError(f"key {key!r:.80} is given twice")
            head = data[pos]
            if head < 0x18:
                result[key] = head
                pos += 1
            elif 0x80 <= head < 0x98:
                self.pos = pos + 1
                result[key] = self._array(head - 0x80, depth)
                pos = self.pos
            else:
                self.pos = pos
                result[key] = self.item(depth)
                pos = self.pos
        self.pos = pos
        return result

    def _simple(self, head: int, pos: int) -> Any:
        if head == 0xFB:
            self.pos = pos + 8
            return _FLOAT64(self.data, pos)[0]
        if head == 0xF4 or head == 0xF5:
            self.pos = pos
            return head == 0xF5
        if head == 0xF6 or head == 0xF7:
            self.pos = pos
            return None
        if head == 0xFA:
            self.pos = pos + 4
            return _FLOAT32(self.data, pos)[0]
        if head == 0xF9:
            self.pos = pos + 2
            return _FLOAT16(self.data, pos)[0]
        raise CborError(f"simple value 0x{head:02x} is not supported")
