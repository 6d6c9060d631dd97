"""rebuild: one run of a plan on this machine, from blobs alone, signed by the builder."""

from __future__ import annotations

from rebuilder.attest.builder import sign_rebuild
from rebuilder.compare.judge import cause_of
from rebuilder.errors import DigestMismatch, HostileInput, WorldError
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.job import JobKind, retry_rule
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Outcome
from rebuilder.origins.registry import origin_of
from rebuilder.progress import About
from rebuilder.stages.building import Turn, run
from workers.documents import RebuildReport, RebuildTask
from workers.lease.protocol import Claim
from workers.roles.nowhere import Nowhere
from workers.roles.place import Place, inputs_of


def rebuild(claim: Claim, place: Place) -> Digest:
    """Run the task's plan once.

    1. Every file of the plan is brought here by its digest; nothing is downloaded from anywhere else.
    2. The base image is loaded from its root file system, and has the id that the plan names.
    3. The plan runs under the number that was reserved for this claim, and the builder signs what it saw.
    4. A build that failed is tried again, late and few times; in the end that it failed is the answer.
    """
    task = place.read(claim.input, RebuildTask)
    plan = task.plan
    if claim.ordinal is None:
        raise HostileInput(f"job {claim.job}: expected the number of this run, found none")
    if Digest.of(codec.render(task.lock)) != plan.environment.lock:
        raise DigestMismatch(f"job {claim.job}: the task's lock is not the one that its plan names")
    # 1.
    place.progress.phase(claim.target, "fetch", "inputs from the farm's blobs")
    place.bring((*inputs_of(plan), task.rootfs))
    origin = origin_of(plan.ecosystem, place.settings, Nowhere(), place.blobs, About(place.progress, claim.target))
    # 2.
    origin.load(task.lock, place.blobs.path(task.rootfs), place.engine(), expected=plan.environment.image)
    # 3.
    ordinal = claim.ordinal
    keyid = place.signer.public_key.keyid
    turn = Turn(builder=keyid, ordinal=lambda: ordinal, name=claim.target, fresh=task.fresh)
    made = run(plan, origin, place, turn)
    # 4.
    _try_again(made, claim)
    place.give((made.log, *(output.digest for output in made.outputs)))
    record = place.store.put(sign_rebuild(made, place.signer))
    return place.write(RebuildReport(record=record))


def _try_again(made: Rebuild, claim: Claim) -> None:
    if made.outcome is Outcome.SUCCEEDED:
        return
    cause = cause_of(made.outcome)
    if retry_rule(cause, JobKind.REBUILD).is_left(claim.attempt):
        failure = WorldError(made.reason)
        failure.cause = cause
        raise failure
