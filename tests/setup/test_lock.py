"""requirements.lock pins everything by hash and says nothing about where it was made."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
STANZA = re.compile(r"^([a-z0-9][a-z0-9._-]*)==\S+.*(?:\n {4}.*)*", re.MULTILINE)


def name(requirement: str) -> str:
    """Normalise a project's name (PEP 503), without extras and versions."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;~! ]", requirement)[0]).lower()


def test_every_pin_has_hashes() -> None:
    """Each file that pip may install is named by at least one SHA-256."""
    stanzas = list(STANZA.finditer(LOCK))
    assert len(stanzas) > 40
    assert [match[1] for match in stanzas if "--hash=sha256:" not in match[0]] == []


def test_every_dependency_is_pinned() -> None:
    """What pyproject.toml asks for, of the program and of its developers, is in the lock: run `make lock` otherwise."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    pinned = {name(match[1]) for match in STANZA.finditer(LOCK)}
    assert {name(each) for each in wanted} - pinned == set()


def test_the_lock_names_no_place() -> None:
    """No index, no address, no path: where files come from is the configuration of pip on each machine."""
    assert [line for line in LOCK.splitlines() if re.search(r"://|^ *(?:--index|--find|--extra|-[ief])| /", line)] == []
