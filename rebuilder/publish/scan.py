"""Finding and reading what is published: the documents under `results/`, one result at a time.

Every page is made from what this module returns and from nothing else. A result whose documents cannot be read, or that
lies where its own content says it does not belong, is reported as unreadable and shown as such, never dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rebuilder.attest.withdrawal import peek
from rebuilder.errors import HostileInput, RebuilderError
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import FILE_NAME, Withdrawal
from rebuilder.publish import layout
from rebuilder.world.files import read, storage_errors

RESULT_DEPTH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One published result: where it is, and what its dossier says."""

    path: PurePosixPath
    """Relative to the results directory."""
    dossier: Dossier
    digest: Digest
    """Of `dossier.json`."""
    withdrawal: Withdrawal | None = None
    """Why the result is not to be relied on any more; its signature is for `rebuilder check` to verify."""

    @property
    def verdict(self) -> Verdict:
        """What the result still says: its dossier's verdict, and nothing once it was withdrawn."""
        return self.dossier.verdict if self.withdrawal is None else Verdict.UNDECIDED

    @property
    def rebuild_id(self) -> str:
        """The directory's name."""
        return self.path.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A directory that should hold a result, and why it cannot be shown."""

    path: str
    reason: str


def packages(root: Path) -> Iterator[PurePosixPath]:
    """Every `<ecosystem>/<name>` that has results, sorted."""
    for ecosystem in _directories(root):
        if ecosystem not in layout.TOP_LEVEL_NAMES:
            for name in _directories(root / ecosystem):
                yield PurePosixPath(ecosystem, name)


def load_package(root: Path, package: PurePosixPath) -> tuple[list[Result], list[Unreadable]]:
    """Read all results of one package, oldest conclusion first."""
    results: list[Result] = []
    unreadable: list[Unreadable] = []
    for path in _result_directories(root, package):
        try:
            results.append(load(root, path))
        except RebuilderError as error:
            unreadable.append(Unreadable(path=str(path), reason=str(error).replace(str(root), "results")))
    results.sort(key=lambda result: (result.dossier.concluded_at, result.rebuild_id, str(result.path)))
    return results, unreadable


def load(root: Path, path: PurePosixPath) -> Result:
    """Read one result; raise HostileInput where its dossier is not one, or belongs to another directory.

    A withdrawal that is not one of this very result is no less a reason: something was put there.
    """
    data = read(root / path / "dossier.json", limit_bytes=codec.DOCUMENT_LIMIT_BYTES)
    dossier = codec.parse(data, Dossier)
    expected = layout.result_path(dossier, path.name)
    if expected != path:
        raise HostileInput(f"the dossier in {path} belongs to {expected}")
    digest = Digest.of(data)
    return Result(path=path, dossier=dossier, digest=digest, withdrawal=_withdrawal(root / path, dossier, digest))


def _withdrawal(directory: Path, dossier: Dossier, digest: Digest) -> Withdrawal | None:
    if not (directory / FILE_NAME).exists():
        return None
    data = read(directory / FILE_NAME, limit_bytes=codec.DOCUMENT_LIMIT_BYTES)
    return peek(data, dossier, digest=digest, identifier=directory.name)


def documents(root: Path, path: PurePosixPath) -> Iterator[PurePosixPath]:
    """Every document of a result, sorted, relative to its directory; pages are not documents."""
    base = root / path
    found: list[PurePosixPath] = []
    with storage_errors(base):
        for directory, _, names in os.walk(base):
            relative = PurePosixPath(Path(directory).relative_to(base).as_posix())
            found.extend(relative / name for name in names if name not in layout.DERIVED_NAMES)
    yield from sorted(found)


def _result_directories(root: Path, package: PurePosixPath) -> Iterator[PurePosixPath]:
    for version in _directories(root / package):
        for architecture in _directories(root / package / version):
            for identifier in _directories(root / package / version / architecture):
                yield package / version / architecture / identifier


def _directories(path: Path) -> list[str]:
    with storage_errors(path):
        if not path.is_dir():
            return []
        with os.scandir(path) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )
