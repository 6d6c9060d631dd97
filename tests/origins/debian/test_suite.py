"""Opening suites: every way in which a mirror can lie about one, or fail to answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.errors import (
    DigestMismatch,
    HostileInput,
    NetworkFailure,
    RebuilderError,
    SignatureRefused,
    StaleInput,
    UnknownTarget,
    UntrustedError,
)
from rebuilder.model.cause import Cause
from rebuilder.model.evidence import Standing
from rebuilder.origins.debian.archive import DebianArchive
from rebuilder.origins.debian.index import IndexKind
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import HttpFetcher
from tests.archive.frozen import FrozenArchive
from tests.archive.key import SigningKey
from tests.archive.server import Fault, Loopback
from tests.origins.debian.conftest import IMPATIENT, OpenArchive

NOW = datetime.now(UTC)


def test_a_view_holds_what_the_suite_its_updates_and_its_security_suite_offer(
    standard_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """Three InRelease files, six indices, each with a piece of evidence that names signer, issuer and document."""
    view = open_archive(standard_archive).view("trixie", NOW)
    assert [(index.suite, index.archive, index.component) for index in view.packages_files()] == [
        ("trixie", "debian", "main"),
        ("trixie-updates", "debian", "main"),
        ("trixie-security", "debian-security", "main"),
    ]
    assert len(view.evidence) == 9
    assert all(piece.outcome is Standing.VERIFIED and piece.document for piece in view.evidence)
    assert view.evidence[0].signer == standard_archive.key.fingerprint
    assert (view.evidence[0].issuer or "").startswith("archive.gpg sha256:")
    assert any("freshness: unknown" in note for note in view.evidence[0].not_checked)
    assert view.codename == "trixie"
    assert abs(view.epoch - NOW.timestamp()) < 3600


def test_packages_are_found_by_name_and_by_file(standard_archive: FrozenArchive, open_archive: OpenArchive) -> None:
    """What planning asks: exact versions, epochs that file names lack, arch:all for any architecture."""
    view = open_archive(standard_archive).view("trixie", NOW)
    package = view.find_package("epochal", "1:2.0-1", "amd64")
    assert package is not None
    assert package == view.package_by_file("epochal", "2.0-1", "amd64")
    assert package.location == "pool/main/e/epochal/epochal_2.0-1_amd64.deb"
    assert view.find_package("greeter-doc", "1.0-1", "amd64") is not None
    assert view.find_package("epochal", "9", "amd64") is None
    assert {each.version for each in view.find_packages({"libdep-dev"})} == {"1.0-1", "1.1-1"}
    assert "greeter" in view.names(IndexKind.SOURCES)


def test_the_signed_documents_are_kept_as_blobs(
    standard_archive: FrozenArchive, open_archive: OpenArchive, tmp_path: Path
) -> None:
    """A reader of the results can check the chain again."""
    view = open_archive(standard_archive).view("trixie", NOW)
    kept = {path.name for path in (tmp_path / "home" / "blobs").rglob("*") if path.is_file()}
    assert {document.hex for document in view.documents} <= kept


def test_a_second_run_fetches_inrelease_alone(
    loopback: Loopback, spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """Indices come by hash, once; the InRelease each time, for it says what is current."""
    open_archive(spoiled_archive, address=loopback.address).view("trixie", NOW)
    assert sum("/by-hash/SHA256/" in path for path in loopback.requests) == 6
    assert len(loopback.requests) == 9
    loopback.requests.clear()
    open_archive(spoiled_archive, address=loopback.address).view("trixie", NOW)
    assert all(path.endswith("/InRelease") for path in loopback.requests)
    assert len(loopback.requests) == 3


def test_a_damaged_cache_is_never_believed(
    standard_archive: FrozenArchive, open_archive: OpenArchive, tmp_path: Path
) -> None:
    """An index that was altered on this disk is fetched again, and what is read is what was signed."""
    first = open_archive(standard_archive).view("trixie", NOW)
    path = first.packages_files()[0].path
    honest = path.read_bytes()
    path.write_bytes(honest.replace(b"greeter", b"grEEter"))
    assert open_archive(standard_archive).view("trixie", NOW).packages_files()[0].path.read_bytes() == honest


@pytest.mark.parametrize("second_opinion", [False, True])
def test_a_suite_signed_by_a_stranger_is_refused(
    second_opinion: bool,  # noqa: FBT001 - a parameter of the test
    spoiled_archive: FrozenArchive,
    open_archive: OpenArchive,
) -> None:
    """By a key that the keyring lacks; whatever gpgv would say."""
    spoiled_archive.publish("trixie", key=SigningKey("Stranger"))
    with pytest.raises(SignatureRefused, match=r"none of these keys is in archive\.gpg") as caught:
        open_archive(spoiled_archive, second_opinion=second_opinion).view("trixie", NOW)
    assert caught.value.cause is Cause.UNTRUSTED_INPUT


def test_an_honest_suite_has_gpgvs_agreement_too(standard_archive: FrozenArchive, open_archive: OpenArchive) -> None:
    """With the policy that asks for it, the evidence says so."""
    view = open_archive(standard_archive, second_opinion=True).view("trixie", NOW)
    assert "gpgv agrees" in view.evidence[0].reason


def test_an_altered_inrelease_is_refused(spoiled_archive: FrozenArchive, open_archive: OpenArchive) -> None:
    """One field changed after signing."""
    path = spoiled_archive.root / "debian" / "dists" / "trixie" / "InRelease"
    path.write_bytes(path.read_bytes().replace(b"Codename: trixie", b"Codename: trixiE"))
    with pytest.raises(SignatureRefused, match="debian trixie InRelease: no valid signature"):
        open_archive(spoiled_archive).view("trixie", NOW)


def test_an_expired_suite_is_stale(spoiled_archive: FrozenArchive, open_archive: OpenArchive) -> None:
    """Refused by default; a policy may accept it, and then the evidence says so."""
    spoiled_archive.publish("trixie", date=NOW - timedelta(days=9), valid_until=NOW - timedelta(days=2))
    with pytest.raises(StaleInput, match=r"expired on .*, 2 days ago") as caught:
        open_archive(spoiled_archive).view("trixie", NOW)
    assert (caught.value.cause, caught.value.exit_code) == (Cause.STALE_INPUT, 3)
    view = open_archive(spoiled_archive, accept_expired=True).view("trixie", NOW)
    assert any("accepted by policy" in note for note in view.evidence[0].not_checked)


def test_a_mirror_that_serves_another_suite_is_refused(
    spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """The signed file of bookworm under trixie's name: rightly signed, wrongly placed."""
    spoiled_archive.publish("trixie", Codename="bookworm", Suite="oldstable")
    with pytest.raises(UntrustedError, match="asked for the suite trixie, and the signed file is that of bookworm"):
        open_archive(spoiled_archive).view("trixie", NOW)


def test_a_mirror_that_goes_back_in_time_is_refused(spoiled_archive: FrozenArchive, open_archive: OpenArchive) -> None:
    """Across runs: the state remembers the newest Date of each suite."""
    open_archive(spoiled_archive).view("trixie", NOW)
    spoiled_archive.publish("trixie", date=NOW - timedelta(days=1))
    with pytest.raises(StaleInput, match="was seen before"):
        open_archive(spoiled_archive).view("trixie", NOW)
    view = open_archive(spoiled_archive, accept_rollback=True).view("trixie", NOW)
    assert any(note.startswith("rollback: one of") for note in view.evidence[0].not_checked)


def test_a_suite_from_the_future_is_stale(spoiled_archive: FrozenArchive, open_archive: OpenArchive) -> None:
    """Somebody's clock is wrong, and it may be ours."""
    spoiled_archive.publish("trixie", date=NOW + timedelta(days=1))
    with pytest.raises(StaleInput, match="which is after now"):
        open_archive(spoiled_archive).view("trixie", NOW)


def test_a_missing_security_suite_is_not_passed_over(
    loopback: Loopback, spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """Otherwise a mirror could hide updates by answering 404."""
    loopback.faults["trixie-security/InRelease"] = Fault.NOT_FOUND
    with pytest.raises(UnknownTarget, match="no configured mirror of debian-security has a suite trixie-security"):
        open_archive(spoiled_archive, address=loopback.address).view("trixie", NOW)


def test_testing_may_lack_updates_and_security(spoiled_archive: FrozenArchive, open_archive: OpenArchive) -> None:
    """As the signed Suite field says that it is testing."""
    spoiled_archive.suite("forky").binaries["main"] = spoiled_archive.suite("trixie").binaries["main"]
    spoiled_archive.suite("forky").sources["main"] = spoiled_archive.suite("trixie").sources["main"]
    spoiled_archive.publish("forky")
    view = open_archive(spoiled_archive).view("forky", NOW)
    assert {index.suite for index in view.indices} == {"forky"}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault.BROKEN, (NetworkFailure, "the server answered 503")),
        (Fault.BREAKS_OFF, (NetworkFailure, "InRelease")),
        (Fault.SLOW, (NetworkFailure, "InRelease")),
        (Fault.SHORT, (SignatureRefused, "expected one message with one block")),
        (Fault.NOT_FOUND, (UnknownTarget, "no configured mirror of debian has a suite trixie")),
    ],
)
def test_a_mirror_that_does_not_answer_rightly_gives_a_clear_error(
    fault: Fault,
    told: tuple[type[RebuilderError], str],
    loopback: Loopback,
    spoiled_archive: FrozenArchive,
    open_archive: OpenArchive,
) -> None:
    """Down, breaking off, slow, cut short: nothing is concluded, and no older InRelease is used instead."""
    open_archive(spoiled_archive, address=loopback.address).view("trixie", NOW)
    loopback.faults["/trixie/InRelease"] = fault
    with pytest.raises(told[0], match=told[1]):
        open_archive(spoiled_archive, address=loopback.address).view("trixie", NOW)


def test_a_mirror_that_is_down_gives_a_clear_error(spoiled_archive: FrozenArchive, open_archive: OpenArchive) -> None:
    """Nobody listens there."""
    with pytest.raises(NetworkFailure, match=r"127\.0\.0\.1:9/debian/dists/trixie/InRelease"):
        open_archive(spoiled_archive, address="http://127.0.0.1:9").view("trixie", NOW)


def test_another_mirror_is_asked_when_the_first_fails(
    loopback: Loopback, spoiled_archive: FrozenArchive, tmp_path: Path
) -> None:
    """One label, two mirrors: the second serves, and the evidence tells of the first without its address."""
    settings = spoiled_archive.settings(tmp_path / "home", address=loopback.address)
    down = tuple(replace(each, uri=f"http://127.0.0.1:9/{each.label}") for each in settings.debian.archives)
    settings = replace(settings, debian=replace(settings.debian, archives=(*down, *settings.debian.archives)))
    archive = DebianArchive(settings, HttpFetcher(IMPATIENT), LocalBlobs(tmp_path / "blobs"))
    view = archive.view("trixie", NOW)
    notes = [note for note in view.evidence[0].not_checked if note.startswith("a mirror was passed over: debian/dists")]
    assert len(notes) == 1
    assert "127.0.0.1" not in notes[0]
    assert archive.authenticate(archive.resolve("deb:trixie/epochal", NOW), NOW).accepted


@pytest.mark.parametrize("by_hash", [True, False])
def test_a_truncated_index_is_refused(
    by_hash: bool,  # noqa: FBT001 - a parameter of the test
    spoiled_archive: FrozenArchive,
    open_archive: OpenArchive,
) -> None:
    """Whatever its name, an index is what the InRelease says or nothing."""
    spoiled_archive.publish("trixie", by_hash=by_hash)
    open_archive(spoiled_archive.copy(spoiled_archive.root.parent / "good")).view("trixie", NOW)
    spoiled_archive.truncate_indices("trixie")
    for path in (spoiled_archive.root.parent / "home" / "cache").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(DigestMismatch, match="bytes, found"):
        open_archive(spoiled_archive).view("trixie", NOW)


def test_an_index_that_unpacks_to_something_else_is_refused(
    spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """The uncompressed digest is signed as well; an archive that contradicts itself is not read."""
    real = spoiled_archive.publish("trixie").read_text()
    line = next(line for line in real.splitlines() if line.endswith(" main/binary-amd64/Packages"))
    size = line.split()[1]
    text = real[real.index("Origin") : real.index("-----BEGIN PGP SIGNATURE")]
    path = spoiled_archive.root / "debian" / "dists" / "trixie" / "InRelease"
    for altered in (f" {'0' * 64} {size} ", f" {'0' * 64} {int(size) - 1} "):
        path.write_bytes(
            spoiled_archive.key.sign(text.replace(line[: -len("main/binary-amd64/Packages")], altered).encode())
        )
        with pytest.raises((DigestMismatch, HostileInput), match="main/binary-amd64/Packages: "):
            open_archive(spoiled_archive).view("trixie", NOW)


def test_the_plain_name_is_used_where_by_hash_is_absent(
    loopback: Loopback, spoiled_archive: FrozenArchive, open_archive: OpenArchive
) -> None:
    """A mirror may announce by-hash and not have it."""
    for path in list(spoiled_archive.root.rglob("by-hash/SHA256/*")):
        path.unlink()
    assert open_archive(spoiled_archive, address=loopback.address).view("trixie", NOW).indices
    assert "/debian/dists/trixie/main/binary-amd64/Packages.xz" in loopback.requests
