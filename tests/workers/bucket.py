"""A real S3-compatible server for tests (moto), on loopback, and a bucket in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

from tests.servers import free_port
from workers.blobs import Bucket

SECRET = "only-for-tests"  # noqa: S105 - as it says
_ANYBODY = (
    "AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=unchecked"
)


@contextmanager
def object_store(name: str = "blobs") -> Iterator[Bucket]:
    """Run the server as long as the context lasts."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        requests.post(f"{endpoint}/moto-api/reset", timeout=10).raise_for_status()
        requests.put(f"{endpoint}/{name}", headers={"Authorization": _ANYBODY}, timeout=10).raise_for_status()
        yield Bucket(endpoint=endpoint, name=name, access_key_id="tester", secret_access_key=SECRET)
    finally:
        server.stop()


def outsider(bucket: Bucket) -> S3Store:
    """Somebody with the bucket's key and another program: he is not held to create-only."""
    return S3Store(
        bucket.name,
        endpoint=bucket.endpoint,
        region=bucket.region,
        access_key_id=bucket.access_key_id,
        secret_access_key=bucket.secret_access_key,
        client_options={"allow_http": True},
    )
