"""How plots look: colours that the colour-blind tell apart, axes, sizes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from eigerwatch.report.numbers import power_of_ten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import FigureBase

INK = "#1a1a1a"
SOFT = "#5a5a5a"
RULE = "#d0d0d0"
BLUE = "#0072b2"
SKY = "#56b4e9"
ORANGE = "#e69f00"
VERMILLION = "#d55e00"
GREEN = "#009e73"
PURPLE = "#cc79a7"

_LOOK: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8.4,
    "axes.labelsize": "medium",
    "axes.titlesize": "medium",
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.fontsize": "small",
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.borderaxespad": 0.2,
    "legend.labelspacing": 0.3,
    "lines.linewidth": 0.9,
    "hatch.linewidth": 0.5,
    "text.color": INK,
    # Names come from outside: a dollar sign is one.
    "text.parse_math": False,
    "text.usetex": False,
    # Text stays text, in both: to be searched, copied and read aloud.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": False,
    "figure.autolayout": False,
    "path.simplify": True,
}
_drawing = threading.RLock()


@contextmanager
def look(**more: Any) -> Iterator[None]:
    """Draw in this module's style, whatever the user's own settings are.

    matplotlib keeps its style for the whole process, so one report draws at a time.
    """
    import matplotlib as mpl

    with _drawing, mpl.rc_context():
        mpl.rcdefaults()
        style: Any = {**_LOOK, **more}
        mpl.rcParams.update(style)
        yield


def panels(
    figure: FigureBase,
    shares: tuple[float, ...] = (1.0,),
    *,
    left: float = 52,
    right: float = 8,
    top: float = 20,
    bottom: float = 32,
    apart: float = 8,
    sharex: bool = True,
) -> list[Axes]:
    """Return axes below each other; margins in points, heights in proportion."""
    width, height = (side * 72 for side in size_inches(figure))
    room = max(height - top - bottom - apart * (len(shares) - 1), 1)
    axes: list[Axes] = []
    upper = height - top
    for share in shares:
        tall = room * share / sum(shares)
        rectangle = (
            left / width,
            (upper - tall) / height,
            max(width - left - right, 1) / width,
            tall / height,
        )
        first = axes[0] if axes and sharex else None
        axes.append(figure.add_axes(rectangle, sharex=first))
        upper -= tall + apart
    for above in axes[:-1] if sharex else []:
        above.tick_params(labelbottom=False)
    return axes


def size_inches(figure: FigureBase) -> tuple[float, float]:
    """Return width and height of a figure or of a part of one."""
    # Both kinds have it; only their common base does not tell the type checker.
    box: Any = getattr(figure, "bbox")  # noqa: B009
    dpi: Any = getattr(figure, "dpi")  # noqa: B009
    return float(box.width / dpi), float(box.height / dpi)


def logarithmic(axes: Axes, which: str) -> None:
    """Make an axis logarithmic, with labels that need no mathematical text."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis: Axis
    if which == "x":
        axes.set_xscale("log")
        axis, (low, high) = axes.xaxis, axes.get_xlim()
    else:
        axes.set_yscale("log")
        axis, (low, high) = axes.yaxis, axes.get_ylim()
    near = low > 0 and high / low < 50
    subs = (1.0, 2.0, 5.0) if near else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(
        FuncFormatter(
            lambda value, _: power_of_ten(value) or (f"{value:.0e}" if near else "")
        )
    )
    axis.set_minor_formatter(NullFormatter())


def nothing(axes: Axes, text: str) -> None:
    """Say in the middle of empty axes why they are empty."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center",
        color=SOFT, wrap=True,
    )  # fmt: skip


def legend(axes: Axes, columns: int = 4, **more: Any) -> None:
    """Put the legend above the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0),
            ncols=columns, columnspacing=1.2, **more,
        )  # fmt: skip
