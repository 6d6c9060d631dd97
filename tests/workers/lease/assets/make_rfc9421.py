"""Make rfc9421.json: see README.md. Run by hand with http-message-signatures 3.0.0 installed."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import (  # type: ignore[import-not-found]
    HTTPMessageSigner,
    HTTPSignatureKeyResolver,
    algorithms,
)
from requests import Request

from rebuilder.attest.signing import KeySigner

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CREATED = datetime(2026, 11, 1, 12, tzinfo=UTC)
REQUESTS = (
    ("POST", "/v1/claim", '{"kind":"rebuild"}'),
    ("GET", "/v1/blobs/sha256/" + "ab" * 32, ""),
    ("POST", "/v1/report?a=b%20c&d", "x"),
)


class Keys(HTTPSignatureKeyResolver):  # type: ignore[misc]
    """Knows one key."""

    def resolve_private_key(self, key_id: str) -> Any:
        """Return it."""
        return KEY


def make() -> list[dict[str, str]]:
    """Sign each request as the library does."""
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    made = []
    for number, (method, path, body) in enumerate(REQUESTS):
        request = Request(method, f"http://127.0.0.1:8000{path}", data=body).prepare()
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        request.headers["Content-Digest"] = f"sha-256=:{digest}:"
        nonce = f"{number:032x}"
        signer.sign(
            request,
            key_id=KeySigner(KEY).public_key.keyid,
            created=CREATED,
            nonce=nonce,
            label="lease",
            tag="rebuilder-lease",
            covered_component_ids=("@method", "@path", "@query", "content-digest"),
            use_existing_digest=True,
        )
        names = ("signature-input", "signature", "content-digest")
        fields = {name: request.headers[name] for name in names}
        made.append({"method": method, "path": path, "body": body, "nonce": nonce, **fields})
    return made


if __name__ == "__main__":
    Path(__file__).with_name("rfc9421.json").write_text(json.dumps(make(), indent=2) + "\n")
