"""The engine is described, its absence and its death are named, and its images have predictable ids."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.build import images
from rebuilder.build.container import Mount, Spec
from rebuilder.build.engine import DockerEngine
from rebuilder.build.once import run_once
from rebuilder.errors import EngineFailure, EnvironmentUnavailable, ResourceExhausted
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Limits
from tests.build.factory import BASE_EPOCH


def test_an_absent_engine_is_named_with_what_to_do(tmp_path: Path) -> None:
    """No engine: EngineFailure, and the hint says how to get one."""
    engine = DockerEngine(f"unix://{tmp_path}/absent.sock")
    with pytest.raises(EngineFailure, match="no container engine answers") as caught:
        engine.describe()
    assert caught.value.hint is not None
    assert "make engine" in caught.value.hint


def test_an_engine_that_hangs_up_is_a_failure(tmp_path: Path) -> None:
    """Something that closes the connection instead of answering is no engine."""
    path = tmp_path / "rude.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def rude() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                connection.close()

        thread = threading.Thread(target=rude)
        thread.start()
        with pytest.raises(EngineFailure):
            DockerEngine(f"unix://{path}").describe()
        thread.join()


@pytest.mark.engine
def test_an_image_has_the_id_that_was_computed_without_an_engine(
    engine: DockerEngine, tiny: Digest, tiny_rootfs: Path
) -> None:
    """The id is a function of the root file system, the architecture, the epoch and the labels."""
    assert images.image_id_of(tiny_rootfs, architecture="amd64", epoch=BASE_EPOCH) == tiny
    record = engine.image(tiny)
    assert record is not None
    assert record.made_at.timestamp() == BASE_EPOCH
    assert tiny in {base.image for base in images.base_images(engine)}
    ids = {
        tiny,
        images.image_id_of(tiny_rootfs, architecture="arm64", epoch=BASE_EPOCH),
        images.image_id_of(tiny_rootfs, architecture="amd64", epoch=BASE_EPOCH + 1),
        images.image_id_of(tiny_rootfs, architecture="amd64", epoch=BASE_EPOCH, labels={"a": "b"}),
    }
    assert len(ids) == 4


@pytest.mark.engine
def test_a_broken_root_file_system_is_refused_by_the_engine(engine: DockerEngine, tmp_path: Path) -> None:
    """What is no tar does not become an image."""
    broken = tmp_path / "rootfs.tar"
    broken.write_bytes(b"no tar" * 1000)
    with pytest.raises(EngineFailure):
        images.load(engine, broken, architecture="amd64", epoch=BASE_EPOCH)


@pytest.mark.engine
def test_an_image_is_pulled_by_digest_only(engine: DockerEngine) -> None:
    """A name without a digest is refused before anything is asked of a registry."""
    with pytest.raises(EnvironmentUnavailable, match="'debian:trixie' is not pinned"):
        engine.pull("debian:trixie")


@pytest.mark.engine
def test_a_command_runs_once_without_network(engine: DockerEngine, tiny: Digest, tmp_path: Path) -> None:
    """Files are given by content or path, both streams come back apart, the status is the command's."""
    given = tmp_path / "file"
    given.write_bytes(b"from a file\n")
    command = ("sh", "-c", "cat /input/deep/er/text /input/file; ls /sys/class/net; env >&2; exit 7")
    finished = run_once(
        engine, tiny, command, files={"deep/er/text": b"from memory\n", "file": given}, environment=(("A", "b c"),)
    )
    assert finished.status == 7
    assert finished.output.splitlines() == [b"from memory", b"from a file", b"lo"]
    assert b"A=b c" in finished.errors.splitlines()
    assert b"HOME" not in finished.errors


@pytest.mark.engine
def test_a_command_that_hangs_is_ended(engine: DockerEngine, tiny: Digest) -> None:
    """A command that outlives its limit is killed and named."""
    with pytest.raises(ResourceExhausted, match="sleep in a container did not end within 1 s"):
        run_once(engine, tiny, ("sleep", "600"), files={}, limits=Limits(memory_bytes=64 * 1024**2, wall_s=1))
    assert [item for item in engine.leftovers() if item.labels.get("rebuilder.run") == engine.owner.run] == []


@pytest.mark.engine
def test_a_command_of_ours_hears_signals_on_podman_too(tiny: Digest, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a shell stands above every other command, and would end in its place."""
    engine = DockerEngine()
    podman = replace(engine.describe(), name="podman")
    monkeypatch.setattr(engine, "_described", podman)
    script = "trap 'echo heard; exit' TERM; echo ready; while :; do sleep 1 & wait $!; done"
    spec = Spec(image=tiny, command=("sh", "-c", script), environment=(("PATH", "/bin"),), hears_signals=True)
    heard = b""
    with engine.container(spec) as container:
        for output, _ in container.start():
            heard += output
            if heard == b"ready\n":
                container.terminate()
    assert heard == b"ready\nheard\n"


@pytest.mark.engine
def test_a_command_that_does_not_exist_is_no_engine_failure(engine: DockerEngine, tiny: Digest) -> None:
    """An absent program ends with status 127, like in a shell."""
    assert run_once(engine, tiny, ("no-such-program",), files={}).status == 127


@pytest.mark.engine
def test_an_unknown_image_is_an_engine_failure(engine: DockerEngine) -> None:
    """An image that the engine does not hold is named by the engine's own words, and nothing is left."""
    absent = Digest.of(b"absent")
    assert engine.image(absent) is None
    with (
        pytest.raises(EngineFailure, match="refused creating a container"),
        engine.container(Spec(image=absent, command=("true",))),
    ):
        pytest.fail("a container was made")
    engine.remove_image(absent)


@pytest.mark.engine
def test_what_a_container_copies_out_is_bounded(engine: DockerEngine, tiny: Digest) -> None:
    """More than the limit is refused while it streams."""
    with engine.volume() as volume:
        spec = Spec(
            image=tiny,
            command=("dd", "if=/dev/zero", "of=/data/big", "bs=1M", "count=4"),
            mounts=(Mount(volume=volume, path="/data", writable=True),),
        )
        with engine.container(spec) as container:
            for _ in container.start():
                pass
            assert container.wait(10) is not None
            with pytest.raises(ResourceExhausted, match="larger than 1000000 bytes"):
                for _ in container.get("/data", limit_bytes=1_000_000):
                    pass
