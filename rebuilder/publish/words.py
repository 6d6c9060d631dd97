"""The sentences in which pages speak about verdicts, causes and controls; every closed set is answered in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from rebuilder.model.agreement import Agreement, agreement
from rebuilder.model.cause import Cause
from rebuilder.model.dossier import Dossier, Variation
from rebuilder.model.evidence import Standing
from rebuilder.model.plan import Fidelity
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Control, Outcome, Verdict
from rebuilder.publish.summary import is_alarming
from rebuilder.publish.word import Word


def meaning(said: Verdict | Word) -> str:
    """Say what a verdict says, or that there is none any more, in one sentence."""
    match word := Word(said):
        case Word.REPRODUCED:
            return "Bit for bit identical to the published artifact."
        case Word.EQUIVALENT:
            return "Identical once the named stabilizers have removed known nondeterminism."
        case Word.DIFFERENT:
            return "The rebuild gives other bytes than were published."
        case Word.UNDECIDED:
            return "No answer could be reached."
        case Word.WITHDRAWN:
            return "The rebuilder withdrew its result: rely on nothing that it said."
        case _:
            assert_never(word)


def reading(dossier: Dossier) -> str:
    """How an auditor should read the verdict of this result, in one or two sentences."""
    if dossier.disowned and dossier.verdict in {Verdict.REPRODUCED, Verdict.EQUIVALENT}:
        return (
            f"The source gives these bytes, and they were refused: {dossier.disowned[0].reason}. Do not trust the file."
        )
    match dossier.verdict:
        case Verdict.REPRODUCED:
            return "Every artifact that was rebuilt from the authenticated source has exactly the published bytes."
        case Verdict.EQUIVALENT:
            return (
                "The bytes differ, and nothing remains different once the stabilizers named below are applied. "
                "Modes, maintainer scripts and code are never stabilized away."
            )
        case Verdict.UNDECIDED:
            return dossier.reason or dossier.trust.reason
        case Verdict.DIFFERENT:
            return _reading_of_difference(dossier)
        case unknown:
            assert_never(unknown)


def _reading_of_difference(dossier: Dossier) -> str:
    controls = {artifact.control for artifact in dossier.comparison.artifacts}
    exact = dossier.plan is not None and dossier.plan.environment.fidelity is Fidelity.EXACT
    if is_alarming(dossier):
        return (
            "The same plan gave the same differing bytes twice, in exactly the environment of the original build, and "
            "the change is security-relevant. Nothing harmless is known to explain this."
        )
    if Control.NONDETERMINISTIC in controls:
        return _reading_of_nondeterminism(dossier)
    if not exact:
        return (
            "The environment was inferred, so another version of a compiler or build-dependency may be the reason. "
            "The causes below say what points to that and what does not."
        )
    if Control.DETERMINISTIC in controls:
        return "The same plan gave the same differing bytes twice: the difference is deterministic."
    return "The difference has not been confirmed by a control rebuild."


def _reading_of_nondeterminism(dossier: Dossier) -> str:
    """Say which files came out otherwise, where others came out the same twice."""
    compared = dossier.comparison.artifacts
    unlike = [each.filename for each in compared if each.control is Control.NONDETERMINISTIC]
    alike = [each.filename for each in compared if each.control is Control.DETERMINISTIC]
    if not alike:
        return "Two rebuilds of the same plan differ from each other: the build itself is nondeterministic."
    return (
        f"Two rebuilds of the same plan differ in {_some(unlike)}: the build is nondeterministic there. "
        f"The difference is deterministic in {_some(alike)}."
    )


_NAMED = 3
"""Files that a sentence names."""


def _some(names: Sequence[str]) -> str:
    rest = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    *first, last = [*names[:_NAMED], *rest]
    return f"{', '.join(first)} and {last}" if first else last


def inputs(dossier: Dossier) -> str:
    """Say in a word or two what became of the inputs; what is not there was refused by nobody."""
    if dossier.trust.accepted:
        return "authenticated"
    return "not available" if dossier.trust.cause is Cause.SOURCE_UNAVAILABLE else "refused"


def nothing_rebuilt(dossier: Dossier) -> str:
    """Say why there is no rebuilt file to show."""
    if dossier.others:
        return "nothing that all builders gave"
    match dossier.rebuild:
        case None:
            return "nothing was built"
        case Rebuild(outcome=Outcome.SUCCEEDED):
            return "the rebuild gave no such file"
        case Rebuild():
            return "the rebuild did not succeed"
        case unknown:
            assert_never(unknown)


def is_compared(dossier: Dossier) -> bool:
    """Whether the rebuild gave anything to compare."""
    return dossier.rebuild is not None and bool(dossier.rebuild.outputs)


def variation(run: Variation) -> str:
    """Say in one line what a run of the variation experiment says."""
    if run.failed is not None:
        return f"no answer: {run.failed}"
    return f"changes {_some(run.changed)}" if run.changed else "changes nothing"


def control(answer: Control) -> str:
    """Say what the control rebuild says, in one sentence."""
    match answer:
        case Control.NOT_NEEDED:
            return "Not needed."
        case Control.NOT_RUN:
            return "Not run: whether the difference is deterministic is not known."
        case Control.DETERMINISTIC:
            return (
                "A second rebuild, in a freshly prepared environment, gave the same bytes: "
                "the difference is deterministic."
            )
        case Control.NONDETERMINISTIC:
            return (
                "A second rebuild, in a freshly prepared environment, gave other bytes: the build is nondeterministic."
            )
        case Control.FAILED:
            return "The second rebuild did not succeed: whether the difference is deterministic is not known."
        case _:
            assert_never(answer)


def builders(dossier: Dossier) -> str:
    """Whose word a result is, in a few words."""
    if not dossier.others:
        return "one builder\u2019s word"
    answers = {agreement(dossier.runs, artifact.filename) for artifact in dossier.comparison.artifacts}
    several = f"{len(dossier.runs)} builders\u2019 word"
    if Agreement.DISAGREEING in answers:
        return f"{several}: they do not agree"
    return f"{several}: not all succeeded" if Agreement.INCOMPLETE in answers else f"{several}: the same"


def outcome(answer: Outcome) -> str:
    """How a run ended."""
    match answer:
        case Outcome.SUCCEEDED:
            return "succeeded"
        case Outcome.FAILED:
            return "failed"
        case Outcome.TIMED_OUT:
            return "ran out of time"
        case Outcome.RESOURCE_EXHAUSTED:
            return "ran out of memory, disk, processes or output"
        case _:
            assert_never(answer)


def standing(answer: Standing) -> str:
    """How a check of a claim ended."""
    match answer:
        case Standing.VERIFIED:
            return "verified"
        case Standing.REFUSED:
            return "refused"
        case Standing.ABSENT:
            return "absent"
        case Standing.NOT_CHECKED:
            return "not checked"
        case _:
            assert_never(answer)


def cause(reason: Cause) -> str:
    """Say what a cause means, in a few words."""
    return _CAUSES[reason]


_CAUSES = {
    Cause.MAINTAINER_SCRIPT_CHANGED: "a script that runs as root on installation is not the same",
    Cause.SETUID_CHANGED: "a file gains or loses the setuid or setgid bit",
    Cause.PAYLOAD_CHANGED: "code or data that users receive is not the same",
    Cause.EXTRA_OUTPUT: "the rebuild made something that was not published",
    Cause.MISSING_OUTPUT: "the rebuild lacks something that was published",
    Cause.FILE_MODES: "permissions are not the same",
    Cause.DEPENDENCY_VERSION: "another version of a dependency shaped the result",
    Cause.TOOLCHAIN_VERSION: "another version of a compiler or build tool shaped the result",
    Cause.SIGNATURE_BLOCK: "an embedded signature, which no rebuild can make",
    Cause.RANDOMNESS: "random values",
    Cause.BUILD_DATE: "the date of the build",
    Cause.BUILD_PATH: "the directory of the build",
    Cause.BUILD_ID: "the linker's build-id and what is derived from it",
    Cause.HOSTNAME_OR_USER: "the name of the building machine or user",
    Cause.LOCALE: "the language settings of the build",
    Cause.TIMEZONE: "the time zone of the build",
    Cause.TIMESTAMPS: "times of files",
    Cause.FILE_ORDER: "the order of files",
    Cause.ARCHIVE_METADATA: "fields of the archive format",
    Cause.COMPRESSION: "how the same content is compressed",
    Cause.DOCUMENTATION: "generated documentation",
    Cause.NO_REFERENCE: "nothing was published to compare with",
    Cause.UNTRUSTED_INPUT: "an input failed verification, so nothing was built from it",
    Cause.STALE_INPUT: "a signed index is expired or older than one seen before",
    Cause.SOURCE_UNAVAILABLE: "the source cannot be had",
    Cause.ENVIRONMENT_UNAVAILABLE: "the build environment could not be made",
    Cause.DEPENDENCY_UNAVAILABLE: "a build-dependency cannot be had",
    Cause.BUILD_FAILED: "the build failed",
    Cause.TIMED_OUT: "the build took longer than the plan allows",
    Cause.RESOURCE_EXHAUSTED: "the build took more than the plan allows",
    Cause.INFRASTRUCTURE: "the rebuilder itself failed",
    Cause.DISAGREEMENT: "independent builders do not agree",
    Cause.QUORUM_PENDING: "not enough independent builders have answered yet",
}
