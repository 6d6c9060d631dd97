"""Hashing an environment's tree beside the build: started early, awaited before the rebuild counts.

It takes what the build leaves of the processors: a build has stretches that use only one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from rebuilder.build.container import Engine, Spec
from rebuilder.build.tree import tree_digest
from rebuilder.errors import EngineFailure, EnvironmentUnavailable, RebuilderError
from rebuilder.model.digest import Digest

_PATIENCE_S = 1800
_HEAD_START_S = 1.5
"""For the build's own container: two that are created at once take longer than one after the other."""
_TURN = threading.Lock()
"""One tree is hashed at a time: what an environment started from, then itself."""


class TreeWatch:
    """Computes the tree digest of an image in a thread; a context manager that ends the thread.

    `expected` is what was recorded when the environment was prepared; None when this is its first use. `then` is called
    in the thread with a digest that was as expected.
    """

    def __init__(
        self,
        engine: Engine,
        image: Digest,
        *,
        expected: Digest | None = None,
        then: Callable[[Digest], None] | None = None,
    ) -> None:
        self._engine = engine
        self._image = image
        self._expected = expected
        self._then = then
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._ended = threading.Event()
        """Waited for in the place of Thread.join, which an interrupt makes believe that the thread has ended."""
        self._tree: Digest | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="tree-watch", daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it, half way if need be; its container is removed."""
        self._hurry.set()
        if error is not None:
            self._stop.set()
        self._ended.wait(_PATIENCE_S)

    def result(self) -> Digest:
        """Wait for the digest; raise EnvironmentUnavailable when it is not the recorded one, or what went wrong."""
        self._hurry.set()
        self._ended.wait(_PATIENCE_S)
        if self._failure is not None:
            raise self._failure
        if self._tree is None:
            raise EngineFailure(f"the tree of environment {self._image.short} was not hashed in {_PATIENCE_S} s")
        return self._tree

    def _run(self) -> None:
        _give_way()
        try:
            self._hurry.wait(_HEAD_START_S)
            with _TURN, self._engine.container(Spec(image=self._image, command=("/bin/true",))) as container:
                tree = tree_digest(self._stoppable(container.export()))
            self._compare(tree)
            if self._then is not None:
                self._then(tree)
            self._tree = tree
        except RebuilderError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - whatever ends the thread must reach who awaits it
            self._failure = EngineFailure(f"hashing environment {self._image.short} failed: {type(error).__name__}")
        finally:
            self._ended.set()

    def _compare(self, tree: Digest) -> None:
        if self._expected is not None and tree != self._expected:
            raise EnvironmentUnavailable(
                f"environment {self._image.short} was altered: expected tree {self._expected}, found {tree}",
                hint="`rebuilder cache clear` forgets it; find out who else reaches this container engine",
            )

    def _stoppable(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            if self._stop.is_set():
                raise EngineFailure("hashing was given up because the run ended")
            yield block


def _give_way() -> None:
    """Let everything else go first, in this thread alone: Linux gives each thread a priority of its own (nice(2))."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
