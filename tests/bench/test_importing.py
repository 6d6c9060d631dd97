"""What the page says of imports: whole commands and the import itself are told apart."""

from __future__ import annotations

from bench.importing import Imported, Peer, Sync, rows_of
from bench.rebuilderd import Synced
from bench.timing import Run

MB = 1000**2


def sync(wall_s: float, peak_mb: int = 70, **parts: float) -> Sync:
    """Make one measured command."""
    run = Run(
        command="rebuilder sync",
        wall_s=wall_s,
        peak_bytes=peak_mb * MB,
        status=0,
        output="",
        errors="",
        phases=(),
    )
    return Sync(run=run, parts=parts)


def imported(again_s: float = 0.1, peak_mb: int = 70) -> Imported:
    """Make two imports: the first one's own work is two seconds."""
    first = sync(3.0, peak_mb, download=0.5, opening=0.1, reading=0.9, ledger=1.0)
    return Imported(first=first, again=sync(1.0, download=0.5, opening=again_s), offers=5, jobs=4)


def peer(first_s: float = 4.0, daemon_mb: int = 140) -> Peer:
    """Make the other program's figures."""
    synced = Synced(
        first_s=first_s,
        again_s=1.5,
        daemon_bytes=daemon_mb * MB,
        client_bytes=MB,
        binaries=5,
        queued=4,
    )
    return Peer(version="rebuilderd 0", runs=[synced])


def test_the_goal_of_the_second_import_is_the_imports_own() -> None:
    """Neither the download nor the program's start is in either side; the whole command stands in a row of its own."""
    first, itself, whole = rows_of("SQLite", "amd64", [imported()], peer())
    assert (itself.ours_s, itself.theirs_s, itself.holds) == (0.1, 2.0, True)
    assert "import itself" in itself.what
    assert (whole.ours_s, whole.theirs_s, whole.holds) == (1.0, 1.5, True)
    assert "3.0 times faster than the first; download 0.50, opening 0.10, program start and end 0.40 s" in whole.note
    assert "70 MB" in first.what
    assert not rows_of("SQLite", "amd64", [imported(again_s=0.21)], peer())[1].holds


def test_the_first_import_is_beside_the_peers_whole_command() -> None:
    """Faster and smaller, or the goal is missed; where it cannot be run, only memory is compared with what it took."""
    assert rows_of("SQLite", "amd64", [imported()], peer())[0].holds
    assert not rows_of("SQLite", "amd64", [imported()], peer(first_s=2.9))[0].holds
    assert not rows_of("SQLite", "amd64", [imported(peak_mb=141)], peer())[0].holds
    alone = rows_of("SQLite", "amd64", [imported(peak_mb=141)], None)[0]
    assert (alone.theirs_s, alone.holds) == (None, True)
