"""The marker `.pending` under the results: which packages' pages and lists may lag behind their documents.

It is there before a document appears, and goes when everything that is made from documents is up to date. So whoever
finds it knows what a killed run, or one that left the lists to a later one, has not finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from rebuilder.publish import layout
from rebuilder.publish.staging import Staging
from rebuilder.world.files import read

PENDING = PurePosixPath(".pending")
_LIMIT_BYTES = 64 * 1024**2


def pending_in(root: Path) -> frozenset[PurePosixPath] | None:
    """Return the packages that may lag behind; None where the marker does not tell which: then all may."""
    if not (root / PENDING).exists():
        return frozenset()
    lines = read(root / PENDING, limit_bytes=_LIMIT_BYTES).decode("utf-8", "replace").splitlines()
    packages = frozenset(PurePosixPath(line) for line in lines)
    return packages if packages and all(layout.is_package(package) for package in packages) else None


def mark_pending(area: Staging, packages: Iterable[PurePosixPath]) -> None:
    """Let the marker name these packages besides those that it names; one that names none stays so."""
    known = pending_in(area.root)
    if known is not None:
        area.write(PENDING, "".join(f"{package}\n" for package in sorted(known.union(packages))).encode())
