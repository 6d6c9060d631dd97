"""A ledger's server that refuses the verbs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rebuilder.store import engines
from tests.archive.frozen import FrozenArchive
from tests.servers import Postgres
from tests.workers.verbs.conftest import Person, write_config


@pytest.mark.parametrize(
    ("place", "password", "message", "hint"),
    [
        (
            "farm@HOST:PORT/farm",
            "wrong",
            "password authentication failed",
            "farm.database_password_file names the file",
        ),
        ("nobody@HOST:PORT/farm", "", "password authentication failed", "farm.database_password_file names the file"),
        ("farm@HOST:PORT/nowhere", "", 'database "nowhere" does not exist', "create the user and the database"),
        ("farm@HOST:1/farm", "", "refused", "start the server, or correct farm.database"),
        ("farm@HOST:SILENT/farm", "", "timeout", "start the server, or correct farm.database"),
        ("farm@nowhere.invalid:PORT/farm", "", "nowhere.invalid", "correct the host in farm.database"),
    ],
    ids=["wrong-password", "unknown-user", "missing-database", "refused", "silent", "unknown-host"],
)
def test_a_database_that_refuses_is_named(  # noqa: PLR0917 - one case of the table, and who plays in it
    place: str,
    password: str,
    message: str,
    hint: str,
    standard_archive: FrozenArchive,
    person: Person,
    tmp_path: Path,
    postgres_server: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 4, what the server said, and a hint at the setting; of the password nothing.

    It is the right one, where the case names no other.
    """
    monkeypatch.setattr(engines, "_CONNECT_TIMEOUT_S", 2)
    secret = tmp_path / "password"
    secret.write_text(f"{password or postgres_server.password}\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = place.replace("HOST", "127.0.0.1").replace("SILENT", str(silent.getsockname()[1]))
        place = place.replace("PORT", str(postgres_server.port))
        more = f'[farm]\ndatabase = "postgresql://{place}"\ndatabase_password_file = "{secret}"\n'
        code, out, err = person("status", "--config", write_config(tmp_path, standard_archive, more))
    assert (code, out) == (4, "")
    said, told = err.splitlines()
    assert (message in said, hint in told) == (True, True), err
    assert secret.read_text().strip() not in err
