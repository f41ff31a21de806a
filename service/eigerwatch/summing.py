"""`eigerwatch sum`: the origin's whole job, from master files to table and plot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from eigerwatch.archiving import archive_sums
from eigerwatch.assessed import Assessed, assess_master
from eigerwatch.config import Settings, load_settings, read_yaml
from eigerwatch.errors import ConfigError, ReplayError, StoreError
from eigerwatch.export.files import (
    prepare_folder,
    write_pickle,
    write_sums_csv,
    write_sums_npy,
    write_table_csv,
)
from eigerwatch.export.plot import write_html
from eigerwatch.log import printable
from eigerwatch.offline import ALL, FrameRange, MasterSums, sum_master
from eigerwatch.origin import is_origin_config, parse_origin_config
from eigerwatch.sumtable import complain, counts, high_words, masked_pixels, show
from eigerwatch.workers import Reducer


@dataclass(frozen=True, slots=True)
class SumTask:
    """What to sum and what to write."""

    masters: list[Path]
    frame_range: FrameRange
    output: Path
    files: bool = True
    """Write table and sums and, if `plot`, the page."""
    plot: bool = True
    pickle: bool = False
    archive: bool = False
    """Keep the sums in the archive too."""


def plan(
    masters: list[Path],
    config: Path | None,
    output: Path | None,
    limits: dict[str, int | None],
    frames: dict[str, int | None],
    pickle: bool,
    *,
    all_frames: bool = False,
    archive: bool = False,
) -> tuple[SumTask, Settings, list[str]]:
    """Put the command line and a settings file, ours or the origin's, together.

    Parameters
    ----------
    masters
        Files named on the command line.
    config
        Settings file or the origin's configuration.
    output
        Folder for the results.
    limits
        ``low`` and ``high`` [counts] of the command line; None: not given.
    frames
        ``start`` and ``end`` of the command line; None: not given.
    pickle
        Write the origin's list of sums.
    all_frames
        Let all frames count, as the origin's configuration does.
    archive
        Keep the sums in the archive too.

    Returns
    -------
    task : SumTask
    settings : Settings
    notes : list of str
        What of the origin's configuration has no meaning here.

    Raises
    ------
    ConfigError
        No file to sum, two whose results have the same names, a part of a run for
        the archive, or an unusable setting.
    """
    content = read_yaml(config) if config else {}
    origin = None
    if config is not None and is_origin_config(content):
        origin = parse_origin_config(content, config)
    settings = load_settings(
        None if origin else config,
        command_line={
            "filter": {k: v for k, v in limits.items() if v is not None},
            "analysis": {"exclude": ()} if all_frames or origin is not None else {},
        },
        filter=origin.filter if origin else {},
    )
    given = {k: v for k, v in frames.items() if v is not None}
    if origin is not None:
        given = {"start": origin.start, "end": origin.end, **given}
        masters = masters or ([origin.master] if origin.master else [])
    if not masters:
        raise ConfigError("name the master file to sum: eigerwatch sum x_master.h5")
    files = origin.file if origin else True
    if files:
        _refuse_same_names(masters)
    frame_range = FrameRange(**given)
    if archive and frame_range != ALL:
        raise ConfigError(
            "--archive keeps whole runs: leave --start and --end out, and those of "
            "the configuration"
        )
    task = SumTask(
        masters,
        frame_range,
        output or (origin.out if origin else None) or Path(),
        files=files,
        plot=origin.plot if origin else True,
        pickle=pickle,
        archive=archive,
    )
    notes = [origin.meaningless] if origin and origin.meaningless else []
    return task, settings, notes


def _refuse_same_names(masters: list[Path]) -> None:
    """Raise where the results of one master would replace those of another."""
    known: dict[str, Path] = {}
    for master in masters:
        other = known.setdefault(master.name, master)
        if other is not master:
            raise ConfigError(
                f"{other} and {master}: their results would have the same names; sum "
                "them one after the other, each with an --output of its own"
            )


@dataclass(slots=True)
class Outcome:
    """How it went."""

    complete: bool = True
    """Every frame of every file has its sum, and every result its file."""
    within_limits: bool = True
    """No limit of the settings is broken, and every file could be judged."""


def sum_masters(task: SumTask, settings: Settings) -> Outcome:
    """Sum every master; tables go to stdout, complaints and progress to stderr."""
    out = Console(soft_wrap=True, highlight=False, emoji=False)
    err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    outcome = Outcome()
    prepare_folder(task.output)
    reducer = Reducer(settings.reduce, settings.executor)
    try:
        for master in task.masters:
            try:
                with _progress(err, master.name) as report:
                    sums = sum_master(
                        master, settings, task.frame_range, report, reducer=reducer
                    )
            except ReplayError as exc:
                err.print(printable(str(exc), 1000), style="red", markup=False)
                outcome.complete = outcome.within_limits = False
                continue
            complain(err, sums)
            if not sums.stored.all() or sums.problems:
                outcome.complete = False
            found = assess_master(sums, settings)
            if not found.judged.passes:
                outcome.within_limits = False
            show(out, sums, found)
            if task.files:
                for path, problem in write_files(sums, found, task):
                    if problem is None:
                        out.print(f"written: {path}", markup=False)
                        continue
                    text = f"{path}: not written: {problem}"
                    err.print(printable(text, 1000), style="red", markup=False)
                    outcome.complete = False
            if task.archive and not _archive(out, err, sums, settings.archive_dir):
                outcome.complete = False
    finally:
        reducer.close()
    return outcome


def _archive(out: Console, err: Console, sums: MasterSums, folder: Path) -> bool:
    """Keep the sums in the archive; tell whether they are."""
    try:
        key = archive_sums(sums, folder)
    except StoreError as exc:
        err.print(printable(str(exc), 1000), style="red", markup=False)
        return False
    out.print(f"archived: {key}", markup=False)
    return True


@contextmanager
def _progress(console: Console, name: str) -> Iterator[Callable[[int, int], None]]:
    """Give a callback: a bar on a terminal, a line per tenth otherwise."""
    if not console.is_terminal:
        last_tenth = 0

        def line(done: int, total: int) -> None:
            nonlocal last_tenth
            tenth = 10 * done // max(1, total)
            if tenth > last_tenth:
                last_tenth = tenth
                console.print(f"{name}: {done} of {total} frames", markup=False)

        yield line
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(name, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


def write_files(
    sums: MasterSums, found: Assessed, task: SumTask
) -> Iterator[tuple[Path, str | None]]:
    """Write table, sums and plot of one master.

    Yields
    ------
    path : Path
    problem : str or None
        Why it could not be written; None: it is there, and complete.
    """
    name = sums.path.name
    for suffix, write in _writers(sums, found, task).items():
        path = task.output / f"{name}{suffix}"
        try:
            write(path)
        except OSError as exc:
            yield path, exc.strerror or str(exc)
        else:
            yield path, None


def _writers(
    sums: MasterSums, found: Assessed, task: SumTask
) -> dict[str, Callable[[Path], None]]:
    """Return what writes each of the results, by the end of its name."""
    records = sums.records
    writers: dict[str, Callable[[Path], None]] = {
        ".csv": lambda path: write_table_csv(path, found.assessment.description),
        ".sums.npy": lambda path: write_sums_npy(path, records),
        ".sums.csv": lambda path: write_sums_csv(
            path, records, sums.first_frame, sums.states
        ),
    }
    if task.pickle:
        writers[".pickle"] = lambda path: write_pickle(path, records)
    if task.plot:
        writers[".html"] = lambda path: write_html(
            path,
            records["total"],
            sums.stored,
            title=sums.path.name,
            settings={
                "file": str(sums.path),
                "low": sums.selection.low,
                "high": high_words(sums),
                "masked pixels": masked_pixels(sums),
                "frames": f"{sums.first_frame}-{sums.last_frame} of {sums.n_frames}",
                **counts(sums),
                "used": str(found.assessment.excluded.usage),
            },
            first_frame=sums.first_frame,
            description=found.assessment.description,
        )
    return writers
