"""For all tests: in CI nothing is skipped silently; who runs beside whom; the frozen archive, made once a session."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rebuilder.store.database import Database
from rebuilder.store.schema import Preparation
from rebuilder.store.tables import metadata
from rebuilder.world.files import locked
from tests.archive.frozen import FrozenArchive
from tests.archive.server import Loopback
from tests.archive.standard import make_standard
from tests.servers import Postgres, postgres

SEEN = "seen"
"""Name of the property of a report that holds what the test saw."""


def pytest_configure() -> None:
    """Let the programs that tests start hear Ctrl-C, also where the tests themselves run in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process at a time use the engine, whatever it tests; of the others, one at a time runs a file.

    Of hooks that would be first, those of the folders below are: they say what needs the engine. xdist's comes later.
    """
    for item in items:
        name = "engine" if item.get_closest_marker("engine") else item.path.relative_to(item.config.rootpath).as_posix()
        item.add_marker(pytest.mark.xdist_group(name))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop where xdist was to group the tests and did not: two processes would use the engine at once."""
    if session.config.getoption("loadgroup", default=False):
        odd = [item.nodeid for item in session.items if "@" not in item.nodeid]
        if odd:
            raise pytest.UsageError(f"pytest-xdist did not group {odd[0]}: does it fit this pytest?")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests saw that differs from run to run, also where they passed: live releases, counts after faults."""
    seen = [
        (report.nodeid, words)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, words in report.user_properties
        if name == SEEN
    ]
    if seen:
        terminalreporter.section("what tests saw")
    for nodeid, words in seen:
        terminalreporter.line(f"{nodeid}\n{words}")


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that has words printed after the tests."""
    return lambda words: record_property(SEEN, words.strip("\n"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where CI is set: a missing tool must not look like a pass."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI ({call.when}): {reason}"
    return report


@pytest.fixture(scope="session")
def standard_archive(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> FrozenArchive:
    """Make the standard frozen archive, for reading; its packages outlive the session, its keys and dates are new."""
    assert pytestconfig.cache is not None
    workshop = pytestconfig.cache.mkdir("frozen-archive")
    with locked(workshop / "lock"):  # another process of this session may be making the same packages
        return make_standard(tmp_path_factory.mktemp("frozen") / "archive", workshop)


@pytest.fixture
def spoiled_archive(standard_archive: FrozenArchive, tmp_path: Path) -> FrozenArchive:
    """Copy the standard archive, for a test to spoil."""
    return standard_archive.copy(tmp_path / "archive")


@pytest.fixture
def loopback(spoiled_archive: FrozenArchive) -> Iterator[Loopback]:
    """Serve `spoiled_archive` over HTTP; the faults are the test's to set."""
    with Loopback(spoiled_archive.root) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Run one PostgreSQL for the session, where its user can reach it; `postgres_database` empties it for a test."""
    root = Path(tempfile.mkdtemp(prefix="rebuilder-postgres-"))
    try:
        with postgres(root) as server:
            yield server
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def postgres_database(postgres_server: Postgres) -> Iterator[Database]:
    """Give an empty ledger on PostgreSQL, of this program's schema."""
    database = Database(postgres_server.address, password=postgres_server.password, preparation=Preparation.MAKE)
    names = ", ".join(table.name for table in metadata.sorted_tables if table.name != "alembic_version")
    with database.write() as connection:
        connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    yield database
    database.close()
