"""plotly.js as the page gets it: from the installed package, compressed once."""

from __future__ import annotations

import re
from functools import cache

from eigerwatch.web.assets import Asset, digest

_RULES = re.compile(r"\{\"X,X div\":.*?\}(?=;for\()", re.DOTALL)
_INSERTED = re.compile(r'if\(!document\.getElementById\("([0-9a-f]{64})"\)\)')
_STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_RULE = re.compile(rf"({_STRING}|[A-Za-z_$][\w$]*):({_STRING})")


@cache
def plotly_script() -> Asset:
    """Return plotly.js under a name that changes with its content."""
    from plotly.offline import get_plotlyjs  # slow to import

    return _asset("plotly", "js", "text/javascript", str(get_plotlyjs()))


@cache
def plotly_styles(script: Asset) -> Asset | None:
    """Return the style sheet that plotly.js would otherwise insert into the page.

    With it in place, a Content-Security-Policy without ``unsafe-inline`` holds. None
    where this plotly.js keeps its rules differently.
    """
    found = _RULES.search(script.content.decode())
    if found is None:
        return None
    lines = []
    for selector, rule in _RULE.findall(found.group()):
        selector = re.sub("^,", " ,", _unquoted(selector))
        selector = selector.replace("X", ".js-plotly-plot .plotly")
        selector = selector.replace("Y", ".plotly-notifier")
        lines.append(f"{selector} {{{_unquoted(rule)}}}\n")
    # plotly.js inserts each rule before the last one, so the first wins.
    return _asset("plotly", "css", "text/css", "".join(reversed(lines)))


def style_ids(script: Asset) -> list[str]:
    """Return ids of styles (of maps, unused here) that plotly.js inserts if absent.

    Elements with these ids keep it from trying.
    """
    return sorted(set(_INSERTED.findall(script.content.decode())))


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[0] in "'\"" else text


def _asset(stem: str, suffix: str, media_type: str, text: str) -> Asset:
    content = text.encode()
    return Asset.of(f"{stem}-{digest(content)}.{suffix}", media_type, content)
