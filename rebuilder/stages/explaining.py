"""explain: diffoscope's reports beside our own findings. They are for people; no verdict follows from them."""

from __future__ import annotations

from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.release import FileReference
from rebuilder.stages.world import World


def with_reports(
    found: ArtifactComparison, reference: FileReference, output: FileReference, world: World
) -> ArtifactComparison:
    """Add the reports on a pair of files, and what they lack."""
    return found
