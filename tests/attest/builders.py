"""Rebuilds of one plan by several builders, and result directories that they make together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import zstandard

from rebuilder.attest.builder import sign_rebuild
from rebuilder.attest.context import Builder, make_context, rebuild_id, with_others
from rebuilder.attest.evidence_files import derived_files, list_documents
from rebuilder.attest.request import collect_signed, write_records, write_request
from rebuilder.attest.signer import Quorum, sign_request
from rebuilder.attest.signing import KeySigner
from rebuilder.compare.quorum import judge_quorum, reason_of
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.dossier import Dossier
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.release import FileReference
from rebuilder.model.verdict import Outcome, Verdict
from tests.attest.factory import (
    ATTESTER,
    BUILD_LOG,
    BUILDER,
    PAGE,
    Staged,
    dossier,
    file_of,
    key_signer,
    write_files,
)

SECOND, THIRD = key_signer("second builder"), key_signer("third builder")
SIGNERS = {signer.public_key.keyid: signer for signer in (BUILDER, SECOND, THIRD)}
DOMAINS = {
    BUILDER.public_key.keyid: "rack-1",
    SECOND.public_key.keyid: "cloud/eu",
    THIRD.public_key.keyid: "university",
}
TWO = Quorum(builders=2, fault_domains=DOMAINS)
FILENAME = "sample_1.0-1_amd64.deb"


def run_of(value: Dossier, signer: KeySigner, **changes: object) -> Rebuild:
    """Make the same run of a plan by another builder, in an environment of its own."""
    assert value.rebuild is not None
    run = replace(value.rebuild, builder=signer.public_key.keyid, fresh_environment=True)
    return replace(run, **changes)  # type: ignore[arg-type]


def other_outputs(value: Dossier) -> tuple[FileReference, ...]:
    """Give the outputs of a build that gave other bytes for the first file."""
    assert value.rebuild is not None
    first, *rest = value.rebuild.outputs
    return (file_of(first.filename, b"what another builder got"), *rest)


def failed(value: Dossier, signer: KeySigner) -> Rebuild:
    """Make a run of another builder that did not succeed."""
    return run_of(value, signer, outcome=Outcome.FAILED, outputs=(), reason="make ended with status 2")


def together(value: Dossier, *others: Rebuild) -> Dossier:
    """Conclude from runs of several builders what follows from them."""
    assert value.rebuild is not None
    rebuild = replace(value.rebuild, fresh_environment=True)
    comparison = judge_quorum(value.comparison, rebuild, others)
    reason = reason_of(comparison, (rebuild, *others))
    return replace(value, rebuild=rebuild, others=others, comparison=comparison, reason=reason)


def agreeing(verdict: Verdict = Verdict.REPRODUCED) -> Dossier:
    """Make a dossier of three builders that gave the same."""
    value = dossier({"sample": verdict}).dossier
    return together(value, run_of(value, SECOND), run_of(value, THIRD))


def disagreeing() -> Dossier:
    """Make a dossier of two builders of which the second gave other bytes than were published."""
    value = dossier().dossier
    return together(value, run_of(value, SECOND, outputs=other_outputs(value)))


def stage(root: Path, value: Dossier, domains: dict[str, str] | None = None) -> Staged:
    """Do what a farm's coordinator does before it asks for signatures."""
    given = DOMAINS if domains is None else domains
    result, request = root / "staged", root / "request"
    logs = ["build", *(f"other-{number}" for number in range(1, len(value.others) + 1))]
    write_files(result, {f"logs/{name}.log.zst": zstandard.compress(BUILD_LOG) for name in logs})
    write_records(
        result,
        value,
        builder_record=sign_rebuild(value.rebuild, BUILDER) if value.rebuild else None,
        control_record=sign_rebuild(value.control, SIGNERS[value.control.builder]) if value.control else None,
        other_records=[sign_rebuild(run, SIGNERS[run.builder]) for run in value.others],
    )
    context = make_context(
        ATTESTER.public_key, BUILDER.public_key, ordinal=0, accepts_equivalent=True, documents=list_documents(result)
    )
    others = [
        Builder(pem=SIGNERS[run.builder].public_key.pem, fault_domain=given.get(run.builder)) for run in value.others
    ]
    context = with_others(context, others, fault_domain=given.get(BUILDER.public_key.keyid))
    if value.control is not None and value.control.builder != BUILDER.public_key.keyid:
        context = replace(context, control=SIGNERS[value.control.builder].public_key.pem)
    write_request(request, result, value, context)
    return Staged(result=result, request=request, context=context)


def sign(staged: Staged, journal: Path, quorum: Quorum = TWO, builders: Sequence[KeySigner] = ()) -> tuple[str, ...]:
    """Sign a request in this process, with all builders enrolled unless some are named."""
    keys = tuple(signer.public_key for signer in builders or SIGNERS.values())
    return sign_request(staged.request, signer=ATTESTER, builders=keys, journal=journal, quorum=quorum)


def publish(root: Path, value: Dossier, quorum: Quorum = TWO) -> Path:
    """Make a complete result directory, named as it is published."""
    staged = stage(root, value)
    sign(staged, root / "journal", quorum)
    collect_signed(staged.request, staged.result)
    for page in derived_files(value):
        (staged.result / page).parent.mkdir(parents=True, exist_ok=True)
        (staged.result / page).write_bytes(PAGE)
    return staged.result.rename(root / rebuild_id(value, staged.context))


def one(value: Dossier) -> ArtifactComparison:
    """Give the one compared artifact."""
    (artifact,) = value.comparison.artifacts
    return artifact


def compared(value: Dossier, **changes: object) -> Dossier:
    """Change members of the one artifact's comparison."""
    lie = replace(one(value), **changes)  # type: ignore[arg-type]
    return replace(value, comparison=replace(value.comparison, artifacts=(lie,)))
