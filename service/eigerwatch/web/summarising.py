"""Judges every finished run once, in the background."""

from __future__ import annotations

import threading
import time

import structlog

from eigerwatch.errors import StoreError, UnknownSeriesError
from eigerwatch.frames import FrameCache
from eigerwatch.sections import AnalysisSettings, TargetSettings
from eigerwatch.web.assessing import WHOLE, Assessor
from eigerwatch.web.reading import NoteStore, StoreReader
from eigerwatch.web.run_figures import figures_of
from eigerwatch.web.run_index import Entry, RunIndex

log = structlog.get_logger(__name__)

SHARE = 0.1
"""Part of a core that judging runs may take. Less of it by a thread's niceness would
not do: a thread that waits for the CPU may hold the interpreter's lock meanwhile."""
LOOK_S = 3.0
"""Time between two looks for runs that are to be judged [s]."""
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
        pause_s = LEAST_S
        while not self._stop.wait(pause_s):
            pause_s = LOOK_S
            try:
                for entry in self._index.pending():
                    begin_s = time.thread_time()
                    self._judge(entry)
                    spent_s = time.thread_time() - begin_s
                    if self._stop.wait(max(LEAST_S, spent_s * (1 / SHARE - 1))):
                        return
            except StoreError:
                continue  # the page tells that the store is away

    def _judge(self, entry: Entry) -> None:
        key, channel = entry.listed.key, entry.facts.channel
        # Its own frames and assessments, so that those looked at stay in memory.
        assessor = Assessor(
            self._reader,
            FrameCache(self._reader, limit=1),
            self._notes,
            self._analysis,
            self._targets,
        )
        try:
            if channel is None:
                self._index.give_up(entry, "no frame of it is stored")
                return
            info = self._reader.info(key)
            answer = assessor.assess(info, channel, WHOLE)
            self._index.keep(entry, figures_of(answer))
        except UnknownSeriesError:
            self._index.forget(key)
        except StoreError as exc:
            if not entry.listed.archived:
                raise
            self._index.give_up(entry, str(exc))  # a damaged file
        except Exception as exc:
            log.error("run not judged", series=key, exc_info=exc)
            self._index.give_up(entry, "the analysis failed; the log tells more")
        finally:
            assessor.close()
