"""What took how long."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from rebuilder.errors import NetworkFailure
from rebuilder.model.digest import Digest
from workers.stopwatch import Stopwatch, TimedFetcher


class Fetched:
    """Gives every address the same bytes."""

    def get(self, url: str, *, limit_bytes: int) -> bytes:
        """Give them; fail for what is nowhere."""
        if not url:
            raise NetworkFailure("nowhere")
        return b"x" * limit_bytes

    def download(
        self, url: str, path: Path, *, size_bytes: int | None, digest: Digest | None, limit_bytes: int
    ) -> Digest:
        """Write them."""
        path.write_bytes(self.get(url, limit_bytes=limit_bytes))
        return Digest.of(path.read_bytes())


def watch() -> Stopwatch:
    """Make a watch for which a second passes whenever it is looked at."""
    seconds = count()
    return Stopwatch(lambda: float(next(seconds)))


def test_a_part_within_another_counts_once() -> None:
    """And what is between parts counts for none."""
    found = watch()
    with found.during("whole"):
        with found.during("inner"):
            pass
        with found.during("inner"):
            pass
    with found.during("later"):
        pass
    assert found.seconds == {"whole": 3.0, "inner": 2.0, "later": 1.0}


def test_a_part_that_fails_took_its_time() -> None:
    """The one around it goes on."""
    found = watch()
    with found.during("whole"), pytest.raises(NetworkFailure):
        TimedFetcher(Fetched(), found, "download").get("", limit_bytes=1)
    assert found.seconds == {"whole": 2.0, "download": 1.0}


def test_downloads_are_a_part(tmp_path: Path) -> None:
    """Of bodies and of files, and with what was asked for."""
    found = watch()
    fetcher = TimedFetcher(Fetched(), found, "download")
    assert fetcher.get("a", limit_bytes=3) == b"xxx"
    digest = fetcher.download("a", tmp_path / "file", size_bytes=None, digest=None, limit_bytes=2)
    assert (digest, found.seconds) == (Digest.of(b"xx"), {"download": 2.0})
