"""OpenPGP keys for archives and developers that do not exist."""

from __future__ import annotations

from pathlib import Path

import pysequoia


class SigningKey:
    """A fresh key that signs inline documents."""

    def __init__(self, name: str = "Frozen Archive Automatic Signing Key") -> None:
        self._secret = pysequoia.Tsk.generate(f"{name} <archive@archive.test>")
        self.certificate = bytes(self._secret.extract_certificate())
        self.fingerprint = pysequoia.Cert.from_bytes(self.certificate).fingerprint.upper()

    def sign(self, text: bytes) -> bytes:
        """Sign a document inline, in the cleartext framework."""
        signed: bytes = pysequoia.sign(self._secret.signer(), text, mode=pysequoia.SignatureMode.CLEAR)
        return signed

    def write(self, path: Path) -> Path:
        """Write the certificate as a keyring of one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.certificate)
        return path
