"""explain: diffoscope's reports beside our own findings. They are for people; no verdict follows from them."""

from __future__ import annotations

from pathlib import Path

from rebuilder.compare.diffoscope import ReportBounds
from rebuilder.compare.explain import add_reports
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.release import FileReference
from rebuilder.stages.world import Workplace
from rebuilder.world.files import storage_errors


def with_reports(
    found: ArtifactComparison, reference: FileReference, output: FileReference, world: Workplace
) -> ArtifactComparison:
    """Add diffoscope's reports on a pair of files, kept as blobs, and notes on what they lack."""
    settings = world.settings
    bounds = ReportBounds(
        timeout_s=settings.report_timeout_s, memory_bytes=settings.report_memory_bytes, scratch=scratch(world)
    )
    paths = world.blobs.path(reference.digest), world.blobs.path(output.digest)
    explained, reports = add_reports(found, *paths, bounds)
    for report in reports:
        world.blobs.put(report.data)
    return explained


def scratch(world: Workplace) -> Path:
    """Return where large scratch files may lie: on the cache's disk, for the system's own directory may be memory."""
    path = world.settings.scratch_dir
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path
