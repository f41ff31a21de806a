"""Reports as one HTML file: no network, no scripts, fit for paper."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from importlib import resources
from string import Template

from eigerwatch.analysis.assessment import Assessment
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.targets import Judged
from eigerwatch.report.contents import run_document
from eigerwatch.report.document import (
    Beside,
    Block,
    Document,
    Plot,
    Section,
    Table,
    Text,
    Verdict,
)
from eigerwatch.report.model import Subject, analysed
from eigerwatch.report.vector import svg

FULL_INCHES = 10.2
"""Width for which plots are drawn; that of the page's column, at 96 pixels an inch."""
HALF_INCHES = 5.0


def html_report(
    subject: Subject, assessment: Assessment, judged: Judged | None, frames: Measured
) -> str:
    """Return the report of a run as a page that works offline and when printed.

    Parameters
    ----------
    subject
        What the report is about; its text may hold anything.
    assessment
        All figures of the run.
    judged
        Go or no-go; None: no limits were asked for.
    frames
        All stored frames of the selection, as they were given to `assess`.
    """
    return html_page(run_document(analysed(subject, assessment, judged, frames)))


def html_page(document: Document) -> str:
    """Return a document as an HTML file."""
    data = json.dumps(dict(document.data), allow_nan=False, ensure_ascii=False)
    template = resources.files(__package__).joinpath("page.html")
    return Template(template.read_text(encoding="utf-8")).substitute(
        css=resources.files(__package__).joinpath("page.css").read_text("utf-8"),
        title=html.escape(document.title),
        kind=html.escape(document.kind),
        made=html.escape(f"{document.made:%Y-%m-%d %H:%M %Z}".strip()),
        machine_made=html.escape(document.made.isoformat()),
        version=html.escape(f" · {document.version}" if document.version else ""),
        verdict="\n".join(_verdict(document.verdict)),
        sections="\n".join(_sections(document.sections)),
        data=data.replace("<", "\\u003c"),
    )


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield '<section class="verdict" aria-label="Verdict">'
    badge = verdict.badge
    if badge is not None:
        points = " ".join(f"{20 * x:.4g},{20 * y:.4g}" for x, y in badge.outline)
        yield (
            f'<p class="state" style="background:{badge.colour}">'
            f'<svg viewBox="-1 -1 22 22" aria-hidden="true">'
            f'<polygon points="{points}"/></svg>{html.escape(badge.text)}</p>'
        )
    yield f'<div><p class="headline">{html.escape(verdict.title)}</p><ul>'
    for sentence in verdict.sentences:
        yield f"<li>{html.escape(sentence)}</li>"
    yield "</ul></div></section>"


def _sections(sections: tuple[Section, ...]) -> Iterator[str]:
    for section in sections:
        yield f"<section><h2>{html.escape(section.title)}</h2>"
        for block in section.blocks:
            yield from _block(block, FULL_INCHES)
        yield "</section>"


def _block(block: Block, width_inches: float) -> Iterator[str]:
    match block:
        case Text(text):
            yield f'<p class="note">{html.escape(text)}</p>'
        case Table():
            yield from _table(block)
        case Plot():
            label = html.escape(block.alt, quote=True)
            yield f'<figure><div role="img" aria-label="{label}">'
            yield svg(block, width_inches)
            caption = html.escape(block.caption)
            yield f"</div><figcaption>{caption}</figcaption></figure>"
        case Beside(blocks):
            yield '<div class="beside">'
            for part in blocks:
                yield "<div>"
                yield from _block(part, HALF_INCHES)
                yield "</div>"
            yield "</div>"


def _table(table: Table) -> Iterator[str]:
    yield f'<div class="table"><table><caption>{html.escape(table.caption)}</caption>'
    if table.head and table.rows:
        yield "<thead><tr>"
        for column in table.columns:
            style = ' class="n"' if column.numeric else ""
            label = html.escape(column.label)
            yield (
                f'<th scope="col"{style}>{label}</th>' if label else f"<td{style}></td>"
            )
        yield "</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        cells = [f'<tr><th scope="row">{html.escape(row[0])}</th>']
        for column, cell in zip(table.columns[1:], row[1:], strict=True):
            style = ' class="n"' if column.numeric else ""
            cells.append(f"<td{style}>{html.escape(cell)}</td>")
        yield "".join([*cells, "</tr>"])
    yield "</tbody></table>"
    if table.note:
        yield f'<p class="note">{html.escape(table.note)}</p>'
    yield "</div>"
