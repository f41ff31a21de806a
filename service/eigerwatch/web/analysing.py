"""Routes of the analysis: figures, spectra, reports, comparison, decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse

from eigerwatch.analysis.allan import allan_deviation
from eigerwatch.analysis.comparison import Comparison, compare
from eigerwatch.analysis.events.model import Event, EventKind
from eigerwatch.analysis.events.topup import topup_schedule
from eigerwatch.analysis.exclusion import Interval, mask_of
from eigerwatch.analysis.position import beam_position
from eigerwatch.analysis.segments import boundaries
from eigerwatch.analysis.spectrogram import spectrogram
from eigerwatch.analysis.timebase import time_base
from eigerwatch.frames import Scope
from eigerwatch.model import SourceState
from eigerwatch.report.comparing import html_comparison
from eigerwatch.report.model import Run, Subject, analysed
from eigerwatch.report.page import html_report
from eigerwatch.report.pdf import pdf_report
from eigerwatch.runs import conditions_of, regions_of, subject_of
from eigerwatch.store.info import SeriesInfo
from eigerwatch.web import schemas
from eigerwatch.web.assessing import WHOLE, Answer, Assessor
from eigerwatch.web.beam import BeamWatch
from eigerwatch.web.parameters import (
    PROBLEMS,
    Channel,
    From,
    Last,
    SeriesKey,
    To,
    attachment,
    resolved,
    scope_of,
)
from eigerwatch.web.reading import NoteStore
from eigerwatch.web.watch import Watch

Seconds = Annotated[
    float | None,
    Query(gt=0, lt=2**40, allow_inf_nan=False, description="The newest so many [s]."),
]
Kinds = Annotated[
    str | None,
    Query(
        max_length=100,
        pattern=r"^[a-z,]*$",
        description="Kinds of events whose frames do not count, comma-separated; "
        "empty: none; by default those of the settings.",
    ),
]
Recent = Annotated[
    bool,
    Query(
        description="An answer some seconds old will do: of a series that grows, "
        "it is not made anew for everyone who asks."
    ),
]
_COMING = (SourceState.COLLECTING, SourceState.SETTLING)
"""States of the source in which a decision is about the beam as it is now."""
_NO_DECISION_CODE = {"no_go": 503}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which frames a request is about."""

    series: str
    channel: str | None
    scope: Scope = WHOLE


def _wanted(
    series: SeriesKey,
    channel: Channel = None,
    start: From = None,
    stop: To = None,
    last: Last = None,
    seconds: Seconds = None,
) -> _Wanted:
    return _Wanted(series, channel, scope_of(start, stop, last, seconds))


Selected = Annotated[_Wanted, Depends(_wanted)]


@dataclass(frozen=True, slots=True)
class _Asked:
    info: SeriesInfo
    channel: str
    scope: Scope
    answer: Answer


def create_router(
    watch: Watch, assessor: Assessor, beam: BeamWatch, notes: NoteStore | None
) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1", responses=PROBLEMS)

    def ask(wanted: _Wanted, exclude: str | None, recent: bool = False) -> _Asked:
        info, channel = resolved(watch, wanted.series, wanted.channel)
        scope = wanted.scope
        kinds = _kinds(exclude)
        if recent and kinds is None:
            answer = assessor.assess_live(info, channel, scope)
        else:
            answer = assessor.assess(info, channel, scope, kinds)
        return _Asked(info, channel, scope, answer)

    def subject(asked: _Asked) -> Subject:
        info = asked.info
        noted = [] if notes is None else notes.all(info.key)
        return subject_of(
            info, asked.channel, noted, assessor.analysis, assessor.targets
        )

    def run_of(asked: _Asked) -> Run:
        frames = assessor.measured(asked.info, asked.channel, asked.scope, regions=True)
        found = asked.answer
        return analysed(subject(asked), found.assessment, found.judged, frames)

    @router.get("/series/{series}/analysis", tags=["analysis"])
    def analysis(
        wanted: Selected,
        exclude: Kinds = None,
        recent: Recent = False,
    ) -> schemas.Analysis:
        """Return everything that is said about a selection, and the decision.

        Which frames every figure rests on stands in ``usage``.
        """
        asked = ask(wanted, exclude, recent)
        found = asked.answer.assessment
        topups = [e.first for e in found.events if e.kind == EventKind.TOPUP]
        told = found.as_dict()
        for event, one in zip(found.events, told["events"], strict=True):
            one["excluded_by"] = _excluded_by(event, found.excluded.intervals)
        return schemas.Analysis(
            series=asked.info.key,
            channel=asked.channel,
            scope=asked.scope.kind,
            newest=asked.answer.newest,
            judged=asked.answer.judged.as_dict(),
            topups=_schedule(topups, asked.info.frame_time_s),
            **told,
        )

    @router.get("/series/{series}/spectrum", tags=["analysis"])
    def spectrum(
        wanted: Selected,
        exclude: Kinds = None,
        recent: Recent = False,
        brief: Annotated[
            bool, Query(description="Without Allan deviation and spectrogram.")
        ] = False,
    ) -> schemas.Spectra:
        """Return density, lines, bands, Allan deviation and spectrogram."""
        asked = ask(wanted, exclude, recent)
        found = asked.answer.assessment.frequencies
        assert found is not None
        return schemas.Spectra(
            series=asked.info.key,
            channel=asked.channel,
            spectrum=found.spectrum.as_dict(),
            search=found.lines.as_dict(),
            bands=found.bands.as_dict(),
            allan=None if brief else allan_deviation(found.signal).as_dict(),
            spectrogram=(
                None
                if brief
                else spectrogram(found.signal, found.lines.sines).as_dict()
            ),
        )

    @router.get("/series/{series}/position", tags=["analysis"])
    def position(
        wanted: Selected,
    ) -> schemas.Position:
        """Tell a beam that moves from one that flickers, by the modules' sums."""
        info, channel = resolved(watch, wanted.series, wanted.channel)
        measured = assessor.measured(info, channel, wanted.scope, regions=True)
        meant = regions_of(info)
        if measured.regions is None or not meant.boxes:
            raise HTTPException(404, f"{info.key} has no sums of modules")
        boxes = np.array(meant.boxes)
        centres = np.stack([boxes[:, :2].mean(axis=1), boxes[:, 2:].mean(axis=1)], 1)
        # The same exclusions and stretches as those of the intensity.
        found = assessor.assess(info, channel, wanted.scope).assessment
        answer = beam_position(
            measured.regions,
            centres,
            time_base(measured),
            mask_of(measured.positions, found.excluded.intervals),
            np.searchsorted(measured.positions, boundaries(found.segments)).tolist(),
        )
        return schemas.Position(
            series=info.key, channel=channel, position=answer.as_dict()
        )

    @router.get("/compare", tags=["analysis"])
    def comparison(
        a: Annotated[str, Query(max_length=256)],
        b: Annotated[str, Query(max_length=256)],
        channel: Channel = None,
        exclude: Kinds = None,
    ) -> schemas.Comparison:
        """Compare two series; B against A."""
        pair = [ask(_Wanted(key, channel), exclude) for key in (a, b)]
        return schemas.Comparison(a=a, b=b, comparison=_compared(pair).as_dict())

    @router.get("/compare.html", tags=["downloads"], response_class=HTMLResponse)
    def comparison_page(
        a: Annotated[str, Query(max_length=256)],
        b: Annotated[str, Query(max_length=256)],
        channel: Channel = None,
        exclude: Kinds = None,
    ) -> Response:
        """Compare two series on one page that works without network."""
        pair = [ask(_Wanted(key, channel), exclude) for key in (a, b)]
        page = html_comparison(_compared(pair), run_of(pair[0]), run_of(pair[1]))
        return HTMLResponse(page, headers=attachment(f"{a}_{b}", "comparison.html"))

    @router.get("/series/{series}/report.{form}", tags=["downloads"])
    def report(
        series: SeriesKey,
        form: Literal["html", "pdf"],
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        exclude: Kinds = None,
    ) -> Response:
        """Return the report that is filed: plots, tables, events, settings."""
        scope = scope_of(start, stop, None, None)
        asked = ask(_Wanted(series, channel, scope), exclude)
        about = subject(asked)
        frames = assessor.measured(asked.info, asked.channel, asked.scope, regions=True)
        found = asked.answer
        headers = attachment(f"{asked.info.key}_{asked.channel}", f"report.{form}")
        if form == "pdf":
            document = pdf_report(about, found.assessment, found.judged, frames)
            return Response(document, media_type="application/pdf", headers=headers)
        page = html_report(about, found.assessment, found.judged, frames)
        return HTMLResponse(page, headers=headers)

    @router.get("/beam", tags=["analysis"])
    def beam_now() -> schemas.Beam:
        """Return the decision about the newest frames of the followed series."""
        return _beam(beam)

    return router


def health_router(watch: Watch, beam: BeamWatch) -> APIRouter:
    """Return the route for those who ask whether the beam is good enough."""
    router = APIRouter()

    @router.get(
        "/healthz/beam",
        tags=["status"],
        response_model=schemas.Beam,
        responses={503: {"model": schemas.Beam}},
    )
    def healthz_beam() -> JSONResponse:
        """Return 503 where a limit is not held, else 200: also without beam.

        Where no frames are coming the decision is unknown, whatever it was before.
        """
        found = _beam(beam)
        source = watch.look(max_age_s=1.0).judgement.state
        if source not in _COMING and found.judged["decision"] != "unknown":
            text = f"no frames are coming ({source}); before: {found.judged['text']}"
            found.judged = {**found.judged, "decision": "unknown", "text": text}
        code = _NO_DECISION_CODE.get(found.judged["decision"], 200)
        return JSONResponse(found.model_dump(), code)

    return router


def _beam(beam: BeamWatch) -> schemas.Beam:
    found = beam.beam
    return schemas.Beam(
        series=found.series,
        channel=found.channel,
        judged=found.judged.as_dict(),
        since_ms=found.since_ms,
        newest=None if found.answer is None else found.answer.newest,
        made_ms=None if found.answer is None else found.answer.made_ms,
    )


def _kinds(exclude: str | None) -> Sequence[str] | None:
    if exclude is None:
        return None
    kinds = [kind for kind in exclude.split(",") if kind]
    known = {kind.value for kind in EventKind}
    for kind in kinds:
        if kind not in known:
            raise HTTPException(
                400, f"no kind of event is called {kind!r}; there are {sorted(known)}"
            )
    return kinds


def _excluded_by(event: Event, intervals: Sequence[Interval]) -> dict[str, Any] | None:
    """Return the interval that leaves all of an event's frames out, if one does."""
    covering = [
        one
        for one in intervals
        if one.first <= event.first and (one.last is None or event.last <= one.last)
    ]
    covering.sort(key=lambda one: one.kind != event.kind)
    return covering[0].as_dict() if covering else None


def _schedule(topups: list[int], frame_time_s: float | None) -> dict[str, Any] | None:
    if not frame_time_s:
        return None
    return topup_schedule([first * frame_time_s for first in topups]).as_dict()


def _compared(pair: list[_Asked]) -> Comparison:
    a, b = pair
    return compare(
        a.answer.assessment,
        b.answer.assessment,
        conditions_of(a.info, a.channel),
        conditions_of(b.info, b.channel),
        (a.info.key, b.info.key),
    )
