"""Comparison rules: which stabilizers apply, in which order. A rule is versioned; verdicts name it.

Any change in what a rule accepts as equivalent is a new version of it, so that an old verdict can be computed again.
"""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.compare.differences import ChecksumFollows, Difference
from rebuilder.compare.stabilizers.compression_parameters import COMPRESSION_PARAMETERS
from rebuilder.compare.stabilizers.deb_member_mtimes import DEB_MEMBER_MTIMES
from rebuilder.compare.stabilizers.elf_build_id import ELF_BUILD_ID
from rebuilder.compare.stabilizers.gzip_documentation import GZIP_DOCUMENTATION
from rebuilder.compare.stabilizers.removal import Removal
from rebuilder.compare.stabilizers.tar_member_order import TAR_MEMBER_ORDER
from rebuilder.compare.stabilizers.tar_mtimes import TAR_MTIMES
from rebuilder.errors import UsageError
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import Stabilizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What counts as equivalent in one ecosystem."""

    id: str
    removals: tuple[Removal, ...]

    def removed_by(self, difference: Difference, cause: Cause) -> Stabilizer | None:
        """Name the first stabilizer that removes a difference; never one for a security-relevant cause."""
        if cause.is_security_relevant:
            return None
        if isinstance(difference, ChecksumFollows):
            return difference.removed_by
        return next((removal.stabilizer for removal in self.removals if removal.removes(difference)), None)


DEB = Rule(
    id="deb/1",
    removals=(
        DEB_MEMBER_MTIMES,
        COMPRESSION_PARAMETERS,
        TAR_MTIMES,
        TAR_MEMBER_ORDER,
        GZIP_DOCUMENTATION,
        ELF_BUILD_ID,
    ),
)
"""Debian binary packages."""

BYTES = Rule(id="bytes/1", removals=())
"""Everything else: nothing but equal bytes will do, yet differences are named."""

_BY_ECOSYSTEM = {"deb": DEB}
_BY_ID = {rule.id: rule for rule in (DEB, BYTES)}


def rule_for(ecosystem: str) -> Rule:
    """Return the rule of an ecosystem (the purl type); the strictest where there is none of its own."""
    return _BY_ECOSYSTEM.get(ecosystem, BYTES)


def rule_by_id(identifier: str) -> Rule:
    """Return the rule that a verdict names; raise UsageError for one that this version does not know."""
    try:
        return _BY_ID[identifier]
    except KeyError:
        raise UsageError(
            f"comparison rule {identifier[:40]!r} is not known here; known are {', '.join(_BY_ID)}",
            hint="a newer version of this program may know it",
        ) from None
