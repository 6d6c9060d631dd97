"""Starting the signing step as a process with a clean environment, and raising its refusal here."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

from rebuilder import errors
from rebuilder.attest.keystore import Passphrase
from rebuilder.errors import RebuilderError, ToolFailure
from rebuilder.world.process import begin

TIMEOUT_S = 300
_ERRORS = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RebuilderError)}


class SigningProcess:
    """The signing step as a process that inherits no environment, started ahead of its request.

    A rebuild takes longer than the process needs to get ready, so the one hides the other. It knows neither the request
    nor the passphrase before `sign` tells it on its standard input.
    """

    def __init__(self, *, state: Path, key: str | None = None) -> None:
        command: list[str | Path] = [sys.executable, "-I", "-m", "rebuilder.attest", "--state", state.absolute()]
        if key is not None:
            command += ["--key", key]
        self._begun = begin(command)

    def end(self) -> None:
        """End the process, also where it was told nothing."""
        self._begun.end()

    def sign(self, directory: Path, *, passphrase: Passphrase | None = None) -> tuple[str, ...]:
        """Have one request signed; return the paths of the signed documents. What it refuses is raised here."""
        wish = {"request": str(directory.absolute()), "passphrase": passphrase is not None}
        secret = passphrase() + b"\n" if passphrase is not None else b""
        finished = self._begun.finish(json.dumps(wish).encode() + b"\n" + secret, timeout_s=TIMEOUT_S)
        if finished.status != 0:
            raise _refusal(finished.errors, finished.status)
        return tuple(finished.output.decode("utf-8").splitlines())


def run_signer(
    directory: Path, *, state: Path, key: str | None = None, passphrase: Passphrase | None = None
) -> tuple[str, ...]:
    """Have one request signed by a process started for it; see `SigningProcess.sign`."""
    return SigningProcess(state=state, key=key).sign(directory, passphrase=passphrase)


def _refusal(words: bytes, status: int) -> RebuilderError:
    lines = words.decode("utf-8", "replace").strip().splitlines() or [""]
    try:
        report = json.loads(lines[-1])
        return _ERRORS[report["error"]](report["message"], hint=report["hint"])
    except (ValueError, KeyError, TypeError):
        return ToolFailure(f"the signing process ended with status {status}: {lines[-1][:200]}")
