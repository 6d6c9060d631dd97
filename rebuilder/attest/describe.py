"""How our nouns look inside in-toto predicates: lowerCamelCase names, DigestSets, absent members left out.

Source: in-toto attestation framework, "New predicate guidelines" and "DigestSet".
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from packageurl import PackageURL

from rebuilder.attest.canonical import canonical
from rebuilder.errors import HostileInput
from rebuilder.model.codec import render_time
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.release import FileReference

STATEMENT = "https://in-toto.io/Statement/v1"


def describe(value: object) -> Any:  # noqa: ANN401 - plain JSON data has no narrower type
    """Turn a noun into plain data as predicates write it."""
    if isinstance(value, Digest):
        return digest_set(value)
    if isinstance(value, datetime):
        return render_time(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {_camel(name): describe(member) for name, member in members if member is not None}
    if isinstance(value, tuple | list):
        return [describe(member) for member in value]
    if isinstance(value, str):
        return str(value)
    return value


def digest_set(digest: Digest) -> dict[str, str]:
    """Write a digest as in-toto's DigestSet."""
    return {"sha256": digest.hex}


def resource(file: FileReference) -> dict[str, Any]:
    """Describe a file as an in-toto ResourceDescriptor: name and digest."""
    return {"name": file.filename, "digest": digest_set(file.digest)}


def statement(subject: list[dict[str, Any]], predicate_type: str, predicate: dict[str, Any]) -> bytes:
    """Render an in-toto Statement v1 canonically."""
    if not subject:
        raise HostileInput("a statement without a subject says nothing")
    return canonical(
        {"_type": STATEMENT, "subject": subject, "predicateType": predicate_type, "predicate": predicate},
    )


def purl(dossier: Dossier, filename: str) -> str:
    """Package URL of an artifact, in canonical form (`+` is `%2B`)."""
    release = dossier.release
    artifact = next((known for known in release.artifacts if known.filename == filename), None)
    debian = release.ecosystem == "deb"
    qualifiers = {"arch": artifact.architecture if artifact else dossier.architecture, "distro": release.suite}
    return PackageURL(
        type=release.ecosystem,
        namespace=release.distribution if debian else None,
        name=artifact.name if artifact else release.name,
        version=artifact.version if artifact else release.version,
        qualifiers=qualifiers if debian else {"file_name": filename},
    ).to_string()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
