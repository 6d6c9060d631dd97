"""Starting the signing step as a process with a clean environment, and raising its refusal here."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

from rebuilder import errors
from rebuilder.attest.keystore import Passphrase
from rebuilder.errors import RebuilderError, ToolFailure
from rebuilder.world.process import run

TIMEOUT_S = 300
_ERRORS = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RebuilderError)}


def run_signer(
    directory: Path, *, state: Path, key: str | None = None, passphrase: Passphrase | None = None
) -> tuple[str, ...]:
    """Have a request signed by a process of its own; return the paths of the signed documents.

    The process inherits no environment and reads the passphrase, if there is one, from its standard input. Whatever it
    refuses is raised here as the same error.
    """
    command: list[str | Path] = [
        sys.executable,
        "-I",
        "-m",
        "rebuilder.attest",
        directory.absolute(),
        "--state",
        state.absolute(),
    ]
    if key is not None:
        command += ["--key", key]
    if passphrase is not None:
        command += ["--passphrase-stdin"]
    stdin = passphrase() + b"\n" if passphrase is not None else b""
    finished = run(command, timeout_s=TIMEOUT_S, stdin=stdin, cwd=directory)
    if finished.status != 0:
        raise _refusal(finished.errors, finished.status)
    return tuple(finished.output.decode("utf-8").splitlines())


def _refusal(words: bytes, status: int) -> RebuilderError:
    lines = words.decode("utf-8", "replace").strip().splitlines() or [""]
    try:
        report = json.loads(lines[-1])
        return _ERRORS[report["error"]](report["message"], hint=report["hint"])
    except (ValueError, KeyError, TypeError):
        return ToolFailure(f"the signing process ended with status {status}: {lines[-1][:200]}")
