"""How much a build has written, watched from a container of its own beside it: there is no quota to rely on.

Docker has disk quotas only on xfs with pquota, and an engine may be on another machine, so `du` and `df` run in a
container that sees the build's volumes read-only. It is started once and answers again and again: starting a command
costs an engine more than any answer costs the build, and a build that uses up its own processes cannot silence it. When
the build has ended it is asked a last time, before anything of the build is read: what grew since the last look counts.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from rebuilder.build.container import Container, Engine, Mount, Spec
from rebuilder.errors import EngineFailure, RebuilderError
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Limits

_READY, _SPACE, _FILES, _END = b"== ready\n", b"== space\n", b"== files\n", b"== end\n"
_SCRIPT = """\
last=
trap last=1 TERM
measure() { du -sk "$@"; echo '== space'; df -Pk "$@"; echo '== files'; df -Pi "$@"; echo '== end'; }
pause=3
echo '== ready'
while [ -z "$last" ]; do
    sleep "$pause" &
    wait $!
    [ -z "$last" ] || break
    begun=$(date +%s)
    measure "$@"
    pause=$((20 * ($(date +%s) - begun)))
    [ "$pause" -ge 3 ] || pause=3
done
measure "$@"
"""
"""A look that took a second is followed by a pause of twenty."""
_PATH = ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
_LIMITS = Limits(memory_bytes=256 * 1024**2, pids=32)
_PATIENCE_S = 120
_ANSWER_LIMIT_BYTES = 64 * 1024
_RESERVE_BYTES = 1024**3
_RESERVE_FILES = 10_000


class Gauge:
    """Looks on in a thread while the context lasts; `excess` says why the build must end."""

    def __init__(self, engine: Engine, image: Digest, mounts: tuple[Mount, ...], *, limit_bytes: int) -> None:
        self._engine = engine
        self._spec = Spec(
            image=image,
            command=("/bin/sh", "-c", _SCRIPT, "gauge", *(mount.path for mount in mounts)),
            environment=(_PATH,),
            mounts=tuple(Mount(volume=mount.volume, path=mount.path) for mount in mounts),
            capabilities=("DAC_OVERRIDE",),
            limits=_LIMITS,
            hears_signals=True,
        )
        self._count = len(mounts)
        self._limit_bytes = limit_bytes
        self._container: Container | None = None
        self._ready = threading.Event()
        self._asked = threading.Event()
        self._closed = threading.Event()
        self._ended = threading.Event()
        """Waited for in the place of Thread.join, which an interrupt makes believe that the thread has ended."""
        self._answered = False
        self._failure: RebuilderError | None = None
        self._thread = threading.Thread(target=self._run, name="gauge", daemon=True)
        self.excess: str | None = None
        """One clause for a reader; None while all is well."""
        self.written_bytes = 0

    def __enter__(self) -> Self:
        """Begin; nothing runs yet, so that an interrupt while the thread starts is one after this."""
        return self

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the looking, whatever came of it; its container is removed."""
        self._closed.set()
        if self._thread.ident is None:
            return  # it never ran, and will not
        self._ready.wait(_PATIENCE_S)
        if self._container is not None and not self._ended.is_set():
            self._container.kill()
        self._ended.wait(_PATIENCE_S)

    def finish(self) -> str | None:
        """Look a last time, at a build that has ended; return why what it left is too much, or None.

        Raise EngineFailure when there is no answer: what was not measured does not pass.
        """
        if not self._ready.wait(_PATIENCE_S):
            raise EngineFailure(f"the container that measures what a build wrote did not start within {_PATIENCE_S} s")
        self._asked.set()
        if self._container is not None and self._failure is None:
            self._container.terminate()
        has_ended = self._ended.wait(_PATIENCE_S)
        if self._failure is not None:
            raise self._failure
        if not has_ended:
            return self.excess or f"what it wrote could not be counted within {_PATIENCE_S} s"
        if not self._answered:
            raise EngineFailure("what the build wrote could not be measured: the last look gave no answer")
        return self.excess

    def _run(self) -> None:
        try:
            if self._closed.is_set():
                return
            with self._engine.container(self._spec) as container:
                self._container = container
                if not self._closed.is_set():
                    self._listen(container)
        except RebuilderError as error:
            self._failure = error
        finally:
            self._ready.set()
            self._ended.set()

    def _listen(self, container: Container) -> None:
        heard = b""
        for output, _ in container.start():
            heard += output
            if not self._ready.is_set() and _READY in heard:
                heard = heard.partition(_READY)[2]
                self._ready.set()
            while _END in heard:
                answer, _, heard = heard.partition(_END)
                self._judge(answer, is_last=self._asked.is_set())
            if len(heard) > _ANSWER_LIMIT_BYTES:
                raise EngineFailure("the container that measures what a build wrote says more than it was asked")

    def _judge(self, answer: bytes, *, is_last: bool) -> None:
        written, _, rest = answer.partition(_SPACE)
        space, _, files = rest.partition(_FILES)
        sizes = _column(written, 0)
        self._answered = is_last and len(sizes) == self._count
        self.written_bytes = sum(sizes) * 1024
        free, left = _column(space, 3), _column(files, 3)
        if self.written_bytes > self._limit_bytes:
            self.excess = f"it wrote {self.written_bytes} bytes, more than the {self._limit_bytes} allowed"
        elif free and min(free) * 1024 < _RESERVE_BYTES:
            self.excess = f"the engine's disk has only {min(free) * 1024} bytes left"
        elif left and 0 < min(left) < _RESERVE_FILES:
            self.excess = f"the engine's disk has only {min(left)} files left"


def _column(table: bytes, number: int) -> list[int]:
    """Numbers in one column of a table, heading and notices left out."""
    rows = (line.split() for line in table.decode("ascii", "replace").splitlines())
    return [int(row[number]) for row in rows if len(row) > number and row[number].isdigit()]
