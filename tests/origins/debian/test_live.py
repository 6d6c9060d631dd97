"""The live archive, as the machine's apt configuration names it: invariants are asserted, values printed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.config import Settings
from rebuilder.errors import StaleInput
from rebuilder.model.evidence import Standing
from rebuilder.origins.debian.archive import DebianArchive
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world.http import HttpFetcher

pytestmark = pytest.mark.live

Say = Callable[[str], None]
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one cache for the module."""
    return tmp_path_factory.mktemp("live")


def open_archive(home: Path) -> DebianArchive:
    """Open the machine's archives as a fresh process would."""
    settings = Settings(cache=home / "cache", state=home / "state", results=home / "results")
    return DebianArchive(settings, HttpFetcher(), LocalBlobs(home / "blobs"))


@pytest.mark.parametrize("target", ["deb:trixie/cjson", "deb:bookworm/cjson", "deb:trixie/git", "deb:trixie/0ad"])
def test_a_live_release_is_resolved_and_traced_to_debians_keys(target: str, home: Path, say: Say) -> None:
    """Whatever the versions are today: artifacts with references, one .dsc, every piece of the chain verified."""
    archive = open_archive(home)
    release = archive.resolve(target, NOW)
    trust = archive.authenticate(release, NOW, download=False)
    say(
        f"{target}: {release.version}: {', '.join(artifact.filename for artifact in release.artifacts)}: {trust.reason}"
    )
    assert trust.accepted
    assert all(artifact.reference for artifact in release.artifacts)
    assert sum(file.filename.endswith(".dsc") for file in release.sources) == 1
    chain = [piece for piece in trust.evidence if piece.scheme in {"openpgp-inrelease", "apt-index"}]
    assert all(piece.outcome is Standing.VERIFIED for piece in chain)
    assert all(piece.scheme != "openpgp-inrelease" or "debian-archive" in (piece.issuer or "") for piece in chain)


def test_sid_is_fresh_or_refused_as_stale(home: Path, say: Say) -> None:
    """A mirror may let a suite expire; then nothing is concluded from it."""
    try:
        words = open_archive(home).resolve("deb:sid/cjson", NOW).version
    except StaleInput as refusal:
        words = str(refusal)
    say(words)
    assert words[0].isdigit() or "debian sid InRelease: expired on" in words
