"""Asking about several things at once, for somebody who does not wait long: what did not answer by then is said to be.

A broker that is stopped, or a network that swallows everything, would else have each question wait for its own limit,
one after the other, and nobody would learn which part is away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait

import structlog

PATIENCE_S = 3.0
"""Less than whoever asks waits for: five seconds, of Compose's health checks."""

Question = Callable[[], str]


class Asking:
    """Asks questions, each in a thread; one that is not answered yet is not asked again beside it."""

    def __init__(self, questions: Mapping[str, Question], *, overdue: str, patience_s: float = PATIENCE_S) -> None:
        self._questions = questions
        self._overdue = overdue
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._asked: dict[str, Future[str]] = {}

    def answers(self) -> dict[str, str]:
        """Give an answer to each question, `overdue` where there is none in time; raises what a question raises."""
        with self._lock:
            asked = {name: self._ask(name) for name in self._questions}
        late = wait(asked.values(), self._patience_s).not_done
        for name in (name for name, answer in asked.items() if answer in late):
            structlog.stdlib.get_logger(__name__).warning("no answer", part=name, waited_s=self._patience_s)
        return {name: self._overdue if answer in late else answer.result() for name, answer in asked.items()}

    def _ask(self, name: str) -> Future[str]:
        before = self._asked.get(name)
        if before is not None and not before.done():
            return before
        answer = self._asked[name] = Future[str]()
        threading.Thread(target=_answer, args=(self._questions[name], answer), name=f"ask-{name}", daemon=True).start()
        return answer


def _answer(question: Question, answer: Future[str]) -> None:
    try:
        answer.set_result(question())
    except BaseException as error:  # noqa: BLE001 - it is raised where the answer is read
        answer.set_exception(error)
