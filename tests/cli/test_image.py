"""`rebuilder image`: what is refused before anything is asked of an archive, an engine or a registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from rebuilder.cli import imaging
from rebuilder.cli.imaging import tell_again
from rebuilder.config import load_settings
from rebuilder.errors import HostileInput, RebuilderError, UnknownTarget
from rebuilder.model.digest import Digest
from rebuilder.origins.debian.base_images import Again
from rebuilder.progress import Silent
from tests.attest.factory import dossier, pulled

if TYPE_CHECKING:
    from rebuilder.build.container import Engine

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "reference", ["debian:trixie", "debian", "debian@sha256:12", "debian@sha512:" + "0" * 64, "../x@sha256:" + "0" * 64]
)
def test_an_image_without_a_digest_is_not_pulled(cli: Cli, reference: str) -> None:
    """Exit code 2, and the hint says how to learn the digest."""
    code, out, _ = cli("image", "lock", "trixie", "--pull", reference, "--json")
    answer = json.loads(out)
    assert code == 2
    assert answer["error"] == (
        f"--pull: expected an image as NAME@sha256: and 64 hexadecimal digits, found {reference!r}"
    )
    assert "docker pull NAME:TAG" in answer["hint"]


def test_help_says_what_a_pulled_image_is(cli: Cli) -> None:
    """It is not made again from packages, and a person reads so before using one."""
    code, out, _ = cli("image", "lock", "--help")
    assert code == 0
    assert "--pull NAME@sha256:" in out
    code, out, _ = cli("image", "verify", "--help")
    assert "A pulled image cannot be made from packages" in out


def test_a_pulled_image_is_never_said_to_be_made() -> None:
    """What `image verify` says of each kind, when it is the same and when it is not."""
    locks = dossier().dossier.lock, pulled().lock
    assert locks[0] is not None
    assert locks[1] is not None
    same = Again(recorded=Digest.of(b"one"), made=Digest.of(b"one"))
    other = replace(same, made=Digest.of(b"two"))
    odd = replace(same, odd=("make 4.4-1 amd64",))
    assert tell_again(same, locks[0]) == f"same: {same.made}"
    assert tell_again(same, locks[1]) == (
        f"same: {same.made}, pulled once more, with the same 2 packages; not made again from them"
    )
    assert tell_again(other, locks[0]) == f"different: expected {same.made}, made {other.made}"
    assert tell_again(other, locks[1]) == f"different: expected {same.made}, pulled {other.made}"
    assert tell_again(odd, locks[1]).endswith("holds other packages than its lock: make 4.4-1 amd64")
    assert not odd.is_same


class _NoOrigin:
    """Answers that nothing was made here."""

    def __init__(self, *_: object) -> None:
        self.images = self

    def made(self) -> tuple[()]:
        """See BaseImages."""
        return ()

    locks = made


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("nothere.lock", UnknownTarget, "nothere.lock: no such file"),
        ("sha256:00", UnknownTarget, "sha256:00: no such lock"),
        ("passwd", HostileInput, "passwd: not the lock of an image: "),
    ],
)
def test_what_is_no_lock_is_named_with_a_way_out(
    what: str, kind: type[RebuilderError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there, one that is something else, and a digest of nothing: each by its name."""
    Path("passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    monkeypatch.setattr(imaging, "DebianOrigin", _NoOrigin)
    images = imaging.Images(load_settings(environment={}), Silent())
    with pytest.raises(kind, match=message) as caught:
        images.find(what, cast("Engine", None))
    assert caught.value.hint
