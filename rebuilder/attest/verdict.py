"""The verdict statement: one artifact's verdict with all that a reader needs to compute it again (docs/PREDICATE.md).

A match has the predicate type `urn:rebuilder:predicate:verdict:v1`; everything else has a type of its own, so that a
client which looks no further than type and subject cannot take a difference for a match.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from rebuilder.attest.context import Case, Context, about
from rebuilder.attest.describe import describe, digest_set, resource, statement
from rebuilder.attest.quorum import independence_notes, quorum_claim
from rebuilder.model.cause import in_reporting_order
from rebuilder.model.codec import render
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.plan import Fidelity
from rebuilder.model.verdict import Verdict


def predicate_type(verdict: Verdict) -> str:
    """Type of the statement that carries a verdict: only a match has the plain one."""
    suffix = "" if verdict is Verdict.REPRODUCED else f"-{verdict}"
    return f"urn:rebuilder:predicate:verdict{suffix}:v1"


def verdict_statement(case: Case, comparison: ArtifactComparison) -> bytes:
    """Render the unsigned verdict statement of one artifact."""
    dossier, context = case.dossier, case.context
    kind, subject = subject_of(dossier, case.dossier_digest, comparison)
    predicate = {
        "verdict": str(comparison.verdict),
        "causes": [str(cause) for cause in comparison.causes],
        "reason": dossier.reason,
        "subjectIs": kind,
        "rebuildId": case.rebuild_id,
        "attester": context.attester,
        "quorum": quorum_claim(dossier, context, comparison),
        "release": _release(dossier),
        "artifact": _artifact(dossier, comparison),
        "reference": describe(comparison.reference),
        "rebuilt": describe(comparison.rebuilt),
        "sources": [describe(source) for source in dossier.release.sources],
        "authentication": _authentication(dossier, comparison, context),
        "environment": _environment(dossier),
        "plan": _digest_or_none(case.plan),
        "rebuild": _rebuild(dossier, context),
        "comparison": _comparison(dossier, comparison),
        "control": _control(dossier, context, comparison),
        "variations": [describe(variation) for variation in dossier.variations],
        "documents": _documents(context, comparison),
        "dossier": digest_set(case.dossier_digest),
        "tools": [{"name": name, "version": version} for name, version in dossier.tools],
        "concludedOn": describe(dossier.concluded_at),
        "notChecked": not_checked(dossier, context, comparison),
    }
    return statement(subject, predicate_type(comparison.verdict), predicate)


def not_checked(dossier: Dossier, context: Context, comparison: ArtifactComparison) -> list[str]:
    """List what a reader might assume was checked and was not, each once, in order."""
    notes = independence_notes(dossier, context, comparison.filename)
    if dossier.plan is not None and dossier.plan.environment.fidelity is Fidelity.INFERRED:
        notes.append("whether the published artifact was built in this environment: it is inferred")
    if dossier.lock is not None and dossier.lock.pulled is not None:
        notes.append("whether the files of the base image are those of its packages: it was pulled, not bootstrapped")
    for piece in _evidence(dossier, comparison):
        notes += [f"{piece.scheme}, {piece.subject}: {note}" for note in piece.not_checked]
    if comparison.findings_omitted:
        notes.append(f"{comparison.findings_omitted} differences beyond those that are listed")
    notes += comparison.report_notes
    return list(dict.fromkeys(notes))


def subject_of(dossier: Dossier, digest: Digest, comparison: ArtifactComparison) -> tuple[str, list[dict[str, Any]]]:
    """Say which file a statement about an artifact is about, and what that file is; `digest` is the dossier's."""
    if comparison.reference is not None:
        return "reference", [resource(comparison.reference)]
    if comparison.rebuilt is not None:
        return "rebuilt", [resource(comparison.rebuilt)]
    if dossier.release.sources:
        return "source", [resource(source) for source in dossier.release.sources]
    return "dossier", [{"name": "dossier.json", "digest": digest_set(digest)}]


def _release(dossier: Dossier) -> dict[str, Any]:
    release = dossier.release
    return {
        "target": release.target,
        "ecosystem": release.ecosystem,
        "distribution": release.distribution,
        "suite": release.suite,
        "name": release.name,
        "version": release.version,
        "architecture": dossier.architecture,
    }


def _artifact(dossier: Dossier, comparison: ArtifactComparison) -> dict[str, Any]:
    for artifact in dossier.release.artifacts:
        if artifact.filename == comparison.filename:
            return {
                "name": artifact.name,
                "version": artifact.version,
                "architecture": artifact.architecture,
                "filename": artifact.filename,
            }
    return {"filename": comparison.filename}


def _evidence(dossier: Dossier, comparison: ArtifactComparison) -> list[Any]:
    others = {artifact.filename for artifact in dossier.release.artifacts} - {comparison.filename}
    return [piece for piece in dossier.trust.evidence if piece.subject not in others]


def _authentication(dossier: Dossier, comparison: ArtifactComparison, context: Context) -> dict[str, Any]:
    trust = dossier.trust
    return {
        "accepted": trust.accepted,
        "reason": trust.reason,
        "cause": None if trust.cause is None else str(trust.cause),
        "policy": digest_set(trust.policy),
        "acceptsEquivalent": context.accepts_equivalent,
        "evidence": [describe(piece) for piece in _evidence(dossier, comparison)],
        "indices": [digest_set(index) for index in dossier.release.indices],
        "buildinfo": _digest_or_none(dossier.release.buildinfo),
    }


def _environment(dossier: Dossier) -> dict[str, Any] | None:
    if dossier.plan is None:
        return None
    environment, lock = dossier.plan.environment, dossier.lock
    return {
        "fidelity": str(environment.fidelity),
        "reason": environment.reason,
        "architecture": environment.architecture,
        "image": digest_set(environment.image),
        "lock": digest_set(environment.lock),
        "packages": digest_set(Digest.of(render(environment.packages))),
        "packageCount": len(environment.packages),
        **({"pulled": lock.pulled.reference} if lock is not None and lock.pulled is not None else {}),
    }


def _rebuild(dossier: Dossier, context: Context) -> dict[str, Any]:
    attempt = {"builder": context.builder_key.keyid, "builderKey": context.builder, "ordinal": context.ordinal}
    run = dossier.rebuild
    if run is None:
        return attempt
    return {
        **attempt,
        "outcome": str(run.outcome),
        "reason": run.reason,
        "log": digest_set(run.log),
        "environmentTree": digest_set(run.environment_tree),
        "freshEnvironment": run.fresh_environment,
        "machine": describe(run.machine),
        "startedOn": describe(run.started_at),
        "finishedOn": describe(run.finished_at),
    }


def _comparison(dossier: Dossier, comparison: ArtifactComparison) -> dict[str, Any]:
    counts = Counter((finding.cause, finding.removed_by) for finding in comparison.findings)
    summary = [
        {
            "cause": str(cause),
            "count": count,
            "securityRelevant": cause.is_security_relevant,
            "removedBy": describe(stabilizer) if stabilizer else None,
        }
        for (cause, stabilizer), count in counts.items()
    ]
    return {
        **_inferred(comparison),
        "rule": dossier.comparison.rule,
        "stabilizers": [describe(stabilizer) for stabilizer in comparison.stabilizers],
        "findings": summary,
        "findingsOmitted": comparison.findings_omitted,
        "reports": [{"kind": kind, "digest": digest_set(digest)} for kind, digest in comparison.reports],
    }


def _inferred(comparison: ArtifactComparison) -> dict[str, Any]:
    """Causes that another program's report points to, apart from ours; absent where none was read."""
    inference = comparison.inference
    if inference is None:
        return {}
    return {
        "inferred": {
            "from": "diffoscope-json",
            "rule": inference.rule,
            "causes": [str(cause) for cause in in_reporting_order({each.cause for each in inference.causes})],
            "places": len(inference.causes) + inference.omitted,
        }
    }


def _control(dossier: Dossier, context: Context, comparison: ArtifactComparison) -> dict[str, Any]:
    run, key = dossier.control, context.control
    by = {} if key is None else {"builder": context.control_key.keyid, "builderKey": key}
    return {
        **by,
        "answer": str(comparison.control),
        "rebuilt": _digest_or_none(comparison.control_digest),
        "ordinal": run.ordinal if run else None,
        "log": digest_set(run.log) if run else None,
    }


def _documents(context: Context, comparison: ArtifactComparison) -> list[dict[str, Any]]:
    return [
        {"path": document.path, "digest": digest_set(document.digest), "sizeBytes": document.size_bytes}
        for document in context.documents
        if about(document) in {None, comparison.filename}
    ]


def _digest_or_none(digest: Digest | None) -> dict[str, str] | None:
    return digest_set(digest) if digest is not None else None
