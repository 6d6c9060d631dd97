"""Files by digest: from the first place that serves them, and nothing else is kept."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.errors import DigestMismatch, NetworkFailure, SourceUnavailable
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Package
from rebuilder.model.release import FileReference
from rebuilder.origins.debian.download import Downloader
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import HttpFetcher
from tests.archive.frozen import FrozenArchive
from tests.archive.server import Fault, Loopback
from tests.origins.debian.conftest import IMPATIENT

NAME = "twice_4.0-1_amd64.deb"
MAIN = f"pool/main/t/twice/{NAME}"
SECURITY = f"pool/updates/main/t/twice/{NAME}"


class Counting(Silent):
    """Remembers how far things went."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int | None]] = []

    def advance(self, target: str, done: int, total: int | None, unit: str) -> None:
        """Remember."""
        self.seen.append((done, total))


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    """Make an empty blob store."""
    return LocalBlobs(tmp_path / "home" / "blobs")


@pytest.fixture
def downloader(spoiled_archive: FrozenArchive, loopback: Loopback, blobs: LocalBlobs, tmp_path: Path) -> Downloader:
    """Make a downloader from the loopback mirror."""
    return Downloader(
        spoiled_archive.settings(tmp_path / "home", address=loopback.address), HttpFetcher(IMPATIENT), blobs
    )


@pytest.fixture
def wanted(spoiled_archive: FrozenArchive) -> FileReference:
    """Name a .deb that both archives have."""
    data = spoiled_archive.find(NAME).read_bytes()
    return FileReference(
        filename=NAME,
        size_bytes=len(data),
        digest=Digest.of(data),
        location=MAIN,
        archive="debian",
        also=(("debian-security", SECURITY),),
    )


def test_a_file_is_fetched_once(
    downloader: Downloader, wanted: FileReference, blobs: LocalBlobs, loopback: Loopback
) -> None:
    """The second time it is here; it is hashed again, not fetched."""
    assert downloader.fetch(wanted) == wanted.digest
    assert len(blobs.get(wanted.digest)) == wanted.size_bytes
    downloader.fetch(wanted)
    assert loopback.requests == [f"/debian/{MAIN}"]


def test_a_use_is_noted(downloader: Downloader, wanted: FileReference, blobs: LocalBlobs) -> None:
    """What a run needs again is not the first to go from a full cache, however long ago it was fetched."""
    downloader.fetch(wanted)
    os.utime(blobs.path(wanted.digest), (1, 1))
    downloader.fetch(wanted)
    assert blobs.path(wanted.digest).stat().st_mtime > 1


def test_a_package_is_fetched_like_a_file(downloader: Downloader, wanted: FileReference) -> None:
    """What planning names is of the same kind."""
    package = Package(
        name="twice",
        version="4.0-1",
        architecture="amd64",
        filename=wanted.filename,
        size_bytes=wanted.size_bytes,
        digest=wanted.digest,
        location=wanted.location,
        archive=wanted.archive,
    )
    assert downloader.fetch(package) == wanted.digest


def test_a_damaged_blob_is_fetched_again(downloader: Downloader, wanted: FileReference, blobs: LocalBlobs) -> None:
    """Bytes that are no longer their name's are not handed out."""
    downloader.fetch(wanted)
    path = blobs.path(wanted.digest)
    path.chmod(0o644)
    path.write_bytes(b"other")
    downloader.fetch(wanted)
    assert len(blobs.get(wanted.digest)) == wanted.size_bytes


@pytest.mark.parametrize("fault", [Fault.NOT_FOUND, Fault.BROKEN, Fault.BREAKS_OFF, Fault.SLOW])
def test_another_place_is_tried_when_the_first_fails(
    fault: Fault, downloader: Downloader, wanted: FileReference, loopback: Loopback
) -> None:
    """A source can be complete only across two archives."""
    loopback.faults[MAIN] = fault
    assert downloader.fetch(wanted) == wanted.digest
    assert loopback.requests[-1] == f"/debian-security/{SECURITY}"
    assert downloader.notes == ()


@pytest.mark.parametrize("fault", [Fault.FLIPPED, Fault.SHORT])
def test_wrong_bytes_before_right_ones_are_noted(
    fault: Fault, downloader: Downloader, wanted: FileReference, loopback: Loopback
) -> None:
    """The right bytes are used, and a reader learns which file a mirror got wrong."""
    loopback.faults[MAIN] = fault
    assert downloader.fetch(wanted) == wanted.digest
    (note,) = downloader.notes
    assert NAME in note


@pytest.mark.parametrize("fault", [Fault.FLIPPED, Fault.SHORT])
def test_wrong_bytes_everywhere_are_refused(
    fault: Fault, downloader: Downloader, wanted: FileReference, loopback: Loopback, blobs: LocalBlobs
) -> None:
    """A file of another length, too, is wrong bytes and no network failure; nothing is kept."""
    loopback.faults[NAME] = fault
    with pytest.raises(DigestMismatch, match=NAME):
        downloader.fetch(wanted)
    assert not blobs.has(wanted.digest)


def test_wrong_bytes_outrank_a_place_that_is_silent(
    downloader: Downloader, wanted: FileReference, loopback: Loopback
) -> None:
    """What is worth an alarm is not hidden behind a failing network."""
    loopback.faults[f"/debian/{MAIN}"] = Fault.BROKEN
    loopback.faults[SECURITY] = Fault.FLIPPED
    with pytest.raises(DigestMismatch):
        downloader.fetch(wanted)


def test_a_longer_file_is_wrong_bytes(downloader: Downloader, wanted: FileReference) -> None:
    """As when somebody appended to it."""
    with pytest.raises(DigestMismatch, match="found more"):
        downloader.fetch(replace(wanted, size_bytes=wanted.size_bytes - 1, digest=Digest.of(b"x")))


def test_a_file_that_no_place_has_is_unavailable(
    downloader: Downloader, wanted: FileReference, loopback: Loopback
) -> None:
    """404 everywhere is an answer of its own: try a snapshot archive."""
    loopback.faults[NAME] = Fault.NOT_FOUND
    with pytest.raises(SourceUnavailable, match="none of 2 places has it"):
        downloader.fetch(wanted)
    with pytest.raises(SourceUnavailable, match="no configured archive lists it"):
        downloader.fetch(replace(wanted, archive="unheard-of", also=()))


def test_a_failure_names_the_archive_and_not_the_mirror(
    downloader: Downloader, wanted: FileReference, loopback: Loopback
) -> None:
    """It may be published: the label stands for the address."""
    loopback.faults[NAME] = Fault.BROKEN
    with pytest.raises(NetworkFailure, match=rf"^debian/{MAIN}: the server answered 503") as caught:
        downloader.fetch(wanted)
    assert "127.0.0.1" not in str(caught.value)


def test_many_files_are_fetched_with_progress(
    downloader: Downloader, wanted: FileReference, spoiled_archive: FrozenArchive
) -> None:
    """All of them, in their order, and the bytes add up."""
    paths = sorted((spoiled_archive.root / "debian" / "pool").rglob("*.deb"))
    files = [
        FileReference(
            filename=path.name,
            size_bytes=path.stat().st_size,
            digest=Digest.of(path.read_bytes()),
            location=str(path.relative_to(spoiled_archive.root / "debian")),
            archive="debian",
        )
        for path in paths
    ]
    told = Counting()
    assert downloader.fetch_all(files, told, "x") == tuple(file.digest for file in files)
    total = sum(file.size_bytes for file in files)
    assert told.seen[-1] == (total, total)


def test_the_first_failure_of_many_is_raised(downloader: Downloader, wanted: FileReference, loopback: Loopback) -> None:
    """And the others are told one by one to who asks for them so."""
    absent = replace(wanted, filename="absent.deb", digest=Digest.of(b"y"), location="pool/absent.deb", also=())
    with pytest.raises(SourceUnavailable, match=r"absent\.deb"):
        downloader.fetch_all([wanted, absent], Silent(), "x")
    downloader.fetch(wanted)
    loopback.faults[MAIN] = loopback.faults[SECURITY] = Fault.BROKEN
    fine, failure = downloader.attempt_all([wanted, absent], Silent(), "x")
    assert fine is None
    assert isinstance(failure, SourceUnavailable)
    assert not isinstance(failure, NetworkFailure)
