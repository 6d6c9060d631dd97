"""make explains itself, and CI runs what a person runs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def make(*words: str) -> str:
    """Ask make what it would run, or for its help."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_make_alone_explains_itself() -> None:
    """Without a target nothing is done; the two commands and every documented target are shown."""
    text = make()
    assert "make demo" in text
    for target in ("test", "test-all", "check", "bench", "setup", "down", "clean"):
        assert re.search(rf"make {target}\s", text), target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("demo", ".venv/bin/rebuilder verify  deb:trixie/cjson"),
        ("test", '--dist loadgroup -m "not slow"'),
        ("check", "ruff format --check"),
        ("check", "-m mypy"),
    ],
)
def test_targets_do_what_they_say(target: str, expected: str) -> None:
    """Each target sets up what it needs and then runs the one thing it is named for."""
    plan = make("--dry-run", target)
    assert "tools/setup" in plan
    assert expected in plan


def test_ci_runs_make_test() -> None:
    """What CI runs is `make test`, in bash, as a program."""
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)
    assert path.read_text().rstrip().endswith("make test")
