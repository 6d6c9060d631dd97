"""compare: what differs between a part of a release and its rebuild, signed by the comparer."""

from __future__ import annotations

from rebuilder.attest.comparer import Compared, sign_comparison
from rebuilder.compare.judge import pairs_to_open
from rebuilder.compare.quorum import judge_quorum
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.stages.comparing import compare as compare_stage
from rebuilder.stages.comparing import with_control
from workers.documents import CompareReport, CompareTask
from workers.lease.protocol import Claim
from workers.roles.place import Place


def compare(claim: Claim, place: Place) -> Digest:
    """Compare the task's part with its rebuild, its control, and the other builders' rebuilds."""
    task = place.read(claim.input, CompareTask)
    for reference, output in pairs_to_open(task.part, task.rebuild):
        place.bring((reference.digest, output.digest))
    found = compare_stage(task.part, task.rebuild, place, name=claim.target)
    if task.control is not None:
        found = with_control(found, task.control)
    found = judge_quorum(found, task.rebuild, task.others)
    place.give(digest for artifact in found.artifacts for _, digest in artifact.reports)
    compared = Compared(
        release=Digest.of(codec.render(task.part)),
        rebuild=Digest.of(codec.render(task.rebuild)),
        control=Digest.of(codec.render(task.control)) if task.control is not None else None,
        others=tuple(Digest.of(codec.render(other)) for other in task.others),
        comparison=found,
    )
    return place.write(CompareReport(record=place.store.put(sign_comparison(compared, place.signer))))
