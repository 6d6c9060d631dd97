"""Importing a whole suite into an empty ledger, and again: beside rebuilderd, with SQLite and with PostgreSQL.

Our download is excluded: indices are fetched before. What rebuilderd does meanwhile includes its own, from loopback.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.place import REBUILDER, SUITE, LeftOut, Place, directory, say
from bench.rebuilderd import Synced, rebuilderd
from bench.report import Findings, Row
from bench.timing import Run, measure
from tests.servers import postgres

_GOAL_RATIO = 10.0
_SETS = {"amd64": ("--architecture", "amd64"), "amd64 and all": ()}
_AMD64 = "amd64"
_MEASURED_BEFORE_BYTES = 147 * 1000**2
"""Of rebuilderd's daemon, for where it cannot be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One suite, into an empty ledger and then again."""

    first: Run
    again: Run
    offers: int
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What rebuilderd needed for the amd64 ones, each time that we did."""

    version: str
    runs: Sequence[Synced]

    @property
    def first_s(self) -> float:
        """Median of its first imports."""
        return statistics.median(each.first_s for each in self.runs)

    @property
    def again_s(self) -> float:
        """Median of its second imports."""
        return statistics.median(each.again_s for each in self.runs)

    @property
    def daemon_bytes(self) -> int:
        """The least of its peaks."""
        return min(each.daemon_bytes for each in self.runs)


def importing(place: Place, times: int) -> Findings:
    """Both ledgers, both sets of architectures, and rebuilderd between them; medians."""
    say(f"importing {SUITE}")
    place.rebuilder("sync", f"deb:{SUITE}", "--dry-run")
    found = Findings()
    with directory(place.root / "importing") as root:
        sides: dict[tuple[str, str], Callable[[], Imported]] = {}
        for name, words in _SETS.items():
            sides["SQLite", name] = lambda words=words: _sqlite(place, root, words)  # type: ignore[misc]
            sides["PostgreSQL", name] = lambda words=words: _postgres(place, words)  # type: ignore[misc]
        peer, runs = _in_turn(place, sides, times, found)
    for (ledger, name), each in runs.items():
        found.rows.extend(_rows(ledger, name, each, peer if name == _AMD64 else None))
    if peer is not None:
        found.rows.append(_again(peer, runs["SQLite", _AMD64]))
    return found


def _in_turn(
    place: Place, sides: Mapping[tuple[str, str], Callable[[], Imported]], times: int, found: Findings
) -> tuple[Peer | None, dict[tuple[str, str], list[Imported]]]:
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        raise LeftOut("PostgreSQL is not installed")
    runs: dict[tuple[str, str], list[Imported]] = {side: [] for side in sides}

    def ours() -> None:
        for side, run in sides.items():
            runs[side].append(run())

    try:
        with rebuilderd(place) as peer:
            synced = []
            for _ in range(times):
                synced.append(peer.sync())
                ours()
            return Peer(version=peer.version, runs=synced), runs
    except LeftOut as reason:
        found.left_out.append(("rebuilderd of Debian 13 importing the same", str(reason)))
    for _ in range(times):
        ours()
    return None, runs


def _rows(ledger: str, architectures: str, runs: list[Imported], peer: Peer | None) -> list[Row]:
    first = statistics.median(each.first.wall_s for each in runs)
    again = statistics.median(each.again.wall_s for each in runs)
    peak = max(each.first.peak_bytes for each in runs)
    limit = _MEASURED_BEFORE_BYTES if peer is None else peer.daemon_bytes
    what = f"import {SUITE} ({architectures}) into {ledger}"
    command = " ".join(("rebuilder sync", f"deb:{SUITE}", *_SETS[architectures]))
    bare = _bare_s()
    return [
        Row(
            what=what,
            command=command,
            ours_s=first,
            theirs="" if peer is None else f"{peer.version}, download from loopback included",
            theirs_s=None if peer is None else peer.first_s,
            goal=f"peak < {limit / 1000**2:.0f} MB" + ("" if peer is None else ", faster"),
            holds=peak < limit and (peer is None or first < peer.first_s),
            note=f"{runs[0].offers} offers, {runs[0].jobs} jobs; single runs "
            f"{' '.join(f'{each.first.wall_s:.1f}' for each in runs)} s; peak {peak / 1000**2:.0f} MB"
            + ("" if peer is None else _told(peer)),
        ),
        Row(
            what=f"{what} again, nothing changed",
            command=command,
            ours_s=again,
            theirs="the first import",
            theirs_s=first,
            goal=f"{_GOAL_RATIO:.0f} times faster",
            holds=again * _GOAL_RATIO <= first,
            note=f"{first / again:.1f} times; of it {bare:.2f} s to start the program, without which it is "
            f"{(first - bare) / max(again - bare, 0.001):.0f} times",
        ),
    ]


def _told(peer: Peer) -> str:
    one = peer.runs[0]
    return (
        f"; theirs {' '.join(f'{each.first_s:.1f}' for each in peer.runs)} s, {one.binaries} binaries, {one.queued} "
        f"queued; daemon {peer.daemon_bytes / 1000**2:.0f} MB, client {one.client_bytes / 1000**2:.0f} MB"
    )


def _again(peer: Peer, runs: list[Imported]) -> Row:
    return Row(
        what=f"import {SUITE} ({_AMD64}) into SQLite again, nothing changed",
        command=" ".join(("rebuilder sync", f"deb:{SUITE}", *_SETS[_AMD64])),
        ours_s=statistics.median(each.again.wall_s for each in runs),
        theirs=f"{peer.version} again",
        theirs_s=peer.again_s,
        goal="faster",
        holds=statistics.median(each.again.wall_s for each in runs) < peer.again_s,
    )


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
        with postgres(root / "server", durable=True) as server:
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
