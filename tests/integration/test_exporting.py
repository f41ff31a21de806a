"""`eigerwatch export` on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from redis_fixture import RunningServer, running_server
from store_data import CHANNEL, KEY, append, open_series, records

from eigerwatch.cli import main
from eigerwatch.store.read import Reader
from eigerwatch.store.write import Writer

N = 12_345
"""More than one chunk of the store and of the file."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    with running_server(tmp_path) as running:
        monkeypatch.setenv("EIGERWATCH_STORE__URL", running.url)
        monkeypatch.setenv("EIGERWATCH_STORE__DATA_DIR", str(tmp_path / "data"))
        writer = Writer(running.url, running.settings())
        writer.start()
        open_series(writer)
        append(writer, np.delete(np.arange(N), 500))
        writer.stop(10)
        ledger = Reader(running.client()).info(KEY).ledgers[CHANNEL]
        assert ledger.stored == N - 1
        yield running


@pytest.mark.parametrize("name", [KEY, "latest"])
def test_a_nexus_file(
    server: RunningServer,
    tmp_path: Path,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "out" / "run.nxs"
    assert main(["export", name, "--output", str(path)]) == 0
    assert capsys.readouterr().out == f"written: {path}, {N} frames\n"
    expected = records(np.arange(N))
    with h5py.File(path) as file:
        data = file["entry/intensity"]
        for column in ("total", "kept", "max_kept"):
            wanted = expected[column].copy()
            wanted[500] = 0
            np.testing.assert_array_equal(data[column][()], wanted)
        assert np.flatnonzero(data["state"][()]).tolist() == [500]
    assert list(path.parent.iterdir()) == [path]


def test_frames_as_csv(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    assert main(["export", KEY, "-o", str(path), "--channel", CHANNEL]) == 0
    lines = path.read_text().splitlines()
    assert len(lines) == N + 1
    assert lines[0].startswith("frame,state,total")
    row = records(np.arange(N))[-1]
    assert lines[-1].startswith(f"{N},stored,{row['total']},{row['kept']},")
    assert lines[501].split(",")[1] in ("outstanding", "missing")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([KEY, "-o", "x.txt"], "its suffix says no format"),
        (["live:none", "-o", "x.nxs"], "no stored series"),
        ([KEY, "-o", "x.nxs", "--channel", "other"], f"it has {CHANNEL}"),
        ([KEY, "-o", "/proc/none/x.nxs"], "cannot be written to"),
    ],
)
def test_what_cannot_be_done_is_said(
    server: RunningServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words]) == 2
    assert text in capsys.readouterr().err
    assert not list(tmp_path.glob("*x.*"))
