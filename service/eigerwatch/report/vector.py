"""Plots as SVG that can stand inside an HTML page, several of them side by side."""

from __future__ import annotations

import io
import re

from eigerwatch.report.document import Plot
from eigerwatch.report.style import look

POINTS_PER_INCH = 72

_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_NAMESPACES = re.compile(r'\sxmlns(:\w+)?="[^"]*"')
_IDS = re.compile(r'\sid="([^"]*)"')
_REFERENCES = re.compile(r'url\(#([^)"]+)\)|xlink:href="#([^"]+)"')
_DIGITS = re.compile(r"(\d\.\d\d)\d+")
_PATHS = re.compile(r'(?<=\sd=")[^"]*|(?<=\s[xy]=")[^"]*|(?<=transform=")[^"]*')
_SIZE = re.compile(r'\swidth="[^"]*pt"|\sheight="[^"]*pt"')
_COMMENTS = re.compile(r"<!--.*?-->\s*", re.DOTALL)


def svg(plot: Plot, width_inches: float) -> str:
    """Return the plot as an <svg> element as wide as what it stands in.

    Its ids begin with the plot's name, nothing in it is loaded from elsewhere.
    """
    from matplotlib.figure import Figure

    with look(**{"svg.hashsalt": plot.name}):
        figure = Figure(figsize=(width_inches, width_inches * plot.height))
        plot.draw(figure)
        out = io.StringIO()
        nobody = {"Creator": None, "Date": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", metadata=nobody)
    return _inline(out.getvalue(), plot.name)


def _inline(text: str, name: str) -> str:
    text = _COMMENTS.sub("", _PROLOGUE.sub("", text, count=1))
    head, rest = text.split(">", 1)
    # HTML's own parser knows these names; only files need the namespaces.
    head = _SIZE.sub("", _NAMESPACES.sub("", head))
    wanted = {one or other for one, other in _REFERENCES.findall(rest)}

    def kept(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in wanted else ""

    def referred(found: re.Match[str]) -> str:
        if found[1]:
            return f"url(#{name}-{found[1]})"
        return f'xlink:href="#{name}-{found[2]}"'

    rest = _REFERENCES.sub(referred, _IDS.sub(kept, rest))
    rest = _PATHS.sub(lambda found: _DIGITS.sub(r"\1", found[0]), rest)
    return f'{head} aria-hidden="true" focusable="false">{rest}'.strip()
