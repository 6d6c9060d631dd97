"""Every signed document of a rebuild, unsigned, as a pure function of (dossier, context).

The coordinator derives them to ask for signatures, the signer derives them again before it signs, and a reader derives
them a third time from the published dossier: all three must hold the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from rebuilder.attest.canonical import canonical
from rebuilder.attest.context import Case, Context, open_case
from rebuilder.attest.link import link_filename, make_link, metablock_payload
from rebuilder.attest.provenance import provenance_statement, summary_inputs, summary_statement
from rebuilder.attest.verdict import verdict_statement
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict


class Form(StrEnum):
    """How a payload is signed and wrapped."""

    DSSE = "dsse"
    METABLOCK = "metablock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """A document before it is signed."""

    path: str
    """Where its signed form goes, relative to the result directory."""
    form: Form
    payload: bytes


def derive(dossier: Dossier, context: Context) -> tuple[Unsigned, ...]:
    """Derive all documents to sign, in the order of the artifacts."""
    case = open_case(dossier, context)
    return tuple(document for comparison in dossier.comparison.artifacts for document in _of_artifact(case, comparison))


def verdict_path(comparison: ArtifactComparison) -> str:
    """Where an artifact's verdict statement is."""
    return f"attestations/{comparison.filename}/verdict.dsse.json"


def link_path(comparison: ArtifactComparison, form: Form, keyid: str) -> str:
    """Where an artifact's link is: under `links/` for a match, under `unreproduced/` for all else."""
    root = "links" if comparison.verdict is Verdict.REPRODUCED else "unreproduced"
    return f"{root}/{comparison.filename}/{form}/{link_filename(comparison.verdict, keyid)}"


def _of_artifact(case: Case, comparison: ArtifactComparison) -> Iterator[Unsigned]:
    verdict = verdict_statement(case, comparison)
    provenance = provenance_statement(case, comparison)
    inputs = summary_inputs(comparison, verdict, provenance)
    summary = summary_statement(case, comparison, inputs)
    folder = f"attestations/{comparison.filename}"
    yield Unsigned(path=verdict_path(comparison), form=Form.DSSE, payload=verdict)
    if provenance is not None:
        yield Unsigned(path=f"{folder}/slsa-provenance.dsse.json", form=Form.DSSE, payload=provenance)
    if summary is not None:
        yield Unsigned(path=f"{folder}/slsa-vsa.dsse.json", form=Form.DSSE, payload=summary)
    link = make_link(case, comparison, verdict)
    for form, payload in ((Form.METABLOCK, metablock_payload(link)), (Form.DSSE, canonical(link))):
        yield Unsigned(path=link_path(comparison, form, case.context.attester), form=form, payload=payload)
