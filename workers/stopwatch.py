"""How long each part of a verb took: a part within another does not count for both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rebuilder.model.digest import Digest
from rebuilder.world.http import Fetcher


class Stopwatch:
    """Adds up the seconds of named parts, in one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._part: str | None = None
        self._since = 0.0
        self._spent: dict[str, float] = {}

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """Count what happens meanwhile for a part; what is counted for another one meanwhile is not."""
        outer = self._switch(part)
        try:
            yield
        finally:
            self._switch(outer)

    @property
    def seconds(self) -> Mapping[str, float]:
        """Of each part, to the millisecond."""
        return {part: round(spent, 3) for part, spent in self._spent.items()}

    def _switch(self, part: str | None) -> str | None:
        at, before = self._clock(), self._part
        if before is not None:
            self._spent[before] = self._spent.get(before, 0.0) + at - self._since
        self._part, self._since = part, at
        return before


class TimedFetcher:
    """Fetches as another fetcher does, and counts that as a part of its own. See rebuilder.world.http.Fetcher."""

    def __init__(self, fetcher: Fetcher, watch: Stopwatch, part: str) -> None:
        self._fetcher = fetcher
        self._watch = watch
        self._part = part

    def get(self, url: str, *, limit_bytes: int) -> bytes:
        """See Fetcher.get."""
        with self._watch.during(self._part):
            return self._fetcher.get(url, limit_bytes=limit_bytes)

    def download(
        self, url: str, path: Path, *, size_bytes: int | None, digest: Digest | None, limit_bytes: int
    ) -> Digest:
        """See Fetcher.download."""
        with self._watch.during(self._part):
            return self._fetcher.download(url, path, size_bytes=size_bytes, digest=digest, limit_bytes=limit_bytes)
