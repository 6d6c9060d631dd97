"""Everything that determines a rebuild. Its canonical JSON is what the plan id is the SHA-256 of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from rebuilder.model import bounds, place
from rebuilder.model.codec import later
from rebuilder.model.digest import Digest
from rebuilder.model.release import FileReference
from rebuilder.model.table import checked


class Fidelity(StrEnum):
    """How the environment is known."""

    EXACT = "exact"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package of an environment, with the bytes it came from."""

    name: str
    version: str
    architecture: str
    filename: str
    size_bytes: int
    digest: Digest
    location: str | None = None
    archive: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """An image that was taken from a registry as it is. It does not follow from packages: somebody made it."""

    reference: str
    """`NAME@sha256:…`: the digest of its manifest, or of a list of manifests for several architectures."""
    image: Digest
    """The image's id: SHA-256 of its config."""

    def __post_init__(self) -> None:
        place.verify_image(self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLock:
    """A base image as data: the packages it is bootstrapped from, or that a pulled image says it holds, by digest."""

    distribution: str
    suite: str
    architecture: str
    epoch: int
    """SOURCE_DATE_EPOCH of the bootstrap, seconds since 1970 UTC: the Date of the newest signed index used."""
    installer: str
    """Name and version of the bootstrap program, for it shapes the bytes; empty for a pulled image."""
    packages: tuple[Package, ...]
    pulled: Pulled | None = field(default=None, metadata=later())

    def __post_init__(self) -> None:
        if bool(self.installer) == (self.pulled is not None):
            raise ValueError("a base image is bootstrapped by a named installer, or pulled: one of the two")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one build; reaching one is an outcome, never a hang."""

    memory_bytes: int = field(default=6 * 1024**3, metadata=checked(bounds.size(least=6 * bounds.MIB)))
    """At least what container engines ask for."""
    pids: int = field(default=2048, metadata=checked(bounds.between(1, 4194304)))
    """At most what a kernel counts (pid_max)."""
    cpus: float = field(default=2.0, metadata=checked(bounds.between(0.01, 4096)))
    wall_s: int = field(default=2 * 3600, metadata=checked(bounds.seconds))
    output_bytes: int = field(default=8 * 1024**3, metadata=checked(bounds.size()))
    """Everything the build may write: build tree and results together."""
    log_bytes: int = field(default=64 * 1024**2, metadata=checked(bounds.size()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the build happens."""

    fidelity: Fidelity
    reason: str
    """One sentence: which .buildinfo or lock made it exact, or from what it was inferred."""
    architecture: str
    image: Digest
    """The base image's id: SHA-256 of its config. It follows from the lock; where it was pulled, the lock names it."""
    lock: Digest
    """Blob of the canonical JSON of the ImageLock."""
    packages: tuple[Package, ...]
    """Added on top of the image, sorted by name; with the image's lock, the exact package set."""
    variables: tuple[tuple[str, str], ...]
    """The build's whole environment; nothing else is set."""
    build_path: str
    hostname: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Instructions for one rebuild, in plain data."""

    ecosystem: str
    name: str
    version: str
    """Version that the outputs carry; differs from the source's for a binNMU."""
    source_version: str
    architecture: str
    """Of the outputs: `amd64`, `all`, …"""
    sources: tuple[FileReference, ...]
    environment: Environment
    recipe: str
    """Name of the recipe under recipes/ that was used."""
    recipe_digest: Digest
    script: str
    """POSIX shell, run as the unprivileged user beside the build path, which it makes.

    /input holds the inputs read-only, /output takes the results."""
    texts: tuple[tuple[str, str], ...] = ()
    """Small inputs by file name under /input, such as a binNMU's changelog entry."""
    limits: Limits = Limits()
