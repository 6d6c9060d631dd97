"""A build succeeds, or fails in every way that a hostile or unlucky one can; it reaches and exceeds nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.build.cache import PreparedIndex
from rebuilder.build.engine import DockerEngine
from rebuilder.build.prepare import prepare
from rebuilder.build.run import Runner, Ticket
from rebuilder.errors import DigestMismatch, EngineFailure, HostileInput, SourceUnavailable
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Limits
from rebuilder.model.rebuild import Rebuild
from rebuilder.model.verdict import Outcome
from rebuilder.store.blobs import LocalBlobs
from tests.build.factory import LIMITS, plan, repository

pytestmark = pytest.mark.engine

Build = Callable[..., Rebuild]


@pytest.fixture
def build(engine: DockerEngine, tiny: Digest, index: PreparedIndex, blobs: LocalBlobs) -> Build:
    """Run a script as a build, and prove that it left nothing in the engine."""

    def build(script: str, *, limits: Limits = LIMITS, sources: dict[str, Path] | None = None) -> Rebuild:
        wanted = plan(tiny, script, limits=limits, sources=sources)
        with prepare(engine, index, wanted.environment, repository) as prepared:
            rebuild = Runner(engine=engine, blobs=blobs).run(wanted, prepared, sources or {}, Ticket(builder="key"))
        left = [item for item in engine.leftovers() if item.labels.get("rebuilder.run") == engine.owner.run]
        assert left == []
        return rebuild

    return build


def test_a_build_gives_its_outputs_its_log_and_its_circumstances(
    build: Build, blobs: LocalBlobs, tmp_path: Path
) -> None:
    """Inputs are read, outputs and both streams of the log are stored, and the record says where it ran."""
    source = tmp_path / "source.txt"
    source.write_text("from source\n")
    rebuild = build(
        "echo to stdout; echo to stderr >&2; mkdir tree; cat /input/source.txt /input/note.txt >/output/a.deb; "
        "echo b >/output/b_1.0+x~y:z.txt",
        sources={"source.txt": source},
    )
    assert (rebuild.outcome, rebuild.reason) == (Outcome.SUCCEEDED, "")
    assert [output.filename for output in rebuild.outputs] == ["a.deb", "b_1.0+x~y:z.txt"]
    assert blobs.get(rebuild.outputs[0].digest) == b"from source\na note\n"
    assert rebuild.outputs[0].size_bytes == 19
    assert sorted(blobs.get(rebuild.log).splitlines()) == [b"to stderr", b"to stdout"]
    assert rebuild.machine.kernel
    assert rebuild.machine.cpu_model
    assert rebuild.machine.engine.startswith(("docker ", "podman "))
    assert rebuild.started_at <= rebuild.finished_at
    assert codec.parse(codec.render(rebuild), Rebuild).outputs == rebuild.outputs


def test_a_build_sees_the_plans_environment_and_nothing_else(build: Build, blobs: LocalBlobs) -> None:
    """Variables, user, host name, directory and umask are the plan's; no capability is left; the root is read-only."""
    rebuild = build(
        "exec >/output/seen; env -u PWD | sort; id -u; id -g; cat /proc/sys/kernel/hostname; pwd; umask; "
        "grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs)' /proc/self/status; ls /sys/class/net; cat /etc/resolv.conf || true"
    )
    seen = blobs.get(rebuild.outputs[0].digest).decode().splitlines()
    variables = [line for line in seen if "=" in line and not line.startswith(("PWD=", "SHLVL=", "OLDPWD="))]
    assert variables == ["GREETING=hello world", "PATH=/bin:/usr/bin"]
    for fact in ("1000", "builder", "/build", "0022", "NoNewPrivs:\t1", "lo"):
        assert fact in seen
    assert [line.split()[1] for line in seen if line.startswith("Cap")] == ["0000000000000000"] * 3
    assert not [line for line in seen if line.startswith("eth")]
    assert {line for line in seen if line.startswith("nameserver")} <= {"nameserver 127.0.0.1"}


_ATTEMPTS = (
    "echo x >/file",
    "echo x >/usr/share/file",
    "echo x >/input/file",
    "chmod 777 /etc",
    "/bin/as-root touch /file",
    "test $(/bin/as-root id -u) = 0",
    "mknod /tmp/device b 8 0",
    "mount -t tmpfs tmpfs /tmp",
    "wget -T 2 -q -O /tmp/page http://192.0.2.1/",
    "ping -c 1 -W 1 192.0.2.1",
    "nc -w 2 192.0.2.1 80 </dev/null",
)


def test_a_build_cannot_reach_out_or_up(build: Build, blobs: LocalBlobs) -> None:
    """Writing to the root or the inputs, setuid programs, devices, mounts and the network are all refused."""
    tries = [f"if ( {attempt} ) >/dev/null 2>&1; then echo reached; else echo refused; fi" for attempt in _ATTEMPTS]
    rebuild = build("exec >/output/answers; " + "; ".join(tries))
    answers = blobs.get(rebuild.outputs[0].digest).decode().split()
    reached = [attempt for attempt, answer in zip(_ATTEMPTS, answers, strict=True) if answer != "refused"]
    assert reached == []


def test_scratch_directories_are_writable_and_executable(build: Build) -> None:
    """/tmp, /var/tmp and the build tree can be written and run from, for debian/rules does."""
    write = "printf '#!/bin/sh\\ntrue\\n' >$d/x; chmod 755 $d/x; $d/x || exit 1"
    rebuild = build(f"for d in /tmp /var/tmp /build; do {write}; done; echo y >/output/y")
    assert rebuild.outcome is Outcome.SUCCEEDED


def test_a_failing_build_is_failed_with_its_telling_words(build: Build) -> None:
    """The reason names the exit status and the line that says what went wrong; control characters are gone."""
    rebuild = build("echo starting; printf 'cc: \\033[31merror: no such header\\n'; echo make: leaving; exit 2")
    assert rebuild.outcome is Outcome.FAILED
    assert rebuild.reason == "the build ended with status 2: cc: error: no such header"
    assert rebuild.outputs == ()


def test_a_build_without_output_is_failed(build: Build) -> None:
    """Success without any output is not success."""
    rebuild = build("true")
    assert (rebuild.outcome, rebuild.reason) == (Outcome.FAILED, "the build succeeded but made no output")


def test_a_hanging_build_is_timed_out(build: Build) -> None:
    """The wall clock ends it, children included."""
    started = time.monotonic()
    rebuild = build("sleep 600 & sleep 600", limits=replace(LIMITS, wall_s=2))
    assert (rebuild.outcome, rebuild.reason) == (Outcome.TIMED_OUT, "the build did not end within 2 s")
    assert time.monotonic() - started < 30


def test_a_fork_bomb_runs_into_the_process_limit(build: Build) -> None:
    """A build that forks without end is stopped by the limit of processes, and the reason says so."""
    rebuild = build(
        "f() { f | f & f; }; for i in $(seq 100); do sleep 30 & done; exit 1", limits=replace(LIMITS, wall_s=20)
    )
    assert rebuild.outcome is Outcome.RESOURCE_EXHAUSTED
    assert "more than 40 processes" in rebuild.reason


def test_an_endless_fork_bomb_ends(build: Build) -> None:
    """One that never gives up ends at the latest with the wall clock, and nothing of it stays."""
    rebuild = build("bomb() { bomb & bomb; }; while :; do bomb & done", limits=replace(LIMITS, wall_s=3))
    assert rebuild.outcome in {Outcome.TIMED_OUT, Outcome.RESOURCE_EXHAUSTED}


def test_filling_memory_is_resource_exhausted(build: Build) -> None:
    """A process that takes all memory is killed, and that is not called a failed build."""
    rebuild = build("dd if=/dev/zero of=/dev/null bs=200M count=1; exit $?")
    assert rebuild.outcome is Outcome.RESOURCE_EXHAUSTED
    assert "bytes of memory" in rebuild.reason


def test_a_child_killed_for_memory_spoils_even_a_success(build: Build) -> None:
    """When the kernel had to kill a child, the build's own success is not believed."""
    rebuild = build("dd if=/dev/zero of=/dev/null bs=200M count=1; echo fine >/output/x")
    assert rebuild.outcome is Outcome.RESOURCE_EXHAUSTED


def test_filling_the_disk_is_resource_exhausted(build: Build) -> None:
    """Build tree and outputs together are bounded."""
    rebuild = build("dd if=/dev/zero of=/build/big bs=1M count=64 2>/dev/null; sleep 30")
    assert rebuild.outcome is Outcome.RESOURCE_EXHAUSTED
    assert "more than the 25165824 allowed" in rebuild.reason


@pytest.mark.parametrize("place", ["/build/big", "/output/big"])
def test_a_build_that_ends_before_anybody_looked_is_measured(build: Build, place: str) -> None:
    """Overshooting within the pause of the polls does not pass: it is measured once more before anything is read."""
    rebuild = build(f"head -c 50331648 /dev/zero >{place}; echo x >/output/x")
    assert rebuild.outcome is Outcome.RESOURCE_EXHAUSTED
    assert "more than the 25165824 allowed" in rebuild.reason
    assert rebuild.outputs == ()


def test_an_unreadable_directory_is_measured_as_well(build: Build) -> None:
    """A build cannot hide what it wrote behind a mode."""
    rebuild = build("mkdir d; head -c 50331648 /dev/zero >d/big; chmod 0 d; echo x >/output/x")
    assert rebuild.outcome is Outcome.RESOURCE_EXHAUSTED
    assert "more than the 25165824 allowed" in rebuild.reason


def test_an_output_beyond_the_limit_is_resource_exhausted(build: Build) -> None:
    """A build that ends before anybody looked is still bounded: a sparse file of a terabyte is not fetched."""
    rebuild = build("truncate -s 1000G /output/big")
    assert rebuild.outcome is Outcome.RESOURCE_EXHAUSTED
    assert "is larger than" in rebuild.reason


def test_flooding_the_log_is_resource_exhausted(build: Build, blobs: LocalBlobs) -> None:
    """The log is kept up to its limit, and the build is ended."""
    rebuild = build("yes")
    assert rebuild.outcome is Outcome.RESOURCE_EXHAUSTED
    assert "log is longer than 65536 bytes" in rebuild.reason
    assert len(blobs.get(rebuild.log)) == LIMITS.log_bytes


def test_a_short_flood_is_kept_up_to_the_limit(build: Build, blobs: LocalBlobs) -> None:
    """A build that wrote too much and ended by itself is ended all the same."""
    rebuild = build("yes | head -c 1000000; echo x >/output/x")
    assert rebuild.outcome is Outcome.RESOURCE_EXHAUSTED
    assert len(blobs.get(rebuild.log)) == LIMITS.log_bytes


def test_a_link_among_the_outputs_fails_the_build(build: Build) -> None:
    """A link to a file of the environment is not followed."""
    rebuild = build("ln -s /etc/passwd /output/a.deb")
    assert rebuild.outcome is Outcome.FAILED
    assert "a.deb' is a symbolic link" in rebuild.reason


def test_a_build_that_kills_itself_is_no_answer(build: Build) -> None:
    """A build ended by SIGKILL within its limits looks like an engine that was stopped: not called a failed build."""
    with pytest.raises(EngineFailure, match="was killed from outside, or killed itself"):
        build("kill -9 $$")


def test_a_source_that_is_absent_or_altered_is_not_built(build: Build, tmp_path: Path) -> None:
    """What is built is what the plan names, by digest."""
    source = tmp_path / "s"
    source.write_text("honest")
    wanted = {"s": source}
    spoiled = tmp_path / "spoiled"
    spoiled.write_text("spoilt")
    tampered = plan(Digest.of(b""), "true", sources=wanted)
    runner = Runner(engine=None, blobs=None)  # type: ignore[arg-type]  # refused before either is met
    with pytest.raises(DigestMismatch, match="s"):
        runner.run(tampered, None, {"s": spoiled}, Ticket(builder="key"))  # type: ignore[arg-type]
    with pytest.raises(SourceUnavailable, match="source s of sample"):
        runner.run(tampered, None, {}, Ticket(builder="key"))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["build", "/", "/usr/src/x", "/build/../etc", "/etc", "/tmp", "/build//x", "/input/x"])
def test_a_build_path_cannot_hide_the_environment(
    engine: DockerEngine, tiny: Digest, blobs: LocalBlobs, index: PreparedIndex, path: str
) -> None:
    """The build tree's volume is never put over the system."""
    wanted = plan(tiny, "true")
    wanted = replace(wanted, environment=replace(wanted.environment, build_path=path))
    with prepare(engine, index, wanted.environment, repository) as prepared, pytest.raises(HostileInput, match="path"):
        Runner(engine=engine, blobs=blobs).run(wanted, prepared, {}, Ticket(builder="key"))
