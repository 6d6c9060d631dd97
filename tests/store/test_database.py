"""Everything that can be wrong with a ledger's file, and two processes at once."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rebuilder.errors import StorageFailure
from rebuilder.store.database import Database
from rebuilder.store.ledger import Ledger, open_ledger
from tests.store.conftest import BUILDER, NOON, PLAN, dossier


def _python(program: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


_TAKE_ORDINALS = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from rebuilder.model.digest import Digest
    from rebuilder.store.ledger import open_ledger
    ledger = open_ledger(Path(sys.argv[1]))
    for _ in range(20):
        print(ledger.next_ordinal(Digest.of(b"plan"), "b" * 64, datetime.now(UTC)))
"""


def test_two_processes_never_get_the_same_ordinal(path: Path) -> None:
    """Both make the ledger, both reserve, and together they hold each number once."""
    both = [_python(_TAKE_ORDINALS, path) for _ in range(2)]
    taken = [int(line) for process in both for line in process.communicate(timeout=60)[0].split()]
    assert sorted(taken) == list(range(40))


_WRITE_WITHOUT_END = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from rebuilder.model.digest import Digest
    from rebuilder.store.ledger import open_ledger
    ledger = open_ledger(Path(sys.argv[1]))
    number = 0
    while True:
        number = ledger.next_ordinal(Digest.of(b"plan"), "b" * 64, datetime.now(UTC))
        print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_whole_ledger(path: Path) -> None:
    """After kill -9 in the midst of writing: nothing that was answered is lost, and work goes on."""
    process = _python(_WRITE_WITHOUT_END, path)
    assert process.stdout is not None
    answered = [int(process.stdout.readline()) for _ in range(5)]
    os.kill(process.pid, signal.SIGKILL)
    answered += [int(line) for line in process.communicate(timeout=60)[0].splitlines() if line]
    assert open_ledger(path).next_ordinal(PLAN, BUILDER, NOON) > max(answered)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_writer_that_dies_within_a_transaction_leaves_nothing_of_it(path: Path) -> None:
    """A comparison and its verdicts are written together or not at all."""
    program = """
        import os, sys
        from pathlib import Path
        from rebuilder.store.ledger import open_ledger
        from tests.store.conftest import dossier
        import rebuilder.store.ledger as module
        module._verdict_values = lambda artifact: os.kill(os.getpid(), 9)
        open_ledger(Path(sys.argv[1])).record_comparison(dossier(), "run")
    """
    process = _python(program, path)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    ledger = open_ledger(path)
    assert ledger.latest() == ()
    ledger.record_comparison(dossier(), "run")
    assert len(ledger.latest()) == 1


def test_a_file_that_is_no_database_is_refused_with_the_way_back(path: Path) -> None:
    """The documents can make the ledger again: the hint says so."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageFailure, match="file is not a database") as caught:
        open_ledger(path)
    assert "rebuilder ledger rebuild" in str(caught.value.hint)


def test_damage_in_the_middle_is_said_and_not_a_traceback(path: Path) -> None:
    """A page overwritten after the fact raises StorageFailure when it is read."""
    database = Database(path)
    ledger = Ledger(database)
    for day in range(40):
        ledger.record_comparison(dossier(days=day, version=str(day)), "run")
    database.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StorageFailure, match="malformed") as caught:
        ledger.latest()
    assert "rebuilder ledger rebuild" in str(caught.value.hint)


def test_a_locked_ledger_says_so(path: Path, ledger: Ledger) -> None:
    """A writer that does not end is waited for, and then named as the reason."""
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StorageFailure, match="locked") as caught:
            open_ledger(path, busy_timeout_ms=50)
        assert "another rebuilder is writing" in str(caught.value.hint)
        assert ledger.latest() == (), "a reader does not wait for the writer"
    finally:
        blocker.close()


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """A file where the directory should be."""
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(StorageFailure, match="state"):
        open_ledger(tmp_path / "state" / "ledger.sqlite")


def test_a_newer_ledger_is_left_alone(path: Path, ledger: Ledger) -> None:
    """An older program does not write into tables that it does not know."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageFailure, match="expected ledger schema 3, found 99"):
        open_ledger(path)


def test_another_programs_database_is_left_alone(path: Path) -> None:
    """Tables that are not ours are not added to."""
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (id INTEGER)")
    connection.close()
    with pytest.raises(StorageFailure, match="some other program's database"):
        open_ledger(path)


def test_a_value_that_is_no_word_of_ours_is_storage_failure(path: Path, ledger: Ledger) -> None:
    """A verdict edited by hand into an unknown word leaks nothing but our error."""
    ledger.record_comparison(dossier(), "run")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE comparisons SET verdict = 'splendid'")
    connection.close()
    with pytest.raises(StorageFailure, match="splendid"):
        ledger.latest()


def test_a_connection_that_cannot_be_closed_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C while the pool closes a connection: its logger shows no traceback on stderr."""
    logger = logging.getLogger("sqlalchemy.pool.impl.QueuePool")
    for level in (logging.ERROR, logging.CRITICAL):
        logger.log(level, "Exception closing connection %r", "connection", exc_info=KeyboardInterrupt())
    assert capfd.readouterr() == ("", "")
