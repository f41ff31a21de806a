"""`eigerwatch report` and `eigerwatch compare`."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console

from eigerwatch.analysis.comparison import Comparison, compare
from eigerwatch.assessed import Assessed, Runs
from eigerwatch.config import Settings
from eigerwatch.errors import ConfigError
from eigerwatch.export.files import prepare_folder, replacing
from eigerwatch.report.comparing import (
    html_comparison,
    pdf_comparison,
    terminal_tables,
)
from eigerwatch.report.model import Run, analysed
from eigerwatch.report.page import html_report
from eigerwatch.report.pdf import pdf_report


def report(
    settings: Settings, name: str, channel: str | None, output: Path, *, pdf: bool
) -> tuple[Assessed, list[Path]]:
    """Write the report of a run.

    Returns
    -------
    run : Assessed
    written : list of Path

    Raises
    ------
    ConfigError
        There is no such run, or a file cannot be written.
    """
    prepare_folder(output)
    runs = Runs(settings)
    with runs.opened([name]):
        found = runs.find(name, channel)
    parts = found.subject, found.assessment, found.judged, found.frames
    name = f"{_file_name(found.subject.title)}.report"
    written = [_write(output / f"{name}.html", html_report(*parts).encode())]
    if pdf:
        written.append(_write(output / f"{name}.pdf", pdf_report(*parts)))
    return found, written


def compare_runs(
    settings: Settings,
    names: tuple[str, str],
    channel: str | None,
    html: Path | None,
    pdf: Path | None,
) -> tuple[Comparison, list[str]]:
    """Compare two runs, the second against the first.

    Parameters
    ----------
    html, pdf
        Files for the report of the comparison; None: none is written.

    Returns
    -------
    comparison : Comparison
    problems : list of str
        What could not be read.

    Raises
    ------
    ConfigError
        There is no such run, or the file cannot be written.
    """
    for path in (html, pdf):
        if path is not None:
            prepare_folder(path.parent)
    runs = Runs(settings)
    with runs.opened(list(names)):
        a, b = (runs.find(name, channel) for name in names)
    found = compare(
        a.assessment,
        b.assessment,
        a.conditions,
        b.conditions,
        (a.subject.title, b.subject.title),
    )
    if html is not None:
        _write(html, html_comparison(found, _run(a), _run(b)).encode())
    if pdf is not None:
        _write(pdf, pdf_comparison(found, _run(a), _run(b)))
    problems = [f"{run.subject.title}: {one}" for run in (a, b) for one in run.problems]
    return found, problems


def print_comparison(found: Comparison) -> None:
    """Print the verdict and the tables of a comparison."""
    Console(highlight=False, emoji=False).print(*terminal_tables(found), sep="\n")


def _run(found: Assessed) -> Run:
    return analysed(found.subject, found.assessment, found.judged, found.frames)


def _file_name(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", title)[:150]


def _write(path: Path, content: bytes) -> Path:
    try:
        with replacing(path) as part:
            part.write_bytes(content)
    except OSError as exc:
        raise ConfigError(
            f"{path}: cannot be written ({exc.strerror}); choose another place"
        ) from exc
    return path
