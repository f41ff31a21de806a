"""Text on paper: how wide it is, where lines break, which characters there are."""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

UNKNOWN = "\ufffd"
LEADING = 1.32
"""Distance of lines as a multiple of the size of the letters."""


@functools.cache
def _font(bold: bool) -> Any:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    weight = "bold" if bold else "normal"
    return get_font(findfont(FontProperties(family="DejaVu Sans", weight=weight)))


@functools.cache
def _advance(character: str, bold: bool) -> float:
    """Return the width of a character as a multiple of the size."""
    font = _font(bold)
    font.set_size(100.0, 72.0)
    return float(font.load_char(ord(character)).linearHoriAdvance) / 65536 / 100


@functools.cache
def _there(character: str) -> bool:
    return all(_font(bold).get_char_index(ord(character)) for bold in (False, True))


def in_font(text: str) -> str:
    """Return `text` in one line, with a sign where the font has no such character."""
    characters = []
    for character in text:
        category = unicodedata.category(character)
        if character.isspace() and character != "\u202f":
            characters.append(" ")
        elif category[0] == "C":
            continue
        else:
            characters.append(character if _there(character) else UNKNOWN)
    return "".join(characters)


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide `text` is [points]."""
    return size * sum(_advance(character, bold) for character in text)


def wrapped(text: str, size: float, room: float, *, bold: bool = False) -> list[str]:
    """Return `text` in lines no wider than `room` [points]; at least one."""
    lines = [""]
    for word in in_font(text).split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width(longer, size, bold=bold) <= room:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if lines[-1] and width(lines[-1] + character, size, bold=bold) > room:
                lines.append("")
            lines[-1] += character
    return lines
