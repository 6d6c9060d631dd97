"""What signed documents say beyond the dossier: who attests, who built, and which evidence files lie beside them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from rebuilder.attest.keys import PublicKey, parse_public_key
from rebuilder.errors import HostileInput
from rebuilder.model import rebuild_id as names
from rebuilder.model.codec import later, render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier

_KEYID = re.compile(r"[0-9a-f]{64}\Z")
_PART = re.compile(r"[A-Za-z0-9+~._-]{1,200}\Z")
"""Characters that stand for themselves in file names and addresses alike (RFC 3986, and `+`)."""
_DOMAIN_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Document:
    """One evidence file of a result directory."""

    path: str
    """Relative to the result directory, with `/`."""
    digest: Digest
    size_bytes: int


OTHERS_LIMIT = 15
"""Builders beside the first that one result can speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """One builder of a quorum."""

    pem: str
    """Its public key, PEM."""
    fault_domain: str | None = None
    """Which the operator assigned; None where the signer knows of none."""

    def __post_init__(self) -> None:
        word = self.fault_domain
        if word is not None and not (0 < len(word) <= _DOMAIN_LIMIT and word.isprintable() and " " not in word):
            raise ValueError(f"a fault domain is a word of at most {_DOMAIN_LIMIT} printable characters")

    @property
    def key(self) -> PublicKey:
        """The public key."""
        return parse_public_key(self.pem.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """With a dossier, everything that the signed documents of one rebuild are derived from."""

    attester: str
    """Key id of the attestation key that will sign."""
    builder: str
    """Public builder key, PEM: of the rebuild's record, or, when nothing was built, of who tried."""
    ordinal: int
    """Which attempt of this plan by this builder; equal to the rebuild's where there is one."""
    accepts_equivalent: bool
    """Whether the policy takes `equivalent` for a pass (`Policy.accept_equivalent`)."""
    documents: tuple[Document, ...]
    """Evidence files to be published, sorted by path, each once."""
    fault_domain: str | None = field(default=None, metadata=later())
    """The first builder's; only where there are others."""
    others: tuple[Builder, ...] = field(default=(), metadata=later())
    """Builders of the dossier's `others`, in their order."""
    control: str | None = field(default=None, metadata=later())
    """Public key of the control run's builder, PEM; only where it is not the rebuild's."""

    def __post_init__(self) -> None:
        if not _KEYID.match(self.attester):
            raise ValueError("the attester's key id is a SHA-256 in hexadecimal")
        if not 0 <= self.ordinal < names.ORDINAL_LIMIT:
            raise ValueError(f"an ordinal is not negative and below {names.ORDINAL_LIMIT}")
        paths = [document.path for document in self.documents]
        if paths != sorted(set(paths)):
            raise ValueError("documents are sorted by path, each path once")
        if len(self.others) > OTHERS_LIMIT:
            raise ValueError(f"at most {OTHERS_LIMIT} other builders")
        if self.fault_domain is not None and not self.others:
            raise ValueError("a fault domain says nothing about a single builder")

    @property
    def builder_key(self) -> PublicKey:
        """The builder's public key."""
        return self.first.key

    @property
    def control_key(self) -> PublicKey:
        """The public key of the control run's builder."""
        return self.builder_key if self.control is None else Builder(pem=self.control).key

    @property
    def first(self) -> Builder:
        """The rebuild's builder."""
        return Builder(pem=self.builder, fault_domain=self.fault_domain)

    @property
    def builders(self) -> tuple[Builder, ...]:
        """All builders of the quorum: of the rebuild, then of the others."""
        return (self.first, *self.others)

    def fault_domains(self, keyids: Collection[str]) -> int:
        """Count fault domains that these builders are known to be in; builders of unknown ones count for no more."""
        known = {each.fault_domain for each in self.builders if each.key.keyid in keyids} - {None}
        return max(len(known), min(1, len(keyids)))


def make_context(
    attester: PublicKey,
    builder: PublicKey,
    *,
    ordinal: int,
    accepts_equivalent: bool,
    documents: Iterable[Document],
) -> Context:
    """Put the context of a single builder together, sorting the documents."""
    return Context(
        attester=attester.keyid,
        builder=builder.pem,
        ordinal=ordinal,
        accepts_equivalent=accepts_equivalent,
        documents=tuple(sorted(documents)),
    )


def with_others(context: Context, others: Sequence[Builder], *, fault_domain: str | None) -> Context:
    """Add the other builders of a quorum, and the first one's fault domain; without others nothing changes."""
    return replace(context, others=tuple(others), fault_domain=fault_domain if others else None)


def plan_id(dossier: Dossier) -> Digest | None:
    """SHA-256 of the canonical plan; None when nothing was planned."""
    return Digest.of(render(dossier.plan)) if dossier.plan is not None else None


def rebuild_id(dossier: Dossier, context: Context) -> str:
    """Name of the result directory: (plan, builder, ordinal), or the release in the plan's place if there is none."""
    subject = names.subject_of(dossier)
    return names.render(names.RebuildId.of(subject, builder=context.builder_key.keyid, ordinal=context.ordinal))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A dossier with its context, and the ids that every document repeats, computed once."""

    dossier: Dossier
    context: Context
    dossier_digest: Digest
    plan: Digest | None
    rebuild_id: str


def open_case(dossier: Dossier, context: Context) -> Case:
    """Compute what the documents of one rebuild have in common; each run of the quorum has a builder's key."""
    verify_builders(dossier, context)
    return Case(
        dossier=dossier,
        context=context,
        dossier_digest=Digest.of(render(dossier)),
        plan=plan_id(dossier),
        rebuild_id=rebuild_id(dossier, context),
    )


def verify_builders(dossier: Dossier, context: Context) -> None:
    """Raise HostileInput unless a context has a key for each of the dossier's other builders, and no more."""
    if len(context.others) != len(dossier.others):
        raise HostileInput(
            f"the dossier has runs of {len(dossier.others)} other builders, the context keys of {len(context.others)}"
        )


def verify_path(path: str) -> None:
    """Raise HostileInput unless a path is relative and made of letters, digits and `+~._-` alone."""
    parts = path.split("/")
    if len(parts) > 8 or any(not _PART.match(part) or part in {".", ".."} for part in parts):
        raise HostileInput(f"not a plain relative path: {path[:80]!r}")


def about(document: Document) -> str | None:
    """File name of the artifact that a document is about, None for one about the whole rebuild.

    `reports/<filename>/…` and `artifacts/{reference,rebuilt}/<filename>` are about one artifact: only that
    artifact's statement lists them, so that statements do not grow with the square of the number of artifacts.
    """
    parts = document.path.split("/")
    if parts[0] == "reports" and len(parts) > 2:
        return parts[1]
    if parts[0] == "artifacts" and len(parts) > 2:
        return parts[-1]
    return None
