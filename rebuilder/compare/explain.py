"""Two local files of any kind, compared and reported on: what `rebuilder explain A B` shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rebuilder.compare.diffoscope import Report, ReportBounds, Reports, report_on
from rebuilder.compare.inference import infer
from rebuilder.compare.rule import BYTES, DEB, Rule
from rebuilder.compare.sandbox import Bounds, compare_in_child
from rebuilder.errors import HostileInput, UnknownTarget
from rebuilder.model.comparison import ArtifactComparison, Inference
from rebuilder.model.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The comparison, which names its reports by digest, and the reports themselves."""

    comparison: ArtifactComparison
    reports: tuple[Report, ...]
    """To be kept by the caller under their digests."""
    rule: str
    """Id of the rule that was applied."""


def explain(
    reference: Path,
    rebuilt: Path,
    *,
    rule: Rule | None = None,
    bounds: Bounds | None = None,
    report_bounds: ReportBounds | None = None,
) -> Explanation:
    """Compare two files in the sandboxed child; where they differ, let diffoscope report as well.

    Without a rule given, .debs are compared under theirs and everything else by bytes. Raise UnknownTarget when one of
    the two is no regular file, and what `compare_in_child` and `report_on` raise.
    """
    for path in (reference, rebuilt):
        if not path.is_file():
            raise UnknownTarget(
                f"{path}: no such file", hint="give two files: a .deb, a wheel, an archive, a program, …"
            )
    rule = rule or rule_of(reference, rebuilt)
    comparison = compare_in_child(reference, rebuilt, filename=reference.name, rule=rule, bounds=bounds)
    comparison, reports = add_reports(comparison, reference, rebuilt, report_bounds)
    return Explanation(comparison=comparison, reports=reports, rule=rule.id)


def rule_of(reference: Path, rebuilt: Path) -> Rule:
    """Choose the rule of two files by their names."""
    return DEB if all(path.name.endswith((".deb", ".udeb", ".ddeb")) for path in (reference, rebuilt)) else BYTES


def add_reports(
    comparison: ArtifactComparison, reference: Path, rebuilt: Path, bounds: ReportBounds | None = None
) -> tuple[ArtifactComparison, tuple[Report, ...]]:
    """Let diffoscope report on two files that differ, and name its reports in the comparison; once only.

    What its JSON says about causes is added as an inference: verdict, causes and findings stay as they are.
    """
    if comparison.verdict is Verdict.REPRODUCED:
        return comparison, ()
    made = report_on(reference, rebuilt, filename=comparison.filename, bounds=bounds)
    named = tuple((report.kind, report.digest) for report in made.reports)
    inference, notes = _inferred(made)
    return replace(comparison, reports=named, report_notes=notes, inference=inference), made.reports


def _inferred(made: Reports) -> tuple[Inference | None, tuple[str, ...]]:
    """Read the JSON of a diffoscope that came to its own end; what cannot be read is a note."""
    data = next((report.data for report in made.reports if report.kind == "diffoscope-json"), None)
    if data is None or not made.ended:
        return None, made.notes
    try:
        return infer(data), made.notes
    except HostileInput as error:
        return None, (*made.notes, f"no cause was inferred from diffoscope's report: {error}")
