"""What a comparison carries with it on its way down: both workspaces, and where findings go."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from rebuilder.compare.collector import Collector
from rebuilder.compare.differences import BytesDiffer, Place
from rebuilder.compare.readers.archive import shown
from rebuilder.compare.readers.extent import Extent
from rebuilder.compare.readers.workspace import Workspace
from rebuilder.model.cause import Cause

Result = TypeVar("Result")

_WORTH_A_THREAD = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two contents at one place."""

    path: str
    place: Place
    reference: Extent
    rebuilt: Extent
    name: str = ""
    """The member's name as its container writes it: to look it up, never to print it."""
    depth: int = 0
    executable: bool = False

    def inside(self, name: str, reference: Extent, rebuilt: Extent) -> Pair:
        """Return a pair one level deeper."""
        return replace(
            self,
            path=below(self.path, name),
            name=name,
            reference=reference,
            rebuilt=rebuilt,
            depth=self.depth + 1,
        )


def below(path: str, name: str) -> str:
    """Return the path of a member, safe to print."""
    return f"{path}/{shown(name)}" if path else shown(name)


Compare = Callable[["Walk", Pair], None]
"""How a member's content is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """One comparison of two files."""

    reference: Workspace
    rebuilt: Workspace
    collector: Collector

    def both(self, pair: Pair, act: Callable[[Extent, Workspace], Result]) -> tuple[Result, Result]:
        """Do the same to both sides, at the same time where they are large."""
        if pair.reference.size < _WORTH_A_THREAD:
            return act(pair.reference, self.reference), act(pair.rebuilt, self.rebuilt)
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(act, pair.reference, self.reference)
            second = threads.submit(act, pair.rebuilt, self.rebuilt)
            return first.result(), second.result()

    def add_bytes(self, pair: Pair, *, causes: tuple[Cause, ...] = (), not_opened: str = "") -> None:
        """Note that two contents differ as bytes, with their digests."""
        self.collector.add(
            BytesDiffer(
                path=pair.path,
                place=pair.place,
                causes=causes,
                reference=f"{pair.reference.size} bytes, {pair.reference.digest()}",
                rebuilt=f"{pair.rebuilt.size} bytes, {pair.rebuilt.digest()}",
                not_opened=not_opened,
                executable=pair.executable,
            )
        )
