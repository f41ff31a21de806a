"""What the report of a run says, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.analysis.targets import Decision
from eigerwatch.report.document import (
    BAD,
    BAR,
    CROSS,
    GOOD,
    HOLLOW,
    NEUTRAL,
    TICK,
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
from eigerwatch.report.frequencies import (
    band_name,
    draw_allan,
    draw_bands,
    draw_cumulative,
    draw_spectrogram,
    draw_spectrum,
)
from eigerwatch.report.model import Run
from eigerwatch.report.numbers import (
    NOTHING,
    limits,
    number,
)
from eigerwatch.report.regions import draw_region_bars, draw_region_map
from eigerwatch.report.tables import (
    bands_table,
    checks_table,
    events_table,
    exclusions_table,
    facts_table,
    frames_table,
    key_figures,
    lines_table,
    regions_table,
    segments_table,
    statistics_table,
)
from eigerwatch.report.timeline import (
    KIND_LABELS,
    draw_histogram,
    draw_timeline,
)

VERDICTS = {
    "photon_limited": "photon-limited: counting photons explains more than the beam",
    "mixed": "mixed: beam and counting contribute alike",
    "beam_limited": "beam-limited: the beam fluctuates more than counting explains",
}
BADGES = {
    Decision.GO: Badge("GO", GOOD, TICK),
    Decision.NO_GO: Badge("NO GO", BAD, CROSS),
    Decision.NO_BEAM: Badge("NO BEAM", NEUTRAL, BAR),
    Decision.UNKNOWN: Badge("NOT DECIDED", NEUTRAL, HOLLOW),
}


def run_document(run: Run) -> Document:
    """Return the report of a run.

    Every figure is the analysis' own; nothing is computed here.
    """
    return Document(
        kind="Beam intensity report",
        title=run.subject.title,
        made=run.subject.made,
        version=run.subject.version,
        verdict=_verdict(run),
        sections=tuple(_sections(run)),
        data=_data(run),
    )


def _data(run: Run) -> dict[str, object]:
    subject = run.subject
    return {
        "title": subject.title,
        "made": subject.made.isoformat(),
        "version": subject.version,
        "facts": [list(fact) for fact in subject.facts],
        "settings": dict(subject.settings),
        "decision": None if run.judged is None else run.judged.as_dict(),
        "assessment": run.assessment.as_dict(),
        "regions": [
            {
                "name": region.name,
                "mean": finite_or_none(region.mean),
                "cv_percent": finite_or_none(region.cv_percent),
                "shot_noise": region.shot.as_dict(),
                "damaged": region.damaged,
            }
            for region in run.regions
        ],
    }


def _verdict(run: Run) -> Verdict:
    found = run.assessment
    sentences = []
    if run.judged is not None:
        sentences.append(sentence(run.judged.text))
    verdict = found.judgement.verdict
    if verdict is not None:
        sentences.append(sentence(f"{VERDICTS[verdict]} ({found.judgement.reason})"))
    else:
        sentences.append(sentence(f"what limits the run: {found.judgement.reason}"))
    sentences.append(sentence(f"stationarity: {found.stationarity.reason}"))
    if found.excluded.usage.excluded or not found.excluded.usage.used:
        sentences.append(sentence(str(found.excluded.usage)))
    badge = None if run.judged is None else BADGES[run.judged.decision]
    return Verdict(badge, headline(run), tuple(sentences))


def headline(run: Run) -> str:
    """Return the one figure that matters most, with its interval."""
    found = run.assessment
    cv, interval = found.detrended.cv_percent, found.uncertainty.cv_detrended
    if found.detrended.n < 2:
        return f"Not enough data (n = {found.detrended.n})"
    text = f"CV {number(cv)} %"
    if number(cv) == NOTHING:
        return f"No CV: {found.judgement.reason}"
    between = limits(interval.low, interval.high)
    if between != NOTHING:
        text += f" ({between} %)"
    return f"{text}, shot-noise limit {number(found.shot.cv_shot_percent)} %"


def _sections(run: Run) -> Iterator[Section]:
    tables = [facts_table(run.subject)] if run.subject.facts else []
    yield Section("Run", (Beside((*tables, frames_table(run))),))
    blocks: list[Block] = []
    if run.judged is not None and run.judged.checks:
        blocks.append(checks_table(run))
    blocks.append(key_figures(run))
    blocks.append(Beside((statistics_table(run), _histogram(run))))
    yield Section("Intensity", (*blocks, _timeline(run), _usage(run)))
    if run.assessment.frequencies is not None:
        yield _frequencies(run)
    if run.regions:
        yield _regions(run)
    yield Section(
        "Events and exclusions",
        (events_table(run), exclusions_table(run), segments_table(run)),
    )
    yield Section("How this was computed", tuple(_methods(run)))


def _histogram(run: Run) -> Plot:
    return Plot(
        "histogram",
        "How the detrended sums are spread, against what counting photons alone would "
        "give.",
        f"Histogram of {run.assessment.detrended.n} frames about their line: standard "
        f"deviation {number(run.assessment.detrended.cv_percent)} % of the mean, "
        f"counting alone {number(run.assessment.shot.cv_shot_percent)} %.",
        partial(draw_histogram, run=run),
        0.78,
    )


def _timeline(run: Run) -> Plot:
    kinds = Counter(event.kind.value for event in run.assessment.events)
    events = ", ".join(f"{n} {KIND_LABELS.get(k, k)}" for k, n in sorted(kinds.items()))
    return Plot(
        "timeline",
        "Intensity per frame, relative to the mean of the frames used. Each bin of "
        "frames is drawn from its smallest to its largest, so that no frame is hidden; "
        "the line breaks where frames are missing. Marks: events; shaded: excluded. "
        "Straight lines in the middle: what detrending takes off.",
        f"Three panels over the frame number: all {run.frames.n} stored frames, the "
        f"{run.assessment.measured.n} frames used with the line of each stretch, and "
        f"the same detrended. Events: {events or 'none'}.",
        partial(draw_timeline, run=run),
        0.62,
    )


def _usage(run: Run) -> Text:
    return Text(
        f"All figures of this report rest on {run.assessment.excluded.usage}, unless "
        f"said otherwise."
    )


def _frequencies(run: Run) -> Section:
    found = run.assessment.frequencies
    assert found is not None
    search = found.lines
    unit = found.spectrum.unit
    strongest = ", ".join(
        f"{number(line.frequency_hz)} {unit}" for line in search.lines[:5]
    )
    spectrum = Plot(
        "spectrum",
        "Power spectral density of the relative intensity (Welch, Hann window). "
        "Numbers: lines of the table below.",
        f"Density against frequency on logarithmic axes. Lines at: "
        f"{strongest or 'none found'}.",
        partial(draw_spectrum, run=run),
        0.42,
    )
    cumulative = Plot(
        "cumulative",
        "Cumulative rms: how much of the fluctuation lies below, and above, a "
        "frequency.",
        "Two curves of rms against frequency, one summed from low and one from high "
        "frequencies.",
        partial(draw_cumulative, run=run),
        0.72,
    )
    shares = "; ".join(
        f"{band_name(b.low_hz, b.high_hz, unit)}: {number(100 * b.share, 3)} %"
        for b in found.bands.bands
    )
    bands = Plot(
        "bands",
        "Which band of frequencies the fluctuation comes from.",
        f"Bars of the share of the variance by band. {shares or 'None.'}",
        partial(draw_bands, run=run),
        0.72,
    )
    allan = Plot(
        "allan",
        "Allan deviation: how much averages over neighbouring times differ.",
        "Deviation against averaging time on logarithmic axes, with its interval and "
        "the level of counting alone.",
        partial(draw_allan, run=run),
        0.72,
    )
    spectrogram = Plot(
        "spectrogram",
        "Density against time: steady lines are level, others come and go.",
        "Map of the density by frequency and time.",
        partial(draw_spectrogram, run=run),
        0.72,
    )
    notes = {
        "Lines": search.text,
        "Spectrum": found.spectrum.text,
        "Bands": found.bands.text,
        "Allan deviation": "" if run.allan is None else run.allan.text,
    }
    text = " ".join(f"{name}: {note}" for name, note in notes.items() if note)
    blocks: list[Block] = [
        spectrum,
        lines_table(run),
        Beside((cumulative, bands)),
        bands_table(run),
        Beside((allan, spectrogram)),
    ]
    if text:
        blocks.append(Text(text))
    return Section("Frequencies", tuple(blocks))


def _regions(run: Run) -> Section:
    most = max(
        run.regions,
        key=lambda region: (
            region.shot.cv_beam_percent if region.shot.cv_beam_percent >= 0 else -1
        ),
    )
    bars = Plot(
        "regionbars",
        "The same by the table's rows; dashed: all regions together.",
        f"Bars of the CV of the beam of {len(run.regions)} regions.",
        partial(draw_region_bars, run=run),
        0.82,
    )
    plot = Plot(
        "regions",
        "CV of the beam by module, counting taken off. Hatched: an event says that the "
        "module was damaged.",
        f"Map of {len(run.regions)} regions. The largest CV of the beam has "
        f"{most.name}: {number(most.shot.cv_beam_percent)} %.",
        partial(draw_region_map, run=run),
        0.82,
    )
    there = len(run.subject.region_boxes) == len(run.regions)
    plots = Beside((plot, bars) if there else (bars,))
    return Section("Regions", (plots, regions_table(run)))


def _methods(run: Run) -> Iterator[Block]:
    rows = tuple((key, _shown(one)) for key, one in run.subject.settings.items())
    if rows:
        head = (Column("setting"), Column("value"))
        yield Table("Settings in effect", head, rows)
    yield Text(
        "CV: standard deviation over mean. Detrended by segment: the least-squares "
        "line of each stretch between top-ups and steps is taken off, so drift and "
        "top-ups are no fluctuation. Counting alone: the sum of N counted photons "
        "fluctuates by √N. CV of the beam: √(CV² - CV of counting²). Amplitudes of "
        "lines are peak values, relative to the mean."
    )


def _shown(value: object) -> str:
    """Return a setting as the settings file has it."""
    if value is None:
        return "not set"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def sentence(text: str) -> str:
    """Return `text` as a sentence."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
