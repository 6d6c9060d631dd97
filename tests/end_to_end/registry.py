"""A registry on the loopback interface, which keeps what the engine pushes in a directory."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rebuilder.build.engine import DockerEngine
from rebuilder.model.digest import Digest

_STARTS_WITHIN_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry that answers at `address`; an engine talks to it over HTTP, for it is on 127.0.0.0/8."""

    root: Path
    address: str

    def push(self, engine: DockerEngine, image: Digest, name: str) -> str:
        """Let the engine push an image, and return `NAME@sha256:…`; the engine forgets the name again."""
        repository = f"{self.address}/{name}"
        api = engine._api
        api.tag(str(image), repository, "pushed")
        lines = list(api.push(repository, tag="pushed", stream=True, decode=True))
        (digest,) = [line["aux"]["Digest"] for line in lines if "aux" in line]
        api.remove_image(f"{repository}:pushed", noprune=True)
        return f"{repository}@{digest}"

    def blob(self, digest: str) -> Path:
        """Where the bytes of a digest lie."""
        hexadecimal = digest.rpartition(":")[2]
        blobs = self.root / "docker" / "registry" / "v2" / "blobs" / "sha256"
        return blobs / hexadecimal[:2] / hexadecimal / "data"


@contextmanager
def serving(root: Path) -> Iterator[Registry]:
    """Run Debian's docker-registry, for as long as the context lasts."""
    port = _free_port()
    configuration = root / "registry.yml"
    configuration.write_text(
        "version: 0.1\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
        f'storage: {{filesystem: {{rootdirectory: "{root}"}}}}\n'
        f'http: {{addr: "127.0.0.1:{port}"}}\n'
    )
    with (root / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", configuration], stdout=log, stderr=log)
    try:
        _wait(process, port, root / "registry.log")
        yield Registry(root=root, address=f"127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the registry does not answer: {log.read_text()[-500:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
