"""What we ask of a container engine: a few verbs on plain values, so that tests and the farm can stand in for it.

The one implementation that talks to a real engine is `rebuilder.build.engine.DockerEngine`. Every container made
through here has no network, no capabilities but those named, no-new-privileges, an init process and bounded resources;
every container, volume and image carries labels that say whose it is, so that a sweep can find what a dead run left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rebuilder.model.digest import Digest
from rebuilder.model.plan import Limits

LABEL = "rebuilder"
"""Key of the label that marks everything of ours in an engine; its value is `1`."""
PREPARED_LABEL = f"{LABEL}.prepared"
"""Marks the image of a prepared environment; the value is the name under which it was committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A named volume at a path."""

    volume: str
    path: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """A bounded file system in memory, with the mode of the directory it hides; counts towards the memory limit."""

    path: str
    size_bytes: int
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Everything that determines a container. What is not here cannot be asked for: network above all."""

    image: Digest
    command: tuple[str, ...]
    user: str = "0:0"
    environment: tuple[tuple[str, str], ...] = ()
    """The whole environment: nothing that an engine or an image sets reaches the command."""
    directory: str = "/"
    hostname: str = "rebuilder"
    mounts: tuple[Mount, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    capabilities: tuple[str, ...] = ()
    """Kept of the engine's defaults; all others are dropped."""
    read_only: bool = True
    """Whether the root file system is."""
    limits: Limits = field(default_factory=Limits)
    hears_signals: bool = False
    """Whether the command gets the signals that are sent to the container. Then no shell stands above it that bounds
    it and notices kills where the engine does not: for a command of ours."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command behind `env -i`, for an engine adds PATH, HOME and HOSTNAME of its own accord."""
        return ("/usr/bin/env", "-i", *(f"{name}={value}" for name, value in self.environment), *self.command)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a container stands."""

    running: bool
    status: int
    """Exit status; 128 + n for signal n; meaningless while it runs."""
    memory_exhausted: bool
    """Whether the kernel killed one of its processes for want of memory."""
    problem: str = ""
    """The engine's own words when it could not start the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a command in a container left."""

    status: int
    output: bytes
    """Standard output, at most the limit."""
    errors: bytes = field(repr=False)
    """Standard error, at most the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """An image of ours that an engine holds."""

    image: Digest
    labels: Mapping[str, str]
    size_bytes: int
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A container, volume or image of ours, with the labels that name its owner."""

    kind: str
    """`container`, `volume` or `image`."""
    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The engine and the machine it runs on (not necessarily this one)."""

    name: str
    version: str
    kernel: str
    architecture: str
    rootless: bool = False
    """Whether it runs without root, in a user namespace."""
    counts_users: bool = False
    """Whether processes are bounded by their user's number, for want of a control group."""
    unenforced: tuple[str, ...] = ()
    """Limits that it takes and does not keep, one or two words each."""


class Container(Protocol):
    """One container, between its creation and its certain removal."""

    @property
    def name(self) -> str:
        """The engine's id of it."""

    def put(self, path: str, tar: Iterable[bytes]) -> None:
        """Unpack a tar stream at `path`, which lies in a writable mount; before the start or after the end."""

    def get(self, path: str, *, limit_bytes: int) -> Iterator[bytes]:
        """Stream `path` as tar; raise ResourceExhausted beyond the limit."""

    def start(self) -> Iterator[tuple[bytes, bytes]]:
        """Start the command; stream what it writes, as (standard output, standard error), until it ends."""

    def state(self) -> State:
        """Ask how it stands."""

    def wait(self, timeout_s: float) -> State | None:
        """Wait for the end; None when it still runs after `timeout_s`."""

    def kill(self) -> None:
        """Kill every process of it at once; nothing happens if it has ended."""

    def terminate(self) -> None:
        """Ask its command to end (SIGTERM); nothing happens if it has ended."""

    def commit(self, labels: Mapping[str, str], *, tag: str) -> Digest:
        """Make an image of its root file system (volumes and tmpfs are left out) and return the id."""

    def export(self) -> Iterator[bytes]:
        """Stream its root file system as tar."""


class Engine(Protocol):
    """A container engine. Raises EngineFailure for whatever goes wrong with it, ResourceExhausted for a full disk."""

    def describe(self) -> Description:
        """Name, version and kernel; raise EngineFailure with a hint when no engine answers."""

    def container(self, spec: Spec) -> AbstractContextManager[Container]:
        """Create a container; it and its anonymous volumes are removed in the end, whatever happens."""

    def volume(self) -> AbstractContextManager[str]:
        """Make an empty named volume; removed in the end, after the containers that mount it."""

    def load_image(self, archive: Iterable[bytes]) -> None:
        """Load a docker-archive."""

    def pull(self, reference: str) -> Digest:
        """Pull `name@sha256:…` and return the image's id."""

    def image(self, image: Digest) -> ImageRecord | None:
        """Look one image up."""

    def images(self) -> tuple[ImageRecord, ...]:
        """All images of ours."""

    def tag(self, image: Digest, name: str) -> None:
        """Give an image a name."""

    def remove_image(self, image: Digest) -> None:
        """Remove an image and its names; nothing happens if it is absent."""

    def leftovers(self) -> tuple[Leftover, ...]:
        """All containers and volumes of ours, living runs' included."""

    def remove(self, leftover: Leftover) -> None:
        """Remove it, running or not; nothing happens if it is absent.

        Where the engine does not, EngineFailure is raised, and it is tried again before the next container is made.
        """
