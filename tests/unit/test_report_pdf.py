from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pypdf import PdfReader
from report_cases import (
    ALL_EXCLUDED,
    EDGE_CASES,
    HOSTILE,
    counted,
    pdf_text,
    run,
    typical_run,
)

from eigerwatch.analysis.targets import Decision, Judged
from eigerwatch.report.contents import run_document
from eigerwatch.report.model import Run
from eigerwatch.report.pdf import pdf_pages, pdf_report
from eigerwatch.report.typeset import in_font, width, wrapped


@pytest.fixture(scope="module")
def typical() -> Run:
    return typical_run()


@pytest.fixture(scope="module")
def content(typical: Run) -> bytes:
    return pdf_report(
        typical.subject, typical.assessment, typical.judged, typical.frames
    )


def test_it_is_a_pdf_of_several_pages_with_its_title(content: bytes) -> None:
    pages, text = pdf_text(content)
    assert content.startswith(b"%PDF")
    assert pages >= 3
    assert "after the new crystals" in text
    assert f"page {pages} of {pages}" in text


def test_it_says_what_the_page_says(typical: Run, content: bytes) -> None:
    _, text = pdf_text(content)
    plain = "".join(text.split())
    for section in run_document(typical).sections:
        assert section.title in text
    cv = typical.assessment.detrended.cv_percent
    assert f"{cv:.4f}".rstrip("0")[:6] in plain
    assert "NOGO" in plain
    for event in typical.assessment.events:
        assert "".join(event.reason.split())[:30] in plain


def test_plots_are_vectors(content: bytes) -> None:
    pages = PdfReader(BytesIO(content)).pages
    images = {image.name for page in pages for image in page.images}
    # The map of the spectrogram, and the scales of colours.
    assert len(images) <= 3


def test_the_same_run_gives_the_same_file(typical: Run, content: bytes) -> None:
    assert pdf_pages(run_document(typical)) == content


def test_hostile_text_is_printed_as_it_can_be() -> None:
    given = run(
        counted(np.random.default_rng(1).poisson(1e5, 300)),
        Judged(Decision.GO, HOSTILE, ()),
        title=HOSTILE,
        facts=((HOSTILE, HOSTILE * 40),),
        version=HOSTILE,
        frequencies=False,
    )
    _, text = pdf_text(pdf_pages(run_document(given)))
    assert "<script>alert" in text
    assert "frac{1}{2}" in text


@pytest.mark.parametrize("name", ["no frame", "one frame", "constant", "far apart"])
def test_data_that_can_occur_gives_a_file(name: str) -> None:
    content = pdf_pages(run_document(run(EDGE_CASES[name])))
    assert content.startswith(b"%PDF")


def test_a_run_without_a_used_frame_says_so() -> None:
    frames = counted(np.random.default_rng(1).poisson(1e5, 300))
    _, text = pdf_text(pdf_pages(run_document(run(frames, None, ALL_EXCLUDED))))
    assert "Not enough data (n = 0)" in text


def test_lines_are_no_wider_than_their_room() -> None:
    text = "several words and " + "a-very-long-name/" * 20
    lines = wrapped(text, 8, 120)
    assert len(lines) > 5
    assert all(width(line, 8) <= 120 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_text_without_words_is_one_line() -> None:
    assert wrapped("", 8, 120) == [""]


def test_what_the_font_has_not_is_told() -> None:
    assert in_font("a\x1b漢\tb") == "a\ufffd b"
