"""Which version a user is offered, and what belongs to it: on the standard frozen archive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from rebuilder.errors import UnknownTarget
from rebuilder.model import codec
from rebuilder.model.evidence import Standing
from rebuilder.model.release import Release
from rebuilder.origins.debian.resolve import COVERAGE
from tests.archive.frozen import FrozenArchive
from tests.origins.debian.conftest import OpenArchive

Resolve = Callable[[str], Release]

NOW = datetime.now(UTC)


@pytest.fixture
def resolve(standard_archive: FrozenArchive, open_archive: OpenArchive) -> Resolve:
    """Return a function that resolves a target in the standard archive."""
    archive = open_archive(standard_archive)
    return lambda target: archive.resolve(target, NOW)


def files(release: Release) -> dict[str, str]:
    """File name to version of each artifact that has a reference."""
    return {artifact.filename: artifact.version for artifact in release.artifacts if artifact.reference}


def test_all_binaries_of_a_source_are_artifacts_of_their_own_architecture(resolve: Resolve) -> None:
    """arch:any and arch:all side by side; what was never published is listed without a reference; udebs are noted."""
    release = resolve("deb:trixie/greeter")
    assert (release.name, release.version, release.suite) == ("greeter", "1.0-1", "trixie")
    assert [(each.name, each.architecture, each.reference is not None) for each in release.artifacts] == [
        ("greeter-doc", "all", True),
        ("greeter", "amd64", True),
        ("greeter-extra", "amd64", False),
        ("libgreeter1", "amd64", True),
    ]
    assert release.artifacts[2].filename == "greeter-extra_1.0-1_amd64.deb"
    coverage = next(piece for piece in release.evidence if piece.scheme == COVERAGE)
    assert coverage.not_checked == (
        "debug symbol packages: the suites' indices do not list them",
        "installer packages: greeter-udeb",
    )
    assert codec.parse(codec.render(release), Release) == release


def test_a_file_name_lacks_the_epoch_that_the_version_has(resolve: Resolve) -> None:
    """Policy 5.6.12."""
    release = resolve("deb:trixie/epochal")
    assert release.version == "1:2.0-1"
    assert files(release) == {"epochal_2.0-1_amd64.deb": "1:2.0-1"}
    assert resolve("deb:trixie/epochal=1:2.0-1").version == "1:2.0-1"


def test_a_binnmu_has_a_version_of_its_own_and_the_newest_is_offered(resolve: Resolve) -> None:
    """The source's version stays, +b2 wins over +b1, the arch:all package was not rebuilt."""
    release = resolve("deb:trixie/rebuilt")
    assert release.version == "1.0-1"
    assert files(release) == {"rebuilt_1.0-1+b2_amd64.deb": "1.0-1+b2", "rebuilt-data_1.0-1_all.deb": "1.0-1"}


def test_a_binnmu_can_be_pinned(resolve: Resolve) -> None:
    """By its own version, of the source or of the binary package."""
    for target in ("deb:trixie/rebuilt=1.0-1+b1", "pkg:deb/debian/rebuilt@1.0-1%2Bb1?arch=amd64&distro=trixie"):
        release = resolve(target)
        assert release.version == "1.0-1"
        assert "rebuilt_1.0-1+b1_amd64.deb" in files(release)
        assert "rebuilt_1.0-1+b2_amd64.deb" not in files(release)


def test_the_security_suite_is_part_of_what_a_user_is_offered(resolve: Resolve) -> None:
    """Its version is newer; its orig tarball is listed by both archives, and each place is kept."""
    release = resolve("deb:trixie/patched")
    assert release.version == "2.0-1+deb13u1"
    orig = next(file for file in release.sources if ".orig." in file.filename)
    assert (orig.archive, orig.also) == (
        "debian-security",
        (("debian", "pool/main/p/patched/patched_2.0.orig.tar.gz"),),
    )
    assert resolve("deb:trixie/patched=2.0-1").version == "2.0-1"


def test_a_security_suite_can_be_asked_alone(resolve: Resolve) -> None:
    """What main alone has is not there."""
    assert resolve("deb:trixie-security/patched").version == "2.0-1+deb13u1"
    with pytest.raises(UnknownTarget, match="no source package greeter in trixie-security"):
        resolve("deb:trixie-security/greeter")


def test_updates_are_part_of_what_a_user_is_offered(resolve: Resolve) -> None:
    """The newer build-dependency is in trixie-updates."""
    assert resolve("deb:trixie/libdep").version == "1.1-1"


def test_the_binaries_decide_where_the_source_is_ahead(resolve: Resolve) -> None:
    """2.0-1 has no binaries yet: 1.0-1 is what is offered; pinned, its packages have no reference."""
    assert resolve("deb:trixie/ahead").version == "1.0-1"
    pinned = resolve("deb:trixie/ahead=2.0-1")
    assert [(each.filename, each.reference) for each in pinned.artifacts] == [("ahead_2.0-1_amd64.deb", None)]


def test_one_version_in_two_archives_is_one_artifact_with_two_places(resolve: Resolve) -> None:
    """Same digest, so the second place is a fallback."""
    (artifact,) = resolve("deb:trixie/twice").artifacts
    assert artifact.reference is not None
    assert artifact.reference.archive == "debian"
    assert artifact.reference.also == (("debian-security", "pool/updates/main/t/twice/twice_4.0-1_amd64.deb"),)


def test_a_source_version_that_no_index_lists_is_told(resolve: Resolve) -> None:
    """The artifacts are known, the sources are none, and the evidence says that they are absent."""
    release = resolve("deb:trixie/orphan")
    assert release.sources == ()
    assert files(release) == {"orphan_3.0-1_amd64.deb": "3.0-1"}
    assert any(piece.outcome is Standing.ABSENT for piece in release.evidence)


def test_a_binary_package_resolves_to_its_source(resolve: Resolve) -> None:
    """A purl with an architecture names a binary package; the release is that of its source."""
    release = resolve("pkg:deb/debian/libgreeter1?arch=amd64&distro=trixie")
    assert release.name == "greeter"
    assert release.target == "pkg:deb/debian/greeter@1.0-1?arch=source&distro=trixie"
    assert resolve("pkg:deb/debian/greeter-doc@1.0-1?arch=all&distro=trixie").name == "greeter"


@pytest.mark.parametrize(
    ("target", "message", "hint"),
    [
        ("deb:trixie/greter", "no source package greter in trixie", "did you mean greeter?"),
        ("deb:trixie/libgreeter1", "no source package libgreeter1 in trixie", "ask deb:trixie/greeter"),
        ("deb:trixie/zzzzzz", "no source package zzzzzz in trixie", "check the name"),
        ("deb:trixie/greeter=9", "greeter has no version 9 in trixie", "there: 1.0-1"),
        ("deb:bookworm/greeter", "no configured mirror of debian has a suite bookworm", "suites are named"),
        ("pkg:deb/debian/greeter?arch=arm64&distro=trixie", "no arm64 package greeter in trixie", "greeter"),
        ("pkg:deb/debian/greeter@9?arch=amd64&distro=trixie", "no amd64 package greeter 9", "greeter"),
    ],
)
def test_an_unknown_target_comes_with_a_hint(target: str, message: str, hint: str, resolve: Resolve) -> None:
    """What was looked for, where, and what comes near."""
    with pytest.raises(UnknownTarget, match=message) as caught:
        resolve(target)
    assert hint in (caught.value.hint or "")
