"""Compressed images to frame records: the Python face of the kernel, and workers."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from eigerwatch import reference
from eigerwatch.config import ReduceSettings
from eigerwatch.errors import KernelError
from eigerwatch.model import (
    COUNTS_BYTES,
    FRAME_RECORD,
    Encoding,
    FileChunk,
    Image,
    PixelFilter,
    RejectReason,
)

try:
    from eigerwatch import _kernel
except ImportError as exc:
    _kernel = None  # type: ignore[assignment]
    _KERNEL_PROBLEM = str(exc)
else:
    _KERNEL_PROBLEM = ""

log = structlog.get_logger()

_backend: Any = reference if _kernel is None else _kernel

_ENCODING_CODE = {
    Encoding.NONE: 0,
    Encoding.LZ4_BLOCK: 1,
    Encoding.LZ4: 2,
    Encoding.BSLZ4: 3,
}

_ATTEMPTS_PER_BATCH = 2

_worker = threading.local()


def kernel_name() -> str:
    """Return the variant in use, e.g. ``avx512``, or ``reference`` without kernel."""
    return "reference" if _kernel is None else _kernel.variant()


def kernel_problem() -> str:
    """Return why the compiled kernel is not in use; empty when it is."""
    return _KERNEL_PROBLEM


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one image of a batch has no counts."""

    reason: RejectReason
    detail: str


@dataclass(slots=True)
class Reduced:
    """What became of a batch, in its order."""

    counts: np.ndarray[Any, np.dtype[Any]]
    """(n,) of `FRAME_RECORD`; only the counts and ``settings`` are filled."""
    errors: list[Rejection | None]
    """Per image: None, or why its counts are void."""


def _scratch(size: int) -> bytearray | None:
    """Return this thread's scratch buffer, grown to at least `size` bytes."""
    if size == 0:
        return None
    buffer: bytearray | None = getattr(_worker, "scratch", None)
    if buffer is None or len(buffer) < size:
        buffer = _worker.scratch = bytearray(size)
    return buffer


def reduce_image(image: Image, pixel_filter: PixelFilter, counts: memoryview) -> None:
    """Decompress one image and count its pixels with low <= value <= high.

    Parameters
    ----------
    image
        Compressed (y, x) image.
    pixel_filter
        Limits and mask.
    counts
        `COUNTS_BYTES` writable bytes: the start of a `FRAME_RECORD`; left alone
        where an error is raised.

    Raises
    ------
    KernelError
        The payload is corrupt or does not fill the image.
    OSError, EOFError
        The recorded chunk cannot be read.
    """
    payload = image.payload
    if isinstance(payload, FileChunk):
        payload = payload.read()
    code = _ENCODING_CODE[image.encoding]
    itemsize = image.dtype.itemsize
    pixels = image.shape[0] * image.shape[1]
    try:
        scratch = _scratch(_backend.scratch_bytes(payload, code, itemsize, pixels))
        _backend.reduce(
            payload,
            code,
            itemsize,
            pixels,
            pixel_filter.low,
            pixel_filter.high,
            pixel_filter.mask,
            None,
            counts,
            None,
            scratch,
        )
    except RuntimeError as exc:
        raise KernelError(str(exc)) from exc


def reduce_batch(images: Sequence[Image], filters: Sequence[PixelFilter]) -> Reduced:
    """Reduce images one after the other; a bad one costs only itself."""
    records = np.zeros(len(images), FRAME_RECORD)
    raw = memoryview(records.view(np.uint8))  # type: ignore[arg-type]
    errors: list[Rejection | None] = [None] * len(images)
    for index, (image, pixel_filter) in enumerate(zip(images, filters, strict=True)):
        start = index * FRAME_RECORD.itemsize
        try:
            reduce_image(image, pixel_filter, raw[start : start + COUNTS_BYTES])
        except KernelError as exc:
            errors[index] = Rejection(RejectReason.PAYLOAD, str(exc))
        except (OSError, EOFError) as exc:
            errors[index] = Rejection(RejectReason.READ, str(exc))
    records["settings"] = [f.settings for f in filters]
    return Reduced(records, errors)


class Reducer:
    """Hands batches of images to an executor.

    A batch whose worker died is submitted again; one that fails twice is taken
    apart, and the image that fails alone is rejected.
    """

    def __init__(
        self, settings: ReduceSettings, executor: Executor | None = None
    ) -> None:
        self.threads = settings.threads or len(os.sched_getaffinity(0))
        self._owned: ThreadPoolExecutor | None = None
        if executor is None:
            executor = self._owned = ThreadPoolExecutor(
                self.threads,
                thread_name_prefix="reduce",
                initializer=_lower_priority,
                initargs=(settings.nice,),
            )
        self._executor = executor

    def submit(
        self, images: Sequence[Image], filters: Sequence[PixelFilter]
    ) -> Future[Reduced]:
        """Start reducing a batch.

        Parameters
        ----------
        images
            Compressed images.
        filters
            One per image.

        Returns
        -------
        Future[Reduced]
            Never fails for the data's sake: that is told per image.
        """
        result: Future[Reduced] = Future()
        self._try(list(images), list(filters), result, _ATTEMPTS_PER_BATCH)
        return result

    def _try(
        self,
        images: list[Image],
        filters: list[PixelFilter],
        result: Future[Reduced],
        attempts: int,
    ) -> None:
        def done(future: Future[Reduced]) -> None:
            if future.cancelled():
                result.cancel()
                return
            problem = future.exception()
            if problem is None:
                result.set_result(future.result())
            elif attempts > 1:
                self._try(images, filters, result, attempts - 1)
            elif len(images) > 1:
                self._take_apart(images, filters, result)
            else:
                detail = f"reducing failed {_ATTEMPTS_PER_BATCH} times: {problem!r}"
                records = np.zeros(1, FRAME_RECORD)
                result.set_result(
                    Reduced(records, [Rejection(RejectReason.WORKER, detail)])
                )

        try:
            future = self._executor.submit(reduce_batch, images, filters)
        except RuntimeError as exc:  # the pool is shut down
            result.set_exception(exc)
            return
        future.add_done_callback(done)

    def _take_apart(
        self, images: list[Image], filters: list[PixelFilter], result: Future[Reduced]
    ) -> None:
        singles = [
            self.submit([image], [pixel_filter])
            for image, pixel_filter in zip(images, filters, strict=True)
        ]
        remaining = [len(singles)]
        lock = threading.Lock()

        def one_done(_future: Future[Reduced]) -> None:
            with lock:
                remaining[0] -= 1
                if remaining[0]:
                    return
            parts = [single.result() for single in singles]
            counts = np.concatenate([part.counts for part in parts])
            result.set_result(Reduced(counts, [part.errors[0] for part in parts]))

        for single in singles:
            single.add_done_callback(one_done)

    def close(self) -> None:
        """Stop the threads that we started; what has not begun is cancelled."""
        if self._owned is not None:
            self._owned.shutdown(wait=True, cancel_futures=True)


def _lower_priority(nice: int) -> None:
    if nice:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
