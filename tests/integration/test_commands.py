"""What people command, from the store through the consumer to the frames stored."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from helpers import wait_until
from integration.test_service import running_service
from redis_fixture import RunningServer, running_server
from simplon_messages import array2, end2, image2, pack2, pixels, start2

from eigersim.dataset import DatasetPlan, make_dataset
from eigersim.detector import find_detector
from eigersim.source import SyntheticSource
from eigerwatch import player
from eigerwatch.config import Settings, load_settings
from eigerwatch.consumer import Consumer
from eigerwatch.recordings import listing
from eigerwatch.store.commanded import Commanded, NextSettings, ReplayState
from eigerwatch.store.control import Control
from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.read import Reader

FRAMES = 60
END = b"_master.h5"
FINAL = ("finished", "stopped_early")
ANSWER_S = 20.0


class Site:
    """A consumer in a thread, a detector's socket, recordings, and the store."""

    def __init__(self, server: RunningServer, folder: Path) -> None:
        self.server = server
        self.roots = folder / "recordings"
        self.roots.mkdir()
        self.context: zmq.Context[Any] = zmq.Context()
        self.detector = self.context.socket(zmq.PUSH)
        self.detector.linger = 0
        self.detector.bind(f"ipc://{folder}/stream")
        self.settings = load_settings(
            stream={"endpoint": f"ipc://{folder}/stream"},
            replay={"endpoint": f"ipc://{folder}/replay", "roots": [self.roots]},
            series={"settle_s": 0.4},
            store={"url": server.url, "data_dir": folder / "data"},
            reduce={"threads": 2, "preview_s": 0},
        )
        client = server.client()
        self.reader = Reader(client)
        self.control = Control(client)
        self.commanded = Commanded(client)
        self.consumer: Consumer | None = None
        self.thread: threading.Thread | None = None

    def start(self, **sections: dict[str, Any]) -> None:
        settings: Settings = self.settings
        for name, values in sections.items():
            section = getattr(settings, name).model_copy(update=values)
            settings = settings.model_copy(update={name: section})
        self.consumer = Consumer(settings, self.server.url)
        self.thread = threading.Thread(target=self.consumer.run)
        self.thread.start()
        # Commands given before it listens are nobody's wish.
        wait_until(lambda: self.control.answered(self.give("no"), 0.5) is not None)

    def stop(self) -> None:
        if self.consumer is not None and self.thread is not None:
            self.consumer.stop()
            self.thread.join()
            self.thread = None

    def close(self) -> None:
        self.stop()
        self.context.destroy(0)

    def give(self, command: str, **fields: str) -> str:
        return self.control.append(command, fields)

    def command(self, command: str, **fields: str) -> str:
        """Give a command and return what became of it."""
        answer = self.control.answered(self.give(command, **fields), ANSWER_S)
        assert answer is not None
        return answer

    # Replays

    def record(self, name: str = "x", frames: int = FRAMES) -> str:
        """Make a recording at 50 Hz and return what names it."""
        source = SyntheticSource(
            find_detector("200x100"), np.dtype("u2"), frames=frames, frame_time=0.02
        )
        make_dataset(DatasetPlan(self.roots / f"{name}_master.h5"), source)
        return self.file(name)

    def file(self, name: str) -> str:
        found = listing([self.roots]).found
        return next(r.file for r in found if r.name == f"{name}_master.h5")

    def replay(self, *states: str) -> ReplayState:
        def there() -> ReplayState | None:
            state = self.commanded.replay()
            return state if state.state in states else None

        return wait_until(there, 40, f"replay {' or '.join(states)}")

    def playing(self) -> ReplayState:
        return wait_until(
            lambda: (s := self.commanded.replay()).frame > 0 and s, 40, "first frame"
        )

    # Series

    def send(self, *messages: list[bytes]) -> None:
        for parts in messages:
            self.detector.send_multipart(parts)

    def info(self, n: int, *states: str) -> SeriesInfo:
        """Return the newest of `n` series once it is in one of the states."""

        def there() -> SeriesInfo | None:
            found = self.reader.series()
            fits = len(found) == n and found[0].state in (states or FINAL)
            return found[0] if fits else None

        return wait_until(there, 40, f"{n} series {states or FINAL}")

    def next_settings(self) -> NextSettings:
        found = self.commanded.settings()
        assert found is not None
        return found

    def choose(self, **sections: dict[str, Any]) -> str:
        text = json.dumps(sections)
        return self.command("settings.change", settings=text, by="Ann")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def site(server: RunningServer, tmp_path: Path) -> Iterator[Site]:
    made = Site(server, tmp_path)
    yield made
    made.close()


pytestmark = pytest.mark.timeout(120)


def test_a_recording_is_replayed_to_its_end(site: Site) -> None:
    file = site.record()
    site.start()
    assert site.command("replay.start", file=file, speed="0", by="Ann") == ""
    state = site.replay("finished")
    assert (state.name, state.by, state.speed) == ("x_master.h5", "Ann", 0.0)
    assert (state.frame, state.frames, state.sent) == (FRAMES, FRAMES, FRAMES)
    info = site.info(1)
    assert info.source == "replay"
    assert info.key == state.series
    (ledger,) = info.ledgers.values()
    assert (ledger.stored, ledger.missing) == (FRAMES, 0)


@pytest.mark.parametrize(
    "name",
    [
        b"<img src=x onerror=alert(1)>",
        b"two\nlines and a space",
        b"-v",
        b"\xff\xfe",
        b"%2e%2e",
    ],
)
def test_recordings_of_any_name_are_replayed(site: Site, name: bytes) -> None:
    site.record(frames=3)
    (site.roots / "x_master.h5").rename(site.roots / os.fsdecode(name + END))
    site.start()
    (one,) = listing([site.roots]).found
    assert site.command("replay.start", file=one.file, speed="0") == ""
    state = site.replay("finished", "failed")
    assert (state.state, state.sent) == ("finished", 3), state.text
    assert state.name.isprintable()


def test_a_replay_is_paused_sped_up_and_stopped(site: Site) -> None:
    file = site.record(frames=2000)
    site.start()
    assert site.command("replay.start", file=file, speed="1") == ""
    site.playing()
    assert site.command("replay.pause") == ""
    paused = site.replay("paused")
    held = wait_until(
        lambda: (s := site.commanded.replay()).beat_ms > paused.beat_ms + 1000 and s
    )
    assert held.state == "paused"
    later = wait_until(
        lambda: (s := site.commanded.replay()).beat_ms > held.beat_ms + 1000 and s
    )
    assert later.frame == held.frame
    assert site.command("replay.speed", speed="4") == ""
    assert site.command("replay.go") == ""
    wait_until(lambda: site.commanded.replay().frame > held.frame + 50, 40)
    assert site.replay("playing").speed == 4.0
    assert site.command("replay.stop") == ""
    stopped = site.replay("stopped")
    assert 0 < stopped.sent < 2000
    info = site.info(1)
    assert info.state == "stopped_early"
    (ledger,) = info.ledgers.values()
    assert (ledger.stored, ledger.missing) == (stopped.sent, 0)


def test_one_replay_goes_on_at_a_time(site: Site) -> None:
    file = site.record(frames=2000)
    site.start()
    assert site.command("replay.start", file=file, speed="1") == ""
    refusal = site.command("replay.start", file=file, speed="1")
    assert refusal == "x_master.h5 is being replayed; stop it, or wait for its end"
    site.playing()
    assert site.command("replay.stop") == ""
    site.replay("stopped")
    assert site.command("replay.start", file=file, speed="0") == ""
    site.replay("finished")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("replay.pause", "no replay goes on that could be paused"),
        ("replay.stop", "no replay goes on that could be stopped"),
        ("replay.dance", "this service knows no command 'replay.dance'"),
    ],
)
def test_a_command_without_use_is_refused(site, command, problem) -> None:
    site.start()
    assert site.command(command) == problem


def test_recordings_are_checked_by_the_consumer(site: Site, tmp_path: Path) -> None:
    site.record()
    outside = tmp_path / "outside_master.h5"
    outside.write_bytes(b"")
    (site.roots / "link_master.h5").symlink_to(outside)
    site.start()
    for file, problem in (
        (str(outside), "lies outside the folders of replay.roots"),
        (f"{site.roots}/../outside_master.h5", "lies outside"),
        (f"{site.roots}/link_master.h5", "lies outside"),
        (f"{site.roots}/gone_master.h5", "is missing"),
        ("", "names no master file"),
    ):
        assert problem in site.command("replay.start", file=file, speed="1")
    for speed in ("-1", "nan", "1e9", "fast", ""):
        problem = site.command("replay.start", file=site.file("x"), speed=speed)
        assert "as fast as it goes" in problem
    assert site.commanded.replay() == ReplayState()


def test_a_broken_recording_says_what_is_wrong(site: Site) -> None:
    (site.roots / "bad_master.h5").write_bytes(b"no HDF5 at all" * 100)
    good = site.record("good")
    site.start()
    assert site.command("replay.start", file=site.file("bad"), speed="1") == ""
    state = site.replay("failed")
    assert "bad_master.h5" in state.text
    assert site.command("replay.start", file=good, speed="0") == ""
    assert site.replay("finished").text == ""


def test_a_data_file_that_is_missing_is_told(site: Site) -> None:
    source = SyntheticSource(
        find_detector("200x100"), np.dtype("u2"), frames=FRAMES, frame_time=0.02
    )
    master = site.roots / "x_master.h5"
    plan = DatasetPlan(master, frames_per_file=20, left_out_files=frozenset({2}))
    make_dataset(plan, source)
    site.start()
    assert site.command("replay.start", file=site.file("x"), speed="0") == ""
    state = site.replay("finished")
    assert state.text == "data files that are missing: 1"
    assert (state.sent, state.frame) == (FRAMES - 20, FRAMES)


def test_a_reader_that_dies_costs_the_replay_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = site.record(frames=2000)
    site.start()
    assert site.command("replay.start", file=file, speed="1") == ""
    site.playing()
    assert site.consumer is not None
    process = site.consumer._commands._player._process
    assert process is not None
    os.kill(process.pid, signal.SIGSEGV)
    assert "signal 11" in site.replay("failed").text
    assert site.command("replay.start", file=file, speed="1") == ""
    site.playing()
    # One that hangs is stopped all the same.
    monkeypatch.setattr(player, "_STOP_S", 0.2)
    process = site.consumer._commands._player._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    assert site.command("replay.stop") == ""
    site.replay("stopped")


def test_a_replay_ends_with_the_service_and_says_so(site: Site) -> None:
    file = site.record(frames=2000)
    site.start()
    assert site.command("replay.start", file=file, speed="1") == ""
    site.playing()
    site.stop()
    state = site.commanded.replay()
    assert (state.state, state.text) == ("ended", "the service was stopped")
    (info,) = site.reader.series()
    assert info.state == "stopped_early"
    assert info.ledgers[info.channels[0]].stored == state.sent


def test_a_replay_of_a_killed_service_has_ended(site: Site) -> None:
    site.commanded.write_replay(ReplayState(state="playing", name="x", frame=3))
    stale = site.give("replay.start", file=site.record(), speed="0")
    site.start()
    state = site.commanded.replay()
    assert (state.state, state.frame) == ("ended", 3)
    assert state.text == "the service ended while it went on"
    # What was commanded before is nobody's wish any more.
    assert site.control.answered(stale, 0.01) is None


def test_a_service_without_replays_says_so(site: Site) -> None:
    file = site.record()
    site.start(replay={"enabled": False})
    assert "replay.enabled" in site.command("replay.start", file=file, speed="1")


# ---- settings of the next series ----

SHAPE = (64, 96)
IMAGES = [pixels(shape=SHAPE, seed=k) for k in range(6)]
SPOT = {"name": "spot", "rectangle": [10, 20, 30, 60]}
UID = "01HBV3JPF9T4ZDPADX6EMK6XM"


def start(uid: str) -> list[bytes]:
    y, x = SHAPE
    message = start2(series_unique_id=uid, image_size_x=x, image_size_y=y)
    return pack2(message | {"number_of_images": len(IMAGES)})


def frames(uid: str, ids: range) -> list[list[bytes]]:
    return [
        pack2(
            image2(
                image=k,
                series_unique_id=uid,
                data={"threshold_1": array2(IMAGES[k])},
            )
        )
        for k in ids
    ]


def end(uid: str) -> list[bytes]:
    return pack2(end2() | {"series_unique_id": uid})


def expected(low: int, high: int) -> list[int]:
    return [
        int(image[(image >= low) & (image <= high)].sum(dtype=np.uint64))
        for image in IMAGES
    ]


def totals(site: Site, info: SeriesInfo) -> list[int]:
    return site.reader.rows(info.key, info.channels[0])["total"].tolist()


def versions(info: SeriesInfo) -> list[dict[str, Any]]:
    return json.loads(info.meta["settings"])


def stored(info: SeriesInfo) -> int:
    return sum(ledger.stored for ledger in info.ledgers.values())


def running(site: Site, uid: str, n: int) -> SeriesInfo:
    """Return the series that is being collected, once `n` frames are stored."""

    def there() -> SeriesInfo | None:
        found = [i for i in site.reader.series() if i.key == f"live:{uid}"]
        return found[0] if found and stored(found[0]) == n else None

    return wait_until(there, 40, f"{n} frames of {uid}")


@pytest.mark.parametrize("restart", [False, True])
def test_settings_are_those_of_the_next_series(site: Site, restart: bool) -> None:
    one, two, three = (UID + letter for letter in "ABC")
    site.start()
    site.send(start(one), *frames(one, range(3)))
    running(site, one, 3)
    assert site.choose(filter={"low": 3, "high": 5}, regions={"rois": [SPOT]}) == ""
    if restart:
        # The next process takes up the series as it began, and the choice.
        site.stop()
        site.start()
    site.send(*frames(one, range(3, 6)), end(one))
    info = site.info(1)
    assert totals(site, info) == expected(0, 50000)
    assert len(versions(info)) == 1
    assert "changes" not in info.meta

    site.send(start(two), *frames(two, range(3)))
    running(site, two, 3)
    if restart:
        site.stop()
        site.start()
    site.send(*frames(two, range(3, 6)), end(two))
    info = site.info(2)
    assert totals(site, info) == expected(3, 5)
    (version,) = versions(info)
    assert (version["low"], version["high"]) == (3, 5)
    assert [region["name"] for region in version["regions"]] == ["spot"]
    rows = site.reader.region_rows(info.key, info.channels[0])
    part = [image[10:20, 30:60] for image in IMAGES]
    sums = [int(p[(p >= 3) & (p <= 5)].sum(dtype=np.uint64)) for p in part]
    assert rows["total"][:, 0].tolist() == sums
    kept = json.loads(info.meta["changes"])
    assert kept == {"filter": {"low": 3, "high": 5}, "regions": {"rois": [SPOT]}}

    assert site.command("settings.reset", by="Bob") == ""
    site.send(start(three), *frames(three, range(6)), end(three))
    assert totals(site, site.info(3)) == expected(0, 50000)


def test_who_chose_what_is_kept(site: Site) -> None:
    site.start()
    assert site.next_settings().changes is None
    assert site.next_settings().file["filter"] == {
        "low": 0,
        "high": "auto",
        "pixel_mask": True,
    }
    assert site.choose(filter={"low": 2}) == ""
    chosen = site.next_settings()
    assert (chosen.changes, chosen.by) == ({"filter": {"low": 2}}, "Ann")
    assert chosen.changed_ms > 0
    site.stop()
    # Another file: what people chose stays beside it.
    site.start(filter={"high": 300})
    again = site.next_settings()
    assert again.file["filter"]["high"] == 300
    assert (again.changes, again.by) == ({"filter": {"low": 2}}, "Ann")
    assert again.changed_ms == chosen.changed_ms
    assert site.command("settings.reset", by="Bob") == ""
    assert site.next_settings().changes is None
    assert site.next_settings().by == "Bob"


def test_wrong_settings_are_refused_and_change_nothing(site: Site) -> None:
    site.start()
    assert site.choose(filter={"low": 2}) == ""
    problem = site.choose(filter={"low": 9, "high": 3})
    assert problem == "page: filter.high = 3: not below filter.low, which is 9"
    assert "no section" in site.choose(stream={"endpoint": "tcp://10.0.0.1:1"})
    text = json.dumps({"filter": 3})
    assert "no keys" in site.command("settings.change", settings=text)
    assert "no JSON" in site.command("settings.change", settings="{")
    assert "no sections" in site.command("settings.change", settings="[1]")
    assert site.next_settings().changes == {"filter": {"low": 2}}


def test_choices_that_a_new_file_forbids_are_told(site: Site) -> None:
    site.start()
    assert site.choose(filter={"high": 100}) == ""
    site.stop()
    site.start(filter={"low": 500})
    kept = site.next_settings()
    assert kept.problem == (
        "page: filter.high = 100: not below filter.low, which is 500"
    )
    one = UID + "A"
    site.send(start(one), *frames(one, range(6)), end(one))
    assert versions(site.info(1))[0]["low"] == 500


# ---- the whole service ----


class Page:
    """Asks a running service as the page does."""

    def __init__(self, address: str) -> None:
        self.address = f"{address}api/v1/"

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.address + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def replay(self, *states: str) -> Any:
        def there() -> Any:
            with suppress(OSError):  # the page is being started again
                told = self("GET", "replay")
                return told if told["state"] in states else None

        return wait_until(there, 60, f"replay {states}")


def test_a_replay_commanded_over_http_outlives_the_web_process(
    server: RunningServer, tmp_path: Path
) -> None:
    roots = tmp_path / "recordings"
    roots.mkdir()
    source = SyntheticSource(
        find_detector("200x100"), np.dtype("u2"), frames=2000, frame_time=0.02
    )
    make_dataset(DatasetPlan(roots / "x_master.h5"), source)
    chosen = {"REPLAY__ROOTS": json.dumps([str(roots)])}
    with running_service(server, tmp_path, **chosen) as service:
        page = Page(service.page)
        (one,) = page("GET", "replay/recordings")["recordings"]
        wish = {"file": one["file"], "speed": 0.2, "author": "Ann"}
        assert page("POST", "replay", wish)["state"] in ("starting", "playing")
        with pytest.raises(urllib.error.HTTPError) as refused:
            page("POST", "replay", wish)
        with closing(refused.value) as answer:
            assert answer.code == 409
            assert "x_master.h5 is being replayed" in answer.read().decode()
        before = wait_until(lambda: (s := page("GET", "replay"))["frame"] and s, 60)

        (web,) = children(service.process.pid, "web")
        os.kill(web, signal.SIGKILL)
        wait_until(lambda: children(service.process.pid, "web") not in ([], [web]), 60)
        after = page.replay("playing")
        assert (after["name"], after["by"]) == ("x_master.h5", "Ann")
        assert after["frame"] >= before["frame"]

        told = page("PUT", "settings/next", {**COUNTED, "low": 2})
        assert told["next"]["low"] == 2
        assert told["running"]["low"] == 0
        page("PATCH", "replay", {"speed": 0})
        done = page.replay("finished")
        assert done["sent"] == 2000
        page("POST", "replay", wish | {"speed": 0})
        page.replay("finished")
        found = wait_until(lambda: len(s := page("GET", "series")["series"]) == 2 and s)
        assert [s["source"] for s in found] == ["replay", "replay"]
        lows = [page("GET", f"series/{s['series']}")["filter_low"] for s in found]
        assert lows == [2, 0]


COUNTED = {"low": 0, "high": "auto", "rois": [], "rings": 0}


def children(parent: int, part: str) -> list[int]:
    """Return the processes of a service that do one part of it."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [
        int(pid)
        for pid in listed
        if part.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]
