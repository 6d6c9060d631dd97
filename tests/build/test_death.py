"""When the engine dies in the middle of a build, there is no answer; it is never called a failed build."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rebuilder.build.engine import DockerContainer, DockerEngine
from rebuilder.build.prepare import Prepared
from rebuilder.build.run import Runner, Ticket
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest
from rebuilder.store.blobs import LocalBlobs
from tests.build.factory import plan

pytestmark = [
    pytest.mark.engine,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # docker-py forgets a socket that was refused
]
_ENGINE = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


class Mortal:
    """A relay to the real engine that can die like one: every connection ends, none is accepted any more."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def die(self) -> None:
        """End everything at once."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in self._open:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(_ENGINE)
                self._open += [client, engine]
                for source, sink in ((client, engine), (engine, client)):
                    thread = threading.Thread(target=_pump, args=(source, sink))
                    self._threads.append(thread)
                    thread.start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(65536):
            sink.sendall(block)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    """Relay to the engine from a socket of the test's own."""
    relay = Mortal(tmp_path / "mortal.sock")
    yield relay
    relay.die()


def test_an_engine_that_dies_mid_build_is_no_answer(
    engine: DockerEngine, tiny: Digest, mortal: Mortal, blobs: LocalBlobs, tmp_path: Path
) -> None:
    """The build's output ends and nobody answers: EngineFailure, within seconds, although the wall limit is far."""
    dying = DockerEngine(f"unix://{tmp_path}/mortal.sock")
    prepared = Prepared(key=tiny, image=tiny, cached=False, fresh=False, watches=())
    caught: list[BaseException] = []

    def build() -> None:
        try:
            Runner(engine=dying, blobs=blobs).run(plan(tiny, "sleep 600"), prepared, {}, Ticket(builder="key"))
        except EngineFailure as error:
            caught.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not _runs(engine, dying.owner.run):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        mortal.die()
        thread.join(30)
        assert not thread.is_alive()
        assert "engine" in str(caught[0])
        caught.clear()
    finally:
        for item in engine.leftovers():  # containers come first
            if item.labels.get("rebuilder.run") == dying.owner.run:
                engine.remove(item)
        gc.collect()


def _runs(engine: DockerEngine, run: str) -> bool:
    for item in engine.leftovers():
        if item.kind == "container" and item.labels.get("rebuilder.run") == run:
            with suppress(EngineFailure):
                if DockerContainer(engine, item.name).state().running:
                    return True
    return False
