from __future__ import annotations

import json
import re
from io import StringIO

import pytest
from report_cases import (
    EDGE_CASES,
    HOSTILE,
    Page,
    measured,
    pdf_text,
    read_number,
    run,
)
from rich.console import Console
from scenarios import scenario

from eigerwatch.analysis.comparison import Comparison, compare
from eigerwatch.report.comparing import (
    OUTCOMES,
    html_comparison,
    pdf_comparison,
    terminal_tables,
)
from eigerwatch.report.model import Run

Pair = tuple[Comparison, Run, Run]


def compared(a: Run, b: Run, names: tuple[str, str] = ("before", "after")) -> Pair:
    return compare(a.assessment, b.assessment, names=names), a, b


@pytest.fixture(scope="module")
def pair() -> Pair:
    given = {"topups": 0, "damage": False, "frames": 12_000, "modules": False}
    a = run(measured(scenario(5, lines=3, **given)), title="run 14")
    b = run(measured(scenario(5, lines=2, **given)), title="run 22")
    return compared(a, b)


@pytest.fixture(scope="module")
def text(pair: Pair) -> str:
    return html_comparison(*pair)


def printed(comparison: Comparison) -> str:
    out = StringIO()
    console = Console(file=out, width=200, color_system=None)
    console.print(*terminal_tables(comparison), sep="\n")
    return out.getvalue()


def test_the_verdict_comes_first(pair: Pair, text: str) -> None:
    comparison = pair[0]
    page = Page(text)
    assert OUTCOMES[comparison.outcome].text in page.texts
    assert comparison.verdict.split("; ")[0] in page.text


def test_ratios_are_those_of_the_comparison(pair: Pair, text: str) -> None:
    known = pair[0].as_dict()
    rows = Page(text).table("Ratios")
    for label, key in (("CV, detrended", "cv"), ("CV of the beam", "cv_beam")):
        for cell, field in zip(rows[label], ("a", "b", "ratio"), strict=False):
            assert read_number(cell) == pytest.approx(known[key][field], rel=6e-4)
        low, high = rows[label][3].split(" to ")
        assert read_number(low) == pytest.approx(known[key]["low"], rel=6e-4)
        assert read_number(high) == pytest.approx(known[key]["high"], rel=6e-4)


def test_bands_lines_and_conditions_are_there(pair: Pair, text: str) -> None:
    rows = Page(text).rows
    assert len(rows["Fluctuation by band"]) == len(pair[0].bands) + 1
    assert len(rows["Lines"]) == len(pair[0].lines) + 1
    assert {"Conditions", "Side by side"} <= rows.keys()


def test_nothing_is_loaded_from_elsewhere(text: str) -> None:
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"url\((?!#)", text)


def test_all_digits_are_there_for_programs(pair: Pair, text: str) -> None:
    (script,) = Page(text).scripts
    known = json.loads(json.dumps(pair[0].as_dict()))
    assert json.loads(script)["comparison"] == known


def test_the_pdf_says_the_same(pair: Pair) -> None:
    content = pdf_comparison(*pair)
    pages, text = pdf_text(content)
    assert content.startswith(b"%PDF")
    assert pages >= 2
    for word in ("before and after", "Ratios", "run 14", "run 22"):
        assert word in text


def test_a_terminal_gets_verdict_and_tables(pair: Pair) -> None:
    shown = printed(pair[0])
    assert shown.startswith(OUTCOMES[pair[0].outcome].text)
    for word in ("Ratios", "Fluctuation by band", "Lines", "CV of the beam"):
        assert word in shown
    assert "\u202f" not in shown


def test_hostile_names_stay_text(pair: Pair) -> None:
    hostile = compared(pair[1], pair[2], (HOSTILE, "[red]B[/red]"))
    page = Page(html_comparison(*hostile))
    assert len(page.scripts) == 1
    assert any(HOSTILE in row for row in page.rows["Ratios"][0])
    shown = printed(hostile[0])
    assert "\x1b" not in shown
    assert "[red]B[/red]" in shown
    assert pdf_comparison(*hostile).startswith(b"%PDF")


@pytest.mark.parametrize("name", ["no frame", "two frames", "constant", "no times"])
def test_runs_that_cannot_be_compared_are_refused_in_words(
    pair: Pair, name: str
) -> None:
    refused = compared(pair[1], run(EDGE_CASES[name]))
    page = Page(html_comparison(*refused))
    assert "NOT COMPARABLE" in page.texts
    rows = page.rows["Why these runs cannot be compared"]
    assert [row[1] for row in rows[1:]] == list(refused[0].refusals)
    assert not re.search(r"\bnan\b|\binf\b|None", page.text)
    assert "Refused: " in printed(refused[0])
    assert pdf_comparison(*refused).startswith(b"%PDF")
