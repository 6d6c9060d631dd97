"""What follows from each job that ended, in the transaction in which it ended.

    plan     done: a case for each part, and its rebuilds; where nothing can be rebuilt, its signature at once
    rebuild  done: when all of the quorum are, their comparison; after a control rebuild, the comparison once more
             failed for good: an undecided dossier with the cause, its signature
    compare  done: where a difference wants one, a control rebuild; else the dossier, its signature
    sign     done: the publication
    publish  done: the case is closed

(case, kind, slot) names a job, so whatever follows twice is there once. What is slow (reading reports, compressing a
log) happens before the transaction wherever only one job can lead to it.

A job of no case, other than a plan, is the ledger's fault and no worker's: its report is taken, and leads to nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from sqlalchemy.engine import Connection

from rebuilder.attest.derive import places
from rebuilder.attest.evidence_files import SIGNED_ROOTS
from rebuilder.attest.keys import parse_public_key
from rebuilder.compare.judge import needs_control
from rebuilder.errors import HostileInput, RebuilderError
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.job import CONTROL_SLOT, Case, CaseState, Job, JobKind, JobState, NewJob, Purpose
from rebuilder.stages.attempt import Attempt
from rebuilder.stages.attesting import record
from rebuilder.stages.concluding import architecture_of
from rebuilder.store import farm_tables
from rebuilder.store.by_hand import cancel
from rebuilder.store.cases import abandon_case, case_of, close_case, conclude_case, jobs_of, open_case
from rebuilder.store.jobs import Then, add_jobs
from rebuilder.store.ordinals import reserve_ordinal
from workers.coordinator.bureau import Bureau
from workers.coordinator.concluding import Concluded, Tried, sign_task, stopped_by
from workers.coordinator.standing import (
    Standing,
    attempt_of,
    compare_task,
    compared_in,
    control_task,
    run_of,
)
from workers.documents import (
    NamedBlob,
    PlannedPart,
    PlanReport,
    PublishReport,
    PublishTask,
    RebuildTask,
    SignReport,
    SignTask,
    Stopped,
)
from workers.scheduling import rule_for


class Transitions:
    """See `workers.lease.desk.Follow`."""

    def __init__(self, bureau: Bureau) -> None:
        self._bureau = bureau

    def done(self, job: Job, output: Digest) -> Then | None:
        """See Follow.done."""
        if job.state is not JobState.LEASED or _is_stray(job):
            return None  # the report is late, or told again: the ledger says so
        job = replace(job, output=output)
        match job.new.kind:
            case JobKind.PLAN:
                return self._planned(job)
            case JobKind.REBUILD:
                return self._rebuilt(job)
            case JobKind.COMPARE:
                return self._compared(job)
            case JobKind.SIGN:
                return self._signed(job)
            case JobKind.PUBLISH:
                return self._published(job)
            case _:
                assert_never(job.new.kind)

    def failed(self, job: Job) -> Then | None:
        """See Follow.failed. It may run in any transaction, as an expiring lease's: what it leads to is made there."""
        if _is_stray(job):
            return None
        match job.new.kind:
            case JobKind.PLAN:
                return None  # nothing was resolved, so there is nothing to publish: the failed job tells
            case JobKind.REBUILD | JobKind.COMPARE:
                return self._give_up
            case JobKind.SIGN | JobKind.PUBLISH:
                return self._abandon
            case _:
                assert_never(job.new.kind)

    def _planned(self, job: Job) -> Then:
        bureau = self._bureau
        report = bureau.read(job.output, PlanReport)
        now = bureau.now()
        bureau.ledger.record_release(report.release, now)
        bureau.ledger.observe_artifacts(report.release, now)

        def then(connection: Connection, job: Job) -> None:
            for part in report.parts:
                self._open(connection, job, report, part)

        return then

    def _open(self, connection: Connection, job: Job, report: PlanReport, part: PlannedPart) -> None:
        """Open the case of one part; owe its rebuilds, or its signature where nothing is rebuilt."""
        bureau, at = self._bureau, self._bureau.now()
        planned = part.planned
        opening = Case(
            id=0,
            target=job.new.target,
            suite=job.new.suite,
            name=job.new.name,
            version=planned.plan.version if planned is not None else part.part.version,
            architecture=architecture_of(part.part),
            purpose=job.new.purpose,
            quorum=job.new.quorum,
            state=CaseState.OPEN,
            release=bureau.write(part.part),
            trust=bureau.write(report.trust),
            planned=bureau.write(planned) if planned is not None else None,
            opened_at=at,
        )
        case = replace(opening, id=open_case(connection, job, opening))
        if planned is None or part.rootfs is None or part.stopped is not None:
            attempt = Attempt(name=case.name, part=part.part, trust=report.trust, planned=planned)
            self._conclude_stopped(connection, job, Standing(case=case, jobs=()), attempt, part.stopped)
            return
        task = RebuildTask(plan=planned.plan, lock=planned.lock, rootfs=part.rootfs, fresh=case.quorum > 1)
        rule = rule_for(case.name, bureau.settings.farm)
        wanted = replace(
            _next(case, JobKind.REBUILD, bureau.write(task)),
            plan=Digest.of(codec.render(planned.plan)),
            tags=(planned.plan.environment.architecture, *rule.tags),
            resources=rule.resources,
        )
        add_jobs(connection, (replace(wanted, slot=slot) for slot in range(case.quorum)), at)

    def _rebuilt(self, job: Job) -> Then:
        run = run_of(job, self._bureau)
        self._bureau.ledger.record_rebuild(run.rebuild)

        def then(connection: Connection, job: Job) -> None:
            standing = _standing(connection, job)
            if standing.is_rebuilt() and not standing.is_concluded():
                task = self._bureau.write(compare_task(standing, self._bureau))
                slot = 1 if job.new.slot == CONTROL_SLOT else 0
                self._owe(connection, replace(_next(standing.case, JobKind.COMPARE, task), slot=slot))

        return then

    def _compared(self, job: Job) -> Then:
        """Decide between a control rebuild and the end; only one comparison of a case is owed at a time."""
        bureau = self._bureau
        compared, signed = compared_in(job, bureau)
        number = _case_number(job)
        jobs = (
            each if each.id != job.id else replace(job, state=JobState.DONE) for each in bureau.cases.jobs_of(number)
        )
        standing = Standing(case=bureau.cases.case(number), jobs=tuple(jobs))
        wants = bureau.settings.policy.control_rebuild and needs_control(compared.comparison)
        if wants and standing.control() is None:
            task = bureau.write(control_task(standing, bureau))
            first = standing.shares()[0].new
            control = replace(first, input=task, slot=CONTROL_SLOT, purpose=Purpose.CONTROL)
            return lambda connection, _: self._owe(connection, control)
        concluded = self._conclude(attempt_of(standing, bureau), standing.case, signed)

        def then(connection: Connection, job: Job) -> None:
            self._owe_signature(connection, _standing(connection, job), concluded)

        return then

    def _give_up(self, connection: Connection, job: Job) -> None:
        """Publish why there is no answer; a case about which not even that can be said (a blob is gone) is abandoned.

        Either way the failure itself stays noted: one spoilt case never keeps others from being swept.
        """
        try:
            with connection.begin_nested():
                self._conclude_failure(connection, job)
        except RebuilderError:
            self._abandon(connection, job)

    def _conclude_failure(self, connection: Connection, job: Job) -> None:
        """Publish what is known by now, with the cause of the failure; the other rebuilds of the quorum are in vain."""
        standing = _standing(connection, job)
        if standing.is_concluded() or job.cause is None:
            return
        stopped = Stopped(cause=job.cause, reason=job.message)
        attempt = attempt_of(standing, self._bureau)
        self._conclude_stopped(connection, job, standing, attempt, stopped)
        vain = (farm_tables.jobs.c.case == standing.case.id) & (farm_tables.jobs.c.kind == JobKind.REBUILD)
        cancel(connection, vain, self._bureau.now(), f"job {job.id} of the same case failed: {job.message}"[:1000])

    def _abandon(self, connection: Connection, job: Job) -> None:
        abandon_case(connection, _case_number(job), self._bureau.now())

    def _conclude_stopped(
        self, connection: Connection, job: Job, standing: Standing, attempt: Attempt, stopped: Stopped | None
    ) -> None:
        if stopped is not None:
            attempt = replace(attempt, error=stopped_by(stopped))
        comparison = standing.comparison()
        signed = compared_in(comparison, self._bureau)[1] if comparison is not None else None
        tried = None
        if attempt.run is None:
            key = parse_public_key(self._bureau.holder(job).pem.encode())
            subject = attempt.planned.plan if attempt.planned is not None else attempt.part
            at = self._bureau.now()
            ordinal = reserve_ordinal(connection, Digest.of(codec.render(subject)), key.keyid, at)
            tried = Tried(by=key, ordinal=ordinal)
        self._owe_signature(connection, standing, self._conclude(attempt, standing.case, signed, tried))

    def _conclude(
        self, attempt: Attempt, case: Case, comparison: Digest | None, tried: Tried | None = None
    ) -> Concluded:
        return sign_task(attempt, self._bureau, tried=tried, comparison=comparison, quorum=case.quorum)

    def _owe_signature(self, connection: Connection, standing: Standing, concluded: Concluded) -> None:
        if standing.is_concluded():
            return
        task = concluded.task
        conclude_case(
            connection,
            standing.case.id,
            comparison=task.comparison,
            dossier=concluded.dossier,
            verdict=task.dossier.verdict,
        )
        self._owe(connection, _next(standing.case, JobKind.SIGN, concluded.input))

    def _signed(self, job: Job) -> Then:
        """Publish exactly the documents that follow from the dossier, every one of them signed, and the evidence."""
        bureau = self._bureau
        task, report = bureau.read(job.new.input, SignTask), bureau.read(job.output, SignReport)
        expected = {place.path for place in places(task.dossier, task.context)}
        if (found := {document.path for document in report.signed}) != expected:
            odd = sorted(found ^ expected)[0]
            raise HostileInput(f"job {job.id}: {odd} is {'missing' if odd in expected else 'no document of the case'}")
        evidence = (NamedBlob(path=each.path, digest=each.digest) for each in task.context.documents)
        publication = PublishTask(
            dossier=bureau.write(task.dossier),
            rebuild_id=report.rebuild_id,
            documents=(*evidence, *report.signed),
        )
        owed = _next(bureau.cases.case(_case_number(job)), JobKind.PUBLISH, bureau.write(publication))
        return lambda connection, _: self._owe(connection, owed)

    def _published(self, job: Job) -> Then:
        """Let the ledger know what was published; the case is closed."""
        bureau = self._bureau
        number = _case_number(job)
        directory = bureau.read(job.output, PublishReport).directory
        task = bureau.read(job.new.input, PublishTask)
        evidence = {document.path: document.digest for document in task.documents}
        signed = {path: digest for path, digest in evidence.items() if path.startswith(SIGNED_ROOTS)}
        dossier = bureau.read(task.dossier, Dossier)
        record(dossier, directory, signed, key=bureau.attester.keyid, ledger=bureau.ledger)
        return lambda connection, _: close_case(connection, number, bureau.now(), directory=directory)

    def _owe(self, connection: Connection, job: NewJob) -> None:
        add_jobs(connection, (job,), self._bureau.now())


def _next(case: Case, kind: JobKind, task: Digest) -> NewJob:
    return NewJob(
        kind=kind,
        target=case.target,
        suite=case.suite,
        name=case.name,
        case=case.id,
        input=task,
        purpose=case.purpose,
        quorum=case.quorum,
    )


def _is_stray(job: Job) -> bool:
    """Whether a job lacks the case that it should be of; `rebuilder ledger check` names it."""
    return job.new.case is None and job.new.kind is not JobKind.PLAN


def _case_number(job: Job) -> int:
    assert job.new.case is not None  # noqa: S101 - stray jobs lead to nothing
    return job.new.case


def _standing(connection: Connection, job: Job) -> Standing:
    """Read the case of a job, and keep its other jobs from ending until this one has."""
    number = _case_number(job)
    case = case_of(connection, number, lock=True)
    return Standing(case=case, jobs=jobs_of(connection, number))
