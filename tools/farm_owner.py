"""The user that a farm's containers run as, to whom its keys and passwords on this machine belong.

Whoever may log in as that user reads them, so it is best nobody's: FARM_UID, else of a farm that is there the one that
it was made for (its volumes belong to him as well), else a number that no account has, or without root one's own.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from tools.farm_settings import SettingsError

DEFAULT = 48700
"""Beyond what is given to accounts of people and services, and within the 65536 of a user namespace."""
_LAST = 65533
_NO_SHELLS = ("nologin", "false", "sync")


def owner(words: Mapping[str, str], state: Path) -> int:
    """Choose the user; raise SettingsError for what is no number of an ordinary one."""
    named = words.get("FARM_UID")
    if named is None:
        return _of_farm(state) or os.geteuid() or DEFAULT
    if not named.isdecimal() or not 1 <= int(named) <= _LAST:
        raise SettingsError(f"FARM_UID: expected the number of an ordinary user, 1 to {_LAST}, found {named[:40]!r}")
    there = _of_farm(state)
    if there not in {None, int(named)}:
        raise SettingsError(
            f"FARM_UID: the farm in {state} is user {there}'s, and so are its volumes, found {named}\n"
            f"  leave FARM_UID out, or make a new farm: `make down ARGS=--volumes`, and move {state} away"
        )
    return int(named)


def warning(uid: int) -> str | None:
    """Say who else than the caller could log in as that user and read what is the farm's; None when nobody could."""
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return None
    if uid == os.geteuid() or account.pw_shell.rpartition("/")[2] in _NO_SHELLS:
        return None
    return (
        f"user {uid} is {account.pw_name}, who may log in here and read the farm's keys and passwords: "
        "docs/FARM.md, FARM_UID, says how a farm gets another"
    )


def _of_farm(state: Path) -> int | None:
    """Look whom the farm's passwords were given to; None where there are none yet."""
    try:
        return (state / "secrets" / "postgres").stat().st_uid or None
    except OSError:
        return None
