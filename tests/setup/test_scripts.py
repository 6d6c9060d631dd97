"""The scripts that work before anything is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def script(path: Path, text: str) -> None:
    """Write a program."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(tool: str, *words: str, first: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of our tools with programs of the test's before the machine's."""
    path = f"{first}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [ROOT / "tools" / tool, *words],
        env={**os.environ, "PATH": path, "PYTHON": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_shim_that_runs_nothing_is_passed_over(tmp_path: Path) -> None:
    """Version managers leave shims that only say which versions exist: the next candidate is tried."""
    script(tmp_path / "python3.11", "echo 'command not found' >&2; exit 127")
    script(tmp_path / "python3", f'exec {sys.executable} "$@"')
    found = run("find-python", first=tmp_path)
    assert found.returncode == 0
    assert Path(found.stdout.strip()).exists()


def test_the_python_that_was_asked_for_comes_first(tmp_path: Path) -> None:
    """PYTHON=… decides."""
    assert run("find-python", first=tmp_path, PYTHON=sys.executable).stdout.strip() == sys.executable


def test_packages_are_never_installed_without_root(tmp_path: Path) -> None:
    """An ordinary user is told the command; apt-get is not run."""
    script(tmp_path / "id", "echo 1000")
    script(tmp_path / "apt-get", f"touch {tmp_path}/called")
    done = run("apt-install", "mmdebstrap", "zstd", first=tmp_path)
    assert done.returncode == 4
    assert "sudo apt-get install --no-install-recommends mmdebstrap zstd" in done.stderr
    assert not (tmp_path / "called").exists()


def test_lists_are_read_only_when_an_installation_fails(tmp_path: Path) -> None:
    """A fresh machine has no package lists: the first try fails, the lists are read, the second succeeds."""
    script(tmp_path / "id", "echo 0")
    log = tmp_path / "log"
    script(
        tmp_path / "apt-get",
        f'echo "$@" >>{log}; case "$*" in *update*) touch {tmp_path}/lists;; *) test -e {tmp_path}/lists;; esac',
    )
    done = run("apt-install", "mmdebstrap", first=tmp_path)
    assert done.returncode == 0
    assert "installing Debian packages: mmdebstrap" in done.stdout
    assert [line.split()[-1] for line in log.read_text().splitlines()] == ["mmdebstrap", "update", "mmdebstrap"]
    assert run("apt-install", "zstd", first=tmp_path).returncode == 0
    assert len(log.read_text().splitlines()) == 4


def test_an_installation_that_fails_shows_apt_s_last_words(tmp_path: Path) -> None:
    """What apt said is shown, and the status is that of a tool that failed."""
    script(tmp_path / "id", "echo 0")
    script(tmp_path / "apt-get", "echo 'E: Unable to locate package no-such'; exit 100")
    done = run("apt-install", "no-such", first=tmp_path)
    assert done.returncode == 4
    assert "Unable to locate package no-such" in done.stderr


@pytest.mark.parametrize("tool", ["tools/setup", "tools/lock", "tools/find-python", "tools/apt-install"])
def test_scripts_are_plain_sh(tool: str) -> None:
    """They run on a machine with nothing but a POSIX shell."""
    subprocess.run(["sh", "-n", ROOT / tool], check=True)
    assert os.access(ROOT / tool, os.X_OK)
