from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from masters import images, write_series

from eigerwatch.cli import main
from eigerwatch.config import load_settings
from eigerwatch.errors import ConfigError
from eigerwatch.offline import FrameRange
from eigerwatch.summing import SumTask, plan, sum_masters


def planned(*masters: str, config: Path | None = None) -> SumTask:
    task, _, _ = plan([Path(m) for m in masters], config, None, {}, {}, False)
    return task


def series(folder: Path) -> Path:
    folder.mkdir()
    return write_series(folder, images(4), frame_time=0.01)


def summed(output: Path, *masters: Path, plot: bool = False) -> bool:
    task = SumTask(list(masters), FrameRange(), output, plot=plot, pickle=True)
    return sum_masters(task, load_settings(reduce={"threads": 1})).complete


def test_masters_of_the_same_name_are_refused_before_they_are_read() -> None:
    with pytest.raises(ConfigError) as refused:
        planned("a/x_master.h5", "b/y_master.h5", "b/x_master.h5")
    for word in ("a/x_master.h5", "b/x_master.h5", "--output"):
        assert word in str(refused.value)
    assert "y_master" not in str(refused.value)
    with pytest.raises(ConfigError, match="same names"):
        planned("x_master.h5", "./x_master.h5")


def test_the_same_name_twice_is_fine_where_no_file_is_written(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("in: {master: x_master.h5}\nout: {file: False}\n")
    assert len(planned("a/x.h5", "b/x.h5", config=config).masters) == 2


def test_a_result_that_cannot_be_written_costs_only_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    (output / "x_master.h5.sums.npy").mkdir(parents=True)
    first = series(tmp_path / "a")
    second = series(tmp_path / "b").rename(tmp_path / "b" / "z_master.h5")
    assert not summed(output, first, second)
    said = capsys.readouterr()
    (complaint,) = (line for line in said.err.splitlines() if "not written" in line)
    assert complaint.startswith(str(output / "x_master.h5.sums.npy"))
    assert "irectory" in complaint
    written = [line for line in said.out.splitlines() if line.startswith("written: ")]
    assert len(written) == 3 + 4
    names = {path.name for path in output.iterdir()}
    suffixes = ("csv", "pickle", "sums.csv", "sums.npy")
    both = {f"{name}_master.h5.{s}" for name in "xz" for s in suffixes}
    assert names == both
    assert len(np.load(output / "z_master.h5.sums.npy")) == 4


def test_all_written_is_complete(tmp_path: Path) -> None:
    assert summed(tmp_path / "out", series(tmp_path / "a"))


def run(folder: Path, level: int = 1000) -> Path:
    """Write 2000 noisy frames, one of them empty."""
    noise = np.random.default_rng(4).poisson(level, (2000, 8, 8)).astype(np.uint16)
    noise[500] = 0
    folder.mkdir()
    return write_series(folder, noise, frame_time=0.01)


def table_count(folder: Path) -> float:
    lines = (folder / "x_master.h5.csv").read_text().splitlines()
    (count,) = (line.split(",") for line in lines if line.startswith("count"))
    return float(count[1])


def test_frames_that_do_not_count_leave_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    master = run(tmp_path / "a")
    assert main(["sum", str(master), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "used (from 0): 1999 of 2000 frames, 0 to 1999; excluded: 1 empty" in said
    assert "empty: " in said
    assert table_count(tmp_path / "out") == 1999
    page = (tmp_path / "out" / "x_master.h5.html").read_text()
    assert "1999 of 2000 frames" in page
    assert main(["sum", str(master), "-o", str(tmp_path / "all"), "--all-frames"]) == 0
    assert table_count(tmp_path / "all") == 2000


def test_the_origins_configuration_counts_all_frames(tmp_path: Path) -> None:
    master = run(tmp_path / "a")
    config = tmp_path / "config.yaml"
    config.write_text(f"in: {{master: {master}}}\nout: {{folder: {tmp_path}/out}}\n")
    output = ["-o", str(tmp_path / "out")]
    assert main(["sum", "--config", str(config), *output]) == 0
    assert table_count(tmp_path / "out") == 2000


@pytest.mark.parametrize(
    ("limits", "code", "words"),
    [
        ("cv_percent: 1", 0, "\ngo: within all limits: CV"),
        ("cv_percent: 0.01", 1, "\nno-go: CV 0."),
        ("min_mean: 1.0e+9", 1, "\nno-beam: no beam"),
        ("", 0, "\nempty: "),
    ],
)
def test_a_check_ends_with_1_where_a_limit_is_broken(
    tmp_path: Path,
    limits: str,
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    master = run(tmp_path / "a")
    config = tmp_path / "settings.yaml"
    config.write_text(f"targets: {{{limits}}}\n")
    command = ["sum", str(master), "-o", str(tmp_path / "out"), "-c", str(config)]
    assert main([*command, "--check"]) == code
    assert words in capsys.readouterr().out
    assert main(command) == 0


def test_names_are_printed_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither codes of pictures nor of colours, which file names may hold."""
    master = series(tmp_path / "a").rename(tmp_path / "a" / "a:100:[bold]b_master.h5")
    output = tmp_path / "out"
    assert main(["sum", str(master), "-o", str(output)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("a:100:[bold]b_master.h5")
    assert f"written: {output}/a:100:[bold]b_master.h5.csv" in said


def test_the_command_line_beats_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EIGERWATCH_FILTER__LOW", "0")
    command = ["sum", str(series(tmp_path / "a")), "-o", str(tmp_path / "out")]
    assert main([*command, "--low", "7"]) == 0
    assert "pixels kept from 7 " in capsys.readouterr().out
    assert main([*command, "--low", "9", "--high", "3"]) == 2
    assert "not below filter.low" in capsys.readouterr().err
