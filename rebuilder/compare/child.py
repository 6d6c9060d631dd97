"""The process that opens hostile archives: `python -m rebuilder.compare.child`, one request, one answer.

Standard input holds `{"task": …, "request": …}`, standard output one line `answer` or `error`, then canonical JSON. It
is started by `rebuilder.compare.sandbox` without network, with bounded memory, time and file size; it holds no key and
writes nothing but unnamed scratch files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rebuilder.compare.confine import confine
from rebuilder.compare.tasks import TASKS, TaskName
from rebuilder.errors import HostileInput, RebuilderError, ResourceExhausted
from rebuilder.model import codec

REQUEST_LIMIT_BYTES = 1024**2
ANSWER, ERROR = b"answer\n", b"error\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error of ours, on its way to the parent."""

    kind: str
    """Name of the class."""
    message: str
    hint: str | None


def answer(data: bytes, confine_to: Callable[[tuple[Path, ...]], object]) -> bytes:
    """Carry out one request, confined to its files; every outcome is bytes, no exception leaves."""
    try:
        plain = codec.parse_json(data)
        if not isinstance(plain, dict) or set(plain) != {"task", "request"} or plain["task"] not in set(TaskName):
            raise HostileInput("a request names a task that is known, and nothing else")
        task = TASKS[TaskName(plain["task"])]
        request = codec.parse(codec.render(plain["request"]), task.request)
        confine_to(task.files(request))
        return ANSWER + codec.render(task.run(request))
    except RebuilderError as error:
        failure = Failure(kind=type(error).__name__, message=str(error), hint=error.hint)
    except (MemoryError, RecursionError):
        failure = Failure(kind=ResourceExhausted.__name__, message="memory was exhausted", hint=None)
    return ERROR + codec.render(failure)


def main() -> None:
    """Answer the request on standard input."""
    data = sys.stdin.buffer.read(REQUEST_LIMIT_BYTES + 1)
    if len(data) > REQUEST_LIMIT_BYTES:
        data = b""
    sys.stdout.buffer.write(answer(data, confine))


if __name__ == "__main__":
    main()
