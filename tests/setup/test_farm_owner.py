"""Whom a farm's keys and passwords belong to on its machine: best to nobody who may log in."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tools import farm_owner
from tools.farm_settings import SettingsError


def made(state: Path, monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    """Have a farm be there that was given to a user."""
    found = {state: uid}
    monkeypatch.setattr(farm_owner, "_of_farm", found.get)


def account(monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """Have every number be an account with that shell."""
    entry = pwd.struct_passwd(("ada", "x", 1000, 1000, "", "/home/ada", shell))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)


@pytest.mark.parametrize(("runs_as", "uid"), [(0, farm_owner.DEFAULT), (1234, 1234)], ids=["root", "ordinary"])
def test_a_new_farm_is_nobodys_or_ones_own(
    runs_as: int, uid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root gives it to a number that no account has; who is not root can give it to nobody."""
    monkeypatch.setattr(os, "geteuid", lambda: runs_as)
    assert farm_owner.owner({}, tmp_path) == uid
    assert farm_owner.owner({"FARM_UID": "777"}, tmp_path) == 777


def test_a_farm_that_is_there_stays_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its volumes belong to that user: another default, or another FARM_UID, would lock the farm out of them."""
    made(tmp_path, monkeypatch, 1000)
    assert farm_owner.owner({}, tmp_path) == 1000
    assert farm_owner.owner({"FARM_UID": "1000"}, tmp_path) == 1000
    with pytest.raises(SettingsError, match="is user 1000's, and so are its volumes, found 777"):
        farm_owner.owner({"FARM_UID": "777"}, tmp_path)


@pytest.mark.parametrize("words", ["0", "-1", "65534", "ada", ""])
def test_what_is_no_ordinary_user_is_refused(words: str, tmp_path: Path) -> None:
    """No role runs as root, nor as nobody, whom every machine has."""
    with pytest.raises(SettingsError, match="expected the number of an ordinary user"):
        farm_owner.owner({"FARM_UID": words}, tmp_path)


@pytest.mark.parametrize(
    ("shell", "is_told"),
    [("/bin/bash", True), ("", True), ("/usr/sbin/nologin", False)],
    ids=["bash", "none", "closed"],
)
def test_who_may_log_in_as_the_farm_is_told(*, shell: str, is_told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account of the machine with the farm's number can read its keys; no shell named is /bin/sh (passwd(5))."""
    account(monkeypatch, shell)
    said = farm_owner.warning(os.geteuid() + 1)
    assert (said is not None) == is_told
    if said:
        assert "is ada, who may log in here and read the farm's keys" in said


def test_no_account_and_ones_own_are_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that nobody has is the safe one; who starts the farm himself reads everything anyway."""
    assert farm_owner.warning(farm_owner.DEFAULT) is None
    account(monkeypatch, "/bin/bash")
    assert farm_owner.warning(os.geteuid()) is None
