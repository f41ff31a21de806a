"""Reports of two runs against each other: HTML, PDF, and tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from eigerwatch.analysis.comparison import Comparison
from eigerwatch.log import printable
from eigerwatch.report.change_tables import (
    band_changes_table,
    conditions_tables,
    line_changes_table,
    ratios_table,
    side_by_side,
)
from eigerwatch.report.changes import (
    draw_band_changes,
    draw_both_allan,
    draw_both_runs,
    draw_both_spectra,
)
from eigerwatch.report.document import (
    BAD,
    BAR,
    CROSS,
    DOWN,
    GOOD,
    HOLLOW,
    NEUTRAL,
    UP,
    Badge,
    Beside,
    Block,
    Column,
    Document,
    Plot,
    Section,
    Table,
    Text,
    Verdict,
)
from eigerwatch.report.frequencies import band_name
from eigerwatch.report.model import Run
from eigerwatch.report.page import html_page
from eigerwatch.report.pdf import pdf_pages

if TYPE_CHECKING:
    from rich.console import RenderableType

OUTCOMES = {
    "steadier": Badge("STEADIER", GOOD, DOWN),
    "less_steady": Badge("LESS STEADY", BAD, UP),
    "no_change": Badge("NO CHANGE", NEUTRAL, BAR),
    "undecided": Badge("UNDECIDED", NEUTRAL, HOLLOW),
    "not_comparable": Badge("NOT COMPARABLE", NEUTRAL, CROSS),
}


def html_comparison(
    comparison: Comparison, a: Run, b: Run, made: datetime | None = None
) -> str:
    """Return the comparison as an HTML page that works offline.

    Parameters
    ----------
    comparison
        What `compare` says of the assessments of `a` and `b`.
    a, b
        The runs, as `analysed` returns them.
    made
        When the report was made; None: as that of `b`.
    """
    return html_page(comparison_document(comparison, a, b, made))


def pdf_comparison(
    comparison: Comparison, a: Run, b: Run, made: datetime | None = None
) -> bytes:
    """Return the comparison as PDF; parameters are those of `html_comparison`."""
    return pdf_pages(comparison_document(comparison, a, b, made))


def terminal_tables(comparison: Comparison) -> list[RenderableType]:
    """Return the verdict and the tables of a comparison, to be printed by rich."""
    from rich.table import Table as TerminalTable
    from rich.text import Text as TerminalText

    def plain(text: str) -> TerminalText:
        # A narrow space is one that terminals, and those who copy, do not expect.
        return TerminalText(printable(text.replace("\u202f", " "), 2000))

    badge = OUTCOMES[comparison.outcome]
    parts: list[RenderableType] = [plain(f"{badge.text}: {_ended(comparison.verdict)}")]
    parts += [plain(f"Refused: {one}") for one in comparison.refusals]
    parts += [plain(f"Note: {one}") for one in comparison.warnings]
    tables = [ratios_table(comparison)]
    tables += [band_changes_table(comparison)] if comparison.bands else []
    tables += [line_changes_table(comparison)] if comparison.lines else []
    for table in tables:
        shown = TerminalTable(
            title=plain(table.caption), title_justify="left", box=None, pad_edge=False
        )
        for column in table.columns:
            shown.add_column(
                plain(column.label), justify="right" if column.numeric else "left"
            )
        for row in table.rows:
            shown.add_row(*(plain(cell) for cell in row))
        parts += [TerminalText(), shown]
    if comparison.frequencies_text:
        parts.append(plain(f"No frequencies: {comparison.frequencies_text}"))
    return parts


def comparison_document(
    comparison: Comparison, a: Run, b: Run, made: datetime | None = None
) -> Document:
    """Return the report of a comparison; every figure is the analysis' own."""
    first, *rest = comparison.verdict.split("; ")
    verdict = Verdict(
        OUTCOMES[comparison.outcome],
        _ended(first),
        tuple(
            _ended(text)
            for text in (
                *rest,
                f"A: {a.subject.title}",
                f"B: {b.subject.title}",
                *comparison.warnings,
            )
        ),
    )
    return Document(
        kind="Comparison of two runs",
        title=f"{comparison.names[0]} and {comparison.names[1]}",
        made=made or b.subject.made,
        version=b.subject.version,
        verdict=verdict,
        sections=tuple(_sections(comparison, [a, b])),
        data={
            "comparison": comparison.as_dict(),
            "assessments": [a.assessment.as_dict(), b.assessment.as_dict()],
        },
    )


def _sections(comparison: Comparison, runs: list[Run]) -> Iterator[Section]:
    blocks: list[Block] = [ratios_table(comparison)]
    if comparison.refusals:
        rows = tuple((str(k), one) for k, one in enumerate(comparison.refusals, 1))
        head = (Column("no."), Column("reason"))
        blocks.insert(0, Table("Why these runs cannot be compared", head, rows))
    both = Plot(
        "runs",
        "Frames used of both runs, detrended, on the same scale. Each bin of frames is "
        "drawn from its smallest to its largest.",
        "Two panels of intensity over the frame number, one for each run.",
        partial(draw_both_runs, comparison=comparison, runs=runs),
        0.42,
    )
    yield Section("What has changed", (*blocks, both))
    yield Section("Frequencies", tuple(_frequencies(comparison, runs)))
    yield Section(
        "The two runs",
        (side_by_side(comparison, runs), *conditions_tables(comparison, runs)),
    )


def _frequencies(comparison: Comparison, runs: list[Run]) -> Iterator[Block]:
    if comparison.frequencies_text:
        yield Text(_ended(f"No frequencies: {comparison.frequencies_text}"))
        return
    found = comparison.spectrum
    note = "" if found is None else found.text
    yield Plot(
        "spectra",
        f"Power spectral densities of both runs, and B over A. {note}".strip(),
        "Two panels against frequency on logarithmic axes: both densities with the "
        "levels of counting, and their ratio with its interval.",
        partial(draw_both_spectra, comparison=comparison),
        0.55,
    )
    yield line_changes_table(comparison)
    changes = "; ".join(
        f"{band_name(band.low_hz, band.high_hz, band.unit)}: {band.text}"
        for band in comparison.bands
    )
    bands = Plot(
        "bandchanges",
        "Rms by band, with the ratio B/A; *: significant, all bands considered.",
        f"Bars of the rms of both runs by band. {changes}",
        partial(draw_band_changes, comparison=comparison),
        0.8,
    )
    allan = Plot(
        "bothallan",
        "Allan deviation: how much averages over neighbouring times differ.",
        "Deviations of both runs against averaging time, with their intervals.",
        partial(draw_both_allan, runs=runs),
        0.8,
    )
    yield Beside((bands, allan))
    yield band_changes_table(comparison)


def _ended(text: str) -> str:
    """Return `text` with a full stop; names of runs keep their case."""
    return text if not text or text[-1] in ".!?" else f"{text}."
