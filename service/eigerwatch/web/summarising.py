"""Judges every finished run once, in the background."""

from __future__ import annotations

import threading
import time
from collections import Counter

import structlog

from eigerwatch.errors import StoreError, UnknownSeriesError
from eigerwatch.framecache import FrameCache
from eigerwatch.sections import AnalysisSettings, TargetSettings
from eigerwatch.web.assessing import WHOLE, Assessor
from eigerwatch.web.failures import Failures
from eigerwatch.web.reading import NoteStore, StoreReader
from eigerwatch.web.run_figures import figures_of
from eigerwatch.web.run_index import Entry, RunIndex

log = structlog.get_logger(__name__)

SHARE = 0.1
"""Part of a core that judging runs may take. Less of it by a thread's niceness would
not do: a thread that waits for the CPU may hold the interpreter's lock meanwhile."""
LOOK_S = 0.5
"""Time between two looks whether there is something to do [s]."""
RETRY_S = 3.0
"""Time after which a store that was away is tried again [s]."""
MOST_TRIES = 3
"""A run that cannot be read so often is given up."""
LEAST_S = 0.02
"""Least pause after a run [s]."""


class Summariser:
    """One thread that makes the figures of runs; a run at a time, none kept.

    Parameters
    ----------
    index
        Knows what is to be done, and keeps what is made.
    reader, notes, analysis, targets
        As those of the page's own `Assessor`: figures cannot differ.
    """

    def __init__(
        self,
        index: RunIndex,
        reader: StoreReader,
        notes: NoteStore | None,
        analysis: AnalysisSettings,
        targets: TargetSettings,
    ) -> None:
        self._index = index
        self._reader = reader
        self._notes = notes
        self._analysis = analysis
        self._targets = targets
        self._tries: Counter[str] = Counter()
        self._failures = Failures()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="runs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Stop after the run at hand, without waiting for a long one."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            try:
                self._index.refresh()
                pause_s = LOOK_S
                if pending := self._index.pending():
                    begin_s = time.thread_time()
                    self._judge(pending[0])
                    spent_s = time.thread_time() - begin_s
                    pause_s = max(LEAST_S, spent_s * (1 / SHARE - 1))
            except StoreError:
                pause_s = RETRY_S  # the page tells that the store is away
            # Whatever it is, the other runs may be judged.
            except Exception as exc:
                self._failures.take("runs not judged", exc)
                pause_s = RETRY_S

    def _judge(self, entry: Entry) -> None:
        key, channel = entry.listed.key, entry.facts.channel
        # Its own frames and assessments, so that those looked at stay in memory.
        assessor = Assessor(
            self._reader,
            FrameCache(self._reader),
            self._notes,
            self._analysis,
            self._targets,
        )
        try:
            if channel is None:
                self._index.give_up(entry, "no frame of it is stored")
                return
            self._index.renew(key)
            meant = self._index.stamp(entry)
            answer = assessor.assess(self._reader.info(key), channel, WHOLE)
            figures = figures_of(answer)
            self._index.renew(key)
            if self._index.stamp(entry) == meant:  # nothing changed meanwhile
                self._index.keep(entry, figures)
        except UnknownSeriesError:
            self._index.renew(key)  # it is gone
        except StoreError as exc:
            self._tries[key] += 1
            if self._tries[key] < MOST_TRIES:
                raise
            self._index.give_up(entry, str(exc))
        except Exception as exc:
            log.error("run not judged", series=key, exc_info=exc)
            self._index.give_up(entry, "the analysis failed; the log tells more")
        finally:
            assessor.close()
