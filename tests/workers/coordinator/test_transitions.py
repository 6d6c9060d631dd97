"""What follows from jobs that end: on the real ledger, with real signatures, from a plan to a published directory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.errors import EngineFailure
from rebuilder.model import codec
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.job import CONTROL_SLOT, SOON, CaseState, JobKind, JobState, NewJob
from rebuilder.model.verdict import Control, Verdict
from tests.attest.factory import reference_bytes
from tests.workers import short
from tests.workers.office import Office
from workers.coordinator.reconcile import sweep
from workers.documents import PlannedPart, PlanReport, SignReport
from workers.lease.desk import nobody_to_wake
from workers.lease.protocol import Claim
from workers.roles.place import Place
from workers.serving import serve


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Make a farm without Celery."""
    return Office(tmp_path)


def the_dossier(office: Office) -> Dossier:
    """Read the one dossier that was published."""
    (directory,) = office.published()
    return codec.parse((directory / "dossier.json").read_bytes(), Dossier)


def broken(claim: Claim, place: Place) -> Digest:
    """Fail as a machine without an engine does."""
    raise EngineFailure("the engine is gone")


def test_a_target_becomes_a_signed_publication(office: Office) -> None:
    """One job after the other, each once; the case is closed, and the ledger has the verdict."""
    office.owe()
    office.work()
    (case,) = office.coordinator.bureau.cases.find()
    assert (case.state, case.verdict) == (CaseState.CLOSED, Verdict.REPRODUCED)
    jobs = office.coordinator.bureau.cases.jobs_of(case.id)
    assert [(job.new.kind, job.state) for job in jobs] == [
        (kind, JobState.DONE) for kind in (JobKind.REBUILD, JobKind.COMPARE, JobKind.SIGN, JobKind.PUBLISH)
    ]
    (directory,) = office.published()
    assert case.directory == directory.relative_to(office.settings.results).as_posix()
    assert list(directory.glob("attestations/*/verdict.dsse.json"))
    (conclusion,) = office.coordinator.bureau.ledger.history("tool")
    assert conclusion.verdict is Verdict.REPRODUCED


def test_a_quorum_is_of_different_fault_domains(office: Office) -> None:
    """Two rebuilds by two builders are one dossier, and the signer's own table of domains agreed."""
    office.owe(quorum=2)
    office.work()
    dossier = the_dossier(office)
    assert dossier.rebuild is not None
    assert len({dossier.rebuild.builder, *(run.builder for run in dossier.others)}) == 2
    assert dossier.verdict is Verdict.REPRODUCED


def test_a_quorum_waits_for_its_second_builder(office: Office) -> None:
    """One builder alone never answers for two."""
    del office.posts["builder-2"]
    office.owe(quorum=2)
    office.work()
    assert office.published() == []
    assert [job.new.kind for job in office.jobs(JobState.READY)] == [JobKind.REBUILD]


def test_builders_that_disagree_are_undecided(office: Office) -> None:
    """Other bytes from one of two builders are published as a disagreement, never averaged."""

    def other(claim: Claim, place: Place) -> Digest:
        return short.rebuild(claim, place, spoil=b"other bytes")

    office.teach("builder-2", other)
    office.owe(quorum=2)
    office.work()
    dossier = the_dossier(office)
    assert (dossier.verdict, dossier.causes) == (Verdict.UNDECIDED, (Cause.DISAGREEMENT,))


def test_a_rebuild_that_fails_for_good_is_published_as_undecided(office: Office) -> None:
    """When all attempts are used up the cause is published, signed; the other share of the quorum is called off."""
    office.teach("builder-1", broken)
    office.teach("builder-2", broken)
    office.owe(quorum=2)
    office.work_to_the_end()
    dossier = the_dossier(office)
    assert (dossier.verdict, dossier.causes) == (Verdict.UNDECIDED, (Cause.INFRASTRUCTURE,))
    assert dossier.reason == "the engine is gone"
    assert dossier.rebuild is None
    (case,) = office.coordinator.bureau.cases.find()
    assert case.state is CaseState.CLOSED


def test_a_comparison_that_fails_for_good_keeps_the_run(office: Office) -> None:
    """The rebuild is published with its record; what could not be compared has no answer."""
    office.teach("comparer", broken)
    office.owe()
    office.work_to_the_end()
    dossier = the_dossier(office)
    assert dossier.rebuild is not None
    assert dossier.verdict is Verdict.UNDECIDED


def test_nothing_is_published_that_the_signer_refuses(office: Office) -> None:
    """A builder whom the signer does not know gets no signature: the case is abandoned, and says why."""
    for path in (office.root / "signer" / "enrolled" / "builder").glob("*.pem"):
        path.unlink()
    office.owe()
    office.work_to_the_end()
    assert office.published() == []
    (case,) = office.coordinator.bureau.cases.find()
    assert case.state is CaseState.ABANDONED
    (failed,) = office.jobs(JobState.FAILED)
    assert (failed.new.kind, failed.cause) == (JobKind.SIGN, Cause.UNTRUSTED_INPUT)


def test_a_signer_that_leaves_a_document_out_publishes_nothing(office: Office) -> None:
    """What is published is every document that follows from the dossier, or nothing."""
    honest = office.posts["signer"].step

    def careless(claim: Claim, place: Place) -> Digest:
        report = place.read(honest(claim, place), SignReport)
        return place.write(replace(report, signed=report.signed[1:]))

    office.teach("signer", careless)
    office.owe()
    office.work_to_the_end()
    assert office.published() == []
    (failed,) = office.jobs(JobState.FAILED)
    assert failed.new.kind is JobKind.SIGN
    assert "is missing" in failed.message


def test_what_policy_refuses_is_published_without_a_plan(office: Office) -> None:
    """Nothing is built; the refusal is signed under the planner's key, which the signer knows."""

    def refusing(claim: Claim, place: Place) -> Digest:
        report = place.read(short.plan(claim, place), PlanReport)
        trust = replace(report.trust, accepted=False, reason="wrong key", cause=Cause.UNTRUSTED_INPUT)
        return place.write(replace(report, trust=trust, parts=(PlannedPart(part=report.parts[0].part),)))

    office.teach("planner", refusing)
    office.owe()
    office.work()
    dossier = the_dossier(office)
    assert (dossier.verdict, dossier.causes) == (Verdict.UNDECIDED, (Cause.UNTRUSTED_INPUT,))
    assert (dossier.plan, dossier.rebuild, dossier.reason) == (None, None, "wrong key")
    assert office.published()[0].name.startswith("unplanned-")


def test_a_difference_is_built_once_more(office: Office) -> None:
    """The control is the same plan in a fresh environment, by whoever is free; a second comparison has both."""

    def other(claim: Claim, place: Place) -> Digest:
        return short.rebuild(claim, place, spoil=b"!<arch>\n")

    office.teach("builder-1", other)
    office.teach("builder-2", other)
    office.blobs.put(b"!<arch>\n")
    office.blobs.put(reference_bytes("tool_1.0-1_amd64.deb"))
    office.owe()
    office.work()
    (case,) = office.coordinator.bureau.cases.find()
    jobs = office.coordinator.bureau.cases.jobs_of(case.id)
    assert [(job.new.kind, job.new.slot) for job in jobs] == [
        (JobKind.REBUILD, 0),
        (JobKind.COMPARE, 0),
        (JobKind.REBUILD, CONTROL_SLOT),
        (JobKind.COMPARE, 1),
        (JobKind.SIGN, 0),
        (JobKind.PUBLISH, 0),
    ]
    dossier = the_dossier(office)
    assert dossier.verdict is Verdict.DIFFERENT
    assert dossier.control is not None
    assert dossier.control.fresh_environment
    assert dossier.comparison.artifacts[0].control is Control.DETERMINISTIC


def test_a_job_of_no_case_blames_no_worker_and_stops_nobody(office: Office) -> None:
    """A comparison that some other program added: its result, its failure and its last lost lease are all taken."""
    comparer, desk = office.posts["comparer"], office.coordinator.desk
    stray = NewJob(kind=JobKind.COMPARE, target="pkg:deb/debian/stray@1.0", suite="trixie", name="stray")
    done, failed, lost = (desk.jobs.add([replace(stray, slot=slot)], office.now())[0] for slot in range(3))

    def claimed(number: int) -> Claim:
        claim = comparer.leases.claim(JobKind.COMPARE, number)
        assert claim is not None
        return claim

    comparer.leases.report_done(claimed(done), office.blobs.put(b"result"))
    comparer.leases.report_failed(claimed(failed), Cause.UNTRUSTED_INPUT, "it has no task")
    while desk.jobs.job(lost).state is not JobState.FAILED:
        claimed(lost)
        office.ahead += timedelta(hours=7)
        sweep(desk, office.settings.farm, nobody_to_wake)
        office.ahead += timedelta(hours=7)
        sweep(desk, office.settings.farm, nobody_to_wake)
    states = [desk.jobs.job(number).state for number in (done, failed, lost)]
    assert states == [JobState.DONE, JobState.FAILED, JobState.FAILED]
    assert desk.ledger.events() == ()
    office.owe()
    office.work()
    assert len(office.published()) == 1


def test_a_case_whose_blobs_are_gone_is_abandoned_and_stops_nobody(office: Office) -> None:
    """What cannot even be said to have failed is noted in the ledger; the sweep goes on to the next lease."""
    office.owe("spoilt")
    office.owe("sound")
    for name in ("planner", "builder-1", "builder-2"):
        serve(office.posts[name])
    for path in (office.blobs.root / "sha256").rglob("*"):
        if path.is_file() and b"building spoilt" in path.read_bytes():
            path.unlink()
    comparer = office.posts["comparer"]
    for _ in range(SOON.attempts or 0):
        while comparer.leases.claim(JobKind.COMPARE) is not None:
            pass
        office.ahead += timedelta(hours=7)
        sweep(office.coordinator.desk, office.settings.farm, nobody_to_wake)
        office.ahead += timedelta(hours=7)
        sweep(office.coordinator.desk, office.settings.farm, nobody_to_wake)
    office.work()
    states = {case.name: case.state for case in office.coordinator.bureau.cases.find()}
    assert states == {"spoilt": CaseState.ABANDONED, "sound": CaseState.CLOSED}
