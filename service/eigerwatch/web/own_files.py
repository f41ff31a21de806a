"""Our own scripts and style sheets, under an address that changes with them."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from eigerwatch.web.assets import Asset, digest

STATIC = Path(str(resources.files("eigerwatch.web"))) / "static"
ROOT = "/static"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_IMPORTED = re.compile(r'^(?:import|export)\b[^;]*?"\./([\w-]+\.js)";', re.MULTILINE)


class OwnFiles:
    """All files of a folder, read once.

    They lie below `root`, whose last part changes with any of them: a browser keeps
    them for ever, and what belongs to one version never meets another's.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        paths = sorted(p for p in folder.iterdir() if p.suffix in _MEDIA_TYPES)
        self._files = {
            path.name: Asset.of(path.name, _MEDIA_TYPES[path.suffix], path.read_bytes())
            for path in paths
        }
        contents = (asset.content for asset in self._files.values())
        self._version = digest(*(n.encode() for n in self._files), *contents)
        self.root = f"{ROOT}/{self._version}"

    def find(self, path: str) -> tuple[Asset, bool] | None:
        """Return the file at a path below `ROOT` and whether it is of this version.

        A page that was sent before a restart asks for another version: the file of
        that name is the nearest that there is.
        """
        version, _, name = path.rpartition("/")
        asset = self._files.get(name)
        if asset is None or "/" in version:
            return None
        return asset, version == self._version

    def modules(self, name: str) -> list[str]:
        """Return the modules that one imports, directly or not, in order of depth."""
        found = [name]
        for module in found:
            text = self._files[module].content.decode()
            for imported in _IMPORTED.findall(text):
                if imported not in found:
                    found.append(imported)
        return found[1:]
