"""The page's port, bound before anything else is started."""

from __future__ import annotations

import errno
import socket

from eigerwatch.errors import ConfigError
from eigerwatch.sections import WebSettings


def bind(settings: WebSettings) -> socket.socket:
    """Return a listening socket for the page.

    Raises
    ------
    ConfigError
        The address is taken, not ours, or not allowed.
    """
    where = f"web.host {settings.host}, web.port {settings.port}"
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )  # fmt: skip
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise ConfigError(f"{where}: {exc.strerror}; correct web.host") from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as exc:
        listener.close()
        cures = {
            errno.EADDRINUSE: "the port is in use; stop the other program or set "
            "another web.port (0: any free one)",
            errno.EACCES: "ports below 1024 need privileges; set another web.port",
            errno.EADDRNOTAVAIL: "this host has no such address; correct web.host",
        }
        text = cures.get(exc.errno or 0, f"{exc.strerror}")
        raise ConfigError(f"{where}: {text}") from exc
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address under which a browser on this machine finds the page."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
