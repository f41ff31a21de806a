"""The command line as its users run it, in processes of its own."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers import wait_until
from redis_fixture import RunningServer, running_server
from store_data import CHANNEL, KEY, append, open_series

from eigerwatch import masks, sandbox
from eigerwatch.config import Settings, load_settings
from eigerwatch.errors import ConfigError
from eigerwatch.model import FRAME_RECORD
from eigerwatch.offline import sum_master
from eigerwatch.store.archive import write_archive
from eigerwatch.store.read import Reader
from eigerwatch.store.write import Writer

COMPARED = ("total", "kept", "below", "above", "sentinel", "masked", "max_kept")
SUMMARY = re.compile(
    r"^frames sent=(\d+) stored=(\d+) missing=(\d+) rejected=(\d+)$", re.MULTILINE
)


def environment(**settings: object) -> dict[str, str]:
    return {**os.environ, **{f"EIGERWATCH_{k}": str(v) for k, v in settings.items()}}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "eigerwatch", *map(str, arguments)]


def eigerwatch(
    *arguments: object, timeout_s: float = 60, **settings: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def make_dataset(folder: Path, *options: object) -> Path:
    master = folder / "x_master.h5"
    subprocess.run(
        [
            *(sys.executable, "-m", "eigersim", "make-dataset", str(master)),
            *("--detector", "200x100", "--frames", "60", "--frames-per-file", "25"),
            *map(str, options),
        ],
        check=True,
        capture_output=True,
    )
    return master


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as running:
        yield running


class Running:
    """A service in a process, its log and its page's address."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        self.page = ""

    def entries(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, event: str) -> dict[str, Any] | None:
        return next((e for e in self.entries() if e["event"] == event), None)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.page + path, timeout=5) as answer:
            return json.load(answer)

    def healthy(self) -> bool:
        try:
            self.get("healthz")
        except OSError:
            return False
        return True


@contextmanager
def running_service(
    server: RunningServer, tmp_path: Path, *arguments: str, **settings: object
) -> Iterator[Running]:
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "eigerwatch", "run", *arguments],
            env=environment(
                STORE__URL=server.url,
                STORE__DATA_DIR=tmp_path / "data",
                STREAM__ENDPOINT=f"ipc://{tmp_path}/stream",
                REPLAY__ENDPOINT=f"ipc://{tmp_path}/replay",
                SERIES__SETTLE_S=0.5,
                WEB__PORT=0,
                **settings,
            ),
            stderr=stderr,
            text=True,
        )
    service = Running(process, log)
    try:
        ready = wait_until(lambda: service.logged("page"), 30, "service")
        service.page = ready["address"].rstrip("/") + "/"
        wait_until(service.healthy, 30, "page")
        yield service
    except AssertionError as exc:
        raise AssertionError(f"{exc}\n{log.read_text()}") from exc
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stream", ["v1", "v2"])
def test_the_demo_stores_every_frame_with_the_right_total(stream: str) -> None:
    done = eigerwatch(
        *("demo", "--seconds", 3, "--frame-rate", 100, "--detector", "500k"),
        *("--stream", stream, "--port", 0),
        timeout_s=100,
    )
    assert done.returncode == 0, done.stderr
    (summary,) = SUMMARY.findall(done.stdout)
    assert summary == ("300", "300", "0", "0")
    assert done.stdout.splitlines()[-1].startswith("frames sent=")
    assert "compared with the simulator's truth: 300, all equal" in done.stdout
    assert re.search(r"page: http://127\.0\.0\.1:\d+", done.stdout)
    assert int(re.search(r"live updates received: (\d+)", done.stdout)[1]) > 3  # type: ignore[index]
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(120)
def test_an_interrupted_demo_kept_to_itself_and_its_settings(
    server: RunningServer, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    archive_one_series(server, archive)
    config = tmp_path / "demo.yaml"
    config.write_text("web: {allowed_hosts: [demo.example, 127.0.0.1]}\n")
    long_folder = tmp_path / ("x" * 100)
    long_folder.mkdir()
    process = subprocess.Popen(
        command(
            *("demo", "--config", config, "--port", 0),
            *("--frame-rate", 50, "--detector", "500k"),
        ),
        env={**environment(ARCHIVE__DIR=archive), "TMPDIR": str(long_folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        page = process.stdout.readline().removeprefix("page: ").strip()
        assert page, process.communicate()
        request = urllib.request.Request(
            f"{page}api/v1/series", headers={"Host": "demo.example"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert KEY not in answer.read().decode()
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert SUMMARY.search(out)
    assert "Traceback" not in err
    assert not list(long_folder.iterdir())


def archive_one_series(server: RunningServer, folder: Path) -> None:
    writer = Writer(server.url, server.settings())
    writer.start()
    open_series(writer)
    append(writer, range(10))
    writer.close_series(KEY, {"state": "finished", "ended_ms": 1})
    assert writer.stop(10)
    write_archive(Reader(server.client()), KEY, folder)
    assert [i.key for i in Reader(server.client(), folder).series()] == [KEY]
    assert Reader(server.client(), folder).rows(KEY, CHANNEL).size == 10


def test_the_demos_page_reads_back_what_the_demo_runs_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EIGERWATCH_WEB__TICK_HZ", "7")
    given = load_settings(
        filter={"low": 2, "high": 9},
        replay={"roots": ["/data"]},
        stream={"tee": "tcp://127.0.0.1:31002"},
        web={"host": "10.0.0.1"},
        targets={"webhooks": ["http://10.0.0.9/beam"]},
    ).model_copy(update={"executor": "tcp://10.0.0.5:8786"})
    settings = sandbox.isolated(given, tmp_path)
    written = tmp_path / "settings.yaml"
    sandbox.write_settings(settings, written)
    monkeypatch.setenv("EIGERWATCH_STORE__DATA_DIR", "/real")
    with sandbox.without_variables():
        assert load_settings(written) == settings
    assert settings.web.tick_hz == 7
    # Nothing simulated reaches anybody.
    assert (settings.stream.tee, settings.executor) == (None, None)
    assert settings.targets.webhooks == ()
    assert settings.web.host == "127.0.0.1"
    assert os.environ["EIGERWATCH_STORE__DATA_DIR"] == "/real"


def test_a_demo_without_room_for_its_sockets_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "SOCKET_PATH_BYTES", 20)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(ConfigError, match="TMPDIR"), sandbox.short_folder():
        pass


@pytest.mark.timeout(120)
def test_replay_and_sum_agree_on_every_pixel(
    server: RunningServer, tmp_path: Path
) -> None:
    master = make_dataset(tmp_path, "--scenario", "demo", "--leave-out-frame", 7)
    summed = eigerwatch("sum", master, "--output", tmp_path / "out")
    assert summed.returncode == 3, summed.stderr
    with np.load(tmp_path / "x_master.truth.npz") as truth:
        expected = truth["total"]
    sums = np.load(tmp_path / "out" / "x_master.h5.sums.npy")
    stored = np.arange(60) != 7
    assert sums.dtype == np.uint64
    assert (sums[stored] == expected[stored]).all()
    assert sums[7] == 2**64 - 1

    with running_service(server, tmp_path):
        address = {
            "STORE__URL": server.url,
            "REPLAY__ENDPOINT": f"ipc://{tmp_path}/replay",
        }
        for options in (("--stream", "v1"), ("--stream", "v2", "--frame-rate", "0")):
            done = eigerwatch("replay", master, *options, **address)
            assert done.returncode == 3, done.stderr
            assert SUMMARY.findall(done.stdout) == [("59", "59", "1", "0")]
        reader = Reader(server.client())
        found = reader.series()
        assert [info.source for info in found] == ["replay", "replay"]
        offline = sum_master(master, Settings()).records
        assert offline.dtype == FRAME_RECORD
        for info in found:
            assert "x_master.h5" in (info.origin or "")
            (channel,) = info.ledgers
            rows = reader.rows(info.key, channel)
            for name in COMPARED:
                assert (rows[name] == offline[name]).all(), name


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("encoding", "streams"), [("bslz4", ("v1", "v2")), ("bszstd", ("v2",))]
)
def test_mask_and_regions_are_the_same_however_frames_come(
    server: RunningServer, tmp_path: Path, encoding: str, streams: tuple[str, ...]
) -> None:
    options = ("--detector", "1m", "--frames", 12, "--encoding", encoding)
    master = make_dataset(tmp_path, *options)
    with h5py.File(master, "a") as file:
        mask = file["entry/instrument/detector/detectorSpecific/pixel_mask"]
        mask[100:103, 200:999] = 1 << 4
    users = np.zeros((1062, 1028), bool)
    users[:, 500] = True
    np.save(tmp_path / "mask.npy", users)
    regions = {
        "rois": [
            {"name": "spot", "rectangle": [90, 110, 0, 600]},
            {"name": "halo", "annulus": [531.3, 514.2, 50, 150.5]},
            {"name": "wedge", "polygon": [[3, 3], [900, 40], [40, 900]]},
        ],
        "rings": [40.0, 8.0, 3.0],
    }
    chosen = {"REGIONS": json.dumps(regions), "MASK": tmp_path / "mask.npy"}
    settings = load_settings(regions=regions)
    settings = settings.model_copy(update={"mask": tmp_path / "mask.npy"})
    offline = sum_master(master, settings)
    assert offline.selection.mask_from == ("detector", "user")
    gaps = 38 * 1028
    assert set(offline.records["masked"]) == {gaps + 3 * 799 + (1062 - 38 - 3)}
    assert set(offline.records["sentinel"]) == {0}
    names = [region["name"] for region in offline.selection.regions.described]
    assert names == [
        *("module_1", "module_2", "spot", "halo", "wedge", "ring_1", "ring_2")
    ]
    totals = offline.regions["total"]
    assert (totals[:, 0] + totals[:, 1] == offline.records["total"]).all()
    assert (totals > 0).all()

    with running_service(server, tmp_path, **chosen):
        for stream in streams:
            done = eigerwatch(
                *("replay", master, "--stream", stream, "--frame-rate", 0),
                STORE__URL=server.url,
                REPLAY__ENDPOINT=f"ipc://{tmp_path}/replay",
            )
            assert done.returncode == 0, done.stderr
        reader = Reader(server.client())
        found = reader.series()
        assert len(found) == len(streams)
        for info in found:
            (channel,) = info.ledgers
            rows = reader.rows(info.key, channel)
            for name in COMPARED:
                assert (rows[name] == offline.records[name]).all(), name
            stored = reader.region_rows(info.key, channel)
            assert (stored == offline.regions).all()
            (version,) = json.loads(info.meta["settings"])
            described = list(offline.selection.regions.described)
            assert version["regions"] == json.loads(json.dumps(described))
            kept = reader.mask(info.key, channel)
            assert kept is not None
            assert masks.n_masked(kept) == gaps + 3 * 799


@pytest.mark.timeout(120)
def test_the_page_survives_its_process(server: RunningServer, tmp_path: Path) -> None:
    with running_service(server, tmp_path) as service:
        children = f"/proc/{service.process.pid}/task/{service.process.pid}/children"
        (web,) = map(int, Path(children).read_text().split())
        os.kill(web, signal.SIGKILL)
        wait_until(
            lambda: service.logged("web process died, starting it again"), 15, "notice"
        )
        wait_until(service.healthy, 30, "page")


@pytest.mark.timeout(120)
def test_children_die_with_the_service(server: RunningServer, tmp_path: Path) -> None:
    with running_service(server, tmp_path) as service:
        children = f"/proc/{service.process.pid}/task/{service.process.pid}/children"
        (web,) = map(int, Path(children).read_text().split())
        service.process.kill()
        service.process.wait()
        wait_until(
            lambda: (
                not Path(f"/proc/{web}/cmdline").exists()
                or not Path(f"/proc/{web}/cmdline").read_bytes()
            ),
            15,
            "web process to end",
        )


@pytest.mark.timeout(120)
def test_sigterm_stops_within_ten_seconds(
    server: RunningServer, tmp_path: Path
) -> None:
    """Catalogue row 82."""
    with running_service(server, tmp_path) as service:
        service.process.terminate()
        assert service.process.wait(10) == 0
        assert service.logged("consumer stopped")
        assert "Traceback" not in service.log.read_text()


@pytest.mark.timeout(120)
def test_a_second_service_is_refused(server: RunningServer, tmp_path: Path) -> None:
    """Catalogue row 46."""
    with running_service(server, tmp_path):
        second = eigerwatch("run", STORE__URL=server.url, WEB__PORT=0)
        assert second.returncode == 2
        assert "stop that process first" in second.stderr
        assert "Traceback" not in second.stderr
        status = eigerwatch("status", STORE__URL=server.url)
        assert status.returncode == 0
        assert "replay: ipc://" in status.stdout


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    complaint = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in complaint


def test_a_port_in_use_is_named_with_its_cure(server: RunningServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = eigerwatch("run", STORE__URL=server.url, WEB__PORT=port)
    one_line(done, str(port), "in use", "web.port")


def test_no_redis_is_named_with_its_cure(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/absent.sock"
    done = eigerwatch("run", STORE__URL=url, WEB__PORT=0)
    one_line(done, "absent.sock", "store.url")


def test_an_evicting_server_is_refused(tmp_path: Path) -> None:
    """Catalogue row 52."""
    options = ("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb")
    with running_server(tmp_path, "valkey", *options) as server:
        done = eigerwatch("run", STORE__URL=server.url, WEB__PORT=0)
    one_line(done, "noeviction")


def test_no_server_program_is_named_with_its_cures(tmp_path: Path) -> None:
    done = eigerwatch(
        "run",
        STORE__BINARY=tmp_path / "no-such-server",
        STORE__DATA_DIR=tmp_path / "data",
        WEB__PORT=0,
    )
    one_line(done, "no-such-server")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sum",), ["name the master file"]),
        (("sum", "x_master.h5", "--low", "9", "--high", "3"), ["filter.high", "low"]),
        (("sum", "x.h5", "--start", "9", "--end", "3"), ["start", "end"]),
        (("run", "--config", "/absent.yaml"), ["/absent.yaml"]),
    ],
)
def test_unusable_command_lines_get_one_line(
    arguments: tuple[str, ...], words: list[str]
) -> None:
    one_line(eigerwatch(*arguments), *words)


def test_a_file_that_is_no_master_costs_only_itself(tmp_path: Path) -> None:
    good = make_dataset(tmp_path)
    bad = tmp_path / "bad_master.h5"
    bad.write_text("no HDF5 at all")
    done = eigerwatch("sum", bad, good, "--output", tmp_path / "out")
    assert done.returncode == 3
    assert str(bad) in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "x_master.h5.csv").exists()


def test_the_table_has_the_origins_rows(tmp_path: Path) -> None:
    master = make_dataset(tmp_path)
    done = eigerwatch("sum", master, "--output", tmp_path / "out", "--pickle")
    assert done.returncode == 0, done.stderr
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    names = ("csv", "html", "pickle", "sums.csv", "sums.npy")
    assert written == [f"x_master.h5.{name}" for name in names]
    table = (tmp_path / "out" / "x_master.h5.csv").read_text().splitlines()
    labels = [line.split(",")[0] for line in table]
    assert labels == "|count|mean|std|CV%|min|25%|50%|75%|max".split("|")
    assert all(label in done.stdout for label in labels)
    shown = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in shown if "│" in line)


def test_check_config_prints_what_is_in_effect() -> None:
    done = eigerwatch("check-config", WEB__PORT=1234, TYPO=1)
    assert done.returncode == 0
    assert "port: 1234" in done.stdout
    assert "EIGERWATCH_TYPO" in done.stderr


def test_list_of_an_empty_store(server: RunningServer) -> None:
    done = eigerwatch("list", STORE__URL=server.url)
    assert (done.returncode, done.stdout) == (0, "no series stored yet\n")


def test_masters_of_the_same_name_need_two_runs(tmp_path: Path) -> None:
    masters = [tmp_path / folder / "x_master.h5" for folder in "ab"]
    done = eigerwatch("sum", *masters, "--output", tmp_path / "out")
    one_line(done, *map(str, masters), "--output")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    master = make_dataset(tmp_path)
    done = subprocess.run(
        command("sum", master, "--output", tmp_path / "out"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        # As a disk with room for all but the page of some MB.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, 2**19)),
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert f"{tmp_path}/out/x_master.h5.html: not written" in done.stderr
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert written == [
        f"x_master.h5.{name}" for name in ("csv", "sums.csv", "sums.npy")
    ]


def test_sums_outlast_their_stdout(tmp_path: Path) -> None:
    master = make_dataset(tmp_path)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("sum", master, "--output", tmp_path / "full"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == (
        "eigerwatch: standard output: No space left on device"
    )
    assert "Traceback" not in done.stderr
    code, complaint = without_reader("sum", master, "--output", tmp_path / "none")
    assert (code, "Traceback" in complaint) == (0, False)
    for folder in ("full", "none"):
        assert (tmp_path / folder / "x_master.h5.html").exists()


def without_reader(*arguments: object) -> tuple[int, str]:
    """Run with a stdout whose reader has left; return exit code and stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command(*arguments),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    return done.returncode, done.stderr


def test_a_reader_that_leaves_is_no_failure(server: RunningServer) -> None:
    assert without_reader("check-config") == (0, "")
    assert without_reader("list", "--config", config_of(server)) == (0, "")
    assert without_reader("--help") == (0, "")


def config_of(server: RunningServer) -> Path:
    path = server.folder / "config.yaml"
    path.write_text(f"store: {{url: {server.url}}}\n")
    return path


def test_an_interrupted_sum_leaves_whole_files(tmp_path: Path) -> None:
    master = make_dataset(tmp_path)
    copies = [tmp_path / f"{n:02}_master.h5" for n in range(60)]
    for copy in copies:
        copy.hardlink_to(master)
    process = subprocess.Popen(
        command("sum", *copies, "--output", tmp_path / "out"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(".html" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "59_master.h5.csv").exists()
    for path in (tmp_path / "out").iterdir():
        assert not path.name.startswith(".")
        if path.suffix == ".npy":
            assert len(np.load(path)) == 60
        if path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")


@pytest.mark.parametrize("program", ["eigerwatch", "eigersim"])
def test_an_interrupt_before_the_first_command_is_quiet(
    program: str, tmp_path: Path
) -> None:
    # Stands in for a library in which Ctrl-C strikes, and which hides it as numpy does.
    (tmp_path / "typer.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    signal.pause()\n"
        "except KeyboardInterrupt as exc:\n"
        "    raise ImportError('interrupted') from exc\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
