"""Opens HDF5 files and follows their links ourselves, one component at a time.

HDF5 follows external links, virtual sources and external storage to any file that
the process can read; here every name is checked before anything is opened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py

from eigerwatch.errors import ReplayError
from eigerwatch.replay.confine import Confinement
from eigerwatch.replay.wire import stamp

HDF5_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    MemoryError,
    OverflowError,
    UnicodeError,
)
"""What h5py raises on damaged files."""

_MAX_HOPS = 16
_NO_LOCKS = 37  # ENOLCK, as NFS servers without lock daemon answer
_FIRST_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    """An HDF5 object and where it really is."""

    file: h5py.File
    path: str
    """Path within `file`, hard links only."""
    node: h5py.Group | h5py.Dataset

    @property
    def name(self) -> str:
        """File and path, for people."""
        return f"{Path(self.file.filename).name}:{self.path}"


class Walker:
    """Opens files and finds objects within a `Confinement`.

    Parameters
    ----------
    confinement
        Folders that files may lie in.
    wait_s
        How long to wait, over all files, for those that are being written [s].
    """

    def __init__(self, confinement: Confinement, wait_s: float) -> None:
        self.confinement = confinement
        self.stamps: dict[str, list[int]] = {}
        self._open: dict[str, h5py.File] = {}
        self._deadline = time.monotonic() + wait_s

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Close, on leaving, the files that were opened within."""
        before = set(self._open)
        try:
            yield
        finally:
            for path in set(self._open) - before:
                self._open.pop(path).close()

    def open(self, path: Path) -> h5py.File:
        """Open a file whose path was checked."""
        name = str(path)
        if name not in self._open:
            self.stamps[name] = stamp(name)
            self._open[name] = self._wait_and_open(path)
        return self._open[name]

    def find(self, file: h5py.File, path: str, hops: int = _MAX_HOPS) -> Found:
        """Find an object by path, following links that stay inside.

        Raises
        ------
        ReplayError
            There is no such object, a link leads outside, or the file is damaged.
        """
        try:
            return self._find(file, path, hops)
        except HDF5_ERRORS as exc:
            text = f"{file.filename} is damaged at {path!r:.200} ({exc!s:.300})"
            raise ReplayError(f"{text}; copy it again") from exc

    def _find(self, file: h5py.File, path: str, hops: int) -> Found:
        if hops == 0:
            raise ReplayError(f"{file.filename}: links go round in circles")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        node = h5py.Group(h5py.h5g.open(file.id, b"/"))
        for depth, part in enumerate(parts):
            here = "/" + "/".join(parts[:depth])
            rest = "/".join(parts[depth + 1 :])
            kind, target = self._link(file, node, here, part)
            if kind == h5py.h5l.TYPE_HARD:
                node = node[part]
            elif kind == h5py.h5l.TYPE_SOFT:
                base = "" if target[0].startswith("/") else here
                return self.find(file, f"{base}/{target[0]}/{rest}", hops - 1)
            else:
                folder = Path(file.filename).parent
                other = self.open(self.confinement.locate(target[0], folder))
                return self.find(other, f"{target[1]}/{rest}", hops - 1)
        if not isinstance(node, h5py.Group | h5py.Dataset):
            raise ReplayError(f"{file.filename}: {path!r:.200} is no group or dataset")
        return Found(file, "/" + "/".join(parts), node)

    def has(self, group: h5py.Group, name: str) -> bool:
        """Tell whether a group has a link of that name, wherever it leads.

        ``name in group`` would follow external links.
        """
        return bool(group.id.links.exists(name.encode()))

    def _link(
        self, file: h5py.File, node: h5py.Group, here: str, part: str
    ) -> tuple[int, tuple[str, ...]]:
        where = f"{Path(file.filename).name}:{here}"
        if not isinstance(node, h5py.Group):
            raise ReplayError(f"{where} is no group")
        raw = part.encode("utf-8", "surrogateescape")
        if not node.id.links.exists(raw):
            raise ReplayError(f"{where} has no {part!r:.200}")
        kind = node.id.links.get_info(raw).type
        if kind == h5py.h5l.TYPE_HARD:
            return kind, ()
        if kind not in (h5py.h5l.TYPE_SOFT, h5py.h5l.TYPE_EXTERNAL):
            raise ReplayError(f"refused: {where}/{part} is a user-defined link")
        value = node.id.links.get_val(raw)
        values = value if isinstance(value, tuple) else (value,)
        return kind, tuple(v.decode("utf-8", "surrogateescape") for v in values)

    def _wait_and_open(self, path: Path) -> h5py.File:
        pause = _FIRST_PAUSE_S
        locking: bool | None = None
        while True:
            before = stamp(str(path))
            try:
                return h5py.File(path, "r", locking=locking)
            except HDF5_ERRORS as exc:
                problem = exc
            if isinstance(problem, PermissionError):
                raise ReplayError(f"{path} may not be read; check its permissions")
            if getattr(problem, "errno", None) == _NO_LOCKS and locking is None:
                locking = False
                continue
            remaining = self._deadline - time.monotonic()
            time.sleep(max(0.0, min(pause, remaining)))
            changing = stamp(str(path)) != before
            if remaining <= 0 or not (changing or _is_being_written(problem)):
                raise ReplayError(_cannot_open(path, problem, changing)) from problem
            pause *= 2


def _is_being_written(problem: BaseException) -> bool:
    text = str(problem)
    return "unable to lock file" in text or "already open for write" in text


def _cannot_open(path: Path, problem: BaseException, changing: bool) -> str:
    text = str(problem)
    if changing or _is_being_written(problem):
        return f"{path} is not ready: it is still being written; try again afterwards"
    if "signature not found" in text:
        with path.open("rb") as file:
            start = file.read(16)
        return (
            f"{path} is no HDF5 file (it starts with {start!r}); "
            "name a detector's master file, …_master.h5"
        )
    if "truncated file" in text:
        return f"{path} is cut off: copy it again, or wait until it is complete"
    return f"{path} cannot be opened by HDF5 ({text:.300}); copy it again"
