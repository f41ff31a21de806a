"""One self-contained HTML page: the sums over the frames, and their statistics."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.shot_noise import shot_noise
from eigerwatch.analysis.statistics import Description, Table, describe
from eigerwatch.export.files import replacing

BULK_SIGMAS = 6
"""Half the height of the view on the bulk of the frames [robust sigma]."""

_SIGMAS_PER_IQR = 1.349
_GROUP = "\u202f"


def write_html(
    path: Path,
    values: npt.NDArray[Any],
    stored: npt.NDArray[np.bool_],
    *,
    title: str,
    settings: Mapping[str, object],
    first_frame: int = 1,
    description: Description | None = None,
) -> None:
    """Write a page that works without network: plot, statistics and settings.

    Raw and detrended sums stand below each other, relative to the mean. All frames
    are inside the page as float32, so that zooming ends at the single frame.

    Parameters
    ----------
    values
        (n,) sums of consecutive frames [counts].
    stored
        (n,) true where there is a sum; the others are gaps.
    title
        Heading, e.g. the file's name; any text.
    settings
        Label and value of each line of the table of settings; any text.
    first_frame
        The origin's frame number of ``values[0]``, that is image_id + 1.
    description
        Statistics by image_id, where not all frames count; None: of all.
    """
    page = plot_html(
        values,
        stored,
        title=title,
        settings=settings,
        first_frame=first_frame,
        description=description,
    )
    with replacing(path) as part:
        part.write_text(page, encoding="utf-8")


def plot_html(
    values: npt.NDArray[Any],
    stored: npt.NDArray[np.bool_],
    *,
    title: str,
    settings: Mapping[str, object],
    first_frame: int = 1,
    description: Description | None = None,
) -> str:
    """Return the page that `write_html` writes."""
    # Slow to import, and most commands draw nothing.
    from plotly.offline import get_plotlyjs

    kept = values[stored]
    if description is None:
        description = describe(kept, np.flatnonzero(stored) + first_frame)
    else:
        description = replace(
            description,
            centre=description.centre + 1,
            first=description.first + 1,
            last=description.last + 1,
        )
    setup = _setup(kept, description, first_frame)
    plotly, script = str(get_plotlyjs()), _asset("plot.js")
    return Template(_asset("plot.html")).substitute(
        hashes=" ".join(_hash(text) for text in (plotly, script)),
        title=html.escape(title),
        css=_asset("plot.css"),
        outside=html.escape(_outside(kept, setup)),
        summary=html.escape(_summary(description)),
        statistics="\n".join(_statistics_rows(description)),
        settings="\n".join(_row(label, [_text(v)]) for label, v in settings.items()),
        plotly=plotly,
        setup=json.dumps(setup, allow_nan=False).replace("<", "\\u003c"),
        values=_packed(values, stored, setup["offset"]),
        script=script,
    )


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Return what allows exactly this script in a Content-Security-Policy."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _packed(
    values: npt.NDArray[Any], stored: npt.NDArray[np.bool_], offset: int | float
) -> str:
    """Return base64 of float32 values above `offset`, NaN for gaps.

    Without the offset float32 would round ordinary sums; above it they are exact.
    """
    above = np.full(values.shape, np.nan, "<f4")
    above[stored] = values[stored] - values.dtype.type(offset)
    return base64.b64encode(above.tobytes()).decode("ascii")


def _setup(
    kept: npt.NDArray[Any], description: Description, first_frame: int
) -> dict[str, Any]:
    """Return what the page's script has to know, safe for JSON."""
    normalised = bool(kept.size) and description.mean > 0
    scale = description.mean if normalised else 1.0
    counted = description.raw.count > 0
    ends = [description.first, description.last] if counted else []
    tables = {"raw": description.raw, "detrended": description.detrended}
    return {
        "first": first_frame,
        "offset": kept.min().item() if kept.size else 0,
        "scale": scale,
        "normalised": normalised,
        "slope": description.slope,
        "centre": description.centre if counted else first_frame,
        "line": {"x": ends, "y": [y / scale for y in description.line(ends).tolist()]},
        "full": {
            name: _padded(table.minimum / scale, table.maximum / scale)
            for name, table in tables.items()
        },
        "bulk": {name: _bulk(table, scale) for name, table in tables.items()},
    }


def _padded(low: float, high: float) -> list[float]:
    """Return a range with some air around it, never empty."""
    if not math.isfinite(high - low):
        return [0.0, 1.0]
    air = 0.05 * (high - low) or 1e-3 * abs(high) or 1.0
    return [low - air, high + air]


def _bulk(table: Table, scale: float) -> list[float]:
    half = BULK_SIGMAS * (table.q75 - table.q25) / _SIGMAS_PER_IQR
    return _padded((table.median - half) / scale, (table.median + half) / scale)


def _outside(kept: npt.NDArray[Any], setup: Mapping[str, Any]) -> str:
    low, high = (edge * setup["scale"] for edge in setup["bulk"]["raw"])
    outside = int(np.count_nonzero((kept < low) | (kept > high)))
    return f"({_number(outside)} outside)"


def _summary(description: Description) -> str:
    raw, detrended = description.raw, description.detrended
    if not raw.count:
        return "No frame is stored."
    return (
        f"Sum per frame over {_number(raw.count)} frames, mean {_number(raw.mean)} "
        f"counts, coefficient of variation {_number(raw.cv_percent)} % raw and "
        f"{_number(detrended.cv_percent)} % detrended."
    )


def _statistics_rows(description: Description) -> Iterable[str]:
    raw, detrended = description.raw, description.detrended
    for (label, left), (_, right) in zip(raw.rows(), detrended.rows(), strict=True):
        yield _row(label, [_number(left), _number(right)])
    noise = [shot_noise(raw), shot_noise(detrended)]
    limits = {
        "shot-noise limit CV%": [n.cv_shot_percent for n in noise],
        "CV% beyond the limit": [n.cv_beam_percent for n in noise],
        "variance / mean": [n.fano for n in noise],
    }
    for label, pair in limits.items():
        yield _row(label, [_number(value) for value in pair], "limit")


def _row(label: str, cells: Iterable[str], style: str = "") -> str:
    attribute = f' class="{style}"' if style else ""
    data = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    return f'<tr{attribute}><th scope="row">{html.escape(label)}</th>{data}</tr>'


def _text(value: object) -> str:
    return _number(value) if isinstance(value, int) else str(value)


def _number(value: float) -> str:
    """Return a number to read: digits in groups, a dash where it is undefined."""
    if not math.isfinite(value):
        return "\u2013"
    digits = 0 if isinstance(value, int) else 2 if abs(value) >= 1000 else 4
    return f"{value:,.{digits}f}".replace(",", _GROUP)
