"""What each part of a farm on one machine must hold: keys, passwords, and who knows whose key. Made once.

Below .state/farm: `secrets/` (mounted one by one, by compose.yaml), and a state directory a role, which is that role's
alone. The attestation key is among the secrets and in no role's directory; who may build and compare is written into
the signer's directory here, by the operator, so that the signer need not believe the coordinator.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from rebuilder.attest.keys import PublicKey, Role
from rebuilder.attest.keystore import enroll, ensure_key, key_path

BROKER_USERS = ("coordinator", "plan", "rebuild", "compare", "sign", "publish")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A worker that this farm starts."""

    name: str
    kind: str
    role: Role
    domain: str


def members(builders: int) -> tuple[Member, ...]:
    """List the workers. On one machine, builders are fault domains of their own in name only: for trying it out."""
    fixed = (
        Member(name="planner", kind="plan", role=Role.WORKER, domain="here"),
        Member(name="comparer", kind="compare", role=Role.COMPARER, domain="here"),
        Member(name="signer", kind="sign", role=Role.WORKER, domain="here"),
        Member(name="publisher", kind="publish", role=Role.WORKER, domain="here"),
    )
    numbers = range(1, builders + 1)
    return (
        *fixed,
        *(Member(name=f"builder-{n}", kind="rebuild", role=Role.BUILDER, domain=f"here-{n}") for n in numbers),
    )


def prepare(root: Path, *, builders: int, architecture: str, owner: int) -> None:
    """Make what is missing, and give all of it to the user that the containers run as."""
    (root / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
    _passwords(root / "secrets")
    coordinator = ensure_key(root / "coordinator", Role.COORDINATOR)
    attestation = _attestation(root)
    for reader in ("coordinator", "operator"):
        _write(root / reader / "attestation.pub", attestation.pem)
    (root / "bases").mkdir(exist_ok=True, mode=0o700)
    for member in members(builders):
        state = root / member.name
        key = ensure_key(state, member.role)
        _write(state / "coordinator.pub", coordinator.pem)
        _introduce(root, member, key, architecture)
    _give(root, owner)


def _introduce(root: Path, member: Member, key: PublicKey, architecture: str) -> None:
    """Tell the coordinator, and the signer of those whose records it checks."""
    document = {
        "name": member.name,
        "pem": key.pem,
        "roles": [member.kind],
        "tags": [architecture] if member.kind == "rebuild" else [],
        "resources": ["small", "large"],
        "fault_domain": member.domain,
    }
    _write(root / "coordinator" / "members" / f"{member.name}.json", json.dumps(document, indent=1) + "\n")
    if member.role in {Role.BUILDER, Role.COMPARER} or member.kind == "plan":
        enroll(root / "signer", member.role, key, domain=member.domain if member.role is Role.BUILDER else None)


def _attestation(root: Path) -> PublicKey:
    """Make the key in a directory of its own, and let compose mount the private part alone."""
    key = ensure_key(root / "attestation", Role.ATTESTATION)
    target = root / "secrets" / "attestation.pem"
    if not target.exists():
        _write(target, key_path(root / "attestation", Role.ATTESTATION).read_text())
    return key


def _passwords(directory: Path) -> None:
    for name in ("postgres", *(f"broker-{user}" for user in BROKER_USERS)):
        path = directory / name
        if not path.exists():
            _write(path, secrets.token_urlsafe(32) + "\n")
    digests = {user: _digest(directory / f"broker-{user}") for user in BROKER_USERS}
    _write(directory / "redis-users", users(digests))


def users(digests: dict[str, str]) -> str:
    """Write Redis's users: nobody without a password, and each role has its own queues and no administration.

    A worker takes messages and gives them back; that it cannot put a message that is obeyed is for the signature in it
    to see to, not for the broker. Celery's remote control is signed by nobody, and obeyed: it comes by PUBLISH, which
    the coordinator's user alone may do.
    """
    rules = ["user default off"]
    for user, digest in digests.items():
        if user == "coordinator":
            allowed = "~* &* +@all -@admin -@dangerous +info +keys"
        else:
            keys = f"~{user}* ~_kombu.* ~unacked* ~*.pidbox*"
            allowed = f"{keys} &* +@all -@admin -@dangerous -publish -spublish +info"
        rules.append(f"user {user} on #{digest} {allowed}")
    return "\n".join([*rules, ""])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_text().splitlines()[0].encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.read_text() == text:
        return
    path.touch(mode=0o600)
    path.write_text(text)


def _give(root: Path, owner: int) -> None:
    if os.geteuid() != 0:
        return
    for path in (root, *root.rglob("*")):
        if not path.is_relative_to(root / "wheels") and not path.is_symlink():
            os.chown(path, owner, owner, follow_symlinks=False)
