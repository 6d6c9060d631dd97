"""How a build ended is judged from its status and its last words."""

from __future__ import annotations

import pytest

from rebuilder.build.container import State
from rebuilder.build.ending import judge, last_words
from rebuilder.errors import EngineFailure
from rebuilder.model.plan import Limits
from rebuilder.model.verdict import Outcome


def _state(status: int, *, memory: bool = False, problem: str = "") -> State:
    return State(running=False, status=status, memory_exhausted=memory, problem=problem)


@pytest.mark.parametrize(
    ("tail", "outcome", "words"),
    [
        ("make: *** [Makefile:3: all] Error 2", Outcome.FAILED, "status 2: make: *** [Makefile:3: all] Error 2"),
        ("sh: 1: Cannot fork", Outcome.RESOURCE_EXHAUSTED, "more than 2048 processes"),
        ("bash: fork: Resource temporarily unavailable", Outcome.RESOURCE_EXHAUSTED, "more than 2048 processes"),
        ("cp: write error: No space left on device", Outcome.RESOURCE_EXHAUSTED, "more space than it may use"),
        ("cc1plus: std::bad_alloc", Outcome.RESOURCE_EXHAUSTED, "bytes of memory"),
        ("", Outcome.FAILED, "status 2: it said nothing"),
    ],
)
def test_a_failure_says_why(tail: str, outcome: Outcome, words: str) -> None:
    """Want of processes, space or memory is told from a build that is simply broken."""
    ending = judge(_state(2), tail, Limits())
    assert ending.outcome is outcome
    assert words in ending.reason


def test_success_is_not_believed_when_memory_ran_out() -> None:
    """A child was killed by the kernel: the outputs may lack what it was to make."""
    assert judge(_state(0), "", Limits()).outcome is Outcome.SUCCEEDED
    assert judge(_state(0, memory=True), "", Limits()).outcome is Outcome.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("state", [_state(137), _state(143), _state(0, problem="exec format error")])
def test_an_end_from_outside_is_no_outcome(state: State) -> None:
    """The engine was stopped, or never started the command: no answer."""
    with pytest.raises(EngineFailure):
        judge(state, "", Limits())


def test_last_words_are_the_first_telling_ones_of_the_end() -> None:
    """The cause comes before its consequences; colours and control characters are gone; length is bounded."""
    tail = "compiling\n\x1b[31mfoo.c:1: fatal error: bar.h\x1b[0m\nmake: *** Error 1\nleaving\n"
    assert last_words(tail) == "foo.c:1: fatal error: bar.h"
    assert last_words("one\ntwo\x00\x07\n\n") == "two"
    assert len(last_words("error " * 1000)) == 400
