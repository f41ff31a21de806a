"""Hours of the page beside a demo: does anything grow?

    python tests/soak/soak.py [--hours 8] [--headless]

Runs `eigerwatch demo` at 750 Hz, which repeats its series, and Chromium with a window
on a screen of its own (Debian's `chromium` and `xvfb`). After every interval all
garbage is collected, and the least of some samples is kept: plotly.js keeps the sizes
of labels and forgets them together, so that the heap is a saw, and only its troughs
tell.

Prints a table and slopes with their standard errors. Exit code 0: bounded; 1: something
grows, or the page failed; 2: not decided, it takes more hours.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bare_chromium import BareBrowser, bare_chromium
from running_demo import resident_mb, running_demo

DAY_S = 86_400
COLLECTIONS = 4
"""Samples of which the least is kept,"""
APART_S = 3.0
WARM_UP = 0.25
"""Part of the run that no slope is taken of,"""
WARM_UP_S = 2400
"""and at least so long: lists of events and series, and caches, fill."""
CERTAIN = 2
"""Standard errors that a verdict needs,"""
LEAST_S = 1800
"""and time after warming up."""


@dataclass(frozen=True)
class Figure:
    """What is watched."""

    name: str
    unit: str
    most_per_day: float
    """Growth that a wall screen bears, which is loaded anew every week or so."""


FIGURES = (
    Figure("heap", "MB", 10),
    Figure("nodes", "", 500),
    Figure("listeners", "", 100),
    Figure("renderer", "MB", 50),
    Figure("web process", "MB", 50),
)


def slope(seconds: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return the slope of a straight line and its standard error [1/day]."""
    days = seconds / DAY_S
    if len(days) < 3:
        return 0.0, float("inf")
    fitted, covariance = np.polyfit(days, values, 1, cov="unscaled")
    rest = values - np.polyval(fitted, days)
    variance = rest @ rest / (len(days) - 2) * covariance[0, 0]
    return float(fitted[0]), float(np.sqrt(variance))


def verdict(figure: Figure, rise: float, error: float, seconds: float) -> str:
    """Return what a slope over so much time means."""
    if seconds < LEAST_S:
        return "not decided"
    if rise + CERTAIN * error <= figure.most_per_day:
        return "bounded"
    if rise - CERTAIN * error > figure.most_per_day:
        return "GROWS"
    return "not decided"


def sample(browser: BareBrowser, web_pid: int) -> list[float]:
    """Return all figures, each the least of some."""
    found = []
    for _ in range(COLLECTIONS):
        time.sleep(APART_S)
        row = [*browser.page.settled(), browser.renderer_mb(), resident_mb(web_pid)]
        found.append(row)
    return [float(value) for value in np.min(found, axis=0)]


def report(times: list[float], rows: list[list[float]]) -> int:
    """Print what grows by how much and return the exit code."""
    begin = times[0] + max(WARM_UP_S, WARM_UP * (times[-1] - times[0]))
    used = [n for n, at in enumerate(times) if at >= begin]
    seconds = times[-1] - begin
    found = []
    print(f"\n{'':12}{'first':>10}{'last':>10}   slope per day, after warming up")
    for n, figure in enumerate(FIGURES):
        values = np.array([row[n] for row in rows])
        rise, error = slope(np.array(times)[used], values[used])
        found.append(verdict(figure, rise, error, seconds))
        print(
            f"{figure.name:12}{values[0]:10.1f}{values[-1]:10.1f}   "
            f"{rise:+.1f} ± {error:.1f} {figure.unit or figure.name}/day "
            f"(at most {figure.most_per_day:g}): {found[-1]}"
        )
    if "GROWS" in found:
        print("verdict: something grows")
        return 1
    if "not decided" in found:
        print("verdict: not decided; let it run for more hours")
        return 2
    print("verdict: bounded")
    return 0


def soak(hours: float, every_s: float, options: list[str], headed: bool) -> int:
    """Watch the page of a demo with these options for so long."""
    times: list[float] = []
    rows: list[list[float]] = []
    with ExitStack() as stack:
        demo = stack.enter_context(running_demo(*options))
        browser = stack.enter_context(bare_chromium(headed=headed))
        page = browser.page
        page.open(demo.url)
        print(f"{browser.version}, {'headed' if headed else 'headless'}, {demo.url}")
        print("hours", *(f"{figure.name:>12}" for figure in FIGURES), "      ticks")
        began = time.monotonic()
        due = began
        seq = -1
        try:
            while True:
                due += every_s
                time.sleep(max(0.0, due - time.monotonic()))
                if not demo.alive:
                    raise AssertionError("the demo ended")
                row = sample(browser, demo.web_pid)
                drawn = int(page.evaluate("document.body.dataset.seq"))
                if drawn == seq:
                    raise AssertionError("the page draws nothing any more")
                if faults := page.evaluate("faults"):
                    raise AssertionError(f"the page failed: {faults}")
                seq = drawn
                times.append(time.monotonic() - began)
                rows.append(row)
                figures = " ".join(f"{value:12.1f}" for value in row)
                print(f"{times[-1] / 3600:5.2f} {figures} {drawn:11}", flush=True)
                if times[-1] >= 3600 * hours:
                    break
        except KeyboardInterrupt:
            print("interrupted: what there is")
        except AssertionError as exc:
            print(f"verdict: {exc}")
            return 1
    return report(times, rows) if rows else 2


def main() -> int:
    """Read the command line and watch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--every-min", type=float, help="default: 10, or a 30th")
    parser.add_argument("--frame-rate", default="750")
    parser.add_argument("--detector", default="4m", help="a smaller one costs less")
    parser.add_argument(
        "--series-s", default="15", help="so that the lists of runs are soon full"
    )
    parser.add_argument("--port", default="0")
    parser.add_argument("--headless", action="store_true")
    said = parser.parse_args()
    every_min = said.every_min or min(10.0, 60 * said.hours / 30)
    options = ["--frame-rate", said.frame_rate, "--detector", said.detector]
    options += ["--series-s", said.series_s, "--port", said.port]
    return soak(said.hours, 60 * every_min, options, not said.headless)


if __name__ == "__main__":
    sys.exit(main())
