"""Releases of the frozen archive, authenticated from end to end; and every link of the chain, broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.errors import UntrustedError
from rebuilder.model import codec
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.trust import Trust
from rebuilder.origins.debian import authenticate, source
from rebuilder.store.blobs import LocalBlobs
from tests.archive.frozen import FrozenArchive
from tests.archive.server import Fault, Loopback
from tests.origins.debian.conftest import OpenArchive

NOW = datetime.now(UTC)
DEB = "greeter_1.0-1_amd64.deb"
DSC = "greeter_1.0-1.dsc"
ORIG = "greeter_1.0.orig.tar.gz"


def evidence_about(trust: Trust, subject: str, scheme: str = "apt-index") -> Evidence:
    """Find one piece of evidence."""
    return next(piece for piece in trust.evidence if (piece.subject, piece.scheme) == (subject, scheme))


def test_every_file_of_a_release_is_traced_to_the_archives_key(
    standard_archive: FrozenArchive, open_archive: OpenArchive, tmp_path: Path
) -> None:
    """Artifacts and sources are fetched and verified, the .dsc's signer is known, and the chain is told."""
    archive = open_archive(standard_archive)
    release = archive.resolve("deb:trixie/greeter", NOW)
    trust = archive.authenticate(release, NOW)
    assert (trust.accepted, trust.cause) == (True, None)
    assert trust.reason == "3 artifact(s) and 3 source file(s) have the bytes that the signed indices name"
    blobs = LocalBlobs(tmp_path / "home" / "blobs")
    for file in (*release.sources, *(artifact.reference for artifact in release.artifacts if artifact.reference)):
        piece = evidence_about(trust, file.filename)
        assert (piece.outcome, piece.subject_digest, piece.not_checked) == (Standing.VERIFIED, file.digest, ())
        assert piece.signer == standard_archive.key.fingerprint
        assert piece.document in release.indices
        assert len(blobs.get(file.digest)) == file.size_bytes
    signed = evidence_about(trust, DSC, source.SCHEME)
    assert (signed.outcome, signed.signer) == (Standing.VERIFIED, standard_archive.developer.fingerprint)
    assert codec.parse(codec.render(trust), Trust) == trust


def test_a_dry_run_fetches_nothing_and_says_so(
    loopback: Loopback, spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """Named by signed indices is not yet: has those bytes."""
    archive = open_archive(spoiled_archive, address=loopback.address)
    trust = archive.authenticate(archive.resolve("deb:trixie/greeter", NOW), NOW, download=False)
    assert trust.accepted
    assert not any("/pool/" in path for path in loopback.requests)
    assert evidence_about(trust, DEB).not_checked == ("the file itself: nothing was downloaded (dry run)",)
    assert evidence_about(trust, DSC, source.SCHEME).outcome is Standing.NOT_CHECKED


@pytest.mark.parametrize("filename", [DEB, "greeter-doc_1.0-1_all.deb", DSC, ORIG])
def test_a_tampered_file_is_refused_before_building(
    filename: str, spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """One bit changed on the mirror, in an artifact or in a source."""
    spoiled_archive.tamper(filename)
    archive = open_archive(spoiled_archive)
    trust = archive.authenticate(archive.resolve("deb:trixie/greeter", NOW), NOW)
    assert (trust.accepted, trust.cause) == (False, Cause.UNTRUSTED_INPUT)
    assert trust.reason.startswith(f"{filename}: expected sha256:")
    assert evidence_about(trust, filename).outcome is Standing.REFUSED


def test_a_missing_source_is_no_difference_and_no_attack(
    spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """404 for a source: source-unavailable."""
    spoiled_archive.remove(ORIG)
    archive = open_archive(spoiled_archive)
    trust = archive.authenticate(archive.resolve("deb:trixie/greeter", NOW), NOW)
    assert (trust.accepted, trust.cause) == (False, Cause.SOURCE_UNAVAILABLE)
    assert evidence_about(trust, ORIG).outcome is Standing.ABSENT
    assert evidence_about(trust, DEB).outcome is Standing.VERIFIED


def test_a_missing_artifact_is_told_from_a_missing_source(
    spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """The published .deb cannot be had: nothing to compare with, and not the source's fault."""
    spoiled_archive.remove(DEB)
    archive = open_archive(spoiled_archive)
    trust = archive.authenticate(archive.resolve("deb:trixie/greeter", NOW), NOW)
    assert (trust.accepted, trust.cause) == (False, Cause.INFRASTRUCTURE)
    assert trust.reason.startswith("no mirror has the published artifact: greeter_1.0-1_amd64.deb")


def test_a_source_version_that_no_index_lists_is_unavailable(
    standard_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """The binaries are newer, or older, than any source of the suites."""
    archive = open_archive(standard_archive)
    trust = archive.authenticate(archive.resolve("deb:trixie/orphan", NOW), NOW)
    assert (trust.accepted, trust.cause) == (False, Cause.SOURCE_UNAVAILABLE)
    assert trust.reason == "no signed source index lists orphan 3.0-1"


def test_a_source_may_be_complete_only_across_two_archives(
    loopback: Loopback, spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """The .dsc is in security, the orig tarball in main: asked there second, by its digest."""
    archive = open_archive(spoiled_archive, address=loopback.address)
    trust = archive.authenticate(archive.resolve("deb:trixie/patched", NOW), NOW)
    assert trust.accepted
    asked = [path for path in loopback.requests if path.endswith("patched_2.0.orig.tar.gz")]
    assert asked == [
        "/debian-security/pool/updates/main/p/patched/patched_2.0.orig.tar.gz",
        "/debian/pool/main/p/patched/patched_2.0.orig.tar.gz",
    ]


def test_a_security_suite_alone_finds_its_tarball_in_the_main_archive(
    loopback: Loopback, spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """No index of the view lists the place; the name is tried there, and the digest proves it."""
    archive = open_archive(spoiled_archive, address=loopback.address)
    release = archive.resolve("deb:trixie-security/patched", NOW)
    assert all(file.also == () for file in release.sources)
    assert archive.authenticate(release, NOW).accepted
    assert "/debian/pool/main/p/patched/patched_2.0.orig.tar.gz" in loopback.requests


def test_a_mirror_that_was_wrong_where_another_was_right_is_reported(
    loopback: Loopback, spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """The release is fine; the mirror is not, and a reader learns of it."""
    loopback.faults["/debian/pool/main/t/twice/twice_4.0-1_amd64.deb"] = Fault.FLIPPED
    archive = open_archive(spoiled_archive, address=loopback.address)
    trust = archive.authenticate(archive.resolve("deb:trixie/twice", NOW), NOW)
    assert trust.accepted
    note = next(piece for piece in trust.evidence if piece.scheme == authenticate.MIRROR)
    assert note.outcome is Standing.REFUSED
    assert "twice_4.0-1_amd64.deb" in note.reason


@pytest.mark.parametrize("part", ["artifact", "source"])
def test_a_release_that_no_signed_index_backs_is_refused(
    part: str, standard_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """A release handed in with other digests than the archive's: nothing in it is believed."""
    archive = open_archive(standard_archive)
    release = archive.resolve("deb:trixie/epochal", NOW)
    if part == "artifact":
        (artifact,) = release.artifacts
        assert artifact.reference is not None
        forged = replace(artifact.reference, digest=Digest.of(b"evil"))
        release = replace(release, artifacts=(replace(artifact, reference=forged),))
    else:
        release = replace(release, sources=(release.sources[0], replace(release.sources[1], size_bytes=1)))
    trust = archive.authenticate(release, NOW, download=False)
    assert (trust.accepted, trust.cause) == (False, Cause.UNTRUSTED_INPUT)
    assert "no signed index of the suites names it" in trust.reason


def test_a_local_file_is_compared_and_not_vouched_for(
    standard_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """A reference without a place is somebody's file: said so, not refused."""
    archive = open_archive(standard_archive)
    release = archive.resolve("deb:trixie/epochal", NOW)
    (artifact,) = release.artifacts
    assert artifact.reference is not None
    local = replace(artifact.reference, digest=Digest.of(b"mine"), size_bytes=4, location=None, archive=None)
    trust = archive.authenticate(replace(release, artifacts=(replace(artifact, reference=local),)), NOW)
    assert trust.accepted
    piece = evidence_about(trust, artifact.filename, authenticate.LOCAL)
    assert piece.outcome is Standing.NOT_CHECKED


def test_an_unsigned_dsc_is_recorded_or_refused_as_policy_says(
    standard_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """The .dsc of epochal carries no signature."""
    archive = open_archive(standard_archive)
    trust = archive.authenticate(archive.resolve("deb:trixie/epochal", NOW), NOW)
    assert trust.accepted
    assert evidence_about(trust, "epochal_2.0-1.dsc", source.SCHEME).outcome is Standing.ABSENT
    strict = open_archive(standard_archive, dsc_signature="require")
    trust = strict.authenticate(strict.resolve("deb:trixie/epochal", NOW), NOW)
    assert (trust.accepted, trust.cause) == (False, Cause.UNTRUSTED_INPUT)
    assert "policy asks for a known developer's signature" in trust.reason
    assert strict.authenticate(strict.resolve("deb:trixie/greeter", NOW), NOW).accepted


def test_a_dsc_by_an_unknown_developer_is_recorded_or_refused_as_policy_says(
    spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """Keyrings age: an unknown key says nothing by default, and not enough for a strict policy."""
    spoiled_archive.key.write(spoiled_archive.developers)
    archive = open_archive(spoiled_archive)
    trust = archive.authenticate(archive.resolve("deb:trixie/greeter", NOW), NOW)
    piece = evidence_about(trust, DSC, source.SCHEME)
    assert trust.accepted
    assert piece.outcome is Standing.NOT_CHECKED
    assert "which no keyring has: developers.gpg" in piece.reason
    strict = open_archive(spoiled_archive, dsc_signature="require")
    assert not strict.authenticate(strict.resolve("deb:trixie/greeter", NOW), NOW).accepted


def test_the_policy_that_was_applied_is_named_by_its_digest(
    standard_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """Two policies, two digests."""
    digests = set()
    for policy in ("record", "require"):
        archive = open_archive(standard_archive, dsc_signature=policy)
        digests.add(archive.authenticate(archive.resolve("deb:trixie/greeter", NOW), NOW).policy)
    assert len(digests) == 2


DSC_TEXT = f"""\
Format: 3.0 (quilt)
Source: cjson
Version: 1.0-1
Checksums-Sha256:
 {"a" * 64} 10 cjson_1.0.orig.tar.gz
"""


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("Source: cjson", "Source: other", "says that it is other 1.0-1"),
        ("Version: 1.0-1", "Version: 1.0-2", "says that it is cjson 1.0-2"),
        ("a" * 64, "b" * 64, r"disagree about cjson_1\.0\.orig\.tar\.gz"),
        (" 10 ", " 11 ", r"disagree about cjson_1\.0\.orig\.tar\.gz"),
        (".orig.", ".evil.", "disagree about"),
        ("Source: cjson\n", "", "has no Source"),
        ("Checksums-Sha256", "Checksums-Sha1", "has no Checksums-Sha256"),
        ("cjson_1.0.orig", "../cjson", "not a plain file name"),
        ("Source: cjson", "Source: ../cjson", "not a package name"),
    ],
)
def test_a_dsc_that_disagrees_with_the_signed_index_is_refused(before: str, after: str, words: str) -> None:
    """Name, version, files, sizes and digests must be those of the Sources index."""
    files = source.parse_dsc(DSC_TEXT.encode(), "x.dsc").files
    with pytest.raises(UntrustedError, match=words):
        source.verify_agreement(
            source.parse_dsc(DSC_TEXT.replace(before, after).encode(), "x.dsc"), "cjson", "1.0-1", files
        )
