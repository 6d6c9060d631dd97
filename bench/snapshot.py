"""A local snapshot archive of one verified rebuild's inputs, laid out like the service that debrebuild asks.

    archive/<archive>/<timestamp>/dists/…, …/pool/…   the suites' signed indices, and the packages that the rebuild used
    file/<sha1>                                       a source file by its SHA-1
    mr/package/<source>/index                         JSON: its versions (asked for as `mr/package/<source>/`)
    mr/package/<source>/<version>/srcfiles            JSON: its files
    versions.json                                     for the index of versions: when and where each package was

The bytes are those that our own run fetched and verified, untouched: the signatures on the indices hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.evidence import Evidence
from rebuilder.model.plan import Package, Plan
from rebuilder.origins.debian.index import IndexFile, IndexKind, find_packages
from rebuilder.store.blobs import LocalBlobs

VERSIONS = "versions.json"
_RELEASE, _INDEX = "openpgp-inrelease", "apt-index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One version of a package, and where the snapshot has it."""

    name: str
    version: str
    archive: str
    suite: str
    component: str
    timestamp: str


def lay_out(root: Path, dossier: Dossier, cache: Path) -> tuple[Seen, ...]:
    """Make the snapshot from a dossier and the cache of the run that it is about; return the packages it knows."""
    if dossier.plan is None or dossier.lock is None:
        raise ValueError(f"nothing was planned: {dossier.reason}")
    blobs, evidence = LocalBlobs(cache / "blobs"), dossier.release.evidence
    packages = (*dossier.lock.packages, *dossier.plan.environment.packages)
    used = {package.digest: package for package in packages}
    moments = _releases(root, evidence, blobs)
    seen: list[Seen] = []
    for index in _indices(root, evidence, moments, blobs, cache):
        timestamp = moments[index.archive, index.suite]
        for package in _listed(index, used):
            _link(root / "archive" / index.archive / timestamp / str(package.location), blobs.path(package.digest))
            seen.append(_seen(package, index, timestamp))
    _sources(root, dossier.plan, moments, blobs)
    _write(root / VERSIONS, [asdict(each) for each in seen])
    return tuple(seen)


def _releases(root: Path, evidence: Iterable[Evidence], blobs: LocalBlobs) -> dict[tuple[str, str], str]:
    """Lay out each suite's InRelease; return the suites' moments, which are the times when they were signed."""
    moments = {}
    for each in evidence:
        if each.scheme != _RELEASE or each.document is None or each.signed_at is None:
            continue
        archive, suite, _ = each.subject.split()
        moments[archive, suite] = _timestamp(each.signed_at)
        dists = root / "archive" / archive / moments[archive, suite] / "dists" / suite
        _link(dists / "InRelease", blobs.path(each.document))
    return moments


def _indices(
    root: Path, evidence: Iterable[Evidence], moments: Mapping[tuple[str, str], str], blobs: LocalBlobs, cache: Path
) -> Iterator[IndexFile]:
    """Lay out each index as it was fetched, by name and by digest; yield those of binary packages."""
    for each in evidence:
        if each.scheme != _INDEX or each.document is None or len(each.subject.split()) != 3:
            continue
        archive, suite, path = each.subject.split()
        packed = blobs.path(each.document)
        dists = root / "archive" / archive / moments[archive, suite] / "dists" / suite
        directory, _, kind = path.rpartition("/")
        _link(dists / f"{path}{_suffix(packed)}", packed)
        _link(dists / directory / "by-hash" / "SHA256" / each.document.hex, packed)
        if kind == IndexKind.PACKAGES and each.subject_digest is not None:
            yield IndexFile(
                kind=IndexKind.PACKAGES,
                path=cache / "indices" / each.subject_digest.hex,
                digest=each.subject_digest,
                document=each.document,
                archive=archive,
                suite=suite,
                component=directory.split("/")[0],
                architecture=directory.rpartition("binary-")[2],
            )


def _listed(index: IndexFile, used: Mapping[Digest, Package]) -> Iterator[Package]:
    """The packages of the rebuild that an index has, with the place that it gives for them."""
    names = {package.name for package in used.values()}
    return (stanza.package for stanza in find_packages(index, names) if stanza.package.digest in used)


def _seen(package: Package, index: IndexFile, timestamp: str) -> Seen:
    return Seen(
        name=package.name,
        version=package.version,
        archive=index.archive,
        suite=index.suite,
        component=index.component,
        timestamp=timestamp,
    )


def _sources(root: Path, plan: Plan, moments: Mapping[tuple[str, str], str], blobs: LocalBlobs) -> None:
    """Lay out the source files in the pools that have them, by SHA-1, and in JSON."""
    files: dict[str, Any] = {}
    for source in plan.sources:
        blob = blobs.path(source.digest)
        for archive, location in ((source.archive, source.location), *source.also):
            for each, timestamp in ((name, moments[name, suite]) for name, suite in moments if name == archive):
                _link(root / "archive" / each / timestamp / str(location), blob)
        sha1 = hashlib.sha1(blob.read_bytes(), usedforsecurity=False).hexdigest()
        _link(root / "file" / sha1, blob)
        files[sha1] = [{"name": source.filename, "size": source.size_bytes}]
    about = root / "mr" / "package" / plan.name
    _write(about / "index", {"package": plan.name, "result": [{"version": plan.source_version}]})
    answer = {"package": plan.name, "version": plan.source_version, "result": [{"hash": sha1} for sha1 in files]}
    _write(about / plan.source_version / "srcfiles", {**answer, "fileinfo": files})


def _timestamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"


def _suffix(packed: Path) -> str:
    """Tell how an index is compressed by its first bytes: its blob has no name."""
    with packed.open("rb") as stream:
        start = stream.read(6)
    return ".xz" if start == b"\xfd7zXZ\0" else ".gz" if start[:2] == b"\x1f\x8b" else ""


def _link(path: Path, target: Path) -> None:
    """Put a file there without copying it, if the file system lets us."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return
    try:
        os.link(target, path)
    except OSError:
        shutil.copyfile(target, path)


def _write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
