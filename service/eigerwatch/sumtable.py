"""What `eigerwatch sum` says about a dataset, on the terminal."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from eigerwatch.analysis.events.model import EventKind
from eigerwatch.analysis.targets import Decision
from eigerwatch.assessed import Assessed
from eigerwatch.log import printable
from eigerwatch.masks import n_masked
from eigerwatch.offline import MasterSums

_MOST_REASONS = 5
"""Rejected frames and events named; the others are counted."""


def show(console: Console, sums: MasterSums, found: Assessed) -> None:
    """Print the table of a dataset, and what was counted."""
    description = found.assessment.description
    n = counts(sums)
    table = TerminalTable(title=Text(printable(sums.path.name)), title_justify="left")
    table.add_column("")
    table.add_column("raw", justify="right")
    table.add_column("detrended", justify="right")
    rows = zip(description.raw.rows(), description.detrended.rows(), strict=True)
    for (label, raw), (_, detrended) in rows:
        table.add_row(label, _cell(label, raw), _cell(label, detrended))
    console.print(table)
    told = ", ".join(f"{n[what]} {what}" for what in ("stored", "missing", "rejected"))
    masked = masked_pixels(sums)
    console.print(
        f"frames {sums.first_frame}-{sums.last_frame} of {sums.n_frames}: {told}"
        f"; pixels kept from {sums.selection.low} to {high_words(sums)}"
        + (f", {masked} masked ({_owners(sums)})" if masked else ""),
        markup=False,
    )
    for note in sums.selection.notes:
        console.print(f"note: {note}", markup=False)
    _show_judgement(console, found)


def _show_judgement(console: Console, found: Assessed) -> None:
    """Print what the table does not say: which frames, the limit, events, decision."""
    assessment = found.assessment
    console.print(f"used (from 0): {assessment.excluded.usage}", markup=False)
    if assessment.measured.n > 1 and assessment.shot.cv_shot_percent > 0:
        limit = assessment.shot.cv_shot_percent
        console.print(
            f"shot-noise limit of the CV: {limit:.4f} % (estimate)", markup=False
        )
        console.print(assessment.judgement.reason, markup=False)
    told = [event for event in assessment.events if event.kind != EventKind.GAP]
    for event in told[:_MOST_REASONS]:
        console.print(f"{event.kind}: {event.reason}", markup=False)
    if len(told) > _MOST_REASONS:
        console.print(f"... and {len(told) - _MOST_REASONS} more events")
    if found.judged.checks or found.judged.decision == Decision.NO_BEAM:
        decision = found.judged.decision.value.replace("_", "-")
        console.print(f"{decision}: {found.judged.text}", markup=False)


def complain(console: Console, sums: MasterSums) -> None:
    """Print what could not be read or reduced."""
    for problem in sums.problems:
        console.print(printable(problem, 1000), style="yellow", markup=False)
    for number, (frame, reason) in enumerate(sorted(sums.reasons.items())):
        if number == _MOST_REASONS:
            rest = len(sums.reasons) - _MOST_REASONS
            console.print(f"... and {rest} more rejected frames", style="yellow")
            break
        text = f"{sums.path}: frame {frame} rejected: {reason}"
        console.print(printable(text, 1000), style="yellow", markup=False)


def counts(sums: MasterSums) -> dict[str, int]:
    """Return how many frames were selected, and what became of them."""
    stored, rejected = (int(np.count_nonzero(a)) for a in (sums.stored, sums.rejected))
    selected = len(sums.records)
    return {
        "selected": selected,
        "stored": stored,
        "missing": selected - stored - rejected,
        "rejected": rejected,
    }


def high_words(sums: MasterSums) -> str:
    """Return the upper limit and where it comes from."""
    selection = sums.selection
    if selection.high_from == "settings":
        origin = "set"
    elif selection.high_from == "dtype":
        origin = f"auto: limit of {sums.start.dtype}"
    else:
        origin = f"auto: {selection.high_from}"
    return f"{selection.high} counts ({origin})"


def masked_pixels(sums: MasterSums) -> int:
    """Return how many pixels the masks leave out."""
    mask = sums.selection.mask
    return 0 if mask is None else n_masked(mask)


def _owners(sums: MasterSums) -> str:
    return " and ".join(f"{owner}'s mask" for owner in sums.selection.mask_from)


def _cell(label: str, value: float) -> str:
    if np.isnan(value):
        return "-"
    if label == "count":
        return f"{value:.0f}"
    return f"{value:.4f}" if label == "CV%" else f"{value:.2f}"
