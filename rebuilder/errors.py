"""One tree of errors, by whose fault it is.

    RebuilderError                 exit 4   never raised itself
    ├── UsageError                 exit 2   the person asked for something that cannot be
    │   ├── UnknownTarget                   no such package, suite or version
    │   └── ConfigurationError              a setting is wrong
    ├── UntrustedError             exit 3   an input failed verification: nothing is built from it
    │   ├── SignatureRefused                a signature is wrong, missing or by the wrong key
    │   ├── DigestMismatch                  bytes are not the bytes that were signed for
    │   ├── StaleInput                      expired, too old, or older than what was seen before
    │   └── HostileInput                    a structure that no honest producer makes
    └── WorldError                 exit 4   the world did not let us find out: no answer, so undecided
        ├── NetworkFailure
        ├── SourceUnavailable
        ├── EnvironmentUnavailable
        ├── DependencyUnavailable
        ├── EngineFailure
        ├── ResourceExhausted
        ├── ToolFailure                     an external program is missing or failed
        ├── StorageFailure                  disk full, not writable, locked
        ├── LeaseLost                       a job is somebody else's by now: what was done for it does not count
        └── Interrupted            exit 130 the person pressed Ctrl-C

A difference is not an error; it is a verdict. Each error carries the `cause` under which an `undecided` verdict
is published when a target was already resolved, and a `hint` that says what to do.
"""

from __future__ import annotations

from rebuilder.model.cause import Cause


class RebuilderError(Exception):
    """Base of everything this project raises on purpose.

    `str(error)` is one line: what was expected, what was found, the name of the thing. `hint` is what to do next.
    """

    exit_code = 4
    cause = Cause.INFRASTRUCTURE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(RebuilderError):
    """The request itself cannot be carried out."""

    exit_code = 2


class UnknownTarget(UsageError):
    """No such package, suite, version or file."""


class ConfigurationError(UsageError):
    """A setting has a value that is not allowed."""


class UntrustedError(RebuilderError):
    """An input failed verification; nothing was built from it."""

    exit_code = 3
    cause = Cause.UNTRUSTED_INPUT


class SignatureRefused(UntrustedError):
    """A signature is invalid, missing, or made by a key that is not trusted for it."""


class DigestMismatch(UntrustedError):
    """The bytes received are not those that the signed index names."""


class StaleInput(UntrustedError):
    """A signed index is expired, too old, or older than one that was seen before."""

    cause = Cause.STALE_INPUT


class HostileInput(UntrustedError):
    """Input with a structure that no honest producer makes, or beyond its bounds."""


class WorldError(RebuilderError):
    """The world did not let us find out."""


class NetworkFailure(WorldError):
    """A download failed, was truncated, or took too long."""


class SourceUnavailable(WorldError):
    """A source file that the signed index names cannot be had from any configured mirror."""

    cause = Cause.SOURCE_UNAVAILABLE


class EnvironmentUnavailable(WorldError):
    """The build environment could not be made."""

    cause = Cause.ENVIRONMENT_UNAVAILABLE


class DependencyUnavailable(WorldError):
    """A build-dependency cannot be satisfied or its file cannot be had."""

    cause = Cause.DEPENDENCY_UNAVAILABLE


class EngineFailure(WorldError):
    """The container engine is absent, or died, or refused."""


class ResourceExhausted(WorldError):
    """Memory, disk, processes or output beyond the plan's limits."""

    cause = Cause.RESOURCE_EXHAUSTED


class ToolFailure(WorldError):
    """An external program is missing, failed, or exceeded its bounds."""


class StorageFailure(WorldError):
    """A directory of ours cannot be read or written."""


class LeaseLost(WorldError):
    """A report about a job that the reporter does not hold (any more)."""


class Interrupted(WorldError):
    """The person interrupted the run."""

    exit_code = 130
