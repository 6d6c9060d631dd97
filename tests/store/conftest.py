"""Nouns to record, and a ledger to record them in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.model.cause import Cause
from rebuilder.model.comparison import ArtifactComparison, Comparison, Stabilizer
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.rebuild import Machine, Rebuild
from rebuilder.model.release import Artifact, FileReference, Release
from rebuilder.model.trust import Trust
from rebuilder.model.verdict import Outcome, Verdict
from rebuilder.store.database import Database
from rebuilder.store.ledger import Ledger, open_ledger

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
PLAN = Digest.of(b"plan")
BUILDER = "b" * 64


def reference(filename: str, content: bytes = b"published") -> FileReference:
    """Make a published file with that content."""
    return FileReference(
        location=f"pool/main/{filename}", filename=filename, size_bytes=len(content), digest=Digest.of(content)
    )


def release(name: str = "demo", version: str = "1.0-1", content: bytes = b"published") -> Release:
    """Make a release of one artifact."""
    filename = f"{name}_{version}_amd64.deb"
    artifact = Artifact(
        name=name, version=version, architecture="amd64", filename=filename, reference=reference(filename, content)
    )
    return Release(
        target=f"pkg:deb/debian/{name}@{version}?arch=source&distro=trixie",
        ecosystem="deb",
        distribution="debian",
        suite="trixie",
        name=name,
        version=version,
        artifacts=(artifact,),
        sources=(reference(f"{name}_{version}.dsc", b"source"),),
        evidence=(),
    )


def rebuild(ordinal: int = 0, plan: Digest = PLAN, reason: str = "") -> Rebuild:
    """Make a run that made one file."""
    return Rebuild(
        plan=plan,
        builder=BUILDER,
        ordinal=ordinal,
        outcome=Outcome.SUCCEEDED,
        reason=reason,
        outputs=(reference("demo_1.0-1_amd64.deb", b"rebuilt"),),
        log=Digest.of(b"log"),
        environment_tree=Digest.of(b"tree"),
        fresh_environment=True,
        machine=Machine(kernel="6.1", cpu_model="cpu", engine="docker 20.10"),
        started_at=NOON,
        finished_at=NOON + timedelta(minutes=1),
    )


def dossier(
    verdict: Verdict = Verdict.REPRODUCED,
    *,
    name: str = "demo",
    version: str = "1.0-1",
    days: int = 0,
    ordinal: int = 0,
    causes: tuple[Cause, ...] = (),
) -> Dossier:
    """Make a conclusion about one artifact, so many days after the first."""
    published = release(name, version)
    filename = published.artifacts[0].filename
    comparison = ArtifactComparison(
        filename=filename,
        verdict=verdict,
        causes=causes,
        reference=published.artifacts[0].reference,
        rebuilt=reference(filename, b"rebuilt"),
        stabilizers=(Stabilizer(name="elf-build-id", version=1),) if verdict is Verdict.EQUIVALENT else (),
    )
    return Dossier(
        release=published,
        architecture="amd64",
        trust=Trust(accepted=True, reason="signed", cause=None, policy=Digest.of(b"policy"), evidence=()),
        plan=None,
        lock=None,
        rebuild=rebuild(ordinal, Digest.of(f"{name} {version}".encode())),
        control=None,
        comparison=Comparison(rule="deb/1", artifacts=(comparison,)),
        tools=(("rebuilder", "0.1"),),
        concluded_at=NOON + timedelta(days=days),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Ledger:
    """Make an empty ledger."""
    return open_ledger(path)


@pytest.fixture
def conclude(ledger: Ledger) -> Callable[..., Digest]:
    """Record a dossier with these particulars."""

    def record(verdict: Verdict = Verdict.REPRODUCED, **particulars: object) -> Digest:
        made = dossier(verdict, **particulars)  # type: ignore[arg-type]
        return ledger.record_comparison(made, f"deb/{made.release.name}/{made.release.version}/amd64/run")

    return record


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Give an empty ledger's database, of either kind."""
    if request.param == "sqlite":
        return Database(tmp_path / "state" / "ledger.sqlite")
    made: Database = request.getfixturevalue("postgres_database")
    return made
