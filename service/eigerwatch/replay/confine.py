"""Keeps what a master refers to inside the folders it may use; paths only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from eigerwatch.errors import ReplayError
from eigerwatch.recordings import check_plain


class Confinement:
    """The folders that a recording's files may lie in."""

    def __init__(self, master: Path, roots: Sequence[Path] = ()) -> None:
        own = Path(os.path.realpath(master)).parent
        others = [Path(os.path.realpath(Path(root).expanduser())) for root in roots]
        self.roots: tuple[Path, ...] = (own, *others)

    def locate(self, name: str, folder: Path) -> Path:
        """Return the real path of a file that a file in `folder` refers to.

        Like HDF5, an absolute name of which nothing is left is looked for in
        `folder`, as when a recording was moved.

        Raises
        ------
        ReplayError
            It is missing, lies outside the allowed folders, or is no plain file.
        """
        if not name or "\0" in name:
            raise ReplayError(f"{name!r:.200} is no file name; not followed")
        real = Path(os.path.realpath(folder / name))
        if name.startswith("/") and not os.path.lexists(name):
            real = Path(os.path.realpath(folder / Path(name).name))
        return self.check(real, name)

    def check(self, real: Path, name: str) -> Path:
        """Return `real` if it is a plain file within the allowed folders."""
        if not any(real.is_relative_to(root) for root in self.roots):
            allowed = ", ".join(str(root) for root in self.roots)
            raise ReplayError(
                f"refused: {name!r:.200} lies outside {allowed}; if it belongs to "
                "the recording, add its folder to replay.roots"
            )
        check_plain(real, f"{name!r:.200}")
        return real
