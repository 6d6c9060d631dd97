"""A target's answer as data (`--json`) and as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from rebuilder.cli.words import exit_code, gravest
from rebuilder.errors import RebuilderError
from rebuilder.model.cause import Cause
from rebuilder.model.codec import render, to_plain
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.evidence import Evidence
from rebuilder.model.plan import Fidelity, ImageLock, Plan
from rebuilder.model.release import Artifact, FileReference, Release
from rebuilder.model.trust import Trust
from rebuilder.model.verdict import Verdict, worst
from rebuilder.publish import words


class Answer(Protocol):
    """What is known about one target: what the pipeline returns, or what was read from a published result."""

    @property
    def target(self) -> str:
        """Canonical where it was resolved, else as it was asked."""

    @property
    def release(self) -> Release | None:
        """None when it could not be resolved."""

    @property
    def trust(self) -> Trust | None:
        """None when nothing was judged."""

    @property
    def dossiers(self) -> tuple[Dossier, ...]:
        """What was concluded."""

    @property
    def documents(self) -> tuple[Path, ...]:
        """Result directories, one a dossier."""

    @property
    def error(self) -> RebuilderError | None:
        """Why there is no better answer."""

    @property
    def verdict(self) -> Verdict | None:
        """The worst of the dossiers'."""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """All of them, security-relevant first."""


def verdict_of(answer: Answer) -> Verdict | None:
    """Give the verdict that may be told: a part that got no answer is undecided, however well the others did."""
    if answer.verdict is None or answer.error is None:
        return answer.verdict
    return worst((answer.verdict, Verdict.UNDECIDED))


def code_of(answer: Answer, *, accept_equivalent: bool) -> int:
    """Return the exit code of one target."""
    verdict = verdict_of(answer)
    if verdict is None:
        return answer.error.exit_code if answer.error is not None else _code_of_a_dry_run(answer)
    code = exit_code(verdict, answer.causes, accept_equivalent=accept_equivalent)
    if disowned_of(answer):
        code = gravest((code, 3))
    if answer.error is None or answer.verdict is Verdict.UNDECIDED:
        return code
    return gravest((code, answer.error.exit_code if answer.error.exit_code in {3, 130} else 4))


def disowned_of(answer: Answer) -> tuple[Evidence, ...]:
    """Refusals of bytes that the rebuild gives all the same: the verdict is good, and the gate stays shut."""
    return tuple(dict.fromkeys(piece for dossier in answer.dossiers for piece in dossier.disowned))


HINT_OF_DISOWNED = "do not install it: fetch the file again from the archive, and ask who made this one"
"""What to do about a file that the source gives and the archive does not publish."""


def is_refused(answer: Answer) -> bool:
    """Whether what was asked about is not what the archive signed for: refused, or a stranger to it."""
    stranger = answer.release is not None and answer.release.is_local
    return stranger or (answer.trust is not None and not answer.trust.accepted)


def _code_of_a_dry_run(answer: Answer) -> int:
    return 3 if is_refused(answer) else 0


def to_object(result: Answer) -> dict[str, Any]:
    """Give one target's answer as the object that `verify --json` prints on a line."""
    answer: dict[str, Any] = {
        "target": result.target,
        "verdict": verdict_of(result),
        "causes": list(result.causes),
        "artifacts": _artifacts(result),
        "environment": _environment(result.dossiers),
        "evidence": [to_plain(each) for each in evidence_of(result)],
        "documents": [str(path) for path in result.documents],
        "trust": None if result.trust is None else _trust(result),
        "reason": reason_of(result),
        "variations": _variations(result),
    }
    if disowned := disowned_of(result):
        answer |= {"disowned": [to_plain(each) for each in disowned], "hint": HINT_OF_DISOWNED}
    if result.error is not None:
        answer |= {"error": str(result.error), "hint": result.error.hint}
    return answer


def reason_of(result: Answer) -> str:
    """Say in one sentence why there is no better answer; empty when nothing needs saying."""
    if result.error is not None:
        return str(result.error)
    said = [dossier.reason for dossier in result.dossiers if dossier.reason]
    if said:
        return said[0]
    if disowned := disowned_of(result):
        return disowned[0].reason
    return result.trust.reason if result.trust is not None and not result.trust.accepted else ""


def evidence_of(result: Answer) -> tuple[Evidence, ...]:
    """All evidence about a target, each piece once."""
    pieces = [*(result.release.evidence if result.release else ()), *(result.trust.evidence if result.trust else ())]
    for dossier in result.dossiers:
        pieces += [*dossier.release.evidence, *dossier.trust.evidence]
    return tuple(dict.fromkeys(pieces))


def variations_of(result: Answer) -> list[str]:
    """Say a line for each run of the variation experiment; with its architecture where there are several."""
    lines = []
    for dossier in result.dossiers:
        where = f" ({dossier.architecture})" if len(result.dossiers) > 1 else ""
        lines += [f"{run.factor}{where}: {words.variation(run)}" for run in dossier.variations]
    return lines


def _variations(result: Answer) -> list[dict[str, Any]]:
    return [
        {
            "factor": run.factor,
            "architecture": dossier.architecture,
            "changed": list(run.changed),
            "findings": list(run.findings),
            "failed": run.failed,
        }
        for dossier in result.dossiers
        for run in dossier.variations
    ]


def page_of(directory: Path) -> Path:
    """Where a person begins to read a result, as short as it can be said from here."""
    page = directory / "index.html"
    shown = page if page.is_file() else directory
    return shown.relative_to(Path.cwd()) if shown.is_relative_to(Path.cwd()) else shown


def version_of(result: Answer) -> str:
    """Give the versions that were rebuilt, each once; in a dry run, the version that would be."""
    if not result.dossiers:
        return result.release.version if result.release is not None else ""
    versions = (dossier.plan.version if dossier.plan else dossier.release.version for dossier in result.dossiers)
    return ", ".join(dict.fromkeys(versions))


def _trust(result: Answer) -> dict[str, Any]:
    trust = result.trust
    return {} if trust is None else {"accepted": trust.accepted, "reason": trust.reason, "cause": trust.cause}


def _artifacts(result: Answer) -> list[dict[str, Any]]:
    """Give each artifact that was compared; in a dry run, each that would be."""
    if not result.dossiers and result.release is not None:
        return [_expected(each) for each in result.release.artifacts]
    return [artifact_object(each) for dossier in result.dossiers for each in dossier.comparison.artifacts]


def _expected(artifact: Artifact) -> dict[str, Any]:
    return {
        "filename": artifact.filename,
        "verdict": None,
        "causes": [],
        "stabilizers": [],
        "reference": _file(artifact.reference),
        "rebuilt": None,
        "control": None,
    }


def artifact_object(artifact: ArtifactComparison) -> dict[str, Any]:
    """Give one artifact's comparison, with both digests."""
    return {
        "filename": artifact.filename,
        "verdict": artifact.verdict,
        "causes": list(artifact.causes),
        "inferred_causes": list(artifact.inferred_causes),
        "stabilizers": [f"{each.name}/{each.version}" for each in artifact.stabilizers],
        "reference": _file(artifact.reference),
        "rebuilt": _file(artifact.rebuilt),
        "control": artifact.control,
    }


def _file(file: FileReference | None) -> dict[str, Any] | None:
    return None if file is None else {"sha256": file.digest.hex, "size": file.size_bytes}


def _environment(dossiers: tuple[Dossier, ...]) -> dict[str, Any] | None:
    planned = [(dossier.plan, dossier.lock) for dossier in dossiers if dossier.plan is not None]
    plans = [plan for plan, _ in planned]
    if not plans:
        return None
    inferred = [plan for plan in plans if plan.environment.fidelity is Fidelity.INFERRED]
    weakest = (inferred or plans)[0].environment
    return {
        "fidelity": weakest.fidelity,
        "reason": weakest.reason,
        "plans": [_plan(plan, lock) for plan, lock in planned],
    }


def _plan(plan: Plan, lock: ImageLock | None) -> dict[str, Any]:
    environment = plan.environment
    return {
        "plan": Digest.of(render(plan)).hex,
        "version": plan.version,
        "architecture": plan.architecture,
        "fidelity": environment.fidelity,
        "image": environment.image.hex,
        "lock": environment.lock.hex,
        "pulled": lock.pulled.reference if lock is not None and lock.pulled is not None else None,
        "build_path": environment.build_path,
        "packages": len(environment.packages),
    }
