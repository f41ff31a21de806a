"""Whether the beam that is being watched is good enough, all the time."""

from __future__ import annotations

import json
import queue
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPException
from typing import Any

import structlog

from eigerwatch.analysis.targets import Decision, Judged
from eigerwatch.errors import StoreError, UnknownSeriesError
from eigerwatch.frames import Scope
from eigerwatch.sections import TargetSettings
from eigerwatch.web.assessing import Answer, Assessor
from eigerwatch.web.failures import Failures
from eigerwatch.web.watch import LIVE, Watch

log = structlog.get_logger(__name__)

PERIOD_S = 1.0
WEBHOOK_S = 5.0
"""Silence after which an address is given up [s]."""
MOST_WAITING = 100
"""Changes that wait for slow addresses; beyond, the oldest are dropped."""

NOTHING = Judged(Decision.UNKNOWN, "there is no series yet", ())


@dataclass(frozen=True, slots=True)
class Beam:
    """The decision about the followed series' newest frames."""

    series: str | None
    channel: str | None
    judged: Judged
    answer: Answer | None
    since_ms: float
    """When the decision last changed, UTC epoch [ms]."""


class BeamWatch:
    """Judges the followed series once a second, and tells when the decision changes.

    Parameters
    ----------
    watch
        Knows which series is followed.
    assessor
        Judges it.
    targets
        The limits, and whom to tell.
    """

    def __init__(
        self, watch: Watch, assessor: Assessor, targets: TargetSettings
    ) -> None:
        self._watch = watch
        self._assessor = assessor
        self.window_s = assessor.analysis.window_s
        """Newest frames that are judged [s]."""
        self._scope = Scope("seconds", last=self.window_s)
        self._beam = Beam(None, None, NOTHING, None, time.time() * 1000)
        self._stop = threading.Event()
        self._failures = Failures()
        self._calls: queue.Queue[dict[str, Any] | None] = queue.Queue(MOST_WAITING)
        self._targets = targets
        self.listeners: list[Callable[[Beam], None]] = []
        """Called with every decision, by the thread that makes them."""
        self._threads = [threading.Thread(target=self._run, name="beam", daemon=True)]
        if targets.webhooks:
            self._threads.append(
                threading.Thread(target=self._tell, name="webhooks", daemon=True)
            )

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; an address that is being told is not waited for."""
        self._stop.set()
        try:
            self._calls.put_nowait(None)
        except queue.Full:
            pass
        self._threads[0].join(PERIOD_S + WEBHOOK_S)

    @property
    def beam(self) -> Beam:
        """The newest decision."""
        if self.problem is not None:
            judged = Judged(Decision.UNKNOWN, self.problem, ())
            return replace(self._beam, judged=judged)
        return self._beam

    @property
    def brief(self) -> dict[str, Any]:
        """What every page is told all the time."""
        found = self.beam
        return {
            **found.judged.as_dict(),
            "limited": self._targets.limited,
            "since": found.since_ms,
            "window_s": self.window_s,
        }

    @property
    def problem(self) -> str | None:
        """Why there are no decisions any more; None: there are."""
        watching = self._threads[0]
        if watching.ident is None or watching.is_alive():
            return None
        return "the beam is not watched any more: restart the service, see its log"

    def look(self) -> Beam:
        """Judge now."""
        before = self._beam
        try:
            info, channel = self._watch.resolve(LIVE, None)
            answer = self._assessor.assess_live(info, channel, self._scope)
        except (LookupError, UnknownSeriesError):
            found = (None, None, NOTHING, None)
        except StoreError as exc:
            text = f"the store does not answer: {exc}"
            found = (None, None, Judged(Decision.UNKNOWN, text, ()), None)
        else:
            found = (info.key, channel, answer.judged, answer)  # type: ignore[assignment]
        judged = found[2]
        changed = judged.decision != before.judged.decision
        since_ms = time.time() * 1000 if changed else before.since_ms
        self._beam = Beam(*found, since_ms)
        if changed:
            self._changed(before, self._beam)
        self._announce()
        return self._beam

    def _announce(self) -> None:
        for listener in self.listeners:
            listener(self._beam)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            try:
                self.look()
            # Whatever it is, the watch goes on: the next frames may be judged again.
            except Exception as exc:
                what = self._failures.take("beam not judged", exc)
                text = f"the beam cannot be judged: {what}; see the service's log"
                judged = Judged(Decision.UNKNOWN, text, ())
                self._beam = replace(self._beam, judged=judged, answer=None)
                # Alarms are of the source, too.
                try:
                    self._announce()
                except Exception as again:
                    self._failures.take("decision not heard", again)

    def _changed(self, before: Beam, now: Beam) -> None:
        log.info(
            "beam",
            decision=now.judged.decision.value,
            was=before.judged.decision.value,
            reason=now.judged.text,
            series=now.series,
        )
        if not self._targets.webhooks:
            return
        message = {
            "series": now.series,
            "channel": now.channel,
            "decision": now.judged.decision.value,
            "was": before.judged.decision.value,
            "text": now.judged.text,
            "checks": [check.as_dict() for check in now.judged.checks],
            "ms": now.since_ms,
        }
        while True:
            try:
                self._calls.put_nowait(message)
                return
            except queue.Full:
                self._calls.get_nowait()

    def _tell(self) -> None:
        while (message := self._calls.get()) is not None and not self._stop.is_set():
            body = json.dumps(message, allow_nan=False).encode()
            for address in self._targets.webhooks:
                request = urllib.request.Request(
                    address, body, {"Content-Type": "application/json"}
                )
                try:
                    urllib.request.urlopen(request, timeout=WEBHOOK_S).close()
                except (OSError, ValueError, HTTPException) as exc:
                    log.warning("webhook not told", address=address, problem=str(exc))
