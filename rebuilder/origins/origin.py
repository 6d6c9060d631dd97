"""What every ecosystem offers the pipeline: the same verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from rebuilder.build.container import Engine
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence
from rebuilder.model.plan import ImageLock, Package, Plan
from rebuilder.model.release import Release
from rebuilder.model.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person asks: a target, or a file of theirs."""

    target: str
    """A package URL or its shorthand; with `artifact` it may be empty, or name the suite to look in."""
    artifact: Path | None = None
    """A local file that stands in for the published one: it is what the rebuild is compared with."""
    provenance: Path | None = None
    """A local provenance document (a .buildinfo)."""

    @property
    def name(self) -> str:
        """How progress and messages name the question until it is resolved."""
        return self.artifact.name if self.artifact is not None else self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One plan, and what it was made from that its documents publish as well."""

    plan: Plan
    lock: ImageLock
    evidence: tuple[Evidence, ...] = ()
    """Found while planning: which signed indices the environment's packages are named by."""


class Origin(Protocol):
    """Where releases of one ecosystem come from. Raises only errors of `rebuilder.errors`."""

    def resolve(self, question: Question, now: datetime) -> Release:
        """Say what was published, and where its source is. Nothing in the answer is trusted yet."""

    def authenticate(self, release: Release, now: datetime, *, download: bool) -> Trust:
        """Check who signed it, byte for byte, and let the policy judge."""

    def parts(self, release: Release) -> tuple[Release, ...]:
        """The release, split as its artifacts were built: each part becomes one plan."""

    def plan(self, part: Release, engine: Engine, now: datetime) -> Planned:
        """Fix everything that determines the rebuild; the base image is in the engine afterwards."""

    def vary(self, plan: Plan, factor: str, part: Release, now: datetime) -> Plan:
        """The same plan but for one factor (`clock`, `path`, `locale`); raise UsageError for an unknown one."""

    def image(self, lock: ImageLock, engine: Engine, now: datetime) -> Digest:
        """Make the base image of a lock, or find it in the engine; return its id.

        The lock may be a stranger's: raise UntrustedError for one that names what nobody trusted vouches for.
        """

    def rootfs(self, lock: ImageLock) -> Digest:
        """Make a lock's root file system, or find it; return its blob, which `load` makes the image from elsewhere."""

    def load(self, lock: ImageLock, rootfs: Path, engine: Engine, *, expected: Digest) -> None:
        """Have a lock's image in the engine, from its root file system; raise DigestMismatch for another one."""

    def prewarmed(self, lock: ImageLock, now: datetime) -> tuple[Package, ...]:
        """What most builds install on a lock's image, exactly as they would now: worth preparing ahead of time."""

    def inputs(self, plan: Plan) -> Mapping[str, Path]:
        """Local files that the build reads under /input, by name, each verified."""

    def repository(self, packages: tuple[Package, ...]) -> Mapping[str, Path | bytes]:
        """A local package repository with exactly these packages, by path, each verified."""
