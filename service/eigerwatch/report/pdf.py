"""Reports as PDF: A4, vector graphics, the same plots and tables as the page."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eigerwatch.analysis.assessment import Assessment
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.targets import Judged
from eigerwatch.report.contents import run_document
from eigerwatch.report.document import (
    Badge,
    Beside,
    Block,
    Column,
    Document,
    Plot,
    Table,
    Text,
    Verdict,
)
from eigerwatch.report.model import Subject, analysed
from eigerwatch.report.style import INK, RULE, SOFT, look
from eigerwatch.report.typeset import LEADING, in_font, width, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = (595.28, 841.89)
"""A4 [points]."""
MARGIN = 46.0
ROOM = PAGE[0] - 2 * MARGIN
TOP, BOTTOM = 58.0, PAGE[1] - 50.0
GUTTER = 18.0
"""Between blocks side by side."""
BODY, SMALL, HEAD = 7.6, 6.8, 12.0
CELL_GAP = 12.0
CELL_AIR = 1.6


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stays together on a page."""

    height: float
    paint: Callable[[Figure, float, float], None]
    """Called with the page and the upper left corner, y downwards [points]."""
    with_next: bool = False
    repeat: _Piece | None = None
    """Head of a table, painted again where a page begins with this piece."""


def pdf_report(
    subject: Subject, assessment: Assessment, judged: Judged | None, frames: Measured
) -> bytes:
    """Return the report of a run as PDF; parameters are those of `html_report`."""
    return pdf_pages(run_document(analysed(subject, assessment, judged, frames)))


def pdf_pages(document: Document) -> bytes:
    """Return a document as a PDF file."""
    from matplotlib.backends.backend_pdf import PdfPages

    out = io.BytesIO()
    with look(**{"font.size": 7.4, "lines.linewidth": 0.8}):
        pages = _laid_out(list(_pieces(document)))
        about = {
            "Title": in_font(document.title),
            "Subject": document.kind,
            "Creator": in_font(document.version),
            "CreationDate": document.made,
            "ModDate": document.made,
        }
        with PdfPages(out, metadata=about) as file:
            for number, page in enumerate(pages, 1):
                _furnish(page, document, number, len(pages))
                file.savefig(page)
    return out.getvalue()


def _laid_out(pieces: list[_Piece]) -> list[Figure]:
    from matplotlib.figure import Figure

    def fresh() -> Figure:
        return Figure(figsize=(PAGE[0] / 72, PAGE[1] / 72), dpi=72)

    pages, y = [fresh()], TOP
    for k, piece in enumerate(pieces):
        needed = piece.height
        j = k
        while pieces[j].with_next and j + 1 < len(pieces):
            j += 1
            needed += pieces[j].height
        if y + needed > BOTTOM and y > TOP:
            pages.append(fresh())
            y = TOP
            if piece.repeat is not None:
                piece.repeat.paint(pages[-1], MARGIN, y)
                y += piece.repeat.height
        piece.paint(pages[-1], MARGIN, y)
        y += piece.height
    return pages


def _pieces(document: Document) -> Iterator[_Piece]:
    yield _lines(document.kind.upper(), SMALL, ROOM, colour=SOFT, after=1)
    yield _lines(document.title, 16, ROOM, bold=True, after=1)
    made = f"Made {document.made:%Y-%m-%d %H:%M %Z}".strip()
    made += f" · {document.version}" if document.version else ""
    yield _lines(made, SMALL, ROOM, colour=SOFT, after=3)
    yield _rule(INK, 1.4, after=10)
    yield _verdict(document.verdict)
    for section in document.sections:
        if not section.blocks:
            continue
        yield _space(8, with_next=True)
        yield _lines(section.title, HEAD, ROOM, bold=True, after=1, with_next=True)
        yield _rule(SOFT, 0.6, after=7, with_next=True)
        for block in section.blocks:
            yield from _block(block, ROOM)


def _block(block: Block, room: float) -> Iterator[_Piece]:
    match block:
        case Text(text):
            yield _lines(text, SMALL, room, colour=SOFT, after=7)
        case Table():
            yield from _table(block, room)
        case Plot():
            yield _plot(block, room)
        case Beside(blocks):
            yield from _beside(blocks, room)


def _beside(blocks: tuple[Table | Plot, ...], room: float) -> Iterator[_Piece]:
    # Of two columns even where there is one block: plots keep their size.
    columns = max(2, len(blocks))
    share = (room - GUTTER * (columns - 1)) / columns
    parts = [list(_block(block, share)) for block in blocks]
    heights = [sum(piece.height for piece in part) for part in parts]
    if max(heights) > BOTTOM - TOP:
        for block in blocks:
            yield from _block(block, room)
        return

    def paint(page: Figure, x: float, y: float) -> None:
        for column, part in enumerate(parts):
            below = y
            for piece in part:
                piece.paint(page, x + column * (share + GUTTER), below)
                below += piece.height

    yield _Piece(max(heights), paint)


def _lines(
    text: str,
    size: float,
    room: float,
    *,
    bold: bool = False,
    colour: str = INK,
    after: float = 0,
    with_next: bool = False,
) -> _Piece:
    lines = wrapped(text, size, room, bold=bold)

    def paint(page: Figure, x: float, y: float) -> None:
        _write(page, x, y, lines, size, bold=bold, colour=colour)

    return _Piece(len(lines) * size * LEADING + after, paint, with_next)


def _write(
    page: Figure,
    x: float,
    y: float,
    lines: list[str],
    size: float,
    *,
    bold: bool = False,
    colour: str = INK,
    right: bool = False,
) -> None:
    """Write lines below each other; `x` is their left end, or their right one."""
    for line in lines:
        if line:
            page.text(
                x / PAGE[0], 1 - (y + size) / PAGE[1], line, fontsize=size,
                fontweight="bold" if bold else "normal", color=colour,
                ha="right" if right else "left", va="baseline",
            )  # fmt: skip
        y += size * LEADING


def _stroke(
    page: Figure, x: float, y: float, length: float, colour: str, thick: float
) -> None:
    from matplotlib.lines import Line2D

    ends = [x / PAGE[0], (x + length) / PAGE[0]]
    level = [1 - y / PAGE[1]] * 2
    page.add_artist(Line2D(ends, level, color=colour, linewidth=thick))


def _rule(
    colour: str, thick: float, after: float, *, with_next: bool = False
) -> _Piece:
    def paint(page: Figure, x: float, y: float) -> None:
        _stroke(page, x, y, ROOM, colour, thick)

    return _Piece(after, paint, with_next)


def _space(height: float, *, with_next: bool = False) -> _Piece:
    return _Piece(height, lambda page, x, y: None, with_next)


def _verdict(verdict: Verdict) -> _Piece:
    badge, wide = verdict.badge, 0.0
    if badge is not None:
        wide = 46 + width(badge.text, 12, bold=True)
    left = wide + (14 if wide else 0)
    title = wrapped(verdict.title, 10, ROOM - left, bold=True)
    sentences = [wrapped(text, BODY, ROOM - left) for text in verdict.sentences]
    height = len(title) * 10 * LEADING + 3
    height += sum(len(lines) * BODY * LEADING + 2 for lines in sentences)

    def paint(page: Figure, x: float, y: float) -> None:
        if badge is not None:
            _badge(page, x, y, wide, badge)
        _write(page, x + left, y, title, 10, bold=True)
        below = y + len(title) * 10 * LEADING + 3
        for lines in sentences:
            _write(page, x + left, below, lines, BODY)
            below += len(lines) * BODY * LEADING + 2

    return _Piece(max(height, 34.0) + 4, paint)


def _badge(page: Figure, x: float, y: float, wide: float, badge: Badge) -> None:
    from matplotlib.patches import Polygon, Rectangle

    tall, side = 28.0, 13.0
    page.add_artist(
        Rectangle(
            (x / PAGE[0], 1 - (y + tall) / PAGE[1]), wide / PAGE[0], tall / PAGE[1],
            facecolor=badge.colour, edgecolor="none",
        )
    )  # fmt: skip
    corner = (x + 11, y + (tall - side) / 2)
    outline = [
        ((corner[0] + side * px) / PAGE[0], 1 - (corner[1] + side * py) / PAGE[1])
        for px, py in badge.outline
    ]
    page.add_artist(Polygon(outline, facecolor="white", edgecolor="none"))
    _write(
        page, x + 34, y + 6.5, [badge.text], 12, bold=True, colour="white"
    )  # fmt: skip


def _plot(plot: Plot, room: float) -> _Piece:
    from matplotlib.gridspec import GridSpec

    tall = room * plot.height
    caption = wrapped(plot.caption, SMALL, room)

    def paint(page: Figure, x: float, y: float) -> None:
        # A part of a figure fills its cell of a grid, so the grid has its margins.
        grid = GridSpec(
            3, 3, figure=page, wspace=0, hspace=0,
            width_ratios=(x, room, PAGE[0] - x - room),
            height_ratios=(y, tall, PAGE[1] - y - tall),
        )  # fmt: skip
        plot.draw(page.add_subfigure(grid[1, 1], facecolor="none"))
        _write(page, x, y + tall + 1, caption, SMALL, colour=SOFT)

    return _Piece(tall + 1 + len(caption) * SMALL * LEADING + 9, paint)


def _table(table: Table, room: float) -> Iterator[_Piece]:
    widths = _widths(table, room)
    yield _lines(table.caption, BODY + 0.6, room, bold=True, after=2, with_next=True)
    head = None
    if table.rows and table.head:
        labels = tuple(column.label for column in table.columns)
        head = _row(table.columns, labels, widths, room, bold=True)
        yield head
    for k, cells in enumerate(table.rows):
        last = k == len(table.rows) - 1
        yield _row(table.columns, cells, widths, room, head=head, last=last)
    if table.note:
        yield _space(2)
        yield _lines(table.note, SMALL, room, colour=SOFT)
    yield _space(9)


def _widths(table: Table, room: float) -> list[float]:
    """Return the columns' widths: numbers as wide as they are, texts share the rest."""
    natural, shortest = [], []
    for k, column in enumerate(table.columns):
        label = width(in_font(column.label), BODY, bold=True)
        cells = [width(in_font(row[k]), BODY) for row in table.rows]
        natural.append(max([label, *cells]))
        shortest.append(natural[-1] if column.numeric else min(natural[-1], 60.0))
    room -= CELL_GAP * (len(natural) - 1)
    spare = room - sum(natural)
    if spare >= 0:
        # As on the page, the whole width is used.
        return [one + spare / len(natural) for one in natural]
    least = room - sum(shortest)
    if least <= 0:
        return [room * one / sum(shortest) for one in shortest]
    wanted = sum(natural) - sum(shortest)
    return [
        low + least * (full - low) / wanted
        for low, full in zip(shortest, natural, strict=True)
    ]


def _row(
    columns: tuple[Column, ...],
    cells: tuple[str, ...],
    widths: list[float],
    room: float,
    *,
    head: _Piece | None = None,
    bold: bool = False,
    last: bool = False,
) -> _Piece:
    texts = [
        wrapped(cell, BODY, one, bold=bold)
        for cell, one in zip(cells, widths, strict=True)
    ]
    height = max(len(lines) for lines in texts) * BODY * LEADING + 2 * CELL_AIR

    def paint(page: Figure, x: float, y: float) -> None:
        _stroke(page, x, y, room, INK if bold else RULE, 0.7 if bold else 0.4)
        left = x
        for column, lines, one in zip(columns, texts, widths, strict=True):
            start = left + one if column.numeric else left
            _write(
                page, start, y + CELL_AIR - 0.6, lines, BODY, bold=bold,
                right=column.numeric,
            )  # fmt: skip
            left += one + CELL_GAP
        if bold or last:
            _stroke(page, x, y + height, room, INK, 0.7)

    return _Piece(height, paint, with_next=bold, repeat=head)


def _furnish(page: Figure, document: Document, number: int, pages: int) -> None:
    """Add what every page has at its edges."""
    if number > 1:
        title = wrapped(document.title, SMALL, ROOM - 120)[0]
        _write(page, MARGIN, 34, [title], SMALL, colour=SOFT)
        right = f"{document.made:%Y-%m-%d}"
        _write(page, PAGE[0] - MARGIN, 34, [right], SMALL, colour=SOFT, right=True)
        _stroke(page, MARGIN, 46, ROOM, RULE, 0.5)
    foot = PAGE[1] - 34
    _write(page, MARGIN, foot, [in_font(document.version)], SMALL, colour=SOFT)
    _write(
        page, PAGE[0] - MARGIN, foot, [f"page {number} of {pages}"], SMALL,
        colour=SOFT, right=True,
    )  # fmt: skip
