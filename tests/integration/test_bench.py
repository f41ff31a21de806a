"""What `eigerwatch bench` tells has stable, documented keys and plausible figures."""

import json
from pathlib import Path

import pytest

from eigerwatch import cli
from eigerwatch.bench import command, live
from eigerwatch.bench.frames import Case
from eigerwatch.reduce import kernel_variants

CASE = {"detector", "dtype", "counts_per_pixel"}
KEYS = {
    "host": {
        *("cpu", "cpus", "memory_gb", "system", "python", "kernel"),
        *("kernel_variants", "memcpy_gb_per_s"),
    },
    "kernel": CASE
    | {"variant", "ms", "speedup_vs_bitshuffle_numpy", "share_of_memcpy"},
    "offline": CASE
    | {
        *("frames", "start_s", "frames_per_s"),
        *("bare_kernel_frames_per_s", "share_of_bare_kernel"),
        *("h5py_numpy_frames_per_s", "speedup_vs_h5py_numpy"),
        *("masked_array_frames_per_s", "speedup_vs_masked_array"),
        *("threads", "threads_frames_per_s", "speedup_by_threads"),
    },
    "live": CASE
    | {
        *("stream", "frames_per_s", "unpaced_frames_per_s", "frames", "lost"),
        *("bare_frames_per_s", "share_of_bare"),
    },
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure few small frames: what is tested is not the machine."""
    case = Case("500k", "uint16", 0.36)
    monkeypatch.setattr(command, "_USUAL", case)
    monkeypatch.setattr(command, "_OFFLINE_CASES", {case: 2000})
    monkeypatch.setattr(live, "_SECONDS", 0.5)


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("small")
def test_json_has_the_documented_keys(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--json", "--quick"]) == 0
    out, err = capfd.readouterr()
    found = json.loads(out)
    assert "measuring: live, 500k uint16, 0.36 counts/pixel" in err
    assert found.keys() == KEYS.keys()
    assert found["host"].keys() == KEYS["host"]
    for section in ("kernel", "offline", "live"):
        assert found[section]
        for row in found[section]:
            assert row.keys() == KEYS[section]
    assert [row["variant"] for row in found["kernel"]] == list(kernel_variants())
    speedup = found["kernel"][0]["speedup_vs_bitshuffle_numpy"]
    assert speedup is None or speedup > 3
    (offline,) = found["offline"]
    assert offline["frames"] == 2000
    assert offline["speedup_vs_h5py_numpy"] > 3
    (row,) = found["live"]
    assert row["unpaced_frames_per_s"] > 300
    assert row["frames_per_s"] is None or row["lost"] == 0


@pytest.mark.usefixtures("small")
def test_a_section_alone_as_tables(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--quick", "--only", "kernel"]) == 0
    out, _ = capfd.readouterr()
    assert "Kernel, one core" in out
    assert "Recorded files" not in out
    for variant in kernel_variants():
        assert variant in out


def test_readme_tells_every_key() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for keys in KEYS.values():
        for key in keys:
            assert f"`{key}`" in readme
