"""Runs one of the child's tasks in a cage and brings back its answer, or an error of ours.

The child's answer is parsed strictly, and what can be known without opening an archive is not taken from it: names and
digests are ours, a verdict must follow from the findings and from the rule.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

from rebuilder import errors
from rebuilder.compare.child import ANSWER, ERROR, Failure
from rebuilder.compare.files import digests_of, reference_to
from rebuilder.compare.readers.limits import ReadLimits
from rebuilder.compare.rule import Rule
from rebuilder.compare.tasks import CompareRequest, DebMemberRequest, FileContent, TaskName
from rebuilder.errors import HostileInput, RebuilderError, ResourceExhausted, ToolFailure
from rebuilder.model import codec
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import ArtifactComparison, Finding
from rebuilder.model.verdict import Verdict
from rebuilder.world.files import storage_errors
from rebuilder.world.process import Cage, Finished, run
from rebuilder.world.scratch import prefix as scratch_prefix

Answer = TypeVar("Answer")

_ANSWER_LIMIT_BYTES = 32 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the child may use."""

    timeout_s: float = 900
    cage: Cage = field(default_factory=lambda: Cage(memory_bytes=1024**3, cpu_s=900, file_bytes=4 * 1024**3 + 1))
    scratch: Path | None = None
    """Where its directory for unnamed scratch files is made; None for the system's temporary directory."""
    limits: ReadLimits = field(default_factory=ReadLimits)
    """What its readers take, within the cage."""


def run_in_child(task: TaskName, request: object, answer: type[Answer], bounds: Bounds | None = None) -> Answer:
    """Run a task in the child and return its answer.

    Raise the error of ours that the task raised; ResourceExhausted when the child took too long, too much memory or
    died; ToolFailure when it could not be caged here.
    """
    bounds = bounds or Bounds()
    with _scratch_directory(bounds.scratch) as scratch:
        finished = run(
            [sys.executable, "-I", "-m", "rebuilder.compare.child"],
            timeout_s=bounds.timeout_s,
            stdin=codec.render({"task": str(task), "request": codec.to_plain(request)}),
            environment={"TMPDIR": str(scratch)},
            cage=bounds.cage,
            output_limit_bytes=_ANSWER_LIMIT_BYTES,
        )
    if finished.output.startswith(ANSWER) and finished.status == 0:
        return codec.parse(finished.output[len(ANSWER) :], answer)
    raise _error(finished)


def compare_in_child(
    reference: Path,
    rebuilt: Path,
    *,
    filename: str,
    rule: Rule,
    bounds: Bounds | None = None,
) -> ArtifactComparison:
    """Compare two files in the child; see `compare_file`.

    Equal digests are seen here, and no child is started. A child that dies or reaches a bound gives no findings, yet a
    verdict: the digests differ, that is proven, so the artifact is `different`. Nothing showed that the difference is
    harmless, so it counts as payload, beside the true reason `resource-exhausted`: an archive must not look better
    for being made so that nobody can open it. Raise ToolFailure when nothing can be caged here, StorageFailure when
    files cannot be read or the disk is full: then there is no answer.
    """
    bounds = bounds or Bounds()
    digests = digests_of(reference, rebuilt)
    files = reference_to(reference, digests[0]), reference_to(rebuilt, digests[1])
    if digests[0] == digests[1]:
        return ArtifactComparison(
            filename=filename, verdict=Verdict.REPRODUCED, causes=(), reference=files[0], rebuilt=files[1]
        )
    request = CompareRequest(
        reference=str(reference.absolute()),
        rebuilt=str(rebuilt.absolute()),
        filename=filename,
        rule=rule.id,
        limits=bounds.limits,
    )
    try:
        found = run_in_child(TaskName.COMPARE, request, ArtifactComparison, bounds)
        _verify_answer(found, rule)
        return replace(found, filename=filename, reference=files[0], rebuilt=files[1])
    except (ResourceExhausted, HostileInput) as error:
        findings = tuple(
            Finding(path=filename, cause=cause, detail=detail, reference=str(digests[0]), rebuilt=str(digests[1]))
            for cause, detail in (
                (Cause.PAYLOAD_CHANGED, "the files differ, and nothing showed that it is not their payload"),
                (Cause.RESOURCE_EXHAUSTED, f"the comparison by members did not end: {error}"),
            )
        )
        return ArtifactComparison(
            filename=filename,
            verdict=Verdict.DIFFERENT,
            causes=(Cause.PAYLOAD_CHANGED, Cause.RESOURCE_EXHAUSTED),
            reference=files[0],
            rebuilt=files[1],
            findings=findings,
        )


@contextmanager
def _scratch_directory(parent: Path | None) -> Iterator[Path]:
    """Make a directory for one child alone, and remove it with whatever is in it."""
    with storage_errors(parent or Path(tempfile.gettempdir())):
        directory = Path(tempfile.mkdtemp(prefix=scratch_prefix("compare"), dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _verify_answer(found: ArtifactComparison, rule: Rule) -> None:
    """Raise HostileInput when an answer about two files that differ contradicts itself or the rule."""
    known = {removal.stabilizer for removal in rule.removals}
    used = {finding.removed_by for finding in found.findings}
    is_removed = None not in used and bool(used)
    if found.verdict not in {Verdict.EQUIVALENT, Verdict.DIFFERENT} or not found.findings:
        raise HostileInput(
            f"the child says {found.verdict} with {len(found.findings)} findings about files that differ"
        )
    if not (used - {None} <= set(found.stabilizers) <= known):
        raise HostileInput("the child names stabilizers that the rule does not have, or that it did not list")
    if found.verdict is Verdict.EQUIVALENT and not is_removed:
        raise HostileInput("the child says equivalent, although a difference remains")


def read_deb_member_in_child(
    path: Path, suffix: str, *, part: str | None = None, limit_bytes: int = 4 * 1024**2, bounds: Bounds | None = None
) -> tuple[str, bytes]:
    """Take one file out of a .deb in the child; see `read_deb_member`."""
    request = DebMemberRequest(path=str(path.absolute()), suffix=suffix, limit_bytes=limit_bytes)
    if part is not None:
        request = DebMemberRequest(path=request.path, suffix=suffix, part=part, limit_bytes=limit_bytes)
    content = run_in_child(TaskName.DEB_MEMBER, request, FileContent, bounds)
    return content.name, content.data()


def _error(finished: Finished) -> RebuilderError:
    if finished.output.startswith(ERROR) and finished.status == 0:
        failure = codec.parse(finished.output[len(ERROR) :], Failure)
        kind = getattr(errors, failure.kind, None)
        if isinstance(kind, type) and issubclass(kind, RebuilderError):
            return cast("Callable[..., RebuilderError]", kind)(failure.message, hint=failure.hint)
    words = finished.errors.decode("utf-8", "replace").strip().splitlines()
    last = words[-1][:200] if words else "no message"
    if "prlimit" in last or "unshare" in last:
        return ToolFailure(f"the comparison could not be caged: {last}")
    how = f"by signal {-finished.status}" if finished.status < 0 else f"with status {finished.status}"
    return ResourceExhausted(f"the comparison ended {how}: {last}")
