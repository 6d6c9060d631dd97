"""A certificate authority of a test's own, and a proxy that ends TLS before a server that speaks none.

`python -m tests.tls CERTIFICATE KEY PORT TARGET` is the proxy, on loopback.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PATIENCE_S = 30
_BLOCK = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a server proves its address with."""

    certificate: Path
    key: Path


@dataclass(kw_only=True)
class Authority:
    """Vouches for servers; its directory is one that any of them can read."""

    root: Path
    certificate: Path = field(init=False)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("an authority of the tests")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        made = (
            self._begun(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        self.certificate = self._write("authority", made.sign(self._key, hashes.SHA256()))

    def vouch(self, address: str) -> Proof:
        """Certify a key for a server at an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = self._begun(_named(address), key.public_key()).add_extension(names, critical=False)
        path = self.root / f"{address}.key"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return Proof(certificate=self._write(address, made.sign(self._key, hashes.SHA256())), key=path)

    def _begun(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self.root / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@contextmanager
def tls_before(target: int, proof: Proof) -> Iterator[int]:
    """Run the proxy before a port of loopback as long as the context lasts; give its own port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    words = [str(word) for word in (proof.certificate, proof.key, port, target)]
    with subprocess.Popen([sys.executable, "-m", "tests.tls", *words], cwd=Path(__file__).parents[1]) as proxy:
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while time.monotonic() < deadline and proxy.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            yield port
        finally:
            proxy.kill()


async def _serve(proof: Proof, port: int, target: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(proof.certificate, proof.key)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", port, ssl=context)
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(_serve(Proof(certificate=Path(sys.argv[1]), key=Path(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])))
