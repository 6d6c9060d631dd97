"""A published chain of trust, verified again by a reader who has the documents and a keyring, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.errors import DigestMismatch, SignatureRefused, UntrustedError
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.origins.debian.recheck import reauthenticate
from rebuilder.store.blobs import LocalBlobs
from tests.archive.frozen import FrozenArchive
from tests.attest.factory import dossier
from tests.origins.debian.conftest import OpenArchive

NOW = datetime.now(UTC)


@pytest.fixture
def concluded(standard_archive: FrozenArchive, open_archive: OpenArchive) -> Dossier:
    """Resolve a release of the frozen archive; its signed documents are among the blobs."""
    release = open_archive(standard_archive).resolve("deb:trixie/greeter", NOW)
    return replace(dossier().dossier, release=release)


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    """Where the resolved release's documents lie, as they do beside published results."""
    return tmp_path / "home" / "blobs"


def test_the_chain_holds_down_to_each_file(concluded: Dossier, blobs: Path, standard_archive: FrozenArchive) -> None:
    """Keyring, InRelease, index, digest: each step is said."""
    said = reauthenticate(concluded, blobs, [standard_archive.keyring])
    assert len(said) == 3
    assert said[0].endswith("InRelease files are signed by keys of the given archive keyring")
    assert said[2].startswith("every published artifact and every source file")


def test_without_the_documents_nothing_is_claimed(
    concluded: Dossier, blobs: Path, standard_archive: FrozenArchive
) -> None:
    """A reader who was not given the indices is told nothing about them."""
    shutil.rmtree(blobs)
    assert reauthenticate(concluded, blobs, [standard_archive.keyring]) == ()


def test_another_keyring_refuses(concluded: Dossier, blobs: Path, standard_archive: FrozenArchive) -> None:
    """A developer's key signs no archive."""
    with pytest.raises(SignatureRefused):
        reauthenticate(concluded, blobs, [standard_archive.developers])


def test_a_reference_that_no_index_names(concluded: Dossier, blobs: Path, standard_archive: FrozenArchive) -> None:
    """The digest swapped attack: a dossier whose reference is not what the archive signed."""
    first, *rest = concluded.release.artifacts
    assert first.reference is not None
    swapped = replace(first, reference=replace(first.reference, digest=Digest.of(b"another")))
    lying = replace(concluded, release=replace(concluded.release, artifacts=(swapped, *rest)))
    with pytest.raises(DigestMismatch, match="none of the published signed indices names it"):
        reauthenticate(lying, blobs, [standard_archive.keyring])


def test_an_index_that_no_inrelease_names(concluded: Dossier, blobs: Path, standard_archive: FrozenArchive) -> None:
    """The slipped-in index attack: an index of the publisher's own among the documents."""
    forged = LocalBlobs(blobs).put(b"Package: greeter\nVersion: 1.0-1\n")
    lying = replace(concluded, release=replace(concluded.release, indices=(*concluded.release.indices, forged)))
    with pytest.raises(DigestMismatch, match="none of the published signed InRelease files names it"):
        reauthenticate(lying, blobs, [standard_archive.keyring])


def test_documents_of_another_suite(concluded: Dossier, blobs: Path, standard_archive: FrozenArchive) -> None:
    """The borrowed suite attack: signed by the right key, for something else."""
    lying = replace(concluded, release=replace(concluded.release, suite="bookworm"))
    with pytest.raises(UntrustedError, match="is published for a release of bookworm"):
        reauthenticate(lying, blobs, [standard_archive.keyring])
