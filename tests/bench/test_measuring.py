"""Commands are measured as they are, and what the plain script prints is read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.place import LeftOut, Place
from bench.speed import read_plain
from bench.timing import measure


def test_a_command_is_measured_with_what_it_said() -> None:
    """Status, output, the end of its errors and the phases that it told of come back."""
    script = "import sys; print(sys.stdin.read()); print('07:05:09 t: build: x', file=sys.stderr); sys.exit(3)"
    run = measure([sys.executable, "-c", script], stdin="given")
    assert (run.status, run.output) == (3, "given\n")
    assert run.errors == "07:05:09 t: build: x\n"
    assert [phase.name for phase in run.phases] == ["start", "build"]
    assert sum(phase.seconds for phase in run.phases) == pytest.approx(run.wall_s)


def test_memory_is_that_of_the_command() -> None:
    """The peak covers what the command used itself; who measures is small, which a process full of tests is not."""
    measured = "measure([sys.executable, '-c', 'data = b\"x\" * 300_000_000']).peak_bytes"
    script = f"import sys; from bench.timing import measure; print({measured})"
    peak = int(measure([sys.executable, "-c", script]).output)
    assert 300_000_000 < peak < 400_000_000


def test_a_command_gets_the_variables_and_the_directory_that_are_named(tmp_path: Path) -> None:
    """The environment is the caller's with these on top."""
    run = measure(["sh", "-c", "echo $BENCHED; pwd"], environment={"BENCHED": "yes"}, directory=tmp_path)
    assert run.output == f"yes\n{tmp_path}\n"


def test_the_plain_script_tells_its_build_time_and_its_digests() -> None:
    """The build step is the last of its phases; names lose what the shell put before them."""
    output = f"phases 10.0 13.5 14.5 26.0 26.2 43.7\n{'a' * 64}  ./libcjson1_1_amd64.deb\n"
    plain = read_plain(output, 34.0)
    assert plain.wall_s == 34.0
    assert plain.build_s == pytest.approx(17.5)
    assert [phase.seconds for phase in plain.phases] == pytest.approx([3.5, 1.0, 11.5, 0.2, 17.5])
    assert plain.made == {"libcjson1_1_amd64.deb": "a" * 64}


def test_a_machine_without_an_engine_client_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The plain script is left out with a reason, not with a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LeftOut, match="neither `docker` nor `podman` is there"):
        Place(tmp_path).engine_client()
