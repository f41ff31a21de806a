"""The tables of the report of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from eigerwatch.analysis.events.model import Event, EventKind
from eigerwatch.analysis.statistics import ROW_LABELS
from eigerwatch.analysis.statistics import Table as Statistics
from eigerwatch.report.document import Column, Table
from eigerwatch.report.frequencies import band_name
from eigerwatch.report.model import Run, Subject
from eigerwatch.report.numbers import (
    NOTHING,
    limits,
    number,
    probability,
    whole,
    with_error,
)
from eigerwatch.report.timeline import KIND_LABELS

MOST_EVENTS = 200
"""Rows of the table of events; the rest is counted."""
MOST_EXCLUSIONS = 200
_MINOR = (EventKind.SPIKE, EventKind.GAP)
"""Kinds of which there may be many; the others are listed first when room is short."""


def facts_table(subject: Subject) -> Table:
    """Return what the caller tells of the run."""
    rows = [(label, value or NOTHING) for label, value in subject.facts]
    return Table("What was measured", (Column(""), Column("")), tuple(rows), head=False)


def frames_table(run: Run) -> Table:
    """Return which frames the figures rest on."""
    found = run.assessment
    usage = found.excluded.usage
    rows = [
        ("frames stored", whole(run.frames.n)),
        ("frames missing in between", whole(found.missing)),
        ("frames used", whole(usage.used)),
        ("first frame used", whole(usage.first)),
        ("last frame used", whole(usage.last)),
    ]
    rows += [
        (f"excluded: {KIND_LABELS.get(kind, kind)}", whole(n))
        for kind, n in sorted(usage.excluded.items())
    ]
    proposed = found.proposed
    if proposed is not None and len(found.segments) > 1:
        rows.append(
            (
                "longest stable stretch",
                f"{whole(proposed.first)} to {whole(proposed.last)}, "
                f"{whole(proposed.n)} frames",
            )
        )
    rows.append(("time base", found.time_base.text))
    head = (Column(""), Column(""))
    return Table("Frames of this selection", head, tuple(rows), head=False)


def checks_table(run: Run) -> Table:
    """Return the figures held against their limits."""
    assert run.judged is not None
    said = {True: "✓ within", False: "✗ exceeded", None: "? not known"}
    rows = tuple(
        (
            check.name,
            _unit(check.value, "%"),
            f"{check.limit:g} %",
            said[check.held],
        )
        for check in run.judged.checks
    )
    head = (
        Column("figure"),
        Column("value", True),
        Column("limit", True),
        Column("is"),
    )
    return Table("Against the limits that are set", head, rows)


def key_figures(run: Run) -> Table:
    """Return what a run comes to, with intervals."""
    found = run.assessment
    sure, shot, drift = found.uncertainty, found.shot, found.drift
    related, steady = sure.correlation, found.stationarity
    why = sure.reason
    describe = found.description
    said = {True: "holds", False: "does not hold", None: "not known"}
    rows = (
        (
            "CV, raw",
            _unit(describe.raw.cv_percent, "%"),
            _interval(sure.cv_raw.low, sure.cv_raw.high, "%"),
            why or "drift and steps included",
        ),
        (
            "CV, detrended",
            _unit(found.detrended.cv_percent, "%"),
            _interval(sure.cv_detrended.low, sure.cv_detrended.high, "%"),
            why or "about the line of each stretch between top-ups and steps",
        ),
        (
            "CV of counting alone",
            _unit(shot.cv_shot_percent, "%"),
            NOTHING,
            "100/√mean: the shot-noise limit",
        ),
        (
            "CV of the beam",
            _unit(shot.cv_beam_percent, "%"),
            _interval(sure.cv_beam.low, sure.cv_beam.high, "%"),
            why or "what is left when counting is taken off",
        ),
        ("Fano factor", number(shot.fano), NOTHING, "variance/mean; 1: counting alone"),
        (
            "drift, first to last frame",
            f"{with_error(drift.rise_percent, drift.rise_percent_error)} %".replace(
                f"{NOTHING} %", NOTHING
            ),
            NOTHING,
            _rate(drift.percent_per_s, drift.percent_per_s_error),
        ),
        (
            "independent frames",
            number(related.effective_for_variance, 3),
            NOTHING,
            f"for the CV, of {whole(related.n)}; "
            f"{number(related.effective_for_mean, 3)} for the mean",
        ),
        ("stationarity", said[steady.holds], NOTHING, steady.reason),
    )
    head = (
        Column("figure"),
        Column("value", True),
        Column(f"{100 * sure.confidence:g} % interval", True),
        Column("remark"),
    )
    note = ""
    if sure.resamples:
        note = (
            f"Intervals by moving-block bootstrap: {whole(sure.resamples)} resamples "
            f"of {whole(sure.blocks)} blocks of {whole(sure.block_length)} frames. "
            f"Drift with its standard error. Counting is an estimate: flat-field and "
            f"count-rate corrections change the statistics."
        )
    return Table("Key figures", head, rows, note)


def _rate(value: float, error: float) -> str:
    text = with_error(value, error)
    return "no time base" if text == NOTHING else f"{text} %/s; standard error"


def statistics_table(run: Run) -> Table:
    """Return the origin's table; sums are exact where they are whole."""
    used, found = run.assessment.measured, run.assessment.description
    left = _statistics(found.raw)
    if used.n:
        # Integers keep the digits that a float has not.
        left["min"] = whole(int(used.totals.min()))
        left["max"] = whole(int(used.totals.max()))
    right = _statistics(found.detrended)
    rows = tuple((label, left[label], right[label]) for label in ROW_LABELS)
    head = (Column(""), Column("raw", True), Column("detrended", True))
    return Table(
        "Sum of the kept pixels per frame [counts]",
        head,
        rows,
        "Detrended: one least-squares line through all frames used is taken off, the "
        "mean is kept.",
    )


def _statistics(table: Statistics) -> dict[str, str]:
    values = dict(zip(ROW_LABELS, asdict(table).values(), strict=True))
    text = {label: number(float(value), 9) for label, value in values.items()}
    text["count"] = whole(table.count)
    text["CV%"] = number(table.cv_percent, 5)
    text["std"] = number(table.std, 6)
    return text


def _unit(value: float, unit: str) -> str:
    text = number(value)
    return text if text == NOTHING else f"{text} {unit}"


def _interval(low: float, high: float, unit: str) -> str:
    text = limits(low, high)
    return text if text == NOTHING else f"{text} {unit}"


def lines_table(run: Run) -> Table:
    """Return the lines found."""
    found = run.assessment.frequencies
    assert found is not None
    search, unit = found.lines, found.lines.unit
    rows = tuple(
        (
            str(k),
            with_error(line.frequency_hz, line.frequency_se_hz),
            with_error(100 * line.amplitude, 100 * line.amplitude_se),
            number(line.rms_percent, 3),
            probability(line.false_alarm_probability),
            NOTHING if line.naming is None else line.naming.name,
        )
        for k, line in enumerate(search.lines, 1)
    )
    head = (
        Column("line"),
        Column(f"frequency [{unit}]", True),
        Column("peak amplitude [%]", True),
        Column("rms [%]", True),
        Column("by chance", True),
        Column("name"),
    )
    between = limits(search.lowest_hz, search.highest_hz)
    note = f"Looked for from {between} {unit}." if between != NOTHING else ""
    if not rows:
        note = f"No line was found. {note}".strip()
    return Table("Lines in the intensity, the strongest first", head, rows, note)


def bands_table(run: Run) -> Table:
    """Return the fluctuation by band."""
    found = run.assessment.frequencies
    assert found is not None
    rows = tuple(
        (
            band_name(band.low_hz, band.high_hz, found.bands.unit),
            number(band.rms_percent),
            number(100 * band.share, 3),
            number(100 * band.shot_share, 3),
        )
        for band in found.bands.bands
    )
    head = (
        Column("band"),
        Column("rms [% of the mean]", True),
        Column("share of the variance [%]", True),
        Column("of counting alone [%]", True),
    )
    note = f"All bands together: rms {number(found.bands.rms_percent)} %."
    return Table("Fluctuation by band", head, rows, note)


def regions_table(run: Run) -> Table:
    """Return the figures of each region."""
    rows = tuple(
        (
            region.name,
            number(region.mean, 6),
            number(region.cv_percent),
            number(region.shot.cv_shot_percent),
            number(region.shot.cv_beam_percent),
            number(region.shot.fano),
            "damaged" if region.damaged else "",
        )
        for region in run.regions
    )
    head = (
        Column("region"),
        Column("mean [counts]", True),
        Column("CV [%]", True),
        Column("counting [%]", True),
        Column("beam [%]", True),
        Column("Fano", True),
        Column("remark"),
    )
    return Table("Region by region, detrended", head, rows)


def events_table(run: Run) -> Table:
    """Return the events with their reasons."""
    events = sorted(run.assessment.events, key=lambda event: (event.first, event.kind))
    shown = events
    if len(events) > MOST_EVENTS:
        shown = sorted(events, key=lambda event: event.kind in _MINOR)[:MOST_EVENTS]
        shown.sort(key=lambda event: event.first)
    left = Counter(event.kind.value for event in events)
    left.subtract(event.kind.value for event in shown)
    rest = ", ".join(f"{n} {KIND_LABELS.get(k, k)}" for k, n in left.items() if n > 0)
    note = f"Not listed: {rest}." if rest else ""
    head = (
        Column("event"),
        Column("first frame", True),
        Column("last frame", True),
        Column("size", True),
        Column("confidence", True),
        Column("reason"),
    )
    rows = tuple(_event(event) for event in shown)
    return Table("Events", head, rows, note if rows else "No event was found.")


def _event(event: Event) -> tuple[str, ...]:
    return (
        KIND_LABELS.get(event.kind.value, event.kind.value),
        whole(event.first),
        whole(event.last),
        _size(event),
        number(event.confidence, 2),
        event.reason,
    )


def _size(event: Event) -> str:
    if event.unit == "frames":
        return f"{whole(round(event.size))} frames"
    text = number(100 * event.size, 3)
    if text == NOTHING:
        return text
    sign = "+" if event.size > 0 else ""
    return f"{sign}{text} %{event.unit.removeprefix('relative')}"


def exclusions_table(run: Run) -> Table:
    """Return which frames do not count, and why."""
    intervals = run.assessment.excluded.intervals
    excluded = tuple(
        (
            KIND_LABELS.get(one.kind, one.kind),
            whole(one.first),
            "end" if one.last is None else whole(one.last),
            one.reason,
        )
        for one in intervals[:MOST_EXCLUSIONS]
    )
    note = "No frame is excluded."
    if excluded:
        note = f"{run.assessment.excluded.usage}."
        if len(intervals) > len(excluded):
            note += f" {len(intervals) - len(excluded)} more are not listed."
    head = (
        Column("excluded as"),
        Column("first frame", True),
        Column("last frame", True),
        Column("reason"),
    )
    return Table("Exclusions", head, excluded, note)


def segments_table(run: Run) -> Table:
    """Return the stretches between changes of the level."""
    segments = tuple(
        (str(k), whole(one.first), whole(one.last), whole(one.n), one.reason)
        for k, one in enumerate(run.assessment.segments[:MOST_EXCLUSIONS], 1)
    )
    head = (
        Column("stretch"),
        Column("first frame", True),
        Column("last frame", True),
        Column("frames", True),
        Column("where"),
    )
    proposed = run.assessment.proposed
    note = "" if proposed is None else f"Proposed for use: {proposed.reason}."
    more = len(run.assessment.segments) - len(segments)
    if more > 0:
        note = f"{note} {whole(more)} more are not listed."
    return Table("Stable stretches", head, segments, note or "There is none.")
