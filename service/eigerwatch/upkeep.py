"""What the owner does beside the data path: keep the lease, bound the store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog

from eigerwatch.errors import LeaseError, StoreError
from eigerwatch.store.janitor import Janitor
from eigerwatch.store.lease import Lease

log = structlog.get_logger()

_BEAT_S = 1.0
_TIDY_S = 30.0
_JOIN_S = 3.0


class Upkeep:
    """Two threads: one renews the lease each second, one tidies the store.

    Redis may freeze them and archiving may take minutes; neither the data path nor
    the lease ever waits for that.

    Parameters
    ----------
    lease
        Ours already.
    janitor
        Archives and forgets old series.
    status
        Gives what the page shows about the consumer.
    open_keys
        Gives the keys of the series that must stay in Redis.
    lost
        Called once when the lease is ours no longer, or can no longer be renewed.
    """

    def __init__(
        self,
        lease: Lease,
        janitor: Janitor,
        status: Callable[[], dict[str, Any]],
        open_keys: Callable[[], list[str]],
        lost: Callable[[LeaseError], None],
    ) -> None:
        self._lease = lease
        self._janitor = janitor
        self._status = status
        self._open_keys = open_keys
        self._lost = lost
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=work.__name__.strip("_"), daemon=True)
            for work in (self._beat, self._tidy)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads; the lease is left to its owner to release."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=_JOIN_S)

    def _beat(self) -> None:
        problem = LeaseError("the lease could not be renewed any more")
        try:
            trouble = _Trouble("store does not answer")
            while not self._stop.wait(_BEAT_S):
                with trouble:
                    self._lease.beat(self._status())
        except LeaseError as exc:
            problem = exc
        finally:
            # Without the lease another consumer may start: this one must end.
            if not self._stop.is_set():
                self._lost(problem)

    def _tidy(self) -> None:
        trouble = _Trouble("store not tidied")
        while not self._stop.wait(_TIDY_S):
            with trouble:
                report = self._janitor.run_once(self._open_keys())
                if report.archived:
                    log.info("series archived to make room", series=report.archived)
                if report.trouble:
                    log.warning("store is above its limit", problem=report.trouble)


class _Trouble:
    """Lets work go on without the store; says so once, not every time."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._told = False

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, _: object
    ) -> bool:
        if isinstance(problem, StoreError | OSError) and not isinstance(
            problem, LeaseError
        ):
            if not self._told:
                log.warning(self._event, problem=str(problem))
            self._told = True
            return True
        if problem is None:
            self._told = False
        return False
