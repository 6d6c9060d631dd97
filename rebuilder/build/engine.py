"""The one module that talks to a container engine: Docker's HTTP API through docker-py (Docker, or Podman's socket).

What every container gets, and no caller can change: `network_mode none`, all capabilities dropped but those that the
Spec names, no-new-privileges, an init process, no swap, no core dumps, labels that name the owner. Every exception of
docker-py, requests, urllib3 and the socket is translated here.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import docker
import docker.errors
import requests.exceptions  # noqa: TID251 - docker-py lets its exceptions through; nothing is downloaded
import urllib3.exceptions
from docker.types import LogConfig, Ulimit
from docker.types import Mount as DockerMount
from docker.utils import kwargs_from_env

from rebuilder.build.container import (
    LABEL,
    Description,
    ImageRecord,
    Leftover,
    Spec,
    State,
)
from rebuilder.build.engine_errors import engine_errors, knock, raise_for_status, raise_reported
from rebuilder.build.engine_facts import described, ulimits
from rebuilder.build.overseer import KILLED, overseen
from rebuilder.build.owed import Owed
from rebuilder.build.owner import Owner
from rebuilder.errors import EngineFailure, EnvironmentUnavailable, ResourceExhausted
from rebuilder.model.digest import Digest
from rebuilder.model.place import verify_image

_ANSWER_S = 600
"""How long one answer may take: a commit or a load of a big image is one answer."""
_GREETING_S = 30
"""How long an engine may take to say its version."""
_SLICE_S = 1.0
_BLOCK = 1024 * 1024
_STANDARD_ERROR = 2
_LOCAL = "unix:///var/run/docker.sock"
_NAME_LABEL = f"{LABEL}.name"
"""Names the container itself: a person's container of an image of ours inherits all labels, and is not ours."""
_COUNTER = itertools.count(1)


class DockerEngine:
    """See rebuilder.build.container.Engine. Safe to use from several threads."""

    def __init__(self, address: str | None = None, *, owner: Owner | None = None) -> None:
        """Talk to the engine at `address`, else to DOCKER_HOST, else to the local socket; nothing is sent yet."""
        self._address = address
        self._owner = owner or Owner.here()
        self._client: docker.APIClient | None = None
        self._described: Description | None = None
        self._connecting = threading.Lock()
        self._owed = Owed()

    @property
    def owner(self) -> Owner:
        """Whose the containers are."""
        return self._owner

    def describe(self) -> Description:
        """See Engine.describe."""
        if self._described is None:
            with engine_errors("asking its version"):
                self._described = described(self._api.version(), self._api.info())
        return self._described

    @contextmanager
    def container(self, spec: Spec) -> Iterator[DockerContainer]:
        """See Engine.container."""
        with self._removed_in_the_end("container") as name:
            description = self.describe()
            with engine_errors("creating a container"):
                self._create(name, spec, description)
            yield DockerContainer(self, name)

    @contextmanager
    def volume(self) -> Iterator[str]:
        """See Engine.volume."""
        with self._removed_in_the_end("volume") as name:
            with engine_errors("creating a volume"):
                self._api.create_volume(name, labels=self._owner.labels())
            yield name

    @contextmanager
    def _removed_in_the_end(self, kind: str) -> Iterator[str]:
        """Choose a name before anything is made, so that it can be removed whenever the person presses Ctrl-C.

        What an engine that was gone for a while kept of this process goes first.
        """
        self._owed.settle(self._remove)
        leftover = Leftover(kind=kind, name=f"rebuilder-{self._owner.run}-{next(_COUNTER)}", labels={})
        try:
            yield leftover.name
        except BaseException:
            with suppress(EngineFailure):  # what went wrong first is the news; what stays is owed
                self._remove_surely(leftover)
            raise
        self._remove_surely(leftover)

    def _remove_surely(self, leftover: Leftover) -> None:
        """Remove, and once more when the interrupt comes just then: it may have stopped the request."""
        try:
            self.remove(leftover)
        except KeyboardInterrupt:
            with suppress(EngineFailure):
                self.remove(leftover)
            raise

    def load_image(self, archive: Iterable[bytes]) -> None:
        """See Engine.load_image."""
        with engine_errors("loading an image"):
            raise_reported(self._api.load_image(archive, quiet=True))

    def pull(self, reference: str) -> Digest:
        """See Engine.pull."""
        try:
            verify_image(reference)
        except ValueError as error:
            raise EnvironmentUnavailable(f"image {reference[:160]!r} is not pinned", hint=str(error)) from error
        name, _, digest = reference.rpartition("@")
        with engine_errors(f"pulling {reference}"):
            raise_reported(self._api.pull(name, tag=digest, stream=True, decode=True))
            return Digest.parse(_prefixed(self._api.inspect_image(reference)["Id"]))

    def image(self, image: Digest) -> ImageRecord | None:
        """See Engine.image."""
        with engine_errors("looking an image up"):
            try:
                found = self._api.inspect_image(str(image))
            except docker.errors.NotFound:
                return None
        return ImageRecord(
            image=Digest.parse(_prefixed(found["Id"])),
            labels=(found.get("Config") or {}).get("Labels") or {},
            size_bytes=int(found.get("Size") or 0),
            made_at=datetime.fromisoformat(found["Created"][:19] + "+00:00"),
        )

    def images(self) -> tuple[ImageRecord, ...]:
        """See Engine.images."""
        with engine_errors("listing images"):
            found = self._api.images(filters={"label": f"{LABEL}=1"})
        records = [
            ImageRecord(
                image=Digest.parse(_prefixed(entry["Id"])),
                labels=entry.get("Labels") or {},
                size_bytes=int(entry.get("Size") or 0),
                made_at=datetime.fromtimestamp(int(entry["Created"]), UTC),
            )
            for entry in found
        ]
        return tuple(sorted(records, key=lambda record: record.image))

    def tag(self, image: Digest, name: str) -> None:
        """See Engine.tag."""
        repository, _, tag = name.partition(":")
        with engine_errors("naming an image"):
            self._api.tag(str(image), repository, tag)

    def remove_image(self, image: Digest) -> None:
        """See Engine.remove_image."""
        with engine_errors("removing an image"):
            try:
                self._api.remove_image(str(image), force=True)
            except docker.errors.NotFound:
                return

    def leftovers(self) -> tuple[Leftover, ...]:
        """See Engine.leftovers."""
        ours = {"label": f"{LABEL}=1"}
        with engine_errors("listing containers and volumes"):
            containers = self._api.containers(all=True, filters=ours)
            volumes = self._api.volumes(filters=ours).get("Volumes") or []
        return (
            *(
                Leftover(kind="container", name=found["Id"], labels=found["Labels"])
                for found in containers
                if found["Labels"].get(_NAME_LABEL) in {name.lstrip("/") for name in found["Names"]}
            ),
            *(Leftover(kind="volume", name=found["Name"], labels=found.get("Labels") or {}) for found in volumes),
        )

    def remove(self, leftover: Leftover) -> None:
        """See Engine.remove."""
        self._owed.attempt(leftover, self._remove)

    def _remove(self, leftover: Leftover) -> None:
        with engine_errors(f"removing a {leftover.kind}"), suppress(docker.errors.NotFound):
            match leftover.kind:
                case "container":
                    self._api.remove_container(leftover.name, v=True, force=True)
                case "volume":
                    self._api.remove_volume(leftover.name, force=True)
                case _:
                    self._api.remove_image(leftover.name, force=True)

    @property
    def _api(self) -> Any:  # noqa: ANN401 - docker-py's annotations are incomplete
        """Connect at first use; threads share the connection pool, which urllib3 allows."""
        with self._connecting:
            if self._client is None:
                settings = kwargs_from_env()
                if self._address is not None:
                    settings["base_url"] = self._address
                knock(settings.get("base_url") or _LOCAL)
                self._client = docker.APIClient(version="auto", timeout=_GREETING_S, **settings)
                self._client.timeout = _ANSWER_S
                self._client.trust_env = False
        return self._client

    def stream(self, resource: str, **parameters: str) -> Iterator[bytes]:
        """Read an answer in blocks; unlike docker-py's own, the connection is closed however far the reader gets."""
        with self._api.get(self._url(resource), params=parameters, stream=True, timeout=_ANSWER_S) as answer:
            raise_for_status(answer)
            yield from answer.iter_content(_BLOCK)

    def attach(self, name: str) -> Any:  # noqa: ANN401 - requests' answer
        """Open the stream of what a container is going to write, without a limit of time."""
        parameters = {"stream": "1", "stdout": "1", "stderr": "1"}
        address = self._url(f"/containers/{name}/attach")
        answer = self._api.post(address, params=parameters, stream=True, timeout=(_ANSWER_S, None))
        raise_for_status(answer)
        return answer

    def _url(self, resource: str) -> str:
        return f"{self._api.base_url}/v{self._api.api_version}{resource}"

    def _create(self, name: str, spec: Spec, description: Description) -> None:
        limits = spec.limits
        rlimits = tuple(ulimits(spec, description))
        host = self._api.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            cap_add=list(spec.capabilities),
            security_opt=["no-new-privileges"],
            init=True,
            read_only=spec.read_only,
            mounts=[
                DockerMount(mount.path, mount.volume, type="volume", read_only=not mount.writable, no_copy=True)
                for mount in spec.mounts
            ],
            tmpfs={
                tmpfs.path: f"rw,nosuid,nodev,{'exec' if tmpfs.executable else 'noexec'},size={tmpfs.size_bytes}"
                for tmpfs in spec.tmpfs
            },
            mem_limit=limits.memory_bytes,
            memswap_limit=limits.memory_bytes,
            pids_limit=limits.pids,
            nano_cpus=int(limits.cpus * 1e9),
            log_config=LogConfig(type=LogConfig.types.NONE),
            ulimits=[Ulimit(name=name, soft=soft, hard=hard) for name, soft, hard in rlimits],
            ipc_mode="private",
            dns=["127.0.0.1"],
        )
        needs_shell = description.name == "podman" and not spec.hears_signals
        self._api.create_container(
            str(spec.image),
            list(overseen(spec.arguments, rlimits) if needs_shell else spec.arguments),
            name=name,
            hostname=spec.hostname,
            user=spec.user,
            environment=[],
            working_dir=spec.directory,
            entrypoint=[],
            labels={**self._owner.labels(), _NAME_LABEL: name},
            host_config=host,
            stop_timeout=1,
            use_config_proxy=False,
        )


class DockerContainer:
    """See rebuilder.build.container.Container."""

    def __init__(self, engine: DockerEngine, name: str) -> None:
        self._engine = engine
        self._name = name

    @property
    def name(self) -> str:
        """See Container.name."""
        return self._name

    @property
    def _api(self) -> Any:  # noqa: ANN401 - as above
        return self._engine._api

    def put(self, path: str, tar: Iterable[bytes]) -> None:
        """See Container.put."""
        with engine_errors("copying files into a container"):
            self._api.put_archive(self._name, path, tar)

    def get(self, path: str, *, limit_bytes: int) -> Iterator[bytes]:
        """See Container.get."""
        with engine_errors("copying files out of a container"):
            taken = 0
            for block in self._engine.stream(f"/containers/{self._name}/archive", path=path):
                taken += len(block)
                if taken > limit_bytes:
                    raise ResourceExhausted(f"{path} in the container is larger than {limit_bytes} bytes")
                yield block

    def start(self) -> Iterator[tuple[bytes, bytes]]:
        """See Container.start. Attached before the start, so that no byte can be missed."""
        with engine_errors("starting a container"):
            answer = self._engine.attach(self._name)
            self._api.start(self._name)
        return _frames(answer)

    def state(self) -> State:
        """See Container.state."""
        with engine_errors("asking how a container stands"):
            found: dict[str, Any] = self._api.inspect_container(self._name)["State"]
        status = int(found.get("ExitCode") or 0)
        witnessed_kill = status == KILLED and self._engine.describe().name == "podman"
        return State(
            running=bool(found.get("Running")),
            status=status,
            memory_exhausted=bool(found.get("OOMKilled")) or witnessed_kill,
            problem=str(found.get("Error") or "")[:300],
        )

    def wait(self, timeout_s: float) -> State | None:
        """See Container.wait.

        In slices: docker-py cannot tell a timeout from a dead engine, so the engine is asked after each; and Podman 4.3
        answers a wait for a container that has just ended only after 20 s.
        """
        deadline = time.monotonic() + timeout_s
        while (state := self.state()).running:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            quiet = suppress(requests.exceptions.RequestException, urllib3.exceptions.HTTPError)
            with engine_errors("waiting for a container"), quiet:
                self._api.wait(self._name, timeout=min(left, _SLICE_S))
        return state

    def kill(self) -> None:
        """See Container.kill."""
        self._signal("SIGKILL")

    def terminate(self) -> None:
        """See Container.terminate."""
        self._signal("SIGTERM")

    def _signal(self, name: str) -> None:
        with engine_errors("ending a container"):
            try:
                self._api.kill(self._name, signal=name)
            except docker.errors.APIError as error:
                if error.status_code not in {404, 409}:
                    raise

    def commit(self, labels: Mapping[str, str], *, tag: str) -> Digest:
        """See Container.commit.

        The container is not paused, for it is not running; its own labels, the owner's, are inherited. Podman knows
        `changes` only, not a configuration.
        """
        repository, _, name = tag.partition(":")
        changes = ['CMD ["/bin/sh"]', *(f'LABEL "{name}"="{value}"' for name, value in sorted(labels.items()))]
        with engine_errors("committing a container"):
            made = self._api.commit(self._name, repository, name, pause=False, changes=changes)
        return Digest.parse(_prefixed(made["Id"]))

    def export(self) -> Iterator[bytes]:
        """See Container.export."""
        with engine_errors("exporting a container's tree"):
            yield from self._engine.stream(f"/containers/{self._name}/export")


def _frames(answer: Any) -> Iterator[tuple[bytes, bytes]]:  # noqa: ANN401 - requests' answer
    """Take apart what Docker's API calls the multiplexed stream: kind, three zeros, length, payload."""
    with engine_errors("reading a container's output"), answer:
        while len(header := answer.raw.read(8)) == 8:
            payload = answer.raw.read(int.from_bytes(header[4:], "big"))
            yield (b"", payload) if header[0] == _STANDARD_ERROR else (payload, b"")


def _prefixed(identifier: str) -> str:
    return identifier if identifier.startswith("sha256:") else f"sha256:{identifier}"
