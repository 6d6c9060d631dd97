"""Running a command and measuring it: wall time, memory, and when it said that another phase began."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.phases import Mark, Phase, durations, phase_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured command."""

    command: str
    wall_s: float
    peak_bytes: int
    """Largest resident set of the process or of one that it started and waited for, as the kernel counts it."""
    status: int
    output: str
    errors: str
    """The end of standard error."""
    phases: tuple[Phase, ...]
    """How long each phase took that the command told of on standard error."""


def measure(
    command: Sequence[str],
    *,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Run:
    """Run a command to its end, whatever its status; its environment is this one with `environment` on top.

    A child begins with the memory of who starts it, so the peak is only worth something while this process is small.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
        env={**os.environ, **(environment or {})},
    )
    said: list[tuple[float, str]] = []
    listener = threading.Thread(target=_listen, args=(process.stderr, said, started))
    listener.start()
    output = _converse(process, stdin)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    listener.join()
    return Run(
        command=" ".join(command),
        wall_s=wall_s,
        peak_bytes=usage.ru_maxrss * 1024,
        status=process.returncode,
        output=output,
        errors="".join(line for _, line in said[-20:]),
        phases=durations(_marks(said), wall_s),
    )


def _converse(process: subprocess.Popen[str], stdin: str) -> str:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both were asked for")
    with process.stdin, process.stdout:
        process.stdin.write(stdin)
        process.stdin.close()
        return process.stdout.read()


def _listen(stream: IO[str] | None, said: list[tuple[float, str]], started: float) -> None:
    """Note when each line came, and let whoever waits read it."""
    if stream is None:
        return
    with stream:
        for line in stream:
            said.append((time.monotonic() - started, line))
            sys.stderr.write(f"  {line}")


def _marks(said: Iterable[tuple[float, str]]) -> list[Mark]:
    return [Mark(at_s=at_s, name=name) for at_s, line in said if (name := phase_of(line)) is not None]
