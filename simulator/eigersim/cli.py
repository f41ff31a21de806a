"""Command line of the simulator."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from eigersim.acquisition import HeaderDetail
from eigersim.dataset import DatasetPlan, Layout, make_dataset
from eigersim.detector import DETECTORS, Detector, find_detector
from eigersim.errors import SimulatorError
from eigersim.images import Encoding
from eigersim.lifetime import end_with
from eigersim.master import Recording
from eigersim.pace import Pace
from eigersim.remote import FASTEST
from eigersim.scenario import Scenario
from eigersim.session import RunPlan, Stream, run
from eigersim.source import SyntheticSource

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A virtual DECTRIS Eiger: pushes SIMPLON streams, makes datasets.",
)

_DEFAULT_RATE = 750.0


class Pixel(StrEnum):
    """Types of pixels."""

    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"


class Packing(StrEnum):
    """Encodings to choose from."""

    BSLZ4 = "bslz4"
    BSZSTD = "bszstd"
    LZ4 = "lz4"
    NONE = "none"


DetectorOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=f"{', '.join(DETECTORS)}, or a size such as 256x128 (x by y).",
    ),
]
PixelOption = Annotated[Pixel, typer.Option("--dtype", help="Type of the pixels.")]
FramesOption = Annotated[int, typer.Option(min=1, max=2**26, help="Frames a series.")]
MeanOption = Annotated[
    float, typer.Option(min=0.0, help="Mean counts per pixel and frame.")
]
ScenarioOption = Annotated[Scenario, typer.Option(help="What the beam does.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same frames.")]
PackingOption = Annotated[Packing, typer.Option(help="How images are packed.")]
ChannelsOption = Annotated[
    str, typer.Option(metavar="NAMES", help="threshold_1,threshold_2,...")
]


@app.command("run")
def run_command(
    endpoint: Annotated[
        str, typer.Option(help="ZeroMQ address to bind.")
    ] = "tcp://127.0.0.1:31001",
    stream: Annotated[Stream, typer.Option(help="Version of the stream.")] = Stream.V2,
    detector: DetectorOption = "4m",
    dtype: PixelOption = Pixel.UINT16,
    encoding: PackingOption = Packing.BSLZ4,
    channels: ChannelsOption = "threshold_1",
    frames: FramesOption = 45_000,
    frame_rate: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1e6,
            help="Frames a second; 0: as fast as it goes. "
            f"Default: {_DEFAULT_RATE:g}, or as recorded with --master.",
        ),
    ] = None,
    series: Annotated[int, typer.Option(min=0, help="Series to send; 0: endless.")] = 1,
    first_series_id: Annotated[int, typer.Option(min=0, help="Its series_id.")] = 1,
    pause_s: Annotated[
        float, typer.Option(min=0.0, help="Pause between two series.")
    ] = 1.0,
    mean_counts: MeanOption = 0.36,
    scenario: ScenarioOption = Scenario.STEADY,
    seed: SeedOption = 0,
    truth: Annotated[
        Path | None, typer.Option(help="Folder for exact totals of every series.")
    ] = None,
    master: Annotated[
        Path | None, typer.Option(help="Replay this recorded dataset instead.")
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder the master's links may lead to, repeatable."),
    ] = None,
    recorded_rate: Annotated[
        bool, typer.Option("--recorded-rate", help="Replay as fast as recorded.")
    ] = False,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=FASTEST,
            help="Replay at so many times the recorded rate (0: as fast as it goes), "
            "without dropping frames; standard input then takes the commands pause, "
            "go, speed FACTOR and stop, and its end stops; standard output tells "
            "progress.",
        ),
    ] = None,
    header_detail: Annotated[
        HeaderDetail, typer.Option(help="What the start message carries.")
    ] = HeaderDetail.BASIC,
    image_appendix: Annotated[
        str | None, typer.Option(help="Text to append to every image message.")
    ] = None,
    wait_s: Annotated[
        float | None,
        typer.Option(min=0.0, help="Arm when a consumer is there, or give up."),
    ] = None,
    hwm: Annotated[
        int, typer.Option(min=1, help="Messages ZeroMQ holds for a consumer.")
    ] = 128,
    summary: Annotated[
        Path | None, typer.Option(help="JSON file for what was sent.")
    ] = None,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Push series of frames as a detector does, until done or interrupted.

    A paced run drops frames that nobody fetches, as a DCU does, and counts them; an
    unpaced one (--frame-rate 0) waits for the consumer.
    """
    if parent is not None:
        end_with(parent)
    with contextlib.ExitStack() as stack:
        source: Recording | SyntheticSource
        frame_time = 0.0
        commanded: Pace | None = None
        if master is not None:
            source = stack.enter_context(Recording(master, root or []))
            if speed is None:
                frame_time = _replay_frame_time(source, frame_rate, recorded_rate)
            else:
                commanded = _commanded(source, speed, frame_rate)
        else:
            if recorded_rate or root or speed is not None:
                raise SimulatorError(
                    "--recorded-rate, --speed and --root need a --master"
                )
            rate = _DEFAULT_RATE if frame_rate is None else frame_rate
            frame_time = 1 / rate if rate else 0.0
            source = SyntheticSource(
                find_detector(detector),
                np.dtype(dtype.value),
                frames=frames,
                frame_time=1 / (rate or _DEFAULT_RATE),
                encoding=_stream_encoding(encoding, stream),
                channels=_names(channels, stream),
                mean_counts=mean_counts,
                scenario=scenario,
                seed=seed,
            )
        plan = RunPlan(
            endpoint=endpoint,
            stream=stream,
            series=series,
            first_series_id=first_series_id,
            pause_s=pause_s,
            frame_time_s=frame_time,
            header_detail=header_detail,
            image_appendix=image_appendix,
            wait_s=wait_s,
            hwm=hwm,
            truth=truth,
            commanded=commanded,
        )
        done = run(plan, source, lambda at: typer.echo(f"streaming on {at}", err=True))
    if summary is not None:
        done.write(summary)
    typer.echo(done.line())


@app.command("make-dataset")
def make_dataset_command(
    master: Annotated[
        Path, typer.Argument(metavar="OUT_master.h5", help="The master to write.")
    ],
    layout: Annotated[Layout, typer.Option(help="Kind of dataset.")] = Layout.EIGER2,
    detector: DetectorOption = "4m",
    dtype: PixelOption = Pixel.UINT16,
    encoding: PackingOption = Packing.BSLZ4,
    channels: ChannelsOption = "threshold_1",
    frames: FramesOption = 100,
    frames_per_file: Annotated[int, typer.Option(min=1, help="Images a file.")] = 1000,
    frame_rate: Annotated[
        float, typer.Option(min=1e-6, max=1e6, help="Frames a second.")
    ] = _DEFAULT_RATE,
    mean_counts: MeanOption = 0.36,
    scenario: ScenarioOption = Scenario.STEADY,
    seed: SeedOption = 0,
    leave_out_file: Annotated[
        list[int] | None,
        typer.Option(help="Data file, from 1, that shall be missing; repeatable."),
    ] = None,
    leave_out_frame: Annotated[
        list[int] | None,
        typer.Option(help="Frame, from 0, that was never written; repeatable."),
    ] = None,
    low: Annotated[int, typer.Option(min=0, help="Filter of the truth.")] = 0,
    high: Annotated[
        int | None, typer.Option(min=0, help="Default: the detector's limit.")
    ] = None,
) -> None:
    """Write a recorded dataset and, beside it, OUT_master.truth.npz."""
    plan = DatasetPlan(
        master=master,
        layout=layout,
        frames_per_file=frames_per_file,
        left_out_files=frozenset(leave_out_file or ()),
        left_out_frames=frozenset(leave_out_frame or ()),
        low=low,
        high=high,
    )
    source = SyntheticSource(
        _dataset_detector(detector, layout),
        np.dtype(dtype.value),
        frames=frames,
        frame_time=1 / frame_rate,
        encoding=Encoding(encoding.value),
        channels=tuple(channels.split(",")),
        mean_counts=mean_counts,
        scenario=scenario,
        seed=seed,
    )
    make_dataset(plan, source)
    typer.echo(f"{plan.master} frames={frames} truth={plan.truth_file}")


def _replay_frame_time(
    recording: Recording, frame_rate: float | None, recorded_rate: bool
) -> float:
    if frame_rate is not None:
        if recorded_rate:
            raise SimulatorError(
                "--recorded-rate and --frame-rate contradict each other; give one"
            )
        return 1 / frame_rate if frame_rate else 0.0
    if recording.frame_time <= 0:
        raise SimulatorError(
            "the master does not tell its frame_time; give a --frame-rate"
        )
    return recording.frame_time


def _commanded(recording: Recording, speed: float, frame_rate: float | None) -> Pace:
    if frame_rate is not None:
        raise SimulatorError("--speed and --frame-rate contradict each other; give one")
    if speed and recording.frame_time <= 0:
        raise SimulatorError(
            "the master does not tell its frame_time; replay it as fast as it goes"
        )
    return Pace(recording.frame_time, speed)


def _stream_encoding(packing: Packing, stream: Stream) -> Encoding:
    """Return the encoding; stream v1 means a bare block when it says lz4."""
    if packing is Packing.LZ4 and stream is Stream.V1:
        return Encoding.LZ4_BLOCK
    return Encoding(packing.value)


def _names(channels: str, stream: Stream) -> tuple[str, ...]:
    names = tuple(channels.split(","))
    if stream is Stream.V1 and len(names) > 1:
        raise SimulatorError(
            "stream v1 carries one channel; use --stream v2 or one of --channels"
        )
    return names


def _dataset_detector(name: str, layout: Layout) -> Detector:
    """Return the detector; one of the first generation for its layout."""
    first = f"eiger1-{name}"
    if layout is Layout.EIGER1 and first in DETECTORS:
        return DETECTORS[first]
    return find_detector(name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        app(None if argv is None else list(argv), prog_name="eigersim")
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 0
    except SimulatorError as exc:
        typer.echo(f"eigersim: {exc}", err=True)
        return 2
    return 0
