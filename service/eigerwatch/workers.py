"""Who reduces the images: threads of this process, or a Dask cluster's workers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from eigerwatch.errors import ConfigError
from eigerwatch.model import ChunkRun, Image, Images, PixelFilter, RejectReason
from eigerwatch.reduce import Reduced, Rejection, kernel_name, reduce_batch
from eigerwatch.sections import ReduceSettings

log = structlog.get_logger()

_ATTEMPTS_PER_BATCH = 2
_DASK_WAIT_S = 15.0
_DASK_RESULT_S = 10.0
"""A finished batch's few bytes take no longer, unless the scheduler is gone."""


class Reducer:
    """Hands batches of images to workers.

    A batch whose worker died is submitted again; one that fails twice is taken
    apart, and the image that fails alone is rejected. When the cluster is lost, the
    threads of this process take over.

    Parameters
    ----------
    settings
        Number and priority of the threads.
    scheduler
        Address of a Dask scheduler whose workers do the work, or None.

    Raises
    ------
    ConfigError
        The cluster cannot be used.
    """

    def __init__(self, settings: ReduceSettings, scheduler: str | None = None) -> None:
        self.threads = settings.threads or len(os.sched_getaffinity(0))
        """How many batches are worked on at once."""
        self._threads = ThreadPoolExecutor(
            self.threads,
            thread_name_prefix="reduce",
            initializer=_lower_priority,
            initargs=(settings.nice,),
        )
        self._cluster: Cluster | None = None
        self._closing = False
        if scheduler is not None:
            try:
                self._cluster = Cluster(scheduler)
            except ConfigError:
                self._threads.shutdown()
                raise
            self.threads = self._cluster.threads

    @property
    def where(self) -> str:
        """Where the work is done: ``threads``, or the scheduler's address."""
        cluster = self._cluster
        return "threads" if cluster is None else cluster.address

    def submit(self, images: Images, pixel_filter: PixelFilter) -> Future[Reduced]:
        """Start reducing a batch.

        Parameters
        ----------
        images
            Compressed images.
        pixel_filter
            For all of them.

        Returns
        -------
        Future[Reduced]
            Never fails for the data's sake: that is told per image.
        """
        result: Future[Reduced] = Future()
        self._try(images, pixel_filter, result, _ATTEMPTS_PER_BATCH)
        return result

    def run(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Let a thread of this process call a function once."""
        return self._threads.submit(function, *arguments)

    def close(self) -> None:
        """Stop the threads and leave the cluster; what has not begun is cancelled."""
        self._closing = True
        if self._cluster is not None:
            self._cluster.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _try(
        self,
        images: Images,
        pixel_filter: PixelFilter,
        result: Future[Reduced],
        attempts: int,
    ) -> None:
        cluster = self._cluster

        def done(future: Future[Reduced]) -> None:
            problem = CancelledError() if future.cancelled() else future.exception()
            if problem is None:
                result.set_result(future.result())
            elif self._closing:
                result.cancel()
            elif isinstance(problem, CancelledError):  # the scheduler is gone
                self._lose(cluster)
                self._try(images, pixel_filter, result, attempts)
            elif attempts > 1:
                self._try(images, pixel_filter, result, attempts - 1)
            elif len(images) > 1:
                self._take_apart(images, pixel_filter, result)
            else:
                detail = (
                    f"reducing failed {_ATTEMPTS_PER_BATCH} times: {problem!r:.500}"
                )
                reduced = Reduced.empty(1, pixel_filter)
                reduced.errors[0] = Rejection(RejectReason.WORKER, detail)
                result.set_result(reduced)

        try:
            if cluster is None:
                future = self._threads.submit(reduce_batch, images, pixel_filter)
            else:
                future = cluster.submit(images, pixel_filter)
        except RuntimeError as exc:  # the pool is shut down
            result.set_exception(exc)
            return
        future.add_done_callback(done)

    def _lose(self, cluster: Cluster | None) -> None:
        if cluster is not None and self._cluster is cluster:
            self._cluster = None
            self._threads.submit(cluster.close)
            log.warning(
                "the Dask scheduler is gone; threads of this process take over",
                scheduler=cluster.address,
            )

    def _take_apart(
        self, images: Images, pixel_filter: PixelFilter, result: Future[Reduced]
    ) -> None:
        """Reduce a batch image by image.

        One after the other: a worker that dies of one must take no other with it.
        """
        reduced = Reduced.empty(len(images), pixel_filter)

        def take(index: int) -> None:
            single: Future[Reduced] = Future()
            single.add_done_callback(partial(done, index))
            part = images[index : index + 1]
            self._try(part, pixel_filter, single, _ATTEMPTS_PER_BATCH)

        def done(index: int, single: Future[Reduced]) -> None:
            if single.cancelled():
                result.cancel()
                return
            part = single.result()
            reduced.records[index] = part.records[0]
            reduced.regions[index] = part.regions[0]
            if part.errors:
                reduced.errors[index] = part.errors[0]
            if index + 1 < len(images):
                take(index + 1)
            else:
                result.set_result(reduced)

        take(0)


class Cluster:
    """A Dask cluster, reached through its scheduler.

    Its workers run this program's code, and read recorded images from the same paths.

    Raises
    ------
    ConfigError
        Dask is not installed, nobody answers, or the workers cannot do the work.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        try:
            import distributed
        except ImportError as exc:
            raise ConfigError(
                f"executor = {address}: Dask is not installed; "
                "pip install 'eigerwatch[dask]', or leave executor unset"
            ) from exc
        make_client: Any = distributed.Client  # which is typed in part only
        try:
            # Its own time-out does not hold where somebody listens and says nothing.
            self._client = _within(
                2 * _DASK_WAIT_S, lambda: make_client(address, timeout=_DASK_WAIT_S)
            )
        except (OSError, ValueError, RuntimeError) as exc:
            raise ConfigError(
                f"executor = {address}: no Dask scheduler answers ({exc!s:.200}); "
                "start one with `dask scheduler`, or leave executor unset"
            ) from exc
        try:
            self._client.wait_for_workers(1, timeout=_DASK_WAIT_S)
            kernel = self._client.submit(kernel_name, pure=False)
            log.info("Dask workers", kernel=kernel.result(timeout=_DASK_WAIT_S))
        except (distributed.TimeoutError, ImportError, AttributeError) as exc:
            self._client.close()
            raise ConfigError(
                f"executor = {address}: its workers cannot do the work ({exc!s:.200}); "
                "start some with `dask worker`, with eigerwatch installed"
            ) from exc
        self.threads = max(1, sum(self._client.nthreads().values()))
        """Threads of all workers."""

    def submit(self, images: Images, pixel_filter: PixelFilter) -> Future[Reduced]:
        """Let a worker reduce a batch; cancelled when the scheduler is gone."""
        # Not through `Client.get_executor`: of its futures, some never end when the
        # scheduler does.
        result: Future[Reduced] = Future()

        def done(remote: Any) -> None:
            try:
                if remote.status == "error":
                    result.set_exception(remote.exception())
                else:
                    # Without a limit it waits for a scheduler that has just gone.
                    result.set_result(remote.result(timeout=_DASK_RESULT_S))
            except (CancelledError, TimeoutError):
                result.cancel()
            finally:
                if not result.done():
                    result.set_exception(RuntimeError("the result was lost"))

        if not isinstance(images, ChunkRun):
            images = [_portable(image) for image in images]
        remote = self._client.submit(reduce_batch, images, pixel_filter, pure=False)
        remote.add_done_callback(done)
        return result

    def close(self) -> None:
        """Leave the cluster, which goes on."""
        self._client.close()


def _within(seconds: float, function: Callable[[], Any]) -> Any:
    """Call a function that may hang for ever.

    Raises
    ------
    TimeoutError
        It did not return in time; it is left behind.
    """
    result: Future[Any] = Future()

    def call() -> None:
        try:
            result.set_result(function())
        except (OSError, ValueError, RuntimeError) as exc:
            result.set_exception(exc)

    threading.Thread(target=call, daemon=True).start()
    return result.result(seconds)


def _portable(image: Image) -> Image:
    """Return an image that can be pickled: views of ZeroMQ's memory cannot."""
    if isinstance(image.payload, bytes):
        return image
    return replace(image, payload=bytes(image.payload))


def _lower_priority(nice: int) -> None:
    if nice:
        thread = threading.get_native_id()
        mine = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(19, mine + nice))
