"""Short jobs: a planner and a builder that make up releases and runs, for the real ledger, signer and publisher."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from rebuilder.attest.builder import sign_rebuild
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, NewJob
from rebuilder.model.plan import Plan
from rebuilder.model.release import Release
from rebuilder.model.verdict import Verdict
from rebuilder.origins.origin import Planned
from tests.attest.factory import dossier
from workers.documents import PlannedPart, PlanReport, RebuildReport, RebuildTask
from workers.lease.protocol import Claim
from workers.roles.place import Place, Step

ROOTFS = b"a root file system"
_HOLD_LASTS_S = 120


def owed(name: str, quorum: int = 1) -> NewJob:
    """Owe the plan of a made-up package."""
    target = f"pkg:deb/debian/{name}@1.0-1?arch=source&distro=trixie"
    return NewJob(kind=JobKind.PLAN, target=target, suite="trixie", name=name, quorum=quorum)


def name_of(claim: Claim) -> str:
    """Name the package that a job is about."""
    return claim.target.rpartition("/")[2].partition("@")[0]


def hold_of(kind: JobKind, name: str, *, done: bool) -> str:
    """Name the file that keeps a job from being begun, or from being reported once it is `done`."""
    return f"{kind}-{name}-{'done' if done else 'begun'}"


def held(kind: JobKind, step: Step) -> Step:
    """Have a step wait where a test wants it held, and say in the file that it does."""

    def run(claim: Claim, place: Place) -> Digest:
        holds = place.settings.results.parent / "holds"
        _wait_at(holds / hold_of(kind, name_of(claim), done=False))
        output = step(claim, place)
        _wait_at(holds / hold_of(kind, name_of(claim), done=True))
        return output

    return run


def _wait_at(path: Path) -> None:
    until = time.monotonic() + _HOLD_LASTS_S
    while path.exists() and time.monotonic() < until:
        with suppress(FileNotFoundError), path.open("r+") as file:
            file.write("reached")
        time.sleep(0.05)


def plan(claim: Claim, place: Place) -> Digest:
    """Make up a release of one package that the source makes."""
    name = name_of(claim)
    sample = dossier({name: Verdict.REPRODUCED}).dossier
    assert sample.plan is not None
    assert sample.lock is not None
    release: Release = replace(sample.release, target=claim.target, name=name)
    made: Plan = replace(sample.plan, name=name)
    part = PlannedPart(
        part=release,
        planned=Planned(plan=made, lock=sample.lock),
        rootfs=place.store.put(ROOTFS),
    )
    return place.write(PlanReport(release=release, trust=sample.trust, parts=(part,)))


def rebuild(claim: Claim, place: Place, *, spoil: bytes = b"") -> Digest:
    """Make up a run that gives what was published, after a moment."""
    task = place.read(claim.input, RebuildTask)
    assert claim.ordinal is not None
    time.sleep(Random(f"{claim.job}/{claim.fence}").uniform(0.05, 0.4))  # noqa: S311 - a pause
    sample = dossier({task.plan.name: Verdict.REPRODUCED})
    assert sample.dossier.rebuild is not None
    now = datetime.now(UTC).replace(microsecond=0)
    made = replace(
        sample.dossier.rebuild,
        plan=Digest.of(codec.render(task.plan)),
        builder=place.signer.public_key.keyid,
        ordinal=claim.ordinal,
        log=place.store.put(f"building {task.plan.name}\n".encode() * 50),
        fresh_environment=task.fresh,
        started_at=now,
        finished_at=now,
    )
    if spoil:
        first, *rest = made.outputs
        made = replace(made, outputs=(replace(first, digest=Digest.of(spoil), size_bytes=len(spoil)), *rest))
    place.store.put(b"Format: 1.0\nSource: sample\n")
    return place.write(RebuildReport(record=place.store.put(sign_rebuild(made, place.signer))))
