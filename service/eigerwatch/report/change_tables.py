"""The tables of a comparison of two runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from eigerwatch.analysis.bootstrap import Interval
from eigerwatch.analysis.comparison import CONFIDENCE, Comparison
from eigerwatch.analysis.ratios import Ratio
from eigerwatch.report.document import (
    Block,
    Column,
    Table,
)
from eigerwatch.report.frequencies import band_name
from eigerwatch.report.model import Run
from eigerwatch.report.numbers import (
    NOTHING,
    limits,
    number,
    probability,
    whole,
    with_error,
)

CONDITIONS = {
    "frame_time_s": "frame time [s]",
    "count_time_s": "exposure time [s]",
    "low": "filter, low [counts]",
    "high": "filter, high [counts]",
    "kept_pixels": "kept pixels, median",
    "shape": "image, rows and columns [pixels]",
    "dtype": "data type",
    "threshold_energy_ev": "energy threshold [eV]",
}
MOST_LINES = 100


def ratios_table(comparison: Comparison) -> Table:
    """Return the figures of both runs and B over A."""
    a, b = heads(comparison)
    shots = [_of(one, "%") for one in comparison.cv_shot_percent]
    rows = (
        _ratio("mean", comparison.mean, "counts"),
        _ratio("CV, detrended", comparison.cv, "%"),
        _ratio("CV of the beam", comparison.cv_beam, "%"),
        ("CV of counting alone", *shots, NOTHING, NOTHING, "follows from the mean"),
    )
    head = (
        Column("figure"),
        Column(a, True),
        Column(b, True),
        Column("ratio B/A", True),
        Column(f"{100 * CONFIDENCE:g} % interval", True),
        Column("in words"),
    )
    return Table("Ratios", head, rows)


def _ratio(name: str, ratio: Ratio, unit: str) -> tuple[str, ...]:
    text = ratio.text
    if ratio.significant is not None:
        text += " (significant)" if ratio.significant else " (not significant)"
    return (
        name,
        _of(ratio.a, unit),
        _of(ratio.b, unit),
        number(ratio.ratio),
        _interval(ratio.interval),
        text,
    )


def _of(value: float, unit: str) -> str:
    text = number(value, 6 if unit == "counts" else 4)
    return text if text == NOTHING else f"{text} {unit}"


def _interval(interval: Interval) -> str:
    """Return an interval that may be open to one side."""
    if interval.low > 0 and math.isinf(interval.high):
        return f"above {number(interval.low)}"
    if interval.low == 0 and math.isfinite(interval.high):
        return f"below {number(interval.high)}"
    return limits(interval.low, interval.high)


def band_changes_table(comparison: Comparison) -> Table:
    """Return the rms of each band in both runs."""
    a, b = heads(comparison)
    rows = tuple(
        (
            band_name(band.low_hz, band.high_hz, band.unit),
            number(band.rms_a_percent),
            number(band.rms_b_percent),
            number(band.ratio),
            _interval(band.interval),
            probability(band.p_value),
            band.text,
        )
        for band in comparison.bands
    )
    head = (
        Column("band"),
        Column(f"{a}, rms [%]", True),
        Column(f"{b}, rms [%]", True),
        Column("ratio", True),
        Column(f"{100 * CONFIDENCE:g} % interval", True),
        Column("p", True),
        Column("in words"),
    )
    note = "p: chance of a change like this in any band of two equal runs."
    return Table("Fluctuation by band", head, rows, note if rows else "None.")


def line_changes_table(comparison: Comparison) -> Table:
    """Return what became of each line."""
    a, b = heads(comparison)
    unit = comparison.spectrum.unit if comparison.spectrum is not None else "Hz"
    rows = tuple(
        (
            number(line.frequency_hz, 6),
            line.fate,
            _amplitude(line.amplitude_a, line.amplitude_a_se, line.found_a),
            _amplitude(line.amplitude_b, line.amplitude_b_se, line.found_b),
            probability(line.p_value),
            line.name or NOTHING,
        )
        for line in comparison.lines[:MOST_LINES]
    )
    head = (
        Column(f"frequency [{unit}]"),
        Column("what became of it"),
        Column(f"{a}, amplitude [%]", True),
        Column(f"{b}, amplitude [%]", True),
        Column("p", True),
        Column("name"),
    )
    note = (
        "In brackets: what is seen at the frequency in a run where no line was found. "
        "p: chance of a change like this in any line of two equal runs."
    )
    if len(comparison.lines) > len(rows):
        note += f" {len(comparison.lines) - len(rows)} more are not listed."
    if not rows:
        note = "Neither run shows a line."
    return Table("Lines", head, rows, note)


def _amplitude(value: float, error: float, found: bool) -> str:
    text = with_error(100 * value, 100 * error)
    return text if found or text == NOTHING else f"({text})"


def side_by_side(comparison: Comparison, runs: list[Run]) -> Table:
    """Return the figures of both runs beside each other."""
    figures: tuple[tuple[str, Callable[[Run], str]], ...] = (
        ("subject", lambda run: run.subject.title),
        ("frames used", lambda run: whole(run.assessment.measured.n)),
        ("which", lambda run: str(run.assessment.excluded.usage)),
        ("CV, detrended", lambda run: _of(run.assessment.detrended.cv_percent, "%")),
        (
            "95 % interval",
            lambda run: _interval(run.assessment.uncertainty.cv_detrended),
        ),
        ("CV of the beam", lambda run: _of(run.assessment.shot.cv_beam_percent, "%")),
        ("95 % interval", lambda run: _interval(run.assessment.uncertainty.cv_beam)),
        ("Fano factor", lambda run: number(run.assessment.shot.fano)),
        (
            "drift, first to last frame [%]",
            lambda run: with_error(
                run.assessment.drift.rise_percent,
                run.assessment.drift.rise_percent_error,
            ),
        ),
        ("what limits it", lambda run: run.assessment.judgement.reason),
        ("stationarity", lambda run: run.assessment.stationarity.reason),
        ("events", lambda run: whole(len(run.assessment.events))),
    )
    rows = [(label, *(of(run) for run in runs)) for label, of in figures]
    head = (Column("figure"), *(Column(name) for name in heads(comparison)))
    return Table("Side by side", head, tuple(rows))


def conditions_tables(comparison: Comparison, runs: list[Run]) -> Iterator[Block]:
    """Return under which conditions both were taken."""
    of_a, of_b = (one.as_dict() for one in comparison.conditions)
    rows = tuple(
        (CONDITIONS.get(key, key), _known(of_a[key]), _known(of_b[key]))
        for key in of_a
        if of_a[key] is not None or of_b[key] is not None
    )
    head = (Column("condition"), *(Column(name) for name in heads(comparison)))
    if rows:
        yield Table("Conditions", head, rows)
    for name, run in zip(heads(comparison), runs, strict=True):
        if run.subject.facts:
            facts = tuple((label, text or NOTHING) for label, text in run.subject.facts)
            yield Table(
                f"What was measured: {name}", (Column(""),) * 2, facts, head=False
            )


def _known(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return whole(value)
    if isinstance(value, float):
        return number(value, 6)
    if isinstance(value, list):
        return " \u00d7 ".join(str(one) for one in value)
    return str(value)


def heads(comparison: Comparison) -> tuple[str, str]:
    """Return what the columns of both runs are called."""
    a, b = comparison.names
    return ("A" if a == "A" else f"A: {a}", "B" if b == "B" else f"B: {b}")
