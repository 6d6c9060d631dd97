"""Base images: a root file system becomes an image whose id anybody can compute without an engine.

The format is the docker-archive of the Docker Image Specification v1.2 (`docker save`): one layer, one configuration,
one manifest. `docker import` stamps the time; a configuration of our own with a fixed `created` and sorted keys does
not, and an image's id is the SHA-256 of its configuration, which holds the SHA-256 of the layer.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.build.container import LABEL, PREPARED_LABEL, Engine, ImageRecord
from rebuilder.build.streams import header, padding
from rebuilder.errors import EngineFailure
from rebuilder.model.codec import render_time
from rebuilder.model.digest import Digest
from rebuilder.world.files import digest_of, storage_errors

_BLOCK = 1024 * 1024
BASE_LABEL = f"{LABEL}.base"
"""Marks a base image; the value is the digest of what it was made from (the lock)."""
_ENGINE_ARCHITECTURES = {
    "amd64": "amd64",
    "arm64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "i386": "386",
    "ppc64el": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "mips64el": "mips64le",
    "loong64": "loong64",
}
"""Debian's names of architectures to Go's, which images use."""


def load(
    engine: Engine, rootfs: Path, *, architecture: str, epoch: int, labels: Mapping[str, str] | None = None
) -> Digest:
    """Load a root file system's tar (uncompressed) into the engine and return the image's id.

    `architecture` is Debian's name, `epoch` the image's time of creation. The tar is read once, hashed while it is
    sent, and never copied on this side. Raise EngineFailure when the engine then names another image.
    """
    layer = _Layer(rootfs)
    made: list[Digest] = []

    def archive() -> Iterator[bytes]:
        yield header("layer.tar", layer.size_bytes)
        yield from layer.blocks()
        yield padding(layer.size_bytes)
        configuration = _configuration(layer.digest, architecture, epoch, labels)
        image = Digest.of(configuration)
        made.append(image)
        yield from _member(f"{image.hex}.json", configuration)
        yield from _member("manifest.json", _manifest(image))
        yield b"\0" * (2 * tarfile.BLOCKSIZE)

    engine.load_image(archive())
    image = made[0] if made else None
    if image is None or engine.image(image) is None:
        raise EngineFailure(f"the engine does not hold image {image} after it was loaded")
    return image


def image_id_of(rootfs: Path, *, architecture: str, epoch: int, labels: Mapping[str, str] | None = None) -> Digest:
    """Compute, without an engine, the id that `load` would return."""
    return image_id(digest_of(rootfs), architecture=architecture, epoch=epoch, labels=labels)


def image_id(layer: Digest, *, architecture: str, epoch: int, labels: Mapping[str, str] | None = None) -> Digest:
    """Compute the image's id from the digest of its root file system's tar."""
    return Digest.of(_configuration(layer, architecture, epoch, labels))


def base_images(engine: Engine) -> tuple[ImageRecord, ...]:
    """List the base images that the engine holds; what was prepared from them has inherited their labels."""
    return tuple(
        record for record in engine.images() if BASE_LABEL in record.labels and PREPARED_LABEL not in record.labels
    )


class _Layer:
    """A file that is hashed while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hasher = hashlib.sha256()
        with storage_errors(path):
            self.size_bytes = path.stat().st_size

    def blocks(self) -> Iterator[bytes]:
        left = self.size_bytes
        with storage_errors(self._path), self._path.open("rb") as stream:
            while left and (block := stream.read(min(_BLOCK, left))):
                left -= len(block)
                self._hasher.update(block)
                yield block
            if left:
                raise OSError(0, "the file became shorter while it was read")

    @property
    def digest(self) -> Digest:
        return Digest(self._hasher.hexdigest())


def _configuration(layer: Digest, architecture: str, epoch: int, labels: Mapping[str, str] | None) -> bytes:
    created = render_time(datetime.fromtimestamp(epoch, UTC))
    document = {
        "architecture": _ENGINE_ARCHITECTURES.get(architecture, architecture),
        "config": {"Cmd": ["/bin/sh"], "Labels": {LABEL: "1", BASE_LABEL: "", **(labels or {})}},
        "created": created,
        "history": [{"created": created, "created_by": "rebuilder"}],
        "os": "linux",
        "rootfs": {"diff_ids": [str(layer)], "type": "layers"},
    }
    return _json(document)


def _manifest(image: Digest) -> bytes:
    return _json([{"Config": f"{image.hex}.json", "Layers": ["layer.tar"], "RepoTags": [tag_of(image)]}])


def tag_of(image: Digest) -> str:
    """How a base image is named for people who list images."""
    return f"rebuilder/base:{image.short}"


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _member(name: str, content: bytes) -> Iterable[bytes]:
    return header(name, len(content)), content, padding(len(content))
