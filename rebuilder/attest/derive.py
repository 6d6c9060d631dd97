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
from rebuilder.attest.provenance import (
    has_provenance,
    has_summary,
    provenance_statement,
    summary_inputs,
    summary_statement,
)
from rebuilder.attest.verdict import verdict_statement
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict


class Form(StrEnum):
    """How a payload is signed and wrapped."""

    DSSE = "dsse"
    METABLOCK = "metablock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a signed document goes, relative to the result directory, and how it is signed."""

    path: str
    form: Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """A document before it is signed."""

    place: Place
    payload: bytes


def derive(dossier: Dossier, context: Context) -> tuple[Unsigned, ...]:
    """Derive all documents to sign, in the order of the artifacts."""
    case = open_case(dossier, context)
    return tuple(
        Unsigned(place=place, payload=payload)
        for comparison in dossier.comparison.artifacts
        for place, payload in zip(_places(case.dossier, context, comparison), _payloads(case, comparison), strict=True)
    )


def places(dossier: Dossier, context: Context) -> tuple[Place, ...]:
    """Say which documents `derive` makes, without making them: what a complete result has, and nothing more."""
    return tuple(
        place for comparison in dossier.comparison.artifacts for place in _places(dossier, context, comparison)
    )


def verdict_path(comparison: ArtifactComparison) -> str:
    """Where an artifact's verdict statement is."""
    return f"attestations/{comparison.filename}/verdict.dsse.json"


def link_path(comparison: ArtifactComparison, form: Form, keyid: str) -> str:
    """Where an artifact's link is: under `links/` for a match, under `unreproduced/` for all else."""
    root = "links" if comparison.verdict is Verdict.REPRODUCED else "unreproduced"
    return f"{root}/{comparison.filename}/{form}/{link_filename(comparison.verdict, keyid)}"


def _places(dossier: Dossier, context: Context, comparison: ArtifactComparison) -> Iterator[Place]:
    folder = f"attestations/{comparison.filename}"
    yield Place(path=verdict_path(comparison), form=Form.DSSE)
    if has_provenance(dossier, comparison):
        yield Place(path=f"{folder}/slsa-provenance.dsse.json", form=Form.DSSE)
    if has_summary(comparison):
        yield Place(path=f"{folder}/slsa-vsa.dsse.json", form=Form.DSSE)
    for form in (Form.METABLOCK, Form.DSSE):
        yield Place(path=link_path(comparison, form, context.attester), form=form)


def _payloads(case: Case, comparison: ArtifactComparison) -> Iterator[bytes]:
    verdict = verdict_statement(case, comparison)
    provenance = provenance_statement(case, comparison)
    summary = summary_statement(case, comparison, summary_inputs(comparison, verdict, provenance))
    yield from (payload for payload in (verdict, provenance, summary) if payload is not None)
    link = make_link(case, comparison, verdict)
    yield metablock_payload(link)
    yield canonical(link)
