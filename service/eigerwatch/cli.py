"""The command line: verbs to functions.

Long by its list: one thin function for each command and its options.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from eigerwatch.config import Settings, load_settings, unknown_variables
from eigerwatch.errors import EigerwatchError
from eigerwatch.log import configure_logging, printable
from eigerwatch.output import lasting_output

# Before numpy is imported: OpenBLAS's threads spin while they wait for work, and took
# a fifth of a core from the data path for the sake of one dot product per update.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PARTIAL = 3

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file (YAML).", show_default=False),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"eigerwatch {version('eigerwatch')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def about(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Live beam-intensity monitor fed by the stream of a DECTRIS Eiger."""


Parent = Annotated[int | None, typer.Option(hidden=True)]


class Detector(StrEnum):
    """Simulated detectors."""

    D500K = "500k"
    D1M = "1m"
    D4M = "4m"
    D9M = "9m"
    D16M = "16m"


class Stream(StrEnum):
    """Versions of the SIMPLON stream."""

    V1 = "v1"
    V2 = "v2"


class Section(StrEnum):
    """What can be measured by itself."""

    KERNEL = "kernel"
    OFFLINE = "offline"
    LIVE = "live"


class Part(StrEnum):
    """Parts of the service that can run alone."""

    CONSUMER = "consumer"
    WEB = "web"


def _settings(path: Path | None, **sections: dict[str, Any]) -> Settings:
    settings = load_settings(path, command_line=sections)
    configure_logging(settings.log.level)
    for name in unknown_variables():
        _complain(f"environment variable {name}: no such setting, ignored")
    return settings


def _complain(text: str) -> None:
    print(printable(text, 2000), file=sys.stderr, flush=True)  # noqa: T201


@app.command()
def run(
    config: Config = None,
    only: Annotated[
        Part | None, typer.Option(help="Run this part of the service alone.")
    ] = None,
    listen_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    parent: Parent = None,
) -> None:
    """Run the service: consumer of the detector's stream, and the page."""
    from eigerwatch import app as service
    from eigerwatch.children import die_with

    if parent is not None:
        die_with(parent)
    settings = _settings(config)
    if listen_fd is not None:
        raise typer.Exit(service.run_web_on(settings, listen_fd))
    raise typer.Exit(service.run(settings, config, only.value if only else None))


@app.command()
def demo(
    config: Config = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="Stop after so many seconds of beam."),
    ] = None,
    frame_rate: Annotated[
        float, typer.Option(min=0.1, max=20_000, help="Frames per second [Hz].")
    ] = 750.0,
    detector: Detector = Detector.D4M,
    stream: Stream = Stream.V2,
    series_s: Annotated[
        float, typer.Option(min=1, max=86_400, help="Length of a series [s].")
    ] = 60.0,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the page; 0: any free one."),
    ] = None,
) -> None:
    """Show everything on this machine: store, service, virtual detector and page.

    Opens nothing to the network and leaves nothing behind. Exit code 0 when every
    frame sent was stored with the right sum.
    """
    from eigerwatch import demo as demonstration

    overrides = {} if port is None else {"web": {"port": port}}
    settings = _settings(config, **overrides)
    options = demonstration.DemoOptions(
        seconds, frame_rate, detector.value, stream.value, series_s
    )
    raise typer.Exit(demonstration.run(settings, options))


@app.command("sum")
def sum_command(
    masters: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="MASTER",
            help="Master files; may be left out where --config names one.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="Settings file, or the config.yaml of Sum-Eiger-Frames as it is.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the results."),
    ] = None,
    low: Annotated[
        int | None, typer.Option(min=0, help="Smallest value that counts [counts].")
    ] = None,
    high: Annotated[
        int | None, typer.Option(min=0, help="Largest value that counts [counts].")
    ] = None,
    start: Annotated[
        int | None, typer.Option(min=0, help="First frame, from 1; 0: the first.")
    ] = None,
    end: Annotated[
        int | None, typer.Option(min=0, help="Last frame, included; 0: the last.")
    ] = None,
    pickle: Annotated[
        bool, typer.Option("--pickle", help="Write the origin's list of sums too.")
    ] = False,
    all_frames: Annotated[
        bool,
        typer.Option(
            "--all-frames",
            help="Count all frames: also top-ups, and what follows damage.",
        ),
    ] = False,
    archive: Annotated[
        bool,
        typer.Option(
            "--archive", help="Keep the sums in archive.dir too: a run on the page."
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Exit code 1 where a limit (targets) is not held."
        ),
    ] = False,
) -> None:
    """Sum the frames of recorded datasets: table, CSV, plot and sums."""
    from eigerwatch import summing

    task, settings, notes = summing.plan(
        masters or [],
        config,
        output,
        {"low": low, "high": high},
        {"start": start, "end": end},
        pickle,
        all_frames=all_frames,
        archive=archive,
    )
    configure_logging(settings.log.level)
    for note in notes:
        _complain(note)
    result = summing.sum_masters(task, settings)
    if check and not result.within_limits:
        raise typer.Exit(EXIT_FAILED)
    raise typer.Exit(0 if result.complete else EXIT_PARTIAL)


Channel = Annotated[
    str | None,
    typer.Option(help="Channel; by default the first.", show_default=False),
]


@app.command()
def report(
    run: Annotated[
        str,
        typer.Argument(help="Key of a series, 'latest', or a master file."),
    ] = "latest",
    config: Config = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report.")
    ] = Path(),
    pdf: Annotated[bool, typer.Option("--pdf", help="Write a PDF too.")] = False,
    channel: Channel = None,
) -> None:
    """Write one HTML page about a run that works without network.

    Exit code 1 where a limit of the settings (targets) is broken, there is no beam, or
    frames are too few to tell; 3 where something could not be read.
    """
    from eigerwatch import reporting

    settings = _settings(config)
    found, written = reporting.report(settings, run, channel, output, pdf=pdf)
    for problem in found.problems:
        _complain(problem)
    print(found.judged.text)  # noqa: T201
    for path in written:
        print(f"written: {path}")  # noqa: T201
    if not found.judged.passes:
        raise typer.Exit(EXIT_FAILED)
    raise typer.Exit(EXIT_PARTIAL if found.problems else 0)


@app.command()
def export(
    series: Annotated[str, typer.Argument(help="Key of a series, or 'latest'.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="File: .nxs is NeXus, .csv one line per frame."
        ),
    ],
    config: Config = None,
    channel: Channel = None,
) -> None:
    """Write a stored series to a file."""
    from eigerwatch import exporting

    frames = exporting.export(_settings(config), series, channel, output)
    print(f"written: {output}, {frames} frames")  # noqa: T201


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Series, 'latest', or master file.")],
    b: Annotated[str, typer.Argument(help="What is compared with it.")],
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page to this file, too.", show_default=False),
    ] = None,
    pdf: Annotated[
        Path | None, typer.Option(help="Write a PDF, too.", show_default=False)
    ] = None,
    channel: Channel = None,
) -> None:
    """Compare two runs: tell whether B is really better.

    Exit code 1: they are not comparable; 3: something could not be read.
    """
    from eigerwatch import reporting

    settings = _settings(config)
    found, problems = reporting.compare_runs(settings, (a, b), channel, html, pdf)
    for problem in problems:
        _complain(problem)
    if as_json:
        print(json.dumps(found.as_dict(), allow_nan=False))  # noqa: T201
    else:
        reporting.print_comparison(found)
    if not found.comparable:
        raise typer.Exit(EXIT_FAILED)
    raise typer.Exit(EXIT_PARTIAL if problems else 0)


@app.command()
def replay(
    master: Annotated[Path, typer.Argument(help="Master file.")],
    config: Config = None,
    stream: Stream = Stream.V2,
    frame_rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Frames per second [Hz]; 0: as fast as it goes; default: as recorded.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Send a recorded dataset through the running service."""
    from eigerwatch import recorded

    settings = _settings(config)
    options = recorded.ReplayOptions(stream.value, frame_rate)
    summary = recorded.replay(settings, master, options)
    for key in summary.series:
        print(f"series {key}")  # noqa: T201
    print(summary.line())  # noqa: T201
    raise typer.Exit(0 if summary.good else EXIT_PARTIAL)


@app.command("list")
def list_command(
    config: Config = None,
    limit: Annotated[int, typer.Option(min=1, help="Most series shown.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the stored series, newest first."""
    from eigerwatch import overview

    with overview.opened(_settings(config)) as reader:
        found = reader.series(limit=limit)
        if as_json:
            print(json.dumps([overview.series_dict(i) for i in found]))  # noqa: T201
        else:
            overview.print_series(found)


@app.command()
def status(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Tell whether the service runs and what it does. Exit code 1: it does not."""
    from eigerwatch import overview

    with overview.opened(_settings(config)) as reader:
        owner = reader.owner()
        if as_json:
            print(json.dumps(owner))  # noqa: T201
        else:
            overview.print_owner(owner)
    raise typer.Exit(0 if owner else EXIT_FAILED)


@app.command()
def bench(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="4M frames of 16 bit alone.")
    ] = False,
    only: Annotated[
        list[Section] | None,
        typer.Option(help="Measure this alone; may be given twice."),
    ] = None,
) -> None:
    """Measure what this machine can do: kernel, recorded files, live stream.

    Takes about ten minutes, with --quick three, and 2 GB of the temporary folder.
    """
    from eigerwatch.bench import command, report

    configure_logging("warning")
    found = command.bench(
        tuple(only) if only else command.SECTIONS,
        quick=quick,
        report=lambda step: _complain(f"measuring: {step}"),
    )
    if as_json:
        print(json.dumps(found, indent=1))  # noqa: T201
    else:
        report.print_tables(found)


@app.command("check-config")
def check_config(config: Config = None) -> None:
    """Check the settings and print those in effect as YAML."""
    import yaml

    effective = _settings(config).model_dump(mode="json")
    yaml.safe_dump(effective, sys.stdout, sort_keys=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    argv
        Words after the program's name; None: those of this process.

    Returns
    -------
    int
        0 ok, 1 a check failed, 2 usage or configuration, 3 partial.
    """
    with lasting_output() as problems:
        code = _run(argv)
    for problem in problems:
        _complain(f"eigerwatch: standard output: {problem.strerror}")
    return code or (EXIT_PARTIAL if problems else 0)


def _run(argv: Sequence[str] | None) -> int:
    try:
        app(args=None if argv is None else list(argv), prog_name="eigerwatch")
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 0
    except EigerwatchError as exc:
        _complain(f"eigerwatch: {exc}")
        return EXIT_USAGE
    except KeyboardInterrupt:
        return 130
    return 0
