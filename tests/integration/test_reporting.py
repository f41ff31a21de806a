"""Stored series are reported and compared by the same functions as the page's."""

import json
from pathlib import Path

import numpy as np
import pytest
from redis_fixture import running_server
from store_data import CHANNEL, open_series

from eigerwatch.cli import main
from eigerwatch.model import FRAME_RECORD, FrameFlag
from eigerwatch.store.notes import Notes
from eigerwatch.store.write import Writer

N = 3000
A, B = "live:01JAAA", "live:01JBBB"


def drawn(seed: int, flicker: float) -> np.ndarray:
    random = np.random.default_rng(seed)
    table = np.zeros(N, FRAME_RECORD)
    level = 1e6 * (1 + flicker * random.standard_normal(N))
    table["total"] = random.poisson(level)
    table["kept"] = 4_000_000
    table["flags"] = FrameFlag.STORED
    table["start_ns"] = np.arange(N) * 1_340_000
    return table


@pytest.mark.timeout(120)
def test_stored_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_server(tmp_path) as server:
        writer = Writer(server.url, server.settings())
        writer.start()
        for key, seed, flicker in ((A, 1, 0.004), (B, 2, 0.002)):
            open_series(writer, key)
            writer.append(key, CHANNEL, np.arange(N), drawn(seed, flicker))
        writer.stop(20)
        notes = Notes(server.client())
        notes.add(A, "before the <new> mirror", "staff")
        notes.exclude(A, 0, 499, reason="shutter")
        monkeypatch.setenv("EIGERWATCH_STORE__URL", server.url)
        monkeypatch.setenv("EIGERWATCH_STORE__DATA_DIR", str(tmp_path / "data"))

        assert main(["report", A, "-o", str(tmp_path)]) == 0
        page = (tmp_path / "live_01JAAA.report.html").read_text()
        assert "before the &lt;new&gt; mirror" in page
        assert "2500 of 3000 frames" in page
        capsys.readouterr()

        assert main(["compare", A, B, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["outcome"] == "steadier"
        assert told["cv"]["ratio"] == pytest.approx(0.54, abs=0.05)

        assert main(["report", A, "--channel", "threshold_9"]) == 2
        assert "has no channel threshold_9" in capsys.readouterr().err
