"""Master files in the folders that replays may come from: listed, and found again.

Nothing here opens a file. Names come from whoever may write there, so they travel as
percent-encoded bytes and are shown with their control characters escaped.
"""

from __future__ import annotations

import heapq
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from eigerwatch.errors import ReplayError
from eigerwatch.log import printable

SUFFIXES = ("_master.h5", ".nxs")
"""How the names of master files end."""
MOST_ENTRIES = 200_000
"""Names looked at in one listing."""
LONGEST_S = 4.0
"""Time that one listing may take [s]."""
DEEPEST = 16
"""Levels of folders below a root that are looked into."""
LONGEST_NAME = 4096
"""Of a percent-encoded path that is worth looking for [characters]."""
_NAME_SHOWN = 300
_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Recorded:
    """One master file."""

    file: str
    """Its path as percent-encoded bytes, which `locate` takes."""
    name: str
    """Of the file, fit to be shown."""
    folder: str
    """That it lies in, fit to be shown."""
    size: int
    """[bytes]"""
    modified_ms: int
    """UTC epoch [ms]."""


@dataclass(slots=True)
class Listing:
    """What the folders hold."""

    found: list[Recorded] = field(default_factory=list)
    """Newest first."""
    complete: bool = True
    """False: there was more than could be looked at."""
    problems: list[str] = field(default_factory=list)
    """Folders that cannot be read, one sentence each."""


def listing(
    roots: Sequence[Path],
    *,
    most_entries: int = MOST_ENTRIES,
    longest_s: float = LONGEST_S,
) -> Listing:
    """Look for master files below `roots`, in folders that changed last first.

    Symbolic links are followed where they stay below the roots.
    """
    real_roots = [Path(os.path.realpath(root)) for root in roots]
    told = Listing()
    deadline = time.monotonic() + longest_s
    waiting: list[tuple[int, str, int]] = []
    seen_folders: set[tuple[int, int]] = set()
    seen_files: set[str] = set()
    for root in real_roots:
        _push(waiting, str(root), 0, seen_folders, told)
    n = 0
    while waiting:
        _, folder, depth = heapq.heappop(waiting)
        for entry in _entries(folder, told):
            n += 1
            if n > most_entries or time.monotonic() > deadline:
                told.complete = False
                waiting.clear()
                break
            real = _real(entry, real_roots)
            if real is None:
                continue
            try:
                if entry.is_dir():
                    if depth < DEEPEST:
                        _push(waiting, real, depth + 1, seen_folders, told)
                    else:
                        told.complete = False
                elif is_master(entry.name) and real not in seen_files:
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode):
                        seen_files.add(real)
                        told.found.append(_recorded(entry.path, status))
            except OSError:  # vanished meanwhile, or a link to nothing
                continue
    told.found.sort(key=lambda one: (-one.modified_ms, one.file))
    return told


def is_master(name: str) -> bool:
    """Tell whether a file of that name is offered."""
    return name.endswith(SUFFIXES)


def locate(file: str, roots: Sequence[Path]) -> Path:
    """Return the real path of a master file, whoever named it.

    Raises
    ------
    ReplayError
        It lies in none of `roots`, is missing or is no plain file.
    """
    path = Path(os.fsdecode(unquote_to_bytes(file[:LONGEST_NAME])))
    name = printable(path.name, _NAME_SHOWN)
    if not roots:
        raise ReplayError(
            "no folder of recordings is set; name some in replay.roots of the settings"
        )
    if "\0" in str(path) or not path.is_absolute() or not is_master(path.name):
        raise ReplayError(
            f"refused: {name!r} names no master file ({' or '.join(SUFFIXES)})"
        )
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(os.path.realpath(root)) for root in roots):
        raise ReplayError(f"refused: {name!r} lies outside the folders of replay.roots")
    check_plain(real, repr(name), "; look for the file again")
    return real


def check_plain(path: Path, name: str, cure: str = "") -> None:
    """Accept a plain file only.

    Parameters
    ----------
    name
        Of the file, as messages say it.
    cure
        What they add where the file is missing.

    Raises
    ------
    ReplayError
        It is missing, cannot be read or is no plain file.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as exc:
        raise ReplayError(f"{name} is missing{cure}") from exc
    except OSError as exc:
        raise ReplayError(f"{name} cannot be read: {exc.strerror}") from exc
    if not stat.S_ISREG(mode):
        raise ReplayError(f"refused: {name} is no plain file")


def _push(
    waiting: list[tuple[int, str, int]],
    folder: str,
    depth: int,
    seen: set[tuple[int, int]],
    told: Listing,
) -> None:
    """Put a folder on the list of those to be looked into, once."""
    try:
        status = Path(folder).stat()
    except OSError as exc:
        _complain(told, folder, exc)
        return
    if (status.st_dev, status.st_ino) not in seen:
        seen.add((status.st_dev, status.st_ino))
        heapq.heappush(waiting, (-status.st_mtime_ns, folder, depth))


def _entries(folder: str, told: Listing) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as exc:
        _complain(told, folder, exc)


def _complain(told: Listing, folder: str, problem: OSError) -> None:
    if len(told.problems) < _MOST_PROBLEMS:
        shown = printable(folder, _NAME_SHOWN)
        told.problems.append(f"{shown} cannot be read: {problem.strerror}")


def _real(entry: os.DirEntry[str], roots: Sequence[Path]) -> str | None:
    """Return the real path of an entry; None: a link that leads out of the roots."""
    if not entry.is_symlink():
        return entry.path  # its folder's path is a real one
    real = os.path.realpath(entry.path)
    return real if any(Path(real).is_relative_to(root) for root in roots) else None


def _recorded(path: str, status: os.stat_result) -> Recorded:
    folder, name = os.path.split(path)
    return Recorded(
        file=quote_from_bytes(os.fsencode(path)),
        name=printable(name, _NAME_SHOWN),
        folder=printable(folder, _NAME_SHOWN),
        size=status.st_size,
        modified_ms=status.st_mtime_ns // 1_000_000,
    )
