"""nginx in front of a page, with the configuration that is delivered."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import wait_until
from running_demo import answers

DELIVERED = Path(__file__).resolve().parents[1] / "deploy" / "nginx.conf"

MAIN = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def program() -> str:
    """Return nginx, or skip the test and say why."""
    found = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if found is None:
        pytest.skip("no nginx on this machine: install Debian's nginx-light")
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def proxied(folder: Path, port: int) -> Iterator[str]:
    """Run nginx in front of a port of this machine and give its address."""
    nginx = program()
    own = free_port()
    site = DELIVERED.read_text()
    for said, wanted in (
        (r"server 127\.0\.0\.1:8000;", f"server 127.0.0.1:{port};"),
        (r"listen 80;", f"listen 127.0.0.1:{own};"),
        (r"server_name [^;]*;", "server_name 127.0.0.1;"),
    ):
        site, n = re.subn(said, wanted, site)
        assert n == 1, f"{DELIVERED}: {said} stands there {n} times"
    (folder / "site.conf").write_text(site)
    config = folder / "nginx.conf"
    config.write_text(MAIN.format(folder=folder))
    process = subprocess.Popen(
        [nginx, "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{own}/"
        wait_until(lambda: answers(url), what="nginx")
        yield url
    finally:
        process.terminate()
        process.wait(20)
