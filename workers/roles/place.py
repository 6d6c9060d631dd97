"""What a role's process has at hand: its machine, its own key, and the farm's blobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from rebuilder.attest.signing import Signer
from rebuilder.build.container import Engine
from rebuilder.config import Settings
from rebuilder.errors import HostileInput
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Plan
from rebuilder.progress import Progress
from rebuilder.store.blobs import BlobStore, LocalBlobs
from rebuilder.world.http import Fetcher
from workers.lease.protocol import Claim

Noun = TypeVar("Noun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One worker's process (`rebuilder.stages.world.Workplace` is the part of it that the stages see)."""

    settings: Settings
    blobs: LocalBlobs
    """Of this machine."""
    store: BlobStore
    """The farm's, where inputs come from and results go to."""
    engine: Callable[[], Engine]
    fetcher: Fetcher
    """Refuses everything but for the planner."""
    signer: Signer
    """The worker's own key: its identity, and what it signs its records with."""
    progress: Progress
    now: Callable[[], datetime]

    def read(self, digest: Digest | None, kind: type[Noun]) -> Noun:
        """Read a document of the farm's; raise HostileInput for one that is absent or another noun."""
        if digest is None:
            raise HostileInput(f"expected a {kind.__name__}, found a job without an input")
        return codec.parse(self.store.get(digest), kind)

    def write(self, noun: object) -> Digest:
        """Keep a document for the farm."""
        return self.store.put(codec.render(noun))

    def bring(self, digests: Iterable[Digest]) -> None:
        """Have blobs of the farm here, each verified."""
        for digest in dict.fromkeys(digests):
            if not self.blobs.has(digest):
                self.blobs.put_file(self.store.path(digest))

    def give(self, digests: Iterable[Digest]) -> None:
        """Have blobs of this machine in the farm's store."""
        if self.store is self.blobs:
            return
        for digest in dict.fromkeys(digests):
            if not self.store.has(digest):
                self.store.put_file(self.blobs.path(digest))


Step = Callable[[Claim, Place], Digest]
"""Does a job and returns the blob of its report; raises an error of ours for a failure."""


def inputs_of(plan: Plan) -> tuple[Digest, ...]:
    """Every file that a build of a plan reads, without its base image."""
    sources = (source.digest for source in plan.sources)
    return (*sources, *(package.digest for package in plan.environment.packages))
