"""Follows the links of a master file, but never out of the folders allowed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py

from eigersim.errors import SimulatorError

_DEPTH = 16


class LinkedFiles:
    """A master file and the files it links to. A context manager.

    HDF5 would follow any link to any file that the process may read; a dataset from
    elsewhere must not be able to do that. Links may lead to files beside or below the
    master, or below one of `roots`.
    """

    def __init__(self, master: Path, roots: Sequence[Path] = ()) -> None:
        self.path = master
        self._folders = [
            Path(os.path.realpath(folder)) for folder in (master.parent, *roots)
        ]
        self._open: dict[Path, h5py.File] = {}
        try:
            self.master = self._file(Path(os.path.realpath(master)))
        except OSError as exc:
            raise SimulatorError(
                f"cannot read {master} as an HDF5 file: {exc}; name the master file "
                "of a dataset"
            ) from exc

    def find(self, path: str) -> h5py.Dataset | h5py.Group | None:
        """Return what is at `path` of the master; None if nothing can be read there.

        Raises
        ------
        SimulatorError
            A link leads out of the allowed folders.
        """
        return self._walk(self.master, path, _DEPTH)

    def find_in(self, file_name: str, path: str) -> h5py.Dataset | h5py.Group | None:
        """Return what is at `path` of another file, named as the master names it."""
        file = self._linked(self.master, file_name)
        return None if file is None else self._walk(file, path, _DEPTH)

    def _walk(
        self, start: h5py.Group, path: str, depth: int
    ) -> h5py.Dataset | h5py.Group | None:
        node: h5py.Dataset | h5py.Group | None = start
        for name in [part for part in path.split("/") if part and part != "."]:
            if not isinstance(node, h5py.Group) or depth <= 0:
                return None
            link = node.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                file = self._linked(node.file, link.filename)
                target = None
                if file is not None:
                    target = self._walk(file, link.path, depth - 1)
                node = target
            elif isinstance(link, h5py.SoftLink):
                base = node.file if link.path.startswith("/") else node
                node = self._walk(base, link.path, depth - 1)
            elif link is not None:
                node = node[name]
            else:
                return None
        return node

    def _linked(self, source: h5py.File, file_name: str) -> h5py.File | None:
        if file_name in ("", "."):
            return source
        path = Path(os.path.realpath(Path(source.filename).parent / file_name))
        if not any(path.is_relative_to(folder) for folder in self._folders):
            raise SimulatorError(
                f"{self.path} links to {path}, outside {self._folders[0]}; "
                "name that file's folder with --root if it may be read"
            )
        try:
            return self._file(path)
        except OSError:
            return None

    def _file(self, path: Path) -> h5py.File:
        if path not in self._open:
            self._open[path] = h5py.File(path, "r")
        return self._open[path]

    def close(self) -> None:
        """Close all files."""
        for file in self._open.values():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
