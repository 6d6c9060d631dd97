"""What this signer has signed, by rebuild: payloads are kept before they are signed, and never replaced.

After a crash the kept bytes are signed, so that one rebuild never has two different documents; a second request for the
same rebuild with other bytes is refused. Envelopes are kept as well: a hardware key may sign differently each time.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

from rebuilder.attest.canonical import canonical
from rebuilder.errors import StorageFailure, UntrustedError
from rebuilder.model.codec import DOCUMENT_LIMIT_BYTES, parse_json
from rebuilder.world.files import locked, read, write_atomically

_LIMIT_BYTES = 4 * DOCUMENT_LIMIT_BYTES


class Journal:
    """A directory of the signer's own: `<rebuild id>/payloads.json` and `<rebuild id>/signed.json`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def kept(self, name: str) -> dict[str, bytes] | None:
        """Return the payloads that were journalled under a name; None if there are none."""
        return _load(self._root / name / "payloads.json")

    def sign_once(
        self, rebuild_id: str, payloads: Mapping[str, bytes], sign: Callable[[str, bytes], bytes]
    ) -> dict[str, bytes]:
        """Return the signed form of each payload, signing at most once; raise UntrustedError for other payloads."""
        folder = self._root / rebuild_id
        with locked(self._root / f".{rebuild_id}.lock"):
            kept = _load(folder / "payloads.json")
            if kept is None:
                _store(folder / "payloads.json", payloads)
            elif kept != payloads:
                raise UntrustedError(
                    f"rebuild {rebuild_id} was already signed for with other documents; it never gets a second set",
                    hint="a new attempt takes the next ordinal",
                )
            signed = _load(folder / "signed.json")
            if signed is None or signed.keys() != payloads.keys():
                signed = {path: sign(path, payload) for path, payload in payloads.items()}
                _store(folder / "signed.json", signed)
        return signed


def _store(path: Path, content: Mapping[str, bytes]) -> None:
    plain = {name: base64.b64encode(data).decode("ascii") for name, data in content.items()}
    write_atomically(path, canonical(plain), mode=0o600)


def _load(path: Path) -> dict[str, bytes] | None:
    if not path.exists():
        return None
    plain = parse_json(read(path, limit_bytes=_LIMIT_BYTES))
    try:
        return {name: base64.b64decode(text, validate=True) for name, text in plain.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise StorageFailure(f"{path}: the signer's journal is damaged", hint="restore it from a backup") from error
