"""The whole way of an exact environment, with a real apt: mirror, snapshot on loopback, image, container."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.build.cache import PreparedIndex
from rebuilder.build.engine import DockerEngine
from rebuilder.build.once import run_once
from rebuilder.build.prepare import prepare
from rebuilder.config import Archive, DebianSettings, Settings
from rebuilder.model.evidence import Standing
from rebuilder.model.plan import Fidelity, ImageLock, Plan
from rebuilder.model.release import Release
from rebuilder.origins.debian.mirrors import configured_archives
from rebuilder.origins.debian.origin import DebianOrigin
from rebuilder.origins.origin import Question
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import HttpFetcher
from tests.archive.frozen import FrozenArchive
from tests.archive.server import Loopback
from tests.archive.snapshot import SnapshotArchive

pytestmark = [pytest.mark.engine, pytest.mark.live]

THEN = "20251101T000000Z"
NEVER_LISTED = {"apt", "libapt-pkg7.0", "debian-archive-keyring", "sqv", "fakeroot", "libfakeroot"}
"""Of the base image's packages, what no build's .buildinfo lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A live trixie whose updates are a frozen archive: a small source with two versions of its build-dependency."""

    origin: DebianOrigin
    frozen: FrozenArchive
    now: datetime

    def release(self, provenance: Path | None = None) -> Release:
        """Resolve and authenticate the small source."""
        release = self.origin.resolve(Question(target="deb:trixie/greeter", provenance=provenance), self.now)
        trust = self.origin.authenticate(release, self.now, download=True)
        assert trust.accepted, trust.reason
        return release

    def plan(self, release: Release, engine: DockerEngine) -> Plan:
        """Plan the arch:any part."""
        return self.origin.plan(self.origin.parts(release)[0], engine, self.now).plan


@pytest.fixture
def world(spoiled_archive: FrozenArchive, tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[World]:
    """Put greeter and the newer libdep into trixie-updates, and the older libdep into a snapshot alone."""
    assert pytestconfig.cache is not None
    spoiled_archive.publish_all(date=datetime(2025, 10, 31, tzinfo=UTC))
    snapshot = SnapshotArchive(tmp_path / "snapshot")
    snapshot.keep(spoiled_archive, THEN)
    updates, trixie = spoiled_archive.suite("trixie-updates"), spoiled_archive.suite("trixie")
    updates.binaries["main"] += [text for text in trixie.binaries["main"] if "greeter" in text]
    updates.sources["main"] += [text for text in trixie.sources["main"] if text.startswith("Package: greeter\n")]
    spoiled_archive.remove("libdep-dev_1.0-1_amd64.deb")
    spoiled_archive.publish("trixie-updates")
    with Loopback(snapshot.root) as server:
        settings = _settings(spoiled_archive, tmp_path, pytestconfig.cache.mkdir("live"), server.address)
        origin = DebianOrigin(settings, HttpFetcher(), LocalBlobs(settings.blobs_dir), Silent())
        yield World(origin=origin, frozen=spoiled_archive, now=datetime.now(UTC))


def _settings(frozen: FrozenArchive, home: Path, cache: Path, snapshot: str) -> Settings:
    keyrings = (DebianSettings().archive_keyring, frozen.keyring)
    suites = {"debian": ("trixie",), "debian-security": ("*-security",)}
    live = [each for each in configured_archives(DebianSettings()) if each.label in suites]
    archives = (
        *(replace(each, suites=suites[each.label], keyrings=keyrings) for each in live),
        Archive(
            label="frozen",
            uri=(frozen.root / "debian").as_uri(),
            suites=("trixie-updates",),
            keyrings=(frozen.keyring,),
        ),
    )
    debian = DebianSettings(archives=archives, snapshot=snapshot, developer_keyrings=(frozen.developers,))
    return Settings(cache=cache, state=home / "state", results=home / "results", debian=debian)


def _buildinfo(world: World, release: Release, base: ImageLock, path: Path) -> Path:
    """Write what a builder would have who built greeter with the older libdep, and sign it."""
    installed = {each.name: each.version for each in base.packages if each.name not in NEVER_LISTED}
    installed["libdep-dev"] = "1.0-1"
    checksums = [
        f" {each.reference.digest.hex} {each.reference.size_bytes} {each.filename}"
        for each in release.artifacts
        if each.reference is not None and each.architecture == "amd64"
    ]
    lines = [
        "Format: 1.0",
        "Source: greeter",
        "Version: 1.0-1",
        "Checksums-Sha256:",
        *checksums,
        "Build-Architecture: amd64",
        "Build-Path: /build/once-upon-a-time/greeter-1.0",
        "Installed-Build-Depends:",
        ",\n".join(f" {name} (= {version})" for name, version in sorted(installed.items())),
        "Environment:",
        ' DEB_BUILD_OPTIONS="parallel=3"',
        ' LC_ALL="C.UTF-8"',
        "",
    ]
    path.write_bytes(world.frozen.developer.sign("\n".join(lines).encode()))
    return path


def test_a_buildinfo_brings_back_the_older_build_dependency(world: World, tmp_path: Path) -> None:
    """The mirror offers libdep-dev 1.1-1; the .buildinfo names 1.0-1, and that is what is installed in the container.

    Without the .buildinfo the newer one is, and the plan says `inferred`.
    """
    engine = DockerEngine()
    release = world.release()
    inferred = world.plan(release, engine)
    assert inferred.environment.fidelity is Fidelity.INFERRED
    assert _version_in(inferred) == "1.1-1"

    planned = world.origin.plan(world.origin.parts(release)[0], engine, world.now)
    given = world.release(_buildinfo(world, release, planned.lock, tmp_path / "greeter_1.0-1_amd64.buildinfo"))
    exact = world.origin.plan(world.origin.parts(given)[0], engine, world.now)
    environment = exact.plan.environment
    assert environment.fidelity is Fidelity.EXACT
    assert _version_in(exact.plan) == "1.0-1"
    assert environment.image == inferred.environment.image
    assert environment.build_path == "/build/once-upon-a-time/greeter-1.0"
    assert dict(environment.variables)["DEB_BUILD_OPTIONS"] == "parallel=3"
    assert "1 of them from the snapshot archive" in environment.reason
    schemes = {piece.scheme: piece.outcome for piece in exact.evidence}
    assert schemes["openpgp-buildinfo"] is Standing.VERIFIED
    assert schemes["openpgp-inrelease"] is Standing.VERIFIED

    index = PreparedIndex(tmp_path / "prepared", engine)
    with prepare(engine, index, environment, world.origin.repository, fresh=True) as prepared:
        asked = run_once(engine, prepared.image, ("dpkg-query", "-W", "libdep-dev", "make"), files={})
        prepared.tree()
    assert asked.output.decode().startswith("libdep-dev\t1.0-1\nmake\t"), asked.errors.decode()


def _version_in(plan: Plan) -> str:
    return next(package.version for package in plan.environment.packages if package.name == "libdep-dev")
