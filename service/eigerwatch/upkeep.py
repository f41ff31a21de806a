"""What the owner does beside the data path: keep the lease, bound the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from eigerwatch.errors import LeaseError, StoreError
from eigerwatch.store.janitor import Janitor
from eigerwatch.store.lease import Lease

log = structlog.get_logger()

_BEAT_S = 1.0
_TIDY_S = 30.0


class Upkeep:
    """A thread that renews the lease each second and tidies the store now and then.

    Redis may freeze it; the data path never waits for it.

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
        Called once if another process has taken the lease.
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
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; the lease is left to its owner to release."""
        self._stop.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        next_tidy = time.monotonic() + _TIDY_S
        in_trouble = False
        while not self._stop.wait(_BEAT_S):
            try:
                self._lease.beat(self._status())
                if time.monotonic() >= next_tidy:
                    self._tidy()
                    next_tidy = time.monotonic() + _TIDY_S
            except LeaseError as exc:
                self._lost(exc)
                return
            except StoreError as exc:
                if not in_trouble:
                    log.warning("store does not answer", problem=str(exc))
                in_trouble = True
            else:
                in_trouble = False

    def _tidy(self) -> None:
        report = self._janitor.run_once(self._open_keys())
        if report.archived:
            log.info("series archived to make room", series=report.archived)
        if report.trouble:
            log.warning("store is above its limit", problem=report.trouble)
