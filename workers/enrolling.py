"""A worker's first act: to become known to its coordinator, by a token of the operator's."""

from __future__ import annotations

from pathlib import Path

from rebuilder.attest.keystore import ensure_key, key_uri
from rebuilder.attest.signing import open_signer
from rebuilder.config import Settings
from rebuilder.errors import ConfigurationError
from rebuilder.model.job import JobKind
from rebuilder.world.files import read, write_atomically
from workers.lease.client import enrol
from workers.lease.http import Wire
from workers.lease.messages import Enrolled
from workers.starting import ROLE_OF

_TOKEN_FILE_LIMIT_BYTES = 4096


def enrol_here(kind: JobKind, settings: Settings, *, token_file: Path, name: str) -> Enrolled:
    """Enrol this machine's key for steps of a kind, and keep the coordinator's: wake-ups are verified with it.

    The key is made if there is none. To do it again with the same token changes nothing. A token that is for other
    steps is used up, and refused by name: the worker would wait for ever.
    """
    if settings.farm.coordinator is None:
        raise ConfigurationError("no coordinator: farm.coordinator is not set", hint="name its address")
    token = read(token_file, limit_bytes=_TOKEN_FILE_LIMIT_BYTES).decode("utf-8", "replace").strip()
    role = ROLE_OF[kind]
    key = ensure_key(settings.state, role)
    signer = open_signer(key_uri(settings.state, role))
    wire = Wire(settings.farm.coordinator, signer, authority=settings.farm.authority_file)
    enrolled, coordinator = enrol(wire, key, token, name)
    if kind not in enrolled.roles:
        raise ConfigurationError(
            f"expected a token for {kind}, found one for {', '.join(enrolled.roles)}",
            hint="make another one: `rebuilder workers token --role`",
        )
    write_atomically(settings.state / "coordinator.pub", coordinator.pem.encode("ascii"))
    return enrolled
