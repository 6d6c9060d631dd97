"""Why a verdict is not `reproduced`: a closed set, in the order in which an auditor wants to read it."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """A typed reason. The declaration order is the reporting order: security-relevant first."""

    # Security-relevant: no stabilizer can remove one of these.
    MAINTAINER_SCRIPT_CHANGED = "maintainer-script-changed"
    SETUID_CHANGED = "setuid-changed"
    PAYLOAD_CHANGED = "payload-changed"
    EXTRA_OUTPUT = "extra-output"
    MISSING_OUTPUT = "missing-output"
    FILE_MODES = "file-modes"
    # What the build leaked into its output.
    DEPENDENCY_VERSION = "dependency-version"
    TOOLCHAIN_VERSION = "toolchain-version"
    SIGNATURE_BLOCK = "signature-block"
    RANDOMNESS = "randomness"
    BUILD_DATE = "build-date"
    BUILD_PATH = "build-path"
    BUILD_ID = "build-id"
    HOSTNAME_OR_USER = "hostname-or-user"
    LOCALE = "locale"
    TIMEZONE = "timezone"
    TIMESTAMPS = "timestamps"
    FILE_ORDER = "file-order"
    ARCHIVE_METADATA = "archive-metadata"
    COMPRESSION = "compression"
    DOCUMENTATION = "documentation"
    # Why there is no answer.
    NO_REFERENCE = "no-reference"
    UNTRUSTED_INPUT = "untrusted-input"
    STALE_INPUT = "stale-input"
    SOURCE_UNAVAILABLE = "source-unavailable"
    ENVIRONMENT_UNAVAILABLE = "environment-unavailable"
    DEPENDENCY_UNAVAILABLE = "dependency-unavailable"
    BUILD_FAILED = "build-failed"
    TIMED_OUT = "timed-out"
    RESOURCE_EXHAUSTED = "resource-exhausted"
    INFRASTRUCTURE = "infrastructure"
    DISAGREEMENT = "disagreement"
    QUORUM_PENDING = "quorum-pending"

    @property
    def is_security_relevant(self) -> bool:
        """Whether an auditor must see this one first, and no stabilizer may take it away."""
        return self in _SECURITY_RELEVANT


_SECURITY_RELEVANT = frozenset(
    {
        Cause.MAINTAINER_SCRIPT_CHANGED,
        Cause.SETUID_CHANGED,
        Cause.PAYLOAD_CHANGED,
        Cause.EXTRA_OUTPUT,
        Cause.MISSING_OUTPUT,
        Cause.FILE_MODES,
    }
)

_ORDER = {cause: rank for rank, cause in enumerate(Cause)}


def in_reporting_order(causes: frozenset[Cause] | set[Cause] | tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Return each cause once, security-relevant first."""
    return tuple(sorted(set(causes), key=_ORDER.__getitem__))
