"""SLSA documents over the verdict: provenance of the rebuild, and the verification summary.

Sources: SLSA provenance v1 (https://slsa.dev/provenance/v1) and verification summary v1
(https://slsa.dev/verification_summary/v1). The summary is plain JSON: the protobuf binding of it has a wrong field.
"""

from __future__ import annotations

from typing import Any

from rebuilder.attest.context import Case
from rebuilder.attest.describe import describe, digest_set, purl, resource, statement
from rebuilder.attest.evidence_files import other_record
from rebuilder.attest.quorum import is_agreed, proven_domains
from rebuilder.attest.verdict import predicate_type
from rebuilder.model.agreement import digest_in
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.plan import ImageLock, Plan
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Verdict

PROVENANCE = "https://slsa.dev/provenance/v1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
BUILD_TYPE = "urn:rebuilder:build:container:v1"
SLSA_VERSION = "1.1"


def has_provenance(dossier: Dossier, comparison: ArtifactComparison) -> bool:
    """Whether there is a build of this artifact to describe."""
    return dossier.plan is not None and dossier.rebuild is not None and comparison.rebuilt is not None


def has_summary(comparison: ArtifactComparison) -> bool:
    """Whether there is a published file to summarise a verification of."""
    return comparison.reference is not None


def provenance_statement(case: Case, comparison: ArtifactComparison) -> bytes | None:
    """Render the provenance of the file that *we* built; None where we built none. Never about the reference."""
    dossier = case.dossier
    plan, run = dossier.plan, dossier.rebuild
    if plan is None or run is None or comparison.rebuilt is None:
        return None
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "target": dossier.release.target,
                "artifact": comparison.filename,
                "architecture": plan.architecture,
                "version": plan.version,
                "sourceVersion": plan.source_version,
                "recipe": plan.recipe,
                "plan": digest_set(run.plan),
            },
            "internalParameters": _internal(plan),
            "resolvedDependencies": _dependencies(plan, dossier.lock),
        },
        "runDetails": _run(case, run, comparison.filename),
    }
    return statement([resource(comparison.rebuilt)], PROVENANCE, predicate)


def summary_statement(case: Case, comparison: ArtifactComparison, inputs: dict[str, bytes]) -> bytes | None:
    """Render the verification summary of a published artifact; None where nothing was published to verify.

    PASSED is for `reproduced`, and for `equivalent` where the policy takes it; anything else is FAILED. `inputs` are
    the payloads of the statements it rests on, by predicate type.
    """
    if comparison.reference is None:
        return None
    dossier, context = case.dossier, case.context
    accepted = {Verdict.REPRODUCED, Verdict.EQUIVALENT} if context.accepts_equivalent else {Verdict.REPRODUCED}
    passed = comparison.verdict in accepted
    predicate = {
        "verifier": {
            "id": f"urn:rebuilder:verifier:{context.attester}",
            "version": dict(dossier.tools),
        },
        "timeVerified": describe(dossier.concluded_at),
        "resourceUri": purl(dossier, comparison.filename),
        "policy": {"uri": "urn:rebuilder:policy", "digest": digest_set(dossier.trust.policy)},
        "inputAttestations": [
            {"uri": kind, "digest": digest_set(Digest.of(payload))} for kind, payload in sorted(inputs.items())
        ],
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": _levels(case, comparison) if passed else ["FAILED"],
        "slsaVersion": SLSA_VERSION,
    }
    return statement([resource(comparison.reference)], SUMMARY, predicate)


def _levels(case: Case, comparison: ArtifactComparison) -> list[str]:
    levels = [f"REBUILDER_{comparison.verdict.upper()}"]
    if is_agreed(case.dossier, comparison.filename):
        domains = proven_domains(case.dossier, case.context, comparison.filename)
        levels += [f"REBUILDER_BUILDERS_{len(case.dossier.runs)}", f"REBUILDER_FAULT_DOMAINS_{domains}"]
    return levels


def _internal(plan: Plan) -> dict[str, Any]:
    environment = plan.environment
    return {
        "variables": dict(environment.variables),
        "buildPath": environment.build_path,
        "hostname": environment.hostname,
        "user": environment.user,
        "fidelity": str(environment.fidelity),
        "recipe": digest_set(plan.recipe_digest),
        "script": digest_set(Digest.of(plan.script.encode("utf-8", "surrogatepass"))),
        "limits": describe(plan.limits),
    }


def _dependencies(plan: Plan, lock: ImageLock | None) -> list[dict[str, Any]]:
    environment = plan.environment
    pulled = {"pulled": lock.pulled.reference} if lock is not None and lock.pulled is not None else {}
    inputs = [{**resource(source), "annotations": {"kind": "source"}} for source in plan.sources]
    inputs += [
        {"name": "image", "digest": digest_set(environment.image), "annotations": {"kind": "image", **pulled}},
        {"name": "lock.json", "digest": digest_set(environment.lock), "annotations": {"kind": "image-lock"}},
    ]
    inputs += [
        {"name": package.filename, "digest": digest_set(package.digest), "annotations": {"kind": "package"}}
        for package in environment.packages
    ]
    inputs += [
        {"name": name, "digest": digest_set(Digest.of(text.encode("utf-8", "surrogatepass")))}
        for name, text in plan.texts
    ]
    return inputs


def _run(case: Case, run: Rebuild, filename: str) -> dict[str, Any]:
    byproducts = [
        {"name": "build.log", "digest": digest_set(run.log)},
        {"name": "dossier.json", "digest": digest_set(case.dossier_digest)},
    ]
    byproducts += [resource(output) for output in run.outputs if output.filename.endswith(".buildinfo")]
    byproducts += _records_of_others(case, filename)
    return {
        "builder": {
            "id": f"urn:rebuilder:builder:{run.builder}",
            "version": dict(case.dossier.tools),
        },
        "metadata": {
            "invocationId": case.rebuild_id,
            "startedOn": describe(run.started_at),
            "finishedOn": describe(run.finished_at),
        },
        "byproducts": byproducts,
    }


def _records_of_others(case: Case, filename: str) -> list[dict[str, Any]]:
    """Other builders' signed records of this plan, and what each gave for this file: not ours, so beside the build."""
    digests = {document.path: document.digest for document in case.context.documents}
    found = []
    for number, run in enumerate(case.dossier.others, start=1):
        made, path = digest_in(run, filename), other_record(number)
        annotations = {"kind": "rebuild", "builder": f"urn:rebuilder:builder:{run.builder}"}
        annotations |= {"rebuilt": str(made)} if made is not None else {}
        if path in digests:  # a record that is not there is refused by whoever verifies; nothing is said of it
            found.append({"name": path, "digest": digest_set(digests[path]), "annotations": annotations})
    return found


def summary_inputs(comparison: ArtifactComparison, verdict: bytes, provenance: bytes | None) -> dict[str, bytes]:
    """Give the payloads that a summary rests on, by predicate type."""
    inputs = {predicate_type(comparison.verdict): verdict}
    if provenance is not None:
        inputs[PROVENANCE] = provenance
    return inputs
