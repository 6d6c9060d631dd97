"""A reader's own in-toto layout over our links: which rebuilders count, how many must agree, and until when.

Source: in-toto specification 1.0, section 4.3. A threshold is not a majority: one validly signed dissent under the
step `rebuild` fails it, which is why nothing but matches is ever published under that step.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rebuilder.attest.canonical import olpc_canonical
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.link import render_metablock, step_name
from rebuilder.attest.signing import Signer
from rebuilder.errors import UsageError
from rebuilder.model.codec import render_time
from rebuilder.model.verdict import Verdict

INSPECTION = "verify-reprobuilds"
README = "The named rebuilders built these files again, bit for bit."


def make_layout(
    rebuilders: Sequence[PublicKey], *, threshold: int, expires: datetime, pattern: str = "*.deb"
) -> dict[str, Any]:
    """Make a layout, in plain data, that accepts a file when `threshold` rebuilders reproduced it.

    Raise UsageError for no rebuilder, one listed twice, or a threshold that is below 1 or can never be reached.
    """
    keyids = [key.keyid for key in rebuilders]
    if not keyids or len(set(keyids)) != len(keyids):
        raise UsageError("a layout needs at least one rebuilder, each key once")
    if not 1 <= threshold <= len(keyids):
        raise UsageError(f"threshold {threshold} cannot be met by {len(keyids)} rebuilders; 1 to {len(keyids)} can")
    return {
        "_type": "layout",
        "expires": render_time(expires),
        "inspect": [
            {
                "_type": "inspection",
                "name": INSPECTION,
                "run": ["/usr/bin/true"],
                "expected_materials": [
                    *_required(pattern),
                    ["MATCH", pattern, "WITH", "PRODUCTS", "FROM", step_name(Verdict.REPRODUCED)],
                    ["DISALLOW", pattern],
                ],
                "expected_products": [],
            }
        ],
        "keys": {key.keyid: key.to_plain() for key in rebuilders},
        "readme": README,
        "steps": [
            {
                "_type": "step",
                "name": step_name(Verdict.REPRODUCED),
                "expected_command": [],
                "expected_materials": [],
                "expected_products": [["CREATE", pattern], ["DISALLOW", pattern]],
                "pubkeys": keyids,
                "threshold": threshold,
            }
        ],
    }


def _required(pattern: str) -> list[list[str]]:
    """Demand that a file named exactly is there at all: without this rule nothing to check is nothing wrong."""
    return [] if set("*?[") & set(pattern) else [["REQUIRE", pattern]]


def sign_layout(layout: dict[str, Any], owner: Signer, *, now: datetime) -> bytes:
    """Sign a layout as classic metadata, which old and new clients read; raise UsageError if it has expired.

    The same signature is listed a second time under the id by which clients before securesystemslib 1.0 know the key.
    """
    if layout["expires"] <= render_time(now.astimezone(UTC)):
        raise UsageError(f"the layout would expire at {layout['expires']}, which is not in the future")
    payload = olpc_canonical(layout)
    signature = owner.sign(payload)
    key = owner.public_key
    return render_metablock(payload, ((key.keyid, signature), (key.legacy_keyid, signature)))
