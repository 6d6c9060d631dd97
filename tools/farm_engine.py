"""Which container engines a farm on this machine uses: one has the services, one the builds.

Builds want no network and services want several. Where the engine that answers has networks, it is both. Where it has
none, as the one that `make engine` starts, the services get an engine of their own below .state/engine, and the
builds' engine stays what it is: so the two are apart from the beginning.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rebuilder.doctor.engine import first_answer
from rebuilder.world import process
from tools import daemon, engine
from tools.daemon import EngineError

PLACE = daemon.below(Path(__file__).resolve().parent.parent / ".state" / "engine", networks=True)
_ORDINARY = frozenset({"bridge", "podman"})
"""Networks that are there from the beginning, where there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Where the two are."""

    services: str
    """Address, as in DOCKER_HOST."""
    builds: Path
    """Socket of the one that builds."""
    own: bool
    """Whether the services' is the one below .state/engine."""

    @property
    def mount(self) -> Path:
        """What planner and builders mount: the socket's directory, where there is nothing else in it.

        A directory outlives the engine's sockets; who has a socket mounted keeps it when the engine makes a new one.
        """
        directory = self.builds.parent
        alone = directory.is_dir() and list(directory.iterdir()) == [self.builds]
        return directory if alone else self.builds


def choose(words: Mapping[str, str]) -> Engines:
    """Find the engines of a farm, starting nothing; raise EngineError when there is none to build with."""
    if process.find("docker") is None:
        raise EngineError("there is no docker client; install Debian's docker.io (from trixie on: docker-cli)")
    answer = first_answer(engine.chosen_addresses())
    if answer is None:
        # The services go on while the builds' engine is away, and can be asked, told and stopped.
        if first_answer((PLACE.address,)) is None:
            raise EngineError("no container engine answers; `make engine` starts one")
        return Engines(services=PLACE.address, builds=daemon.DEFAULT.lone, own=True)
    own = not has_networks(answer.address)
    return Engines(services=PLACE.address if own else answer.address, builds=_socket(words, answer.address), own=own)


def start(engines: Engines) -> None:
    """Start the services' own engine, where they have one; raise EngineError when there is none to build with."""
    if not engines.builds.is_socket():
        raise EngineError(f"no engine answers at {engines.builds}, where builds are to run; `make engine` starts one")
    if engines.own:
        engine.up(PLACE, (PLACE.address,))


def stop() -> None:
    """Stop the services' own engine, if it runs; what it holds stays."""
    if daemon.stop(PLACE):
        print("farm: stopped the engine of the services", flush=True)


def answers(engines: Engines) -> bool:
    """Whether the services' engine runs now."""
    return first_answer((engines.services,)) is not None


def has_networks(address: str) -> bool:
    """Whether an engine's containers may have networks: one without has not even the ordinary one."""
    argv = ["docker", "--host", address, "network", "ls", "--filter", "driver=bridge", "--format", "{{.Name}}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return not _ORDINARY.isdisjoint(done.stdout.split())


def _socket(words: Mapping[str, str], address: str) -> Path:
    named = words.get("FARM_ENGINE")
    parts = urlsplit(address)
    if named is None and parts.scheme != "unix":
        raise EngineError(
            f"planner and builders mount the socket of an engine, and DOCKER_HOST is {address}; "
            "name a socket with FARM_ENGINE=/PATH"
        )
    socket = Path(named) if named else _lone(address) or Path(parts.path)
    if not socket.is_socket():
        raise EngineError(f"FARM_ENGINE: {socket} is no socket of an engine")
    return socket


def _lone(address: str) -> Path | None:
    """Find the socket, alone in its directory, that an engine of `tools.engine` has besides the one at `address`."""
    below = daemon.below(Path(urlsplit(address).path).parent)
    found = (place.lone for place in (daemon.DEFAULT, below) if place.address == address)
    return next((path for path in found if first_answer((f"unix://{path}",)) is not None), None)
