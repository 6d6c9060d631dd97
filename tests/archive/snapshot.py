"""A snapshot archive on disk, laid out like the well-known service: archives as they were, JSON by package, files.

It is served as plain files: `…/binfiles?fileinfo=1` is the file `binfiles`, for the server ignores the query.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.archive.frozen import MAIN, FrozenArchive


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One .deb that the snapshot knows."""

    name: str
    version: str
    architecture: str
    path: Path


class SnapshotArchive:
    """A directory that keeps what an archive was at several moments."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def keep(self, archive: FrozenArchive, timestamp: str, *, label: str = MAIN) -> None:
        """Keep an archive as it is, as of `timestamp`; .debs not seen before were first seen then."""
        place = self.root / "archive" / label / timestamp
        shutil.copytree(archive.root / label, place)
        for kept in _debs(place):
            self._note(kept, label, timestamp, place)

    def forget_moment(self, timestamp: str) -> None:
        """Remove an archive's copy; the JSON still names its moment."""
        shutil.rmtree(self.root / "archive" / MAIN / timestamp)

    def answer(self, name: str, version: str) -> Path:
        """Where the JSON about one version is."""
        return self.root / "mr" / "binary" / name / version / "binfiles"

    def lie(self, name: str, version: str, **changes: Any) -> None:
        """Change the places that the JSON gives for every file of a version."""
        path = self.answer(name, version)
        document = json.loads(path.read_text())
        for places in document["fileinfo"].values():
            for place in places:
                place.update(changes)
        path.write_text(json.dumps(document))

    def _note(self, kept: Kept, label: str, timestamp: str, place: Path) -> None:
        data = kept.path.read_bytes()
        sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        blob = self.root / "file" / sha1
        if blob.exists():
            return
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(data)
        path = self.answer(kept.name, kept.version)
        path.parent.mkdir(parents=True, exist_ok=True)
        document = json.loads(path.read_text()) if path.exists() else _empty(kept)
        document["result"].append({"architecture": kept.architecture, "hash": sha1})
        document["fileinfo"][sha1] = [
            {
                "archive_name": label,
                "first_seen": timestamp,
                "name": kept.path.name,
                "path": f"/{kept.path.parent.relative_to(place)}",
                "size": len(data),
            }
        ]
        path.write_text(json.dumps(document))


def _empty(kept: Kept) -> dict[str, Any]:
    return {
        "_comment": "a snapshot of a frozen archive",
        "binary": kept.name,
        "binary_version": kept.version,
        "result": [],
        "fileinfo": {},
    }


def _debs(place: Path) -> Iterator[Kept]:
    for path in sorted(place.rglob("*.deb")):
        shown = subprocess.run(
            ["dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", path],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        name, version, architecture = shown.split()
        yield Kept(name=name, version=version, architecture=architecture, path=path)
