"""What one result is called: `<plan>-<builder>-<ordinal>`, or `unplanned-<release>-…` where nothing was planned.

The name is a directory's and stands in signed documents. Its digests are cut short, for it only has to be told apart
from its neighbours: what it stands for is in the documents themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from rebuilder.errors import HostileInput
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.plan import Plan
from rebuilder.model.release import Release

ORDINAL_LIMIT = 10**9
"""Numbers from here on name no result."""

_UNPLANNED = "unplanned-"
_FORM = re.compile(r"(unplanned-)?([0-9a-f]{16})-([0-9a-f]{8})-(0|[1-9][0-9]{0,8})\Z")
_SUBJECT = re.compile(r"[0-9a-f]{16}\Z")
_BUILDER = re.compile(r"[0-9a-f]{8}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildId:
    """Which attempt of which builder at which plan or release."""

    planned: bool
    subject: str
    """First 16 hexadecimal digits of the plan's digest, or of the release's where there is no plan."""
    builder: str
    """First 8 hexadecimal digits of the builder's key id."""
    ordinal: int

    def __post_init__(self) -> None:
        if not _SUBJECT.match(self.subject) or not _BUILDER.match(self.builder):
            raise ValueError("a rebuild id has 16 digits of its subject and 8 of its builder, in hexadecimal")
        if not 0 <= self.ordinal < ORDINAL_LIMIT:
            raise ValueError(f"an ordinal is not negative and below {ORDINAL_LIMIT}")

    @classmethod
    def of(cls, subject: Plan | Release, *, builder: str, ordinal: int) -> Self:
        """Name an attempt of the builder with that key id."""
        digest = Digest.of(codec.render(subject))
        return cls(planned=isinstance(subject, Plan), subject=digest.hex[:16], builder=builder[:8], ordinal=ordinal)

    @property
    def stem(self) -> str:
        """What the names of all attempts at the same subject begin with."""
        return f"{'' if self.planned else _UNPLANNED}{self.subject}"


def subject_of(dossier: Dossier) -> Plan | Release:
    """What a dossier's results are named by: its plan, or its release where nothing was planned."""
    return dossier.plan if dossier.plan is not None else dossier.release


def render(identifier: RebuildId) -> str:
    """Write it as directories and documents carry it."""
    return f"{identifier.stem}-{identifier.builder}-{identifier.ordinal}"


def parse(text: str) -> RebuildId:
    """Read what `render` wrote; raise HostileInput for anything else."""
    found = _FORM.match(text)
    if found is None:
        raise HostileInput(f"expected a rebuild id `<plan>-<builder>-<ordinal>`, found {text[:80]!a}")
    head, subject, builder, ordinal = found.groups()
    return RebuildId(planned=head is None, subject=subject, builder=builder, ordinal=int(ordinal))
