"""Versions that mirrors dropped, found in a snapshot archive served on the loopback interface."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.config import Settings
from rebuilder.errors import (
    DependencyUnavailable,
    DigestMismatch,
    EnvironmentUnavailable,
    HostileInput,
    NetworkFailure,
    SignatureRefused,
    UntrustedError,
)
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Standing
from rebuilder.model.plan import ImageLock, Package
from rebuilder.origins.debian.snapshot import Moment, Snapshot, Sought, moment_of, parse_sightings
from rebuilder.origins.debian.supply import Supply
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import HttpFetcher, Patience
from tests.archive.frozen import FrozenArchive
from tests.archive.key import SigningKey
from tests.archive.server import Fault, Loopback
from tests.archive.snapshot import SnapshotArchive

THEN, LATER = "20251101T000000Z", "20251201T120000Z"
OLD = Sought(name="libdep-dev", version="1.0-1", architecture="amd64")
DOC = Sought(name="greeter-doc", version="1.0-1", architecture="amd64")
SUITES = ("trixie", "trixie-updates", "sid")
FETCHER = HttpFetcher(Patience(connect_s=2, read_s=2, attempts=1))


class Past:
    """A mirror that has moved on, and a snapshot of what it was, to spoil."""

    def __init__(self, mirror: FrozenArchive, snapshot: SnapshotArchive, home: Path) -> None:
        self.mirror = mirror
        self.snapshot = snapshot
        self.server = Loopback(snapshot.root)
        self.settings: Settings = mirror.settings(home)
        self.blobs = LocalBlobs(home / "blobs")

    @property
    def here(self) -> Settings:
        """Settings that know the snapshot."""
        return replace(self.settings, debian=replace(self.settings.debian, snapshot=self.server.address))

    def open(self) -> Snapshot:
        """Return a client of the snapshot."""
        return Snapshot(self.server.address, self.here, FETCHER, self.blobs)

    def supply(self, *, with_snapshot: bool = True) -> Supply:
        """Return what brings packages."""
        return Supply(self.here if with_snapshot else self.settings, FETCHER, self.blobs, Silent())


@pytest.fixture(scope="module")
def moved_on(standard_archive: FrozenArchive, tmp_path_factory: pytest.TempPathFactory) -> FrozenArchive:
    """Make a mirror that has dropped libdep-dev 1.0-1, and beside it a snapshot from before and after."""
    root = tmp_path_factory.mktemp("past")
    archive, snapshot = standard_archive.copy(root / "mirror"), SnapshotArchive(root / "snapshot")
    archive.publish_all(date=datetime(2025, 10, 31, 12, tzinfo=UTC))
    snapshot.keep(archive, THEN)
    paragraphs = archive.suite("trixie").binaries["main"]
    paragraphs[:] = [text for text in paragraphs if not text.startswith("Package: libdep-dev")]
    archive.remove("libdep-dev_1.0-1_amd64.deb")
    archive.publish_all(date=datetime(2025, 11, 30, 12, tzinfo=UTC))
    snapshot.keep(archive, LATER)
    return archive


@pytest.fixture
def past(moved_on: FrozenArchive, tmp_path: Path) -> Iterator[Past]:
    """Serve a copy of that snapshot."""
    snapshot = SnapshotArchive(tmp_path / "snapshot")
    shutil.copytree(moved_on.root.parent / "snapshot", snapshot.root, dirs_exist_ok=True)
    made = Past(moved_on.copy(tmp_path / "mirror"), snapshot, tmp_path / "home")
    with made.server:
        yield made


def test_a_dropped_version_is_found_at_the_moment_it_was_first_seen(past: Past) -> None:
    """The package comes with digest and place from the signed index of that moment."""
    found = past.open().find([OLD], SUITES)
    package = found.packages[OLD]
    assert package.archive == f"snapshot/debian/{THEN}"
    assert package.location == "pool/main/libd/libdep/libdep-dev_1.0-1_amd64.deb"
    (kept,) = (past.snapshot.root / "archive").rglob("libdep-dev_1.0-1_amd64.deb")
    assert package.digest == Digest.of(kept.read_bytes())


def test_the_evidence_says_that_the_moment_was_named(past: Past) -> None:
    """The InRelease of the past was verified; that it is old is no fault, and is not hidden."""
    inrelease, index = past.open().find([OLD], SUITES).evidence
    assert (inrelease.scheme, inrelease.outcome) == ("openpgp-inrelease", Standing.VERIFIED)
    assert inrelease.signer == past.mirror.key.fingerprint
    assert "freshness: Valid-Until is ignored, for the moment 2025-11-01T00:00:00Z is named" in inrelease.not_checked
    assert (index.scheme, index.outcome) == ("apt-index", Standing.VERIFIED)


def test_an_all_package_serves_every_architecture(past: Past) -> None:
    """An arch:all package of the version is what was installed."""
    assert past.open().find([DOC], SUITES).packages[DOC].architecture == "all"


def test_what_the_snapshot_never_saw_is_missing_in_the_answer(past: Past) -> None:
    """Missing is not an error here: the caller names what is nowhere."""
    unknown = Sought(name="libdep-dev", version="0.9-1", architecture="amd64")
    found = past.open().find([unknown, OLD], SUITES)
    assert unknown not in found.packages
    assert OLD in found.packages


def test_few_indices_are_read_for_many_packages(past: Past) -> None:
    """At the newest moment most of a build's packages were there: one reading of its indices is enough for them."""
    doc_only = [DOC, replace(DOC, name="greeter"), replace(DOC, name="libgreeter1")]
    assert len(past.open().find(doc_only, SUITES).packages) == 3
    read = [path for path in past.server.requests if path.endswith("InRelease")]
    assert read == [f"/archive/debian/{THEN}/dists/trixie/InRelease"]


def test_the_memory_of_dates_is_left_alone(past: Past) -> None:
    """An index of the past is neither a rollback nor the newest Date seen of the mirror."""
    past.open().find([OLD], SUITES)
    assert not list(past.settings.state.rglob("*.json"))


def test_attack_the_json_names_another_moment(past: Past) -> None:
    """The JSON is only a hint: a version that the signed index of the named moment lacks is not found."""
    past.snapshot.lie("libdep-dev", "1.0-1", first_seen=LATER)
    assert past.open().find([OLD], SUITES).packages == {}


def test_attack_the_json_names_a_moment_that_is_not_there(past: Past) -> None:
    """A moment without indices gives nothing."""
    past.snapshot.forget_moment(THEN)
    assert past.open().find([OLD], SUITES).packages == {}


@pytest.mark.parametrize(
    "place", [{"archive_name": "../etc"}, {"first_seen": "20251399T000000Z"}, {"first_seen": "../x"}]
)
def test_attack_the_json_names_no_archive_or_time(past: Past, place: dict[str, str]) -> None:
    """What could lead elsewhere is never asked for."""
    past.snapshot.lie("libdep-dev", "1.0-1", **place)
    assert past.open().find([OLD], SUITES).packages == {}
    assert [path for path in past.server.requests if not path.startswith("/mr/")] == []


def test_attack_an_inrelease_of_the_past_by_a_stranger(past: Past) -> None:
    """The signature of a named moment counts like any other."""
    past.mirror.publish("trixie", date=datetime(2025, 10, 31, tzinfo=UTC), key=SigningKey("Stranger"))
    target = past.snapshot.root / "archive/debian" / THEN / "dists/trixie/InRelease"
    target.write_bytes((past.mirror.root / "debian/dists/trixie/InRelease").read_bytes())
    with pytest.raises(SignatureRefused, match=rf"snapshot/debian/{THEN} trixie InRelease"):
        past.open().find([OLD], SUITES)


def test_attack_an_index_of_the_past_with_another_bit(past: Past) -> None:
    """An index that its InRelease does not name is refused."""
    for path in (past.snapshot.root / "archive/debian" / THEN / "dists/trixie").rglob("*"):
        if path.is_file() and path.name != "InRelease":
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(UntrustedError):
        past.open().find([OLD], SUITES)


def test_a_dead_snapshot_is_a_network_failure(past: Past) -> None:
    """Not being able to ask is not the same as not being there."""
    past.server.faults["binfiles"] = Fault.BROKEN
    with pytest.raises(NetworkFailure):
        past.open().find([OLD], SUITES)


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"{}",
        b'{"result": [{"hash": "' + b"a" * 40 + b'", "architecture": "amd64"}], "fileinfo": {}}',
        b'{"result": 3, "fileinfo": {}}',
        b'{"result": [], "fileinfo": {}, "result": []}',
        b"not json",
        json.dumps({"result": [{}] * 300, "fileinfo": {}}).encode(),
    ],
)
def test_attack_json_of_another_shape(answer: bytes) -> None:
    """Whatever the service does not answer is refused, and leaks no other exception."""
    with pytest.raises(HostileInput):
        parse_sightings(answer)


def test_a_label_is_read_back_or_is_none() -> None:
    """Only our own labels of moments are taken for one."""
    moment = Moment(archive="debian", timestamp=THEN)
    assert moment_of(moment.label) == moment
    assert [
        moment_of(label) for label in (None, "debian", "snapshot/debian", "snapshot/x/y", f"snapshot/../{THEN}")
    ] == [None] * 5


def test_a_package_of_the_past_is_brought_by_its_moment(past: Past) -> None:
    """The .deb is fetched from the archive as it was, and verified."""
    package = past.open().find([OLD], SUITES).packages[OLD]
    debs = past.supply().bring([package], "a target")
    assert Digest.of(debs[package.digest].read_bytes()) == package.digest
    assert f"/archive/debian/{THEN}/{package.location}" in past.server.requests


def test_attack_the_snapshot_serves_another_deb(past: Past) -> None:
    """A changed bit is refused by digest, and nothing is kept."""
    package = past.open().find([OLD], SUITES).packages[OLD]
    past.server.faults[".deb"] = Fault.FLIPPED
    with pytest.raises(DigestMismatch):
        past.supply().bring([package], "a target")
    assert not past.blobs.has(package.digest)


def _locked(past: Past) -> Package:
    """Return a package as an older lock has it: the mirror's, which has dropped it since."""
    package = past.open().find([OLD], SUITES).packages[OLD]
    return replace(package, archive="debian")


def test_a_package_that_the_mirror_dropped_comes_by_name_and_digest(past: Past) -> None:
    """An older lock names mirror and digest; the snapshot is asked for the file, whatever its moment."""
    package = _locked(past)
    debs = past.supply().bring([package], "a target")
    assert Digest.of(debs[package.digest].read_bytes()) == package.digest
    assert any(path.startswith("/file/") for path in past.server.requests)


def test_a_dropped_package_without_a_snapshot_says_what_to_do(past: Past) -> None:
    """The message names the package and the digest, the hint the setting."""
    package = _locked(past)
    with pytest.raises(DependencyUnavailable, match=r"libdep-dev 1\.0-1 \(amd64, sha256:") as refused:
        past.supply(with_snapshot=False).bring([package], "a target")
    assert "debian.snapshot" in (refused.value.hint or "")


def test_an_older_lock_whose_package_is_gone_is_an_unavailable_environment(past: Past) -> None:
    """Making an image from an old lock fails by name, with a hint, before anything is bootstrapped."""
    lock = ImageLock(
        distribution="debian", suite="trixie", architecture="amd64", epoch=1, installer="x 1", packages=(_locked(past),)
    )
    with pytest.raises(EnvironmentUnavailable, match=r"base image trixie amd64: libdep-dev 1\.0-1") as refused:
        past.supply(with_snapshot=False).bring_locked(lock)
    assert "image lock" in (refused.value.hint or "")
