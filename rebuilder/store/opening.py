"""The ledger that the settings name."""

from __future__ import annotations

from pathlib import Path

from rebuilder.config import Settings
from rebuilder.errors import ConfigurationError
from rebuilder.store.database import Database
from rebuilder.store.ledger import FILE_NAME
from rebuilder.store.schema import Preparation
from rebuilder.world.files import read

_PASSWORD_LIMIT_BYTES = 4096


def open_database(settings: Settings, preparation: Preparation | None = None) -> Database:
    """Open `farm.database`, else the file in the state directory; `preparation` as for `Database`."""
    if settings.farm.database is None:
        return Database(settings.state / FILE_NAME, preparation=preparation)
    password = _password(settings.farm.database_password_file)
    return Database(settings.farm.database, password=password, preparation=preparation)


def _password(path: Path | None) -> str | None:
    """Read the first line of a file; None when none is named."""
    if path is None:
        return None
    line = read(path, limit_bytes=_PASSWORD_LIMIT_BYTES).decode("utf-8", "replace").partition("\n")[0].strip()
    if not line:
        raise ConfigurationError(
            f"{path}: the first line holds no password", hint="write the password of farm.database's user there"
        )
    return line
