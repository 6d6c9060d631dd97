"""A snapshot is made of what a run verified, and lacks nothing that it was asked to have."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.snapshot import VERSIONS, Seen, lay_out
from rebuilder.errors import StorageFailure
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.plan import Package
from rebuilder.model.release import FileReference
from rebuilder.store.blobs import LocalBlobs
from tests.attest import factory

SIGNED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MOMENT = "archive/debian/20260102T030405Z"
DEB, SOURCE, RELEASE = b"a package's bytes", b"a source's bytes", b"Origin: Debian\n"
POOL = "pool/main/m/make"
INDEX = f"""\
Package: make
Version: 1:4.4-1
Architecture: amd64
Filename: {POOL}/make_4.4-1_amd64.deb
Size: {len(DEB)}
SHA256: {Digest.of(DEB).hex}

Package: make
Version: 1:4.5-1
Architecture: amd64
Filename: {POOL}/make_4.5-1_amd64.deb
Size: 1
SHA256: {Digest.of(b"other").hex}

""".encode()


def evidence(scheme: str, subject: str, data: bytes) -> Evidence:
    """Say that a file of a suite was verified."""
    return Evidence(
        scheme=scheme,
        subject=subject,
        subject_digest=Digest.of(data),
        outcome=Standing.VERIFIED,
        reason="it is signed",
        signed_at=SIGNED,
        document=Digest.of(data),
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with the index of a suite, its InRelease, a package and a source file."""
    blobs = LocalBlobs(tmp_path / "cache" / "blobs")
    for data in (DEB, SOURCE, RELEASE, INDEX):
        blobs.put(data)
    (tmp_path / "cache" / "indices").mkdir()
    (tmp_path / "cache" / "indices" / Digest.of(INDEX).hex).write_bytes(INDEX)
    return tmp_path / "cache"


@pytest.fixture
def dossier() -> Dossier:
    """A rebuild with one package in its base image and one source file."""
    value = factory.dossier().dossier
    assert value.plan is not None
    assert value.lock is not None
    make = Package(
        name="make",
        version="1:4.4-1",
        architecture="amd64",
        filename="make_4.4-1_amd64.deb",
        size_bytes=len(DEB),
        digest=Digest.of(DEB),
    )
    source = FileReference(
        filename="sample_1.0-1.dsc",
        size_bytes=len(SOURCE),
        digest=Digest.of(SOURCE),
        location="pool/main/s/sample/sample_1.0-1.dsc",
        archive="debian",
    )
    known = (
        evidence("openpgp-inrelease", "debian stable InRelease", RELEASE),
        evidence("apt-index", "debian stable main/binary-amd64/Packages", INDEX),
        evidence("apt-index", "make_4.4-1_amd64.deb", INDEX),
    )
    plan = replace(value.plan, sources=(source,), environment=replace(value.plan.environment, packages=()))
    return replace(
        value,
        release=replace(value.release, evidence=known),
        plan=plan,
        lock=replace(value.lock, packages=(make,)),
    )


def test_an_archive_is_as_it_was_signed(dossier: Dossier, cache: Path, tmp_path: Path) -> None:
    """The suite's files under the moment of its signature, indices by digest too, and just the packages used."""
    root = tmp_path / "snapshot"
    seen = lay_out(root, dossier, cache)
    dists = root / MOMENT / "dists" / "stable"
    assert (dists / "InRelease").read_bytes() == RELEASE
    assert (dists / "main/binary-amd64/Packages").read_bytes() == INDEX
    assert (dists / "main/binary-amd64/by-hash/SHA256" / Digest.of(INDEX).hex).read_bytes() == INDEX
    assert [path.name for path in (root / MOMENT / POOL).iterdir()] == ["make_4.4-1_amd64.deb"]
    assert (root / MOMENT / POOL / "make_4.4-1_amd64.deb").read_bytes() == DEB
    assert seen == (
        Seen(
            name="make",
            version="1:4.4-1",
            archive="debian",
            suite="stable",
            component="main",
            timestamp="20260102T030405Z",
        ),
    )
    assert [Seen(**each) for each in json.loads((root / VERSIONS).read_bytes())] == list(seen)


def test_sources_are_found_by_package_and_by_sha1(dossier: Dossier, cache: Path, tmp_path: Path) -> None:
    """What debsnap asks: versions, then the files of one, then each by its SHA-1."""
    root = tmp_path / "snapshot"
    lay_out(root, dossier, cache)
    assert dossier.plan is not None
    name, version = dossier.plan.name, dossier.plan.source_version
    about = root / "mr" / "package" / name
    assert json.loads((about / "index").read_bytes())["result"] == [{"version": version}]
    files = json.loads((about / version / "srcfiles").read_bytes())["fileinfo"]
    sha1 = hashlib.sha1(SOURCE, usedforsecurity=False).hexdigest()
    assert files == {sha1: [{"name": "sample_1.0-1.dsc", "size": len(SOURCE)}]}
    assert (root / "file" / sha1).read_bytes() == SOURCE
    assert (root / MOMENT / "pool/main/s/sample/sample_1.0-1.dsc").read_bytes() == SOURCE


def test_a_package_that_is_not_in_the_cache_is_an_error(dossier: Dossier, cache: Path, tmp_path: Path) -> None:
    """A snapshot that lacks a package would make debrebuild fail for a reason that is ours."""
    LocalBlobs(cache / "blobs").path(Digest.of(DEB)).unlink()
    with pytest.raises(StorageFailure, match="is not here"):
        lay_out(tmp_path / "snapshot", dossier, cache)
