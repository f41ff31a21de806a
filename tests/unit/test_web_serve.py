from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from helpers import wait_until
from memory_store import MemoryStore

from eigerwatch.config import Settings
from eigerwatch.errors import ConfigError
from eigerwatch.sections import StoreSettings, WebSettings
from eigerwatch.web.application import create_app
from eigerwatch.web.listener import bind, url_of
from eigerwatch.web.serve import WebServer, serve


def test_port_zero_takes_a_free_one_and_tells() -> None:
    with bind(WebSettings(port=0)) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}/"


def test_a_port_in_use_is_named_with_its_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as refused:
            bind(WebSettings(port=port))
    assert str(port) in str(refused.value)
    assert "in use" in str(refused.value)
    assert "set another web.port" in str(refused.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"correct web\.host"):
        bind(WebSettings(host=host, port=0))


def test_serves_until_stopped() -> None:
    settings = WebSettings(port=0)
    server = WebServer(create_app(MemoryStore(), settings), bind(settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, what="server")
        with urllib.request.urlopen(f"{server.url}api/v1/series") as answer:
            assert answer.status == 200
    finally:
        server.stop()
        thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_makes_it_return(tmp_path: Path, number: signal.Signals) -> None:
    settings = Settings(web=WebSettings(port=0), store=StoreSettings(data_dir=tmp_path))
    listener = bind(settings.web)
    url = url_of(listener)
    answers: list[int] = []

    def answered() -> bool:
        try:
            with urllib.request.urlopen(f"{url}healthz", timeout=5) as answer:
                answers.append(answer.status)
        except urllib.error.HTTPError as error:
            answers.append(error.code)
            error.close()
        return True

    def end() -> None:
        wait_until(answered, what="page")
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=end)
    thread.start()
    serve(settings, f"unix://{tmp_path}/nothing.sock", listener)
    thread.join(10)
    assert answers == [503]
