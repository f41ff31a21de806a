"""Standard output and error that do not stop the work when nobody takes them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Outlet(io.FileIO):
    """A file descriptor that accepts everything and drops what cannot be written."""

    problem: OSError | None = None
    """Why something was dropped, unless the reader has left of its own accord."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            pass
        except OSError as exc:
            self.problem = exc
        return memoryview(data).nbytes


@contextmanager
def lasting_output() -> Iterator[list[OSError]]:
    """Let this process outlive the readers of its stdout and stderr.

    Results are still written to files after ``sum | head``, and a service goes on
    without the program that its log goes to.

    Yields
    ------
    list of OSError
        Filled in the end: why output to stdout was lost.
    """
    problems: list[OSError] = []
    out, err = sys.stdout, sys.stderr
    if (out, err) != (sys.__stdout__, sys.__stderr__) or not (
        isinstance(out, io.TextIOWrapper) and isinstance(err, io.TextIOWrapper)
    ):
        yield problems  # closed, or somebody else's, such as a test's
        return
    outlet = _Outlet(out.fileno(), "w", closefd=False)
    sys.stdout = _text_over(outlet, out)
    sys.stderr = _text_over(_Outlet(err.fileno(), "w", closefd=False), err)
    try:
        yield problems
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = out, err
        if outlet.problem is not None:
            problems.append(outlet.problem)


def _text_over(outlet: _Outlet, like: io.TextIOWrapper[Any]) -> io.TextIOWrapper[Any]:
    """Return a text stream with the properties of another one."""
    return io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=like.line_buffering,
        write_through=like.write_through,
    )
