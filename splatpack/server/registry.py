"""The scenes of a server, opened and checked at the start: afterwards a name from the wire is a key, never a path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatpack.container.reader import ContainerReader
from splatpack.errors import StorageError, UsageError
from splatpack.limits import Limits
from splatpack.stream.index import SceneIndex

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Scene:
    """One open file.

    Attributes
    ----------
    reader : ContainerReader
        Holds the file open: a file that is replaced by another is served as it was.
    index : SceneIndex
    """

    reader: ContainerReader
    index: SceneIndex

    @property
    def etag(self) -> str:
        """The identity of the file, as HTTP wants it."""
        return f'"{self.index.id.hex()}"'

    def facts(self) -> dict[str, Any]:
        """Return what ``/scenes`` lists."""
        i, levels = self.index, sorted({c.level for c in self.reader.chunks})
        return {
            "name": i.name, "url": f"/scenes/{i.name}.spk", "bytes": i.length, "id": i.id.hex(), "root": i.root.hex(),
            "prefix": i.prefix, "chunks": len(i.chunks), "gaussians": int(i.table.count.sum()), "levels": levels,
        }  # fmt: skip


class Registry:
    """Scenes by name.

    Parameters
    ----------
    paths : iterable of str
        Files, or folders whose ``.spk`` files are taken.
    limits : Limits or None
        The budget of reading each directory.

    Raises
    ------
    UsageError
        No scene, two of one name, or a name that no URL should have.
    CorruptError, TruncatedError, ChecksumError, UnsupportedError, LimitError, StorageError
        A file cannot be served.
    """

    def __init__(self, paths: Iterable[str], limits: Limits | None = None) -> None:
        self._scenes: dict[str, Scene] = {}
        try:
            for path in _files(paths):
                self._add(path, limits)
        except BaseException:
            self.close()
            raise
        if not self._scenes:
            raise UsageError("no .spk file to serve. Name one, or a folder that holds some.")

    def _add(self, path: Path, limits: Limits | None) -> None:
        name = path.stem
        if not NAME.fullmatch(name):
            raise UsageError(f"{path}: no name for a URL, expected letters, digits, '.', '_' and '-'. Rename the file.")
        if name in self._scenes:
            other = self._scenes[name].reader.source.name
            raise UsageError(f"{path}: a second scene of the name {name!r}, beside {other}. Rename one.")
        reader = ContainerReader.open(path, limits)
        try:
            self._scenes[name] = Scene(reader, SceneIndex.of(reader, name))
        except BaseException:
            reader.close()
            raise

    def lookup(self, name: str) -> SceneIndex | None:
        """Return the index of a scene; an empty name means the only one."""
        scene = self.get(name) if name else (next(iter(self)) if len(self._scenes) == 1 else None)
        return None if scene is None else scene.index

    def get(self, name: str) -> Scene | None:
        """Return a scene by its name."""
        return self._scenes.get(name)

    def close(self) -> None:
        """Close all files."""
        for scene in self._scenes.values():
            scene.reader.close()

    def __iter__(self) -> Iterator[Scene]:
        return iter(self._scenes.values())

    def __len__(self) -> int:
        return len(self._scenes)


def _files(paths: Iterable[str]) -> Iterator[Path]:
    for text in paths:
        path = Path(text)
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.suffix == ".spk" and p.is_file())
        elif path.is_file():
            yield path
        else:
            raise StorageError(f"{path}: no such file or folder.")
