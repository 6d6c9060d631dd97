"""How a build ended, judged from its exit status and its last words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rebuilder.build.container import State
from rebuilder.errors import EngineFailure
from rebuilder.model.plan import Limits
from rebuilder.model.release import FileReference
from rebuilder.model.verdict import Outcome

_KILLED = frozenset({128 + 9, 128 + 15})
_NO_PROCESS = re.compile(r"(?:[Cc]an ?not|can't|[Uu]nable to|fork).{0,40}(?:fork|Resource temporarily unavailable)")
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
_NO_MEMORY = re.compile(r"Cannot allocate memory|virtual memory exhausted|std::bad_alloc|MemoryError")
_TELLING = re.compile(
    r"\berror\b|\bfailed\b|\bfailure\b|\bfatal\b|cannot|not found|No such file|\*\*\*|^E: ", re.IGNORECASE
)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f-\x9f]+")
_REASON_LIMIT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Outcome, reason and outputs of one run."""

    outcome: Outcome
    reason: str = ""
    outputs: tuple[FileReference, ...] = ()


def too_big(clause: str) -> Ending:
    """Say that a build was ended because it went over a limit."""
    return Ending(outcome=Outcome.RESOURCE_EXHAUSTED, reason=f"the build was ended: {clause}")


def judge(state: State, tail: str, limits: Limits) -> Ending:
    """Judge a build that ended by itself; raise EngineFailure when something outside ended it.

    A build in which the kernel killed a process for want of memory is not trusted even when it claims success.
    """
    if state.problem:
        raise EngineFailure(f"the engine could not run the build: {state.problem}")
    if state.memory_exhausted:
        return too_big(f"it needed more than {limits.memory_bytes} bytes of memory")
    if state.status == 0:
        return Ending(outcome=Outcome.SUCCEEDED)
    if state.status in _KILLED:
        raise EngineFailure(
            "the build was killed from outside, or killed itself, within its limits",
            hint="was the container engine stopped? Then start it and run the build again",
        )
    words = last_words(tail)
    for pattern, what in (
        (_NO_PROCESS, f"more than {limits.pids} processes"),
        (_NO_SPACE, "more space than it may use"),
        (_NO_MEMORY, f"more than {limits.memory_bytes} bytes of memory"),
    ):
        if pattern.search(tail):
            return Ending(outcome=Outcome.RESOURCE_EXHAUSTED, reason=f"the build needed {what}: {words}")
    return Ending(outcome=Outcome.FAILED, reason=f"the build ended with status {state.status}: {words}")


def last_words(tail: str) -> str:
    """Return the first of the last lines that name an error, else the last line; printable and short."""
    lines = [_CONTROL.sub("", line).strip() for line in tail.splitlines()[-40:]]
    lines = [line for line in lines if line]
    telling = [line for line in lines if _TELLING.search(line)]
    chosen = (telling or lines[-1:] or ["it said nothing"])[0]
    return chosen[:_REASON_LIMIT]
