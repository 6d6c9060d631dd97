"""How far a case has come, read from the reports of its jobs; each was verified when it was reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.attest.builder import verify_rebuild
from rebuilder.attest.comparer import Compared, verify_comparison
from rebuilder.errors import HostileInput
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.job import CONTROL_SLOT, Case, Job, JobKind, JobState
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust
from rebuilder.origins.origin import Planned
from rebuilder.stages.attempt import Attempt, Run
from workers.coordinator.bureau import Bureau
from workers.documents import CompareReport, CompareTask, RebuildReport, RebuildTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A case and the jobs that it has by now."""

    case: Case
    jobs: tuple[Job, ...]

    def shares(self) -> tuple[Job, ...]:
        """The rebuilds of the quorum, by slot."""
        ours = (job for job in self.jobs if job.new.kind is JobKind.REBUILD and job.new.slot < CONTROL_SLOT)
        return tuple(sorted(ours, key=lambda job: job.new.slot))

    def control(self) -> Job | None:
        """The control rebuild, if there is one."""
        return self._one(JobKind.REBUILD, CONTROL_SLOT)

    def comparison(self) -> Job | None:
        """The newest comparison, with the control if there was one, that is done."""
        done = (job for job in self.jobs if job.new.kind is JobKind.COMPARE and job.state is JobState.DONE)
        return max(done, key=lambda job: job.new.slot, default=None)

    def is_rebuilt(self) -> bool:
        """Whether every rebuild of the quorum is done."""
        shares = self.shares()
        return len(shares) == self.case.quorum and all(job.state is JobState.DONE for job in shares)

    def is_concluded(self) -> bool:
        """Whether a dossier is signed or will be: nothing else of the case counts any more."""
        return self._one(JobKind.SIGN, 0) is not None

    def _one(self, kind: JobKind, slot: int) -> Job | None:
        return next((job for job in self.jobs if (job.new.kind, job.new.slot) == (kind, slot)), None)


def run_of(job: Job, bureau: Bureau) -> Run:
    """Read what a finished rebuild job gave; raise unless an enrolled builder signed it, for the job's own plan."""
    report = bureau.read(job.output, RebuildReport)
    record = bureau.blobs.get(report.record)
    builder = bureau.jobs.leases_of(job.id)[-1].worker
    rebuild = verify_rebuild(record, (bureau.key(builder),))
    if rebuild.plan != job.new.plan:
        raise HostileInput(f"job {job.id}: expected a run of plan {job.new.plan}, found one of {rebuild.plan}")
    return Run(rebuild=rebuild, record=record)


def compared_in(job: Job, bureau: Bureau) -> tuple[Compared, Digest]:
    """Read what a comparison gave, and its record; raise unless its comparer signed it about the task's own values."""
    task = bureau.read(job.new.input, CompareTask)
    report = bureau.read(job.output, CompareReport)
    comparer = bureau.jobs.leases_of(job.id)[-1].worker
    compared = verify_comparison(bureau.blobs.get(report.record), (bureau.key(comparer),))
    found = (compared.release, compared.rebuild, compared.control, compared.others)
    if found != what_of(task):
        raise HostileInput(f"job {job.id}: the comparer signed a comparison of something else than it was given")
    return compared, report.record


def what_of(task: CompareTask) -> tuple[Digest, Digest, Digest | None, tuple[Digest, ...]]:
    """Name by digest what is compared."""
    return (
        Digest.of(codec.render(task.part)),
        Digest.of(codec.render(task.rebuild)),
        Digest.of(codec.render(task.control)) if task.control is not None else None,
        tuple(Digest.of(codec.render(other)) for other in task.others),
    )


def compare_task(standing: Standing, bureau: Bureau) -> CompareTask:
    """Say what is to be compared: the first builder's rebuild, beside the others' and the control."""
    first, *others = (run_of(job, bureau).rebuild for job in standing.shares())
    control = standing.control()
    return CompareTask(
        part=bureau.read(standing.case.release, Release),
        rebuild=first,
        others=tuple(others),
        control=run_of(control, bureau).rebuild if control is not None else None,
    )


def control_task(standing: Standing, bureau: Bureau) -> RebuildTask:
    """Give the task of the control rebuild: the same plan in a fresh environment."""
    task = bureau.read(standing.shares()[0].new.input, RebuildTask)
    return RebuildTask(plan=task.plan, lock=task.lock, rootfs=task.rootfs, fresh=True)


def attempt_of(standing: Standing, bureau: Bureau) -> Attempt:
    """Gather everything that is known of a case."""
    case = standing.case
    planned = bureau.read(case.planned, Planned) if case.planned is not None else None
    runs = _runs(standing.shares(), bureau) if standing.is_rebuilt() else ()
    control, comparison = standing.control(), standing.comparison()
    return Attempt(
        name=case.name,
        part=bureau.read(case.release, Release),
        trust=bureau.read(case.trust, Trust),
        planned=planned,
        run=runs[0] if runs else None,
        others=tuple(runs[1:]),
        control=run_of(control, bureau) if control is not None and control.state is JobState.DONE else None,
        comparison=compared_in(comparison, bureau)[0].comparison if comparison is not None else None,
    )


def _runs(jobs: Sequence[Job], bureau: Bureau) -> tuple[Run, ...]:
    return tuple(run_of(job, bureau) for job in jobs)
