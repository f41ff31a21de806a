"""`eigerwatch report` and `eigerwatch compare`, of recorded datasets."""

import json
from pathlib import Path

import numpy as np
import pytest
from masters import write_series

from eigerwatch.cli import main


def run(folder: Path, seed: int, flicker: float = 0.0, frame_time: float = 0.01) -> str:
    """Write 3000 noisy frames of 8 x 8 pixels."""
    random = np.random.default_rng(seed)
    level = 1000 * (1 + flicker * random.standard_normal(3000))
    frames = random.poisson(level[:, None, None], (3000, 8, 8)).astype(np.uint16)
    folder.mkdir()
    return str(write_series(folder, frames, frame_time=frame_time))


def test_a_report_is_one_page_and_a_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    master = run(tmp_path / "a", 1)
    assert main(["report", master, "-o", str(tmp_path), "--pdf"]) == 0
    page = (tmp_path / "x_master.h5.report.html").read_text()
    assert "photon-limited" in page.lower()
    assert (tmp_path / "x_master.h5.report.pdf").read_bytes().startswith(b"%PDF")
    assert "no limits are set" in capsys.readouterr().out


def test_a_report_of_a_run_beyond_its_limits_ends_with_1(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("targets: {cv_percent: 0.001}\n")
    master = run(tmp_path / "a", 1)
    command = ["report", master, "-o", str(tmp_path), "-c", str(config)]
    assert main(command) == 1
    assert "limit 0.001" in (tmp_path / "x_master.h5.report.html").read_text()


def test_two_datasets_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = run(tmp_path / "a", 1, 0.01), run(tmp_path / "b", 2, 0.005)
    page = tmp_path / "both.html"
    assert main(["compare", a, b, "--json", "--html", str(page)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["outcome"] == "steadier"
    assert told["cv"]["ratio"] == pytest.approx(0.55, abs=0.08)
    assert told["verdict"].split(":")[0] in page.read_text()
    assert main(["compare", a, b]) == 0
    assert "down by" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused_politely(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = run(tmp_path / "a", 1), run(tmp_path / "b", 2, frame_time=0.02)
    assert main(["compare", a, b]) == 1
    assert "frame time" in capsys.readouterr().out


def test_no_such_run_is_told_with_a_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["report", str(tmp_path / "none_master.h5")]) == 2
    assert "none_master.h5" in capsys.readouterr().err
    monkeypatch.setenv("EIGERWATCH_STORE__DATA_DIR", str(tmp_path / "data"))
    assert main(["compare", "live:nothing", "latest"]) == 2
    assert "`eigerwatch list`" in capsys.readouterr().err
    assert main(["report"]) == 2
    assert "no series is stored yet" in capsys.readouterr().err


def test_what_cannot_be_read_is_told_and_filed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    master = Path(run(tmp_path / "a", 1))
    for data in master.parent.glob("x_data_000001.h5"):
        data.unlink()
    assert main(["report", str(master), "-o", str(tmp_path)]) == 3
    assert "x_data_000001.h5" in capsys.readouterr().err
    assert "x_data_000001.h5" in (tmp_path / "x_master.h5.report.html").read_text()
    assert main(["compare", str(master), str(master)]) in (1, 3)
    assert "x_data_000001.h5" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    master = run(tmp_path / "a", 1)
    capsys.readouterr()
    (tmp_path / "file").write_text("")
    assert main(["report", master, "-o", str(tmp_path / "file")]) == 2
    assert "choose another" in capsys.readouterr().err
    assert main(["compare", master, master, "--html", f"{tmp_path}/file/x.html"]) == 2
    assert "choose another" in capsys.readouterr().err


def test_a_comparison_can_be_filed_as_pdf(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", 1), run(tmp_path / "b", 2)
    page = tmp_path / "both.pdf"
    assert main(["compare", a, b, "--pdf", str(page)]) == 0
    assert page.read_bytes().startswith(b"%PDF")


def test_settings_in_effect_are_one_line_each(tmp_path: Path) -> None:
    assert main(["report", run(tmp_path / "a", 1), "-o", str(tmp_path)]) == 0
    page = (tmp_path / "x_master.h5.report.html").read_text()
    assert "analysis.exclude" in page
    assert "empty, damaged, topup" in page
    assert "targets.cv_percent" in page
    assert "webhooks" not in page
    start = page.index('id="figures"')
    figures = json.loads(
        page[page.index(">", start) + 1 : page.index("</script>", start)]
    )
    assert figures["settings"]["analysis.exclude"] == ["empty", "damaged", "topup"]
    assert figures["settings"]["targets.cv_percent"] is None
