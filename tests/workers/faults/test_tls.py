"""TLS before the broker and the lease API, as docs/FARM.md tells operators, with an authority of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis as redis_client

from rebuilder.attest.signing import KeySigner
from rebuilder.config import FarmSettings
from rebuilder.errors import NetworkFailure
from rebuilder.model.job import JobKind
from tests.servers import free_port, redis
from tests.tls import Authority, tls_before
from tests.workers.faults.farm import EVERYBODY, farm_in, place
from tests.workers.faults.outcome import outcome_of
from tests.workers.lease.conftest import new_signer
from workers.app import make_app, verify_broker
from workers.lease.http import Patience, Wire

_HERE, _ELSEWHERE = "127.0.0.1", "127.0.0.2"


def test_a_farm_behind_tls(say: Callable[[str], None]) -> None:
    """Wake-ups, leases and blobs go through TLS alone, also when Redis was killed: every job is done.

    Workers are woken, they do not ask by themselves; a client without TLS gets no answer.
    """
    with place() as root, farm_in(root, tls=True) as farm:
        farm.start(*EVERYBODY)
        farm.owe(*(f"before-{number}" for number in range(3)), quorum=2)
        farm.wait(lambda: farm.job(JobKind.REBUILD, "before-0"), "nothing was planned")
        plain = redis_client.Redis(port=farm.redis.port, password=farm.redis.password, socket_timeout=5)
        with pytest.raises(redis_client.exceptions.RedisError):
            plain.ping()
        plain.close()
        farm.redis.stop(kill=True)
        farm.owe("meanwhile")
        farm.redis.start()
        farm.wait_for_the_end()
        found = outcome_of(farm)
        say(f"TLS before broker and coordinators, Redis killed: {found}")
        assert found.is_whole, farm.said()
        assert found.cases == 4


@pytest.mark.parametrize(("address", "known"), [(_HERE, False), (_ELSEWHERE, True)], ids=["stranger", "other-host"])
def test_a_broker_without_proof_is_refused(tmp_path: Path, address: str, known: bool) -> None:  # noqa: FBT001 - a case
    """Whom another authority vouches for, or who proves another address, is sent neither a password nor a wake-up."""
    authority = Authority(root=tmp_path / "authority")
    other = Authority(root=tmp_path / "other")
    (tmp_path / "password").write_text("only-for-tests")
    with redis(tmp_path / "redis", proof=authority.vouch(address)) as server:
        settings = FarmSettings(
            broker=server.place,
            broker_password_file=tmp_path / "password",
            authority_file=(authority if known else other).certificate,
        )
        with pytest.raises(NetworkFailure, match="certificate verify failed"):
            verify_broker(make_app(settings))


@pytest.mark.parametrize(("address", "known"), [(_HERE, False), (_ELSEWHERE, True)], ids=["stranger", "other-host"])
def test_a_coordinator_without_proof_is_refused(tmp_path: Path, address: str, known: bool) -> None:  # noqa: FBT001 - a case
    """The same before a coordinator, which is asked nothing."""
    authority = Authority(root=tmp_path / "authority")
    other = Authority(root=tmp_path / "other")
    named = (authority if known else other).certificate
    with tls_before(free_port(), authority.vouch(address)) as port:
        signer: KeySigner = new_signer()
        wire = Wire(f"https://{_HERE}:{port}", signer, authority=named, patience=Patience(attempts=1))
        with pytest.raises(NetworkFailure, match="its certificate was not accepted"):
            wire.ask("GET", "/v1/time", again=False)
