"""What trust rests on here: keyrings of others, keys of our own."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import key_path
from rebuilder.config import DebianSettings
from rebuilder.doctor.finding import Condition, Finding
from rebuilder.errors import RebuilderError
from rebuilder.trust import keyring

_OLD = timedelta(days=4 * 365)


def examine_keyrings(settings: DebianSettings, *, now: datetime) -> tuple[Finding, ...]:
    """Look at the archive's keyring, which everything rests on, and at the developers', which adds evidence."""
    archive = examine_keyring(
        "archive keyring",
        settings.archive_keyring,
        "the certificates that sign Debian's indices",
        absent=Condition.MISSING,
        now=now,
    )
    developers = (
        examine_keyring(path.stem, path, "signatures of developers on a .dsc", absent=Condition.WARN, now=now)
        for path in settings.developer_keyrings
    )
    return (archive, *developers)


def examine_keyring(name: str, path: Path, purpose: str, *, absent: Condition, now: datetime) -> Finding:
    """Count a keyring's certificates; `absent` is how bad it is when it cannot be read."""
    try:
        count = len(set(keyring.load(path).places.values()))
    except RebuilderError as error:
        remedy = error.hint or "install the Debian package that brings it"
        return Finding(name=name, condition=absent, found=str(error), purpose=purpose, remedy=remedy)
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    found = f"{count} certificates in {path}, of {modified:%Y-%m}"
    if now - modified > _OLD:
        remedy = "upgrade the package that brings it: newer releases are signed by newer keys"
        return Finding(name=name, condition=Condition.WARN, found=found, purpose=purpose, remedy=remedy)
    return Finding(name=name, condition=Condition.OK, found=found, purpose=purpose)


def examine_keys(state: Path) -> tuple[Finding, ...]:
    """Look at our own key files without opening them."""
    return tuple(_examine_key(key_path(state, role), role) for role in (Role.ATTESTATION, Role.BUILDER))


def _examine_key(path: Path, role: Role) -> Finding:
    name, purpose = f"{role} key", f"signs as {role}"
    if not path.exists():
        return Finding(name=name, condition=Condition.OK, found="none yet: made on first use", purpose=purpose)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding(
            name=name,
            condition=Condition.MISSING,
            found=f"others may read {path}",
            purpose=purpose,
            remedy=f"make a new one: whoever could read it can sign as you (then: chmod 600 {path})",
        )
    return Finding(name=name, condition=Condition.OK, found=str(path), purpose=purpose)
