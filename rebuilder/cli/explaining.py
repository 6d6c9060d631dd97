"""The work behind `rebuilder explain`: our own comparison in its cage and, where asked for, diffoscope's report."""

from __future__ import annotations

from pathlib import Path

from rebuilder.compare.diffoscope import ReportBounds
from rebuilder.compare.explain import explain, rule_of
from rebuilder.compare.sandbox import compare_in_child
from rebuilder.config import Settings
from rebuilder.errors import ToolFailure
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.verdict import Verdict
from rebuilder.world.files import write_atomically

_HTML = "diffoscope-html"


def compare_files(reference: Path, rebuilt: Path) -> ArtifactComparison:
    """Compare under the rule that the files' names ask for."""
    return compare_in_child(reference, rebuilt, filename=reference.name, rule=rule_of(reference, rebuilt))


def compare_and_report(reference: Path, rebuilt: Path, html: Path, settings: Settings) -> ArtifactComparison:
    """Compare as above, and write diffoscope's HTML report; raise ToolFailure when there is none to write."""
    bounds = ReportBounds(timeout_s=settings.report_timeout_s, memory_bytes=settings.report_memory_bytes)
    found = explain(reference, rebuilt, report_bounds=bounds)
    if found.comparison.verdict is Verdict.REPRODUCED:
        return found.comparison
    report = next((each for each in found.reports if each.kind == _HTML), None)
    if report is None:
        raise ToolFailure(
            f"diffoscope gave no HTML report: {'; '.join(found.comparison.report_notes) or 'without a reason'}",
            hint="leave --html out for our own comparison; `rebuilder doctor` says what diffoscope lacks",
        )
    write_atomically(html, report.data)
    return found.comparison
