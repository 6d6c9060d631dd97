"""The signing step as a process: what it is told, what it inherits, how it ends."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import enroll, ensure_key
from rebuilder.attest.request import write_request
from rebuilder.attest.run_signer import SigningProcess, run_signer
from rebuilder.errors import ConfigurationError, SignatureRefused, UsageError
from rebuilder.world.process import run
from tests.attest.factory import BUILDER, Staged, dossier, stage


def _state(tmp_path: Path, passphrase: bytes | None = None) -> Path:
    """Make a signer's state directory: its own attestation key, and the builder enrolled."""
    state = tmp_path / "state"
    ensure_key(state, Role.ATTESTATION, passphrase=(lambda: passphrase) if passphrase else None)
    enroll(state, Role.BUILDER, BUILDER.public_key)
    return state


def _staged_for(tmp_path: Path, state: Path) -> Staged:
    staged = stage(tmp_path, dossier())
    context = replace(staged.context, attester=ensure_key(state, Role.ATTESTATION).keyid)
    for path in (staged.request / "unsigned").rglob("*"):
        if path.is_file():
            path.unlink()
    write_request(staged.request, staged.result, dossier().dossier, context)
    return replace(staged, context=context)


def test_the_step_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    """The pipeline gets the paths back; the key stays in the other process."""
    state = _state(tmp_path)
    staged = _staged_for(tmp_path, state)
    paths = run_signer(staged.request, state=state)
    assert len(paths) == 5
    assert run_signer(staged.request, state=state) == paths


def test_the_process_takes_a_passphrase(tmp_path: Path) -> None:
    """It is read from standard input: no argument and no environment variable shows it."""
    state = _state(tmp_path, b"correct horse")
    staged = _staged_for(tmp_path, state)
    with pytest.raises(ConfigurationError, match="is protected by a passphrase"):
        run_signer(staged.request, state=state)
    with pytest.raises(ConfigurationError, match="the passphrase is wrong"):
        run_signer(staged.request, state=state, passphrase=lambda: b"wrong")
    assert run_signer(staged.request, state=state, passphrase=lambda: b"correct horse")


def test_a_refusal_of_the_process_is_raised_here(tmp_path: Path) -> None:
    """The same error class, message and hint come out, as if it had been called."""
    state = _state(tmp_path)
    staged = stage(tmp_path, dossier())
    with pytest.raises(SignatureRefused, match="the request names attestation key"):
        run_signer(staged.request, state=state)


def test_the_process_inherits_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PYTHONPATH that shadows our modules is not looked at."""
    evil = tmp_path / "evil" / "rebuilder"
    evil.mkdir(parents=True)
    (evil / "__init__.py").write_text("raise SystemExit(99)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "evil"))
    state = _state(tmp_path)
    staged = _staged_for(tmp_path, state)
    assert run_signer(staged.request, state=state)


def test_the_process_waits_for_its_request_and_can_be_ended(tmp_path: Path) -> None:
    """It is started before there is anything to sign; where nothing comes of the rebuild, it is ended."""
    state = _state(tmp_path)
    signer = SigningProcess(state=state)
    staged = _staged_for(tmp_path, state)
    assert len(signer.sign(staged.request)) == 5
    idle = SigningProcess(state=state)
    waiting = _children()
    idle.end()
    assert waiting
    assert not _children() & waiting


def _children() -> set[str]:
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.mark.parametrize("told", [b"", b"{}\n", b"[]\n", b'{"request": 3, "passphrase": false}\n', b"\xff\n"])
def test_a_process_that_is_not_told_what_to_sign_signs_nothing(tmp_path: Path, told: bytes) -> None:
    """Its parent may have died: then its standard input ends."""
    command = [sys.executable, "-I", "-m", "rebuilder.attest", "--state", str(_state(tmp_path))]
    finished = run(command, stdin=told, timeout_s=60)
    assert finished.status == UsageError.exit_code
    assert json.loads(finished.errors)["error"] == "UsageError"
    assert not finished.output
