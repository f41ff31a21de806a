"""A report before it has a form: the blocks that HTML and PDF are both made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

Points = tuple[tuple[float, float], ...]
"""x to the right and y downwards, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A decision, told by text, shape and colour at once."""

    text: str
    colour: str
    """Dark enough for white text on it."""
    outline: Points
    """Of the white mark beside the text."""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """Head of a table's column."""

    label: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; the first cell of each names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    head: bool = True
    """False: labels and values explain themselves."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure that can be drawn at any size."""

    name: str
    """Unique in the document; letters only."""
    caption: str
    alt: str
    """What one sees, for those who do not."""
    draw: Callable[[FigureBase], None]
    height: float
    """As a fraction of its width."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Blocks side by side, of equal width."""

    blocks: tuple[Table | Plot, ...]


Block = Text | Table | Plot | Beside


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report comes to."""

    badge: Badge | None
    """None: there is nothing to decide."""
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    kind: str
    """Such as "Beam intensity report"."""
    title: str
    made: datetime
    version: str
    verdict: Verdict
    sections: tuple[Section, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
    """Every figure with all its digits, safe for JSON."""


GOOD, BAD, NEUTRAL = "#00714f", "#b23c00", "#5a5a5a"
TICK: Points = (
    (0.0, 0.55), (0.14, 0.41), (0.36, 0.63), (0.86, 0.13), (1.0, 0.27), (0.36, 0.91)
)  # fmt: skip
CROSS: Points = (
    (0.0, 0.16), (0.16, 0.0), (0.5, 0.34), (0.84, 0.0), (1.0, 0.16), (0.66, 0.5),
    (1.0, 0.84), (0.84, 1.0), (0.5, 0.66), (0.16, 1.0), (0.0, 0.84), (0.34, 0.5),
)  # fmt: skip
BAR: Points = ((0.0, 0.38), (1.0, 0.38), (1.0, 0.62), (0.0, 0.62))
HOLLOW: Points = (
    (0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.2), (0.2, 0.2),
    (0.2, 0.8), (0.8, 0.8), (0.8, 0.2), (0.0, 0.2),
)  # fmt: skip
DOWN: Points = ((0.0, 0.1), (1.0, 0.1), (0.5, 0.95))
UP: Points = ((0.0, 0.9), (1.0, 0.9), (0.5, 0.05))
