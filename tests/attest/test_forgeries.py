"""Every single forgery of a published result is refused: each field, each member, each file, each byte that grows."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rebuilder.attest.check import check
from rebuilder.errors import UntrustedError
from rebuilder.model.codec import render
from rebuilder.model.verdict import Verdict
from tests.attest.factory import ALL, ATTESTER, dossier, files_of, publish

KEYS = (ATTESTER.public_key,)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish a release with one artifact of each verdict; tests copy what they change."""
    return publish(tmp_path_factory.mktemp("published"), dossier(ALL, epoch=True))


@pytest.fixture
def result(published: Path, tmp_path: Path) -> Path:
    """Give a copy that a test may change."""
    return Path(shutil.copytree(published, tmp_path / published.name))


def leaves(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Walk to every leaf of a JSON document; empty containers count as leaves."""
    if isinstance(value, dict) and value:
        for key in value:
            yield from leaves(value[key], (*where, key))
    elif isinstance(value, list) and value:
        for index, member in enumerate(value):
            yield from leaves(member, (*where, index))
    else:
        yield where


def changed(value: Any) -> Any:
    """Give another value of the same JSON type, as a careful forger would."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return (("0" if value[0] != "0" else "1") + value[1:]) if value else "x"
        case None:
            return "x"
        case list():
            return ["x"]
        case _:
            return {"x": 1}


def forged(document: Any, where: tuple[Any, ...]) -> Any:
    """Copy a document with one leaf changed."""
    copy = json.loads(json.dumps(document))
    target = copy
    for key in where[:-1]:
        target = target[key]
    target[where[-1]] = changed(target[where[-1]])
    return copy


def inside(data: bytes) -> Any:
    """Give what a DSSE envelope carries, None for another document."""
    plain = json.loads(data)
    if isinstance(plain, dict) and "payload" in plain:
        return json.loads(base64.b64decode(plain["payload"]))
    return None


@pytest.mark.parametrize(
    "verdicts",
    [
        pytest.param({"sample": Verdict.REPRODUCED, "differs": Verdict.DIFFERENT}, id="two"),
        pytest.param(ALL, id="all", marks=pytest.mark.slow),
    ],
)
def test_attack_every_single_field_of_every_document(tmp_path: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Each leaf of each JSON document, envelopes' payloads included, is changed in turn: each change is refused."""
    result, tried = publish(tmp_path, dossier(verdicts)), 0
    for name in files_of(result):
        path = result / name
        data = path.read_bytes()
        if not name.endswith((".json", ".link")) or name.startswith("reports/"):
            continue
        document, payload = json.loads(data), inside(data)
        versions = [render(forged(document, where)) for where in leaves(document)]
        for where in leaves(payload) if payload is not None else ():
            carried = base64.b64encode(render(forged(payload, where))).decode()
            versions.append(render({**document, "payload": carried}))
        for version in versions:
            assert version != data
            path.write_bytes(version)
            with pytest.raises(UntrustedError):
                check(result, KEYS)
            tried += 1
        path.write_bytes(data)
    check(result, KEYS)
    assert tried > 800


def test_attack_every_single_member_left_out(result: Path) -> None:
    """Each member of each object of the dossier is removed in turn: each removal is refused."""
    path = result / "dossier.json"
    document = json.loads(path.read_bytes())
    for where in leaves(document):
        if isinstance(where[-1], str):
            copy = json.loads(json.dumps(document))
            target = copy
            for key in where[:-1]:
                target = target[key]
            del target[where[-1]]
            path.write_bytes(render(copy))
            with pytest.raises(UntrustedError):
                check(result, KEYS)


def test_attack_every_single_file_flipped(result: Path) -> None:
    """One bit of each file is flipped in turn, at the beginning, in the middle and at the end: each is refused."""
    for name in files_of(result):
        if name.endswith("index.html"):
            continue
        path = result / name
        data = path.read_bytes()
        for place in {0, len(data) // 2, len(data) - 1}:
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(UntrustedError):
                check(result, KEYS)
        path.write_bytes(data)
    check(result, KEYS)


def test_attack_every_single_file_removed(result: Path) -> None:
    """Each file is removed in turn: a result that lacks anything it was signed with is refused."""
    for name in files_of(result):
        if name.endswith("index.html"):
            continue
        path = result / name
        data = path.read_bytes()
        path.unlink()
        with pytest.raises(UntrustedError):
            check(result, KEYS)
        path.write_bytes(data)
    check(result, KEYS)


def test_attack_every_single_file_grown(result: Path) -> None:
    """A byte appended to any file is refused: nothing hides behind the end of a document."""
    for name in files_of(result):
        if name.endswith("index.html"):
            continue
        path = result / name
        data = path.read_bytes()
        path.write_bytes(data + b" ")
        with pytest.raises(UntrustedError):
            check(result, KEYS)
        path.write_bytes(data)
