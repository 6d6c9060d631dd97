"""Importing a whole suite into an empty ledger, and again: seconds and memory, with SQLite and with PostgreSQL.

The download is excluded: indices are fetched before. What rebuilderd does meanwhile includes its own.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.place import REBUILDER, SUITE, LeftOut, Place, directory, say
from bench.report import Findings, Row
from bench.timing import Run, measure
from tests.servers import postgres

_PEER = (
    "it needs a container of Debian 13 with a network. Measured before on a machine like this, three times: 2.1 s for "
    "the amd64 binaries alone, download included; 147 MB in the daemon, 105 MB in the client"
)
_GOAL_RATIO = 10.0
_GOAL_BYTES = 150 * 1000**2
_SETS = {"amd64": ("--architecture", "amd64"), "amd64 and all": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One suite, into an empty ledger and then again."""

    first: Run
    again: Run
    offers: int
    jobs: int


def importing(place: Place, times: int) -> Findings:
    """Both ledgers, both sets of architectures; medians."""
    say(f"importing {SUITE}")
    place.rebuilder("sync", f"deb:{SUITE}", "--dry-run")
    found = Findings()
    with directory(place.root / "importing") as root:
        for name, words in _SETS.items():
            found.rows.extend(_rows("SQLite", name, [_sqlite(place, root, words) for _ in range(times)]))
        if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
            raise LeftOut("PostgreSQL is not installed")
        for name, words in _SETS.items():
            found.rows.extend(_rows("PostgreSQL", name, [_postgres(place, words) for _ in range(times)]))
    found.left_out.append(("rebuilderd 0.24 importing the same", _PEER))
    return found


def _rows(ledger: str, architectures: str, runs: list[Imported]) -> list[Row]:
    first = statistics.median(each.first.wall_s for each in runs)
    again = statistics.median(each.again.wall_s for each in runs)
    peak = max(each.first.peak_bytes for each in runs)
    what = f"import {SUITE} ({architectures}) into {ledger}"
    command = " ".join(("rebuilder sync", f"deb:{SUITE}", *_SETS[architectures]))
    single = " ".join(f"{each.first.wall_s:.1f}" for each in runs)
    offers = f"{runs[0].offers} offers, {runs[0].jobs} jobs; single runs {single} s; peak {peak / 1000**2:.0f} MB"
    return [
        Row(
            what=what,
            command=command,
            ours_s=first,
            theirs="",
            theirs_s=None,
            goal="peak < 150 MB",
            holds=peak < _GOAL_BYTES,
            note=offers,
        ),
        Row(
            what=f"{what} again, nothing changed",
            command=command,
            ours_s=again,
            theirs="the first import",
            theirs_s=first,
            goal=f"{_GOAL_RATIO:.0f} times faster",
            holds=again * _GOAL_RATIO <= first,
            note=f"of this, starting the program takes {_bare_s():.2f} s",
        ),
    ]


def _sqlite(place: Place, root: Path, words: tuple[str, ...]) -> Imported:
    with directory(root / "state") as state:
        return _imported(place, {"REBUILDER_STATE": str(state)}, words)


def _postgres(place: Place, words: tuple[str, ...]) -> Imported:
    with _server() as environment:
        measure([str(REBUILDER), "ledger", "upgrade"], environment={**place.environment, **environment})
        return _imported(place, environment, words)


@contextmanager
def _server() -> Iterator[Mapping[str, str]]:
    """Run PostgreSQL where its user can reach it, and name it as the settings do."""
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        root.chmod(0o755)
        secret = root / "password"
        with postgres(root / "server") as server:
            secret.write_text(server.password)
            secret.chmod(0o600)
            address = server.address.replace("+psycopg", "")
            yield {"REBUILDER_FARM_DATABASE": address, "REBUILDER_FARM_DATABASE_PASSWORD_FILE": os.fspath(secret)}


def _imported(place: Place, environment: Mapping[str, str], words: tuple[str, ...]) -> Imported:
    command = [str(REBUILDER), "sync", f"deb:{SUITE}", *words, "--json"]
    first, again = (measure(command, environment={**place.environment, **environment}) for _ in range(2))
    if first.status or again.status:
        errors = (first.errors + again.errors)[-500:]
        raise SystemExit(f"rebuilder sync ended with {first.status}, {again.status}: {errors}")
    said, same = json.loads(first.output), json.loads(again.output)
    if not same["changes"][0]["is_current"] or same["added"]:
        raise SystemExit("the suite changed between two imports: measure again")
    return Imported(first=first, again=again, offers=said["changes"][0]["offered"], jobs=said["added"])


def _bare_s() -> float:
    """Measure how long the program takes to start and to do nothing."""
    return measure([str(REBUILDER), "sync", "--help"]).wall_s
