"""The shell above a command bounds it, passes its status on, and tells when the kernel counted a kill meanwhile."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rebuilder.build.overseer import KILLED, overseen

LIMITS = (("core", 0, 0), ("nofile", 200, 400))


def run(*command: str, counter: Path | None = None) -> int:
    """Run an overseen command; `counter` stands in for the control group's file."""
    shell, option, script, *rest = overseen(command, LIMITS)
    if counter is not None:
        script = script.replace("/sys/fs/cgroup/memory.events", str(counter))
    return subprocess.run([shell, option, script, *rest], check=False).returncode


@pytest.mark.parametrize(("script", "status"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137), ("exit 255", 255)])
def test_the_status_of_the_command_is_passed_on(script: str, status: int) -> None:
    """Also that of one that was killed, whether or not there is a control group to read."""
    assert run("sh", "-c", script) == status


def test_an_absent_command_is_status_127() -> None:
    """Like without the shell."""
    assert run("no-such-program") == 127


def test_arguments_stay_as_they_are() -> None:
    """Blanks, quotes and dollars are the command's own."""
    odd = "a  b $HOME \\ ' *"
    assert run("test", odd, "=", odd) == 0


@pytest.mark.parametrize("script", ["exit 0", "exit 3", "kill -9 $$"])
def test_a_kill_that_was_counted_wins_over_the_status(tmp_path: Path, script: str) -> None:
    """A build that hides the death of a child is found out."""
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n")
    change = f"sed -i 's/oom_kill 0/oom_kill 1/' {counter}; {script}"
    assert run("sh", "-c", change, counter=counter) == KILLED


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_processes_are_bounded_in_every_shell(shell: str) -> None:
    """Shells disagree about the option's name; a later hard limit cannot be raised again."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    _, option, script, *rest = overseen(("grep", "processes", "/proc/self/limits"), (("nproc", 3000, 3000),))
    finished = subprocess.run([shell, option, script, *rest], check=True, capture_output=True)
    assert finished.stdout.split() == [b"Max", b"processes", b"3000", b"3000", b"processes"]


def test_kills_of_before_do_not_count(tmp_path: Path) -> None:
    """Only a change tells: an engine without a group of the container's own shows that of its whole session."""
    counter = tmp_path / "memory.events"
    counter.write_text("oom_kill 3\n")
    assert run("true", counter=counter) == 0


def test_it_forks_for_the_command_alone() -> None:
    """Where no process is left, a shell that forks to count would fail in the command's name."""
    assert "$(" not in overseen(("true",), LIMITS)[2]
    assert "|" not in overseen(("true",), LIMITS)[2]


def test_the_command_has_the_limits() -> None:
    """Soft and hard ones; what cannot be raised stays as it is, silently."""
    assert run("sh", "-c", 'test "$(ulimit -S -n) $(ulimit -H -n) $(ulimit -c)" = "200 400 0"') == 0
    shell, option, script, *rest = overseen(("true",), (("nofile", 10**9, 10**9),))
    finished = subprocess.run([shell, option, script, *rest], check=False, capture_output=True)
    assert (finished.returncode, finished.stderr) == (0, b"")
