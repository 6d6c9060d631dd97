"""What an engine kept because it was gone is removed when it is back, by the process that left it and still lives."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rebuilder.build.container import Leftover, Spec
from rebuilder.build.engine import DockerEngine
from rebuilder.build.owed import Owed
from rebuilder.build.owner import Owner
from rebuilder.errors import EngineFailure
from rebuilder.model.digest import Digest
from tests.workers.faults.gate import Gate, gate


@dataclass
class Remover:
    """An engine that is gone until a test says otherwise."""

    gone: bool = True
    removed: list[str] = field(default_factory=list)

    def __call__(self, leftover: Leftover) -> None:
        """Remove, or fail."""
        if self.gone:
            raise EngineFailure("no container engine answers")
        self.removed.append(leftover.name)


def thing(name: str) -> Leftover:
    """Make something to remove."""
    return Leftover(kind="container", name=name, labels={})


def test_what_could_not_be_removed_is_owed_until_it_can() -> None:
    """Each failure is told, each thing is removed once, and then nothing is owed."""
    owed, remover = Owed(), Remover()
    for name in ("first", "second", "first"):
        with pytest.raises(EngineFailure):
            owed.attempt(thing(name), remover)
    owed.settle(remover)
    assert remover.removed == []
    remover.gone = False
    owed.settle(remover)
    owed.settle(remover)
    assert remover.removed == ["first", "second"]


def test_what_is_removed_in_time_is_not_owed() -> None:
    """The ordinary case: nothing is asked of the engine again."""
    owed, remover = Owed(), Remover(gone=False)
    owed.attempt(thing("only"), remover)
    owed.settle(remover)
    assert remover.removed == ["only"]


@pytest.fixture
def stopped() -> Iterator[Gate]:
    """Stand before the machine's engine."""
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    assert address.startswith("unix://"), address
    with tempfile.TemporaryDirectory() as name, gate(Path(name) / "socket", Path(address[7:])) as made:
        yield made


@pytest.mark.engine
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # docker-py does not close what the engine broke
def test_a_builder_that_outlives_its_engine_sweeps_its_own(engine: DockerEngine, tiny: Digest, stopped: Gate) -> None:
    """Container, volume and image that it had when connections broke go before it makes anything new.

    Another builder's container, whose process lives as well, stays.
    """
    mine = DockerEngine(stopped.address, owner=Owner.here(f"outlives-{os.getpid()}"))
    spec = Spec(image=tiny, command=("sleep", "600"))
    with engine.container(spec) as other, mine.container(spec) as maker:
        image = maker.commit({}, tag=f"rebuilder/owed:{os.getpid()}")
        with pytest.raises(EngineFailure):
            begin(mine, spec, stopped)
        with pytest.raises(EngineFailure):
            mine.remove(Leftover(kind="image", name=str(image), labels={}))
        assert len(names_of(mine.owner, engine)) == 3
        stopped.open()
        with mine.volume() as fresh:
            assert names_of(mine.owner, engine) == sorted((maker.name, fresh))
            assert engine.image(image) is None
            assert other.state().problem == ""
    assert names_of(mine.owner, engine) == []
    del mine
    gc.collect()


def begin(engine: DockerEngine, spec: Spec, stopped: Gate) -> None:
    """Make a container, and lose the engine."""
    with engine.volume(), engine.container(spec) as container:
        stopped.shut()
        container.state()


def names_of(owner: Owner, engine: DockerEngine) -> list[str]:
    """Name what an owner has in the engine."""
    found = (left for left in engine.leftovers() if left.labels["rebuilder.run"] == owner.run)
    return sorted(left.labels.get("rebuilder.name", left.name) for left in found)
