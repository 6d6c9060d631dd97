"""compare and explain: what differs between a release and a rebuild, and what a reader is shown of it."""

from __future__ import annotations

from rebuilder.compare import judge
from rebuilder.compare.rule import rule_for
from rebuilder.compare.sandbox import Bounds, compare_in_child
from rebuilder.model.comparison import ArtifactComparison, Comparison
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import FileReference, Release
from rebuilder.stages.explaining import scratch, with_reports
from rebuilder.stages.world import Workplace


def compare(part: Release, rebuild: Rebuild, world: Workplace, *, name: str) -> Comparison:
    """Compare each artifact with its rebuild; those whose digests differ are opened in a caged child, and explained."""
    compared: dict[str, ArtifactComparison] = {}
    for reference, output in judge.pairs_to_open(part, rebuild):
        world.progress.phase(name, "compare", f"{reference.filename}, member by member")
        found = _compare_pair(part, reference, output, world)
        world.progress.phase(name, "explain", f"{reference.filename}, with diffoscope")
        compared[reference.filename] = with_reports(found, reference, output, world)
    world.progress.phase(name, "compare", f"{len(part.artifacts)} artifacts")
    return judge.judge(part, rebuild, compared)


def with_control(comparison: Comparison, control: Rebuild) -> Comparison:
    """Say of each difference whether it came back in the control rebuild."""
    return judge.judge_control(comparison, control)


def _compare_pair(
    part: Release, reference: FileReference, output: FileReference, world: Workplace
) -> ArtifactComparison:
    return compare_in_child(
        world.blobs.path(reference.digest),
        world.blobs.path(output.digest),
        filename=reference.filename,
        rule=rule_for(part.ecosystem),
        bounds=Bounds(scratch=scratch(world)),
    )
