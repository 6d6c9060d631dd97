"""Comparing equal artifacts of 100 MB, beside sha256sum of both."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

from bench.place import Place, directory
from bench.report import Row
from bench.timing import measure
from rebuilder.compare.rule import DEB
from rebuilder.compare.sandbox import compare_in_child
from rebuilder.model.verdict import Verdict

SIZE_BYTES = 100 * 1000**2
RATIO = 1.3
TIMES = 9


def equal_artifacts(place: Place) -> list[Row]:
    """Time both, in turn, and take the medians."""
    ours, theirs = [], []
    with directory(place.root / "equal") as work:
        reference, rebuilt = work / "reference.deb", work / "rebuilt.deb"
        _fill(reference, rebuilt)
        for _ in range(TIMES):
            theirs.append(measure(["sha256sum", str(reference), str(rebuilt)]).wall_s)
            started = time.monotonic()
            found = compare_in_child(reference, rebuilt, filename="reference.deb", rule=DEB)
            ours.append(time.monotonic() - started)
            if found.verdict is not Verdict.REPRODUCED:
                raise SystemExit(f"two equal files were called {found.verdict}")
    mine, other = statistics.median(ours), statistics.median(theirs)
    return [
        Row(
            what="comparing equal artifacts of 100 MB",
            command="rebuilder.compare.sandbox.compare_in_child(reference, rebuilt)",
            ours_s=mine,
            theirs="`sha256sum` of both",
            theirs_s=other,
            goal=f"<= {RATIO} x",
            holds=mine <= RATIO * other,
            note=f"medians of {TIMES}: {mine * 1000:.0f} ms and {other * 1000:.0f} ms",
        )
    ]


def _fill(*paths: Path) -> None:
    """Write the same random bytes into each."""
    streams = [path.open("wb") for path in paths]
    for _ in range(SIZE_BYTES // 1000**2):
        block = os.urandom(1000**2)
        for stream in streams:
            stream.write(block)
    for stream in streams:
        stream.close()
