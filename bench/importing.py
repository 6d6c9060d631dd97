"""Importing a whole suite into an empty ledger, and again: beside rebuilderd, with SQLite and with PostgreSQL.

Two figures, apart. The whole command `rebuilder sync`, a process that starts, loads its modules, fetches InRelease and
ends: beside rebuilderd's client, whose daemon runs before and which downloads its index from loopback, as ours was
fetched before. And the import itself, as the command says it: opening the suite (signature, freshness), reading its
index, and the ledger; without the program's start and without the download. Every commit waits for the disk.
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
_ITSELF = ("opening", "reading", "ledger")
"""Parts of a sync, as `--json` names them, that are the import; `download` is the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """One `rebuilder sync`."""

    run: Run
    parts: Mapping[str, float]
    """Seconds of each, as the command said."""

    @property
    def itself_s(self) -> float:
        """The import, without the program's start and the download."""
        return sum(self.parts.get(part, 0.0) for part in _ITSELF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One suite, into an empty ledger and then again."""

    first: Sync
    again: Sync
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
        found.rows.extend(rows_of(ledger, name, each, peer if name == _AMD64 else None))
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


def rows_of(ledger: str, architectures: str, runs: list[Imported], peer: Peer | None) -> list[Row]:
    """Compare whole commands with the peer's, and the second import itself with the first."""
    first, again = [each.first for each in runs], [each.again for each in runs]
    peak = max(each.run.peak_bytes for each in (*first, *again))
    limit = _MEASURED_BEFORE_BYTES if peer is None else peer.daemon_bytes
    what = f"import {SUITE} ({architectures}) into {ledger}"
    command = " ".join(("rebuilder sync", f"deb:{SUITE}", *_SETS[architectures]))
    whole_s, whole_again_s = _wall_s(first), _wall_s(again)
    itself_s, itself_again_s = (statistics.median(each.itself_s for each in some) for some in (first, again))
    return [
        Row(
            what=f"{what}, the whole command, {peak / 1000**2:.0f} MB at most",
            command=command,
            ours_s=whole_s,
            theirs=""
            if peer is None
            else f"{peer.version}: its client, {peer.daemon_bytes / 1000**2:.0f} MB in the daemon",
            theirs_s=None if peer is None else peer.first_s,
            goal=f"peak < {limit / 1000**2:.0f} MB" + ("" if peer is None else ", faster"),
            holds=peak < limit and (peer is None or whole_s < peer.first_s),
            note=f"{runs[0].offers} offers, {runs[0].jobs} jobs, each commit waits for the disk; "
            + _told(first)
            + _of_peer(peer),
        ),
        Row(
            what=f"{what} again, nothing changed: the import itself",
            command=command,
            ours_s=itself_again_s,
            theirs="the first import itself",
            theirs_s=itself_s,
            goal=f"{_GOAL_RATIO:.0f} times faster",
            holds=itself_again_s * _GOAL_RATIO <= itself_s,
            note=f"{itself_s / itself_again_s:.0f} times, without the program's start and the download",
        ),
        Row(
            what=f"{what} again, nothing changed: the whole command",
            command=command,
            ours_s=whole_again_s,
            theirs="the first import" if peer is None else f"{peer.version} again",
            theirs_s=whole_s if peer is None else peer.again_s,
            goal="faster",
            holds=whole_again_s < (whole_s if peer is None else peer.again_s),
            note=f"{whole_s / whole_again_s:.1f} times faster than the first; {_told(again)}",
        ),
    ]


def _wall_s(runs: Sequence[Sync]) -> float:
    return statistics.median(each.run.wall_s for each in runs)


def _told(runs: Sequence[Sync]) -> str:
    """Say where the time went, part by part, and what the single runs took."""
    names = dict.fromkeys(name for each in runs for name in each.parts)
    medians = {name: statistics.median(each.parts.get(name, 0.0) for each in runs) for name in names}
    rest_s = _wall_s(runs) - sum(medians.values())
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in sorted(medians.items()))
    peak = max(each.run.peak_bytes for each in runs)
    return (
        f"{parts}, program start and end {rest_s:.2f} s; single runs "
        f"{' '.join(f'{each.run.wall_s:.1f}' for each in runs)} s; peak {peak / 1000**2:.0f} MB"
    )


def _of_peer(peer: Peer | None) -> str:
    if peer is None:
        return ""
    one = peer.runs[0]
    return (
        f"; theirs {' '.join(f'{each.first_s:.1f}' for each in peer.runs)} s with the download from loopback, "
        f"{one.binaries} binaries, {one.queued} queued; client {one.client_bytes / 1000**2:.0f} MB"
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
    runs = [measure(command, environment={**place.environment, **environment}) for _ in range(2)]
    if any(run.status for run in runs):
        errors = "".join(run.errors for run in runs)[-500:]
        raise SystemExit(f"rebuilder sync ended with {', '.join(str(run.status) for run in runs)}: {errors}")
    said, same = (json.loads(run.output) for run in runs)
    if not same["changes"][0]["is_current"] or same["added"]:
        raise SystemExit("the suite changed between two imports: measure again")
    first, again = (Sync(run=run, parts=each["seconds"]) for run, each in zip(runs, (said, same), strict=True))
    return Imported(first=first, again=again, offers=said["changes"][0]["offered"], jobs=said["added"])
