"""Reading, checking and applying a .buildinfo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.config import Policy
from rebuilder.errors import DigestMismatch, HostileInput, SignatureRefused
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Standing
from rebuilder.model.release import Artifact, FileReference, Release
from rebuilder.origins.debian import buildinfo
from rebuilder.origins.debian.changelog import parse_entry
from rebuilder.origins.debian.recipe import load_build_recipe
from rebuilder.world.http import HttpFetcher
from tests.archive.key import SigningKey

DEB = Digest.of(b"the published bytes")
TEXT = f"""\
Format: 1.0
Source: libgreet (1.0-1)
Binary: libgreet1
Architecture: amd64
Version: 1.0-1+b1
Binary-Only-Changes:
 libgreet (1.0-1+b1) sid; urgency=low, binary-only=yes
 .
   * Rebuild.
 .
  -- A Builder <builder@archive.test>  Thu, 09 Oct 2025 08:53:20 +0000
Checksums-Sha256:
 {DEB.hex} 4711 libgreet1_1.0-1+b1_amd64.deb
Build-Origin: Debian
Build-Architecture: amd64
Build-Path: /build/reproducible-path/libgreet-1.0
Installed-Build-Depends:
 gcc (= 4:14.2.0-1),
 libc6-dev (= 2.41-12),
 libc6-dev:i386 (= 2.41-12)
Environment:
 DEB_BUILD_OPTIONS="parallel=4"
 DEB_CFLAGS_APPEND="-DNAME=\\"a b\\" -O2"
 LANG="C.UTF-8"
 LD_PRELOAD="/tmp/evil.so"
 SOURCE_DATE_EPOCH="1760000000"
""".encode()


def _release(digest: Digest = DEB, *, version: str = "1.0-1") -> Release:
    name = "libgreet1_1.0-1+b1_amd64.deb"
    artifact = Artifact(
        name="libgreet1",
        version="1.0-1+b1",
        architecture="amd64",
        filename=name,
        reference=FileReference(filename=name, size_bytes=4711, digest=digest),
    )
    return Release(
        target="pkg:deb/debian/libgreet@1.0-1?arch=source&distro=trixie",
        ecosystem="deb",
        distribution="debian",
        suite="trixie",
        name="libgreet",
        version=version,
        artifacts=(artifact,),
        sources=(),
        evidence=(),
    )


def test_everything_that_defines_an_environment_is_read() -> None:
    """Versions with epochs, a foreign architecture, the path, quoted variables, the binNMU's entry."""
    read = buildinfo.parse(TEXT, "x.buildinfo")
    assert (read.source, read.source_version, read.version) == ("libgreet", "1.0-1", "1.0-1+b1")
    assert [(each.name, each.version, each.architecture) for each in read.installed] == [
        ("gcc", "4:14.2.0-1", None),
        ("libc6-dev", "2.41-12", None),
        ("libc6-dev", "2.41-12", "i386"),
    ]
    assert read.build_path == "/build/reproducible-path/libgreet-1.0"
    assert dict(read.variables)["DEB_CFLAGS_APPEND"] == '-DNAME="a b" -O2'
    assert read.changelog is not None
    assert parse_entry(read.changelog.encode(), source="libgreet", version="1.0-1+b1") == read.changelog


def test_only_known_harmless_variables_are_taken_over() -> None:
    """A .buildinfo cannot make the build load or run something: LD_PRELOAD is named as not applied."""
    taken, left = buildinfo.honoured(buildinfo.parse(TEXT, "x"), load_build_recipe().build.honoured)
    assert set(taken) == {"DEB_BUILD_OPTIONS", "DEB_CFLAGS_APPEND", "LANG", "SOURCE_DATE_EPOCH"}
    assert left == ("LD_PRELOAD",)


def test_a_buildinfo_of_these_very_files_is_accepted() -> None:
    """Source, version and the published digest agree."""
    buildinfo.verify_subject(buildinfo.parse(TEXT, "x"), _release(), "x")


def test_attack_a_buildinfo_of_another_build() -> None:
    """One whose checksum of a published file differs describes another build: it defines nothing here."""
    with pytest.raises(DigestMismatch, match=r"libgreet1_1.0-1\+b1_amd64.deb: the signed index says"):
        buildinfo.verify_subject(buildinfo.parse(TEXT, "x"), _release(Digest.of(b"other")), "x")


def test_attack_a_buildinfo_of_another_version() -> None:
    """The source's name and version must be those of the release."""
    with pytest.raises(DigestMismatch, match=r"expected one of libgreet 2\.0-1"):
        buildinfo.verify_subject(buildinfo.parse(TEXT, "x"), _release(version="2.0-1"), "x")


def test_a_buildinfo_that_names_no_published_file_is_refused() -> None:
    """Agreement about nothing is no agreement."""
    other = buildinfo.parse(TEXT.replace(b"libgreet1_1.0-1+b1_amd64.deb", b"elsewhere.deb"), "x")
    with pytest.raises(DigestMismatch, match="names none of the published artifacts"):
        buildinfo.verify_subject(other, _release(), "x")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"Installed-Build-Depends:", b"Installed:", "has no Installed-Build-Depends"),
        (b"gcc (= 4:14.2.0-1)", b"gcc (>= 4:14.2.0-1)", "unreadable in Installed-Build-Depends"),
        (b"gcc (= 4:14.2.0-1)", b"../gcc (= 1)", "unreadable in Installed-Build-Depends"),
        (b"gcc (= 4:14.2.0-1)", b"gcc (= 1;rm)", "not a package version"),
        (b"gcc (= 4:14.2.0-1)", b"libc6-dev (= 1)", "libc6-dev is installed twice"),
        (b'LANG="C.UTF-8"', b"LANG=C", "unreadable in Environment"),
        (b"Build-Architecture: amd64", b"Build-Architecture: ../x", "unreadable Source or Build-Architecture"),
        (b"4711 lib", b"4711 ../lib", "not a plain file name"),
        (b"Source: libgreet", b"Source: \xff", "unreadable"),
        (b"libgreet (1.0-1+b1) sid", b"other (1.0-1+b1) sid", "expected the changelog entry of libgreet"),
    ],
)
def test_attack_a_malformed_field(old: bytes, new: bytes, problem: str) -> None:
    """Whatever no dpkg writes is refused, by name."""
    with pytest.raises(HostileInput, match=problem):
        buildinfo.parse(TEXT.replace(old, new), "x.buildinfo")


def test_a_huge_document_or_list_is_refused() -> None:
    """Bounds come before parsing."""
    with pytest.raises(HostileInput, match="bytes; at most"):
        buildinfo.parse(TEXT + b"#" * buildinfo.LIMIT_BYTES, "x")
    many = b",\n".join(b" p%d (= 1)" % number for number in range(5001))
    with pytest.raises(HostileInput, match="Installed-Build-Depends are read, found 5003"):
        buildinfo.parse(TEXT.replace(b" gcc (= 4:14.2.0-1)", many), "x")


def test_a_signature_by_a_known_key_is_verified(tmp_path: Path) -> None:
    """The evidence names the signer, and what nobody checked."""
    key = SigningKey("A Builder")
    document = key.sign(TEXT)
    ring = key.write(tmp_path / "builders.gpg")
    evidence = buildinfo.judge_signature(document, "x.buildinfo", (ring,), Policy())
    assert (evidence.scheme, evidence.outcome) == ("openpgp-buildinfo", Standing.VERIFIED)
    assert evidence.signer == key.fingerprint
    assert buildinfo.parse(document, "x").version == "1.0-1+b1"


def test_attack_an_unsigned_or_strangers_buildinfo(tmp_path: Path) -> None:
    """By default a valid signature is required; a policy may record instead, and the evidence says what was found."""
    ring = SigningKey("Known").write(tmp_path / "known.gpg")
    stranger = SigningKey("Stranger").sign(TEXT)
    recording = replace(Policy(), buildinfo_signature="record")
    for document, standing in ((TEXT, Standing.ABSENT), (stranger, Standing.NOT_CHECKED)):
        with pytest.raises(SignatureRefused, match="policy requires a valid signature") as refused:
            buildinfo.judge_signature(document, "x.buildinfo", (ring,), Policy())
        assert "record" in (refused.value.hint or "")
        assert buildinfo.judge_signature(document, "x.buildinfo", (ring,), recording).outcome is standing


def test_attack_text_changed_after_signing(tmp_path: Path) -> None:
    """A changed version in a signed .buildinfo is refused."""
    key = SigningKey("A Builder")
    ring = key.write(tmp_path / "builders.gpg")
    changed = key.sign(TEXT).replace(b"gcc (= 4:14.2.0-1)", b"gcc (= 4:14.2.0-9)")
    with pytest.raises(SignatureRefused, match=r"x\.buildinfo"):
        buildinfo.judge_signature(changed, "x.buildinfo", (ring,), Policy())


def test_a_pool_is_asked_by_its_layout(tmp_path: Path) -> None:
    """Sources that begin with lib have a longer letter, epochs are left out, and an absent one is None."""
    place = tmp_path / "libg" / "libgreet" / "libgreet_1.0-1+b1_amd64.buildinfo"
    place.parent.mkdir(parents=True)
    place.write_bytes(TEXT)
    pool, fetcher = tmp_path.as_uri(), HttpFetcher()

    def find(version: str) -> bytes | None:
        return buildinfo.find_in_pool(fetcher, pool, name="libgreet", version=version, architecture="amd64")

    assert find("3:1.0-1+b1") == TEXT
    assert find("1.0-2") is None


def test_a_file_longer_than_any_buildinfo_is_hostile(tmp_path: Path) -> None:
    """It is an input that is refused (exit code 3), not a failure of the machine, and it is not read."""
    path = tmp_path / "long.buildinfo"
    with path.open("wb") as stream:
        stream.truncate(9 * 1024**2)
    with pytest.raises(HostileInput, match=r"long\.buildinfo: 9437184 bytes; at most 8388608 are read") as caught:
        buildinfo.load(path)
    assert caught.value.hint


def test_garbage_is_refused_with_a_way_out() -> None:
    """Whoever names the wrong file is told what is expected."""
    with pytest.raises(HostileInput, match="has no Source") as caught:
        buildinfo.parse(b"garbage", "x.buildinfo")
    assert "deb-buildinfo(5)" in (caught.value.hint or "")
