"""The one module that runs programs: bounded time, bounded output, no shell, the whole process group ended.

A program that handles hostile input is run in a `Cage`: no network (a network namespace of its own), bounded memory,
processor time and file size, no core dumps, a minimal environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

from rebuilder.errors import ResourceExhausted, ToolFailure

OUTPUT_LIMIT_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """Bounds for a program that reads hostile input."""

    memory_bytes: int = 2 * 1024**3
    cpu_s: int = 600
    file_bytes: int = 4 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a program left behind."""

    status: int
    """Exit status; negative for the signal that ended it."""
    output: bytes
    """Standard output, at most the limit."""
    errors: bytes = field(repr=False)
    """Standard error, at most the limit."""
    truncated: bool
    """Whether either stream was longer than the limit and cut."""


def find(program: str) -> Path | None:
    """Where a program is, looking in the system directories too (an ordinary user's PATH leaves out sbin)."""
    path = os.pathsep.join([os.defpath, "/usr/local/bin", "/usr/sbin", "/sbin", "/usr/local/sbin"])
    found = shutil.which(program) or shutil.which(program, path=path)
    return Path(found) if found else None


def run(  # noqa: PLR0913 - keyword-only, all with defaults but the time allowed
    command: Sequence[str | Path],
    *,
    timeout_s: float,
    stdin: bytes = b"",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    cage: Cage | None = None,
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
) -> Finished:
    """Run a program to its end and return what it left, whatever its exit status.

    `environment` replaces the inherited one (PATH and LC_ALL are always set). Raise ToolFailure when the program is
    missing, ResourceExhausted when it outlives `timeout_s`: then its whole process group has been killed.
    """
    begun = begin(command, cwd=cwd, environment=environment, cage=cage, output_limit_bytes=output_limit_bytes)
    return begun.finish(stdin, timeout_s=timeout_s)


def begin(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    cage: Cage | None = None,
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
) -> Begun:
    """Start a program ahead of its input, as `run` would; whoever starts it calls `finish` or `end`."""
    argv = [str(part) for part in command]
    if find(argv[0]) is None:
        raise ToolFailure(f"the program {argv[0]} is not installed", hint="`rebuilder doctor` says how to get it")
    if cage is not None:
        argv = [*_cage_prefix(cage), *argv]
    clean = {"PATH": _search_path(), "LC_ALL": "C.UTF-8", **(environment or {})}
    process = subprocess.Popen(  # noqa: S603 - argv lists only, never a shell
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=clean,
        start_new_session=True,
    )
    return Begun(process, Path(str(command[0])).name, output_limit_bytes)


def check(finished: Finished, name: str, *, hint: str | None = None) -> bytes:
    """Return the output of a program that must succeed; raise ToolFailure with its last words otherwise."""
    if finished.status != 0:
        words = finished.errors.decode("utf-8", "replace").strip().splitlines()
        last = words[-1][:300] if words else "no message"
        raise ToolFailure(f"{name} ended with status {finished.status}: {last}", hint=hint)
    return finished.output


@cache
def can_cut_network() -> bool:
    """Whether a program can be given a network namespace of its own here."""
    prefix = _network_prefix()
    if not prefix:
        return False
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603


def _network_prefix() -> list[str]:
    unshare = find("unshare")
    if unshare is None:
        return []
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
    return [str(unshare), *own_user, "--net", "--"]


def _cage_prefix(cage: Cage) -> list[str]:
    prlimit = find("prlimit")
    if prlimit is None:
        raise ToolFailure("the program prlimit is not installed", hint="it is part of util-linux")
    if not can_cut_network():
        raise ToolFailure(
            "a program that reads hostile input cannot be cut off from the network here",
            hint="allow unprivileged user namespaces, or run as root",
        )
    bounds = [
        f"--as={cage.memory_bytes}",
        f"--cpu={cage.cpu_s}",
        f"--fsize={cage.file_bytes}",
        "--core=0",
    ]
    return [*_network_prefix(), str(prlimit), *bounds, "--"]


def _search_path() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


class Begun:
    """A program that runs, and has not been given its input."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, limit_bytes: int) -> None:
        self._process = process
        self._name = name
        self._streams = _Streams(process, limit_bytes)
        self._ended = False

    def finish(self, stdin: bytes = b"", *, timeout_s: float) -> Finished:
        """Give the program its input and wait for its end. Raise ResourceExhausted when it outlives `timeout_s`."""
        try:
            self._streams.feed(stdin)
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ResourceExhausted(f"{self._name} did not end within {timeout_s:g} s and was killed") from None
        finally:
            self.end()
        return Finished(
            status=self._process.returncode,
            output=bytes(self._streams.output),
            errors=bytes(self._streams.errors),
            truncated=self._streams.truncated,
        )

    def end(self) -> None:
        """Kill the process group, reap the leader; children that outlive it are killed as well. Twice is once."""
        if self._ended:
            return
        self._ended = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._streams.close()


class _Streams:
    """Drains both streams in threads, keeping at most the limit of each."""

    def __init__(self, process: subprocess.Popen[bytes], limit_bytes: int) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self.truncated = False
        self._fed = False
        self._process = process
        self._limit_bytes = limit_bytes
        self._threads = [
            threading.Thread(target=self._drain, args=(process.stdout, self.output), daemon=True),
            threading.Thread(target=self._drain, args=(process.stderr, self.errors), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def feed(self, data: bytes) -> None:
        stdin = self._process.stdin
        if stdin is None:
            return

        def write() -> None:
            try:
                stdin.write(data)
                stdin.close()
            except (BrokenPipeError, OSError):
                pass

        thread = threading.Thread(target=write, daemon=True)
        self._fed = True
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        if self._process.stdin is not None and not self._fed:
            self._process.stdin.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _drain(self, stream: IO[bytes] | None, kept: bytearray) -> None:
        if stream is None:
            return
        with stream:
            while block := stream.read1(65536):  # type: ignore[attr-defined]  # BufferedReader at run time
                room = self._limit_bytes - len(kept)
                kept += block[: max(room, 0)]
                self.truncated = self.truncated or len(block) > room
