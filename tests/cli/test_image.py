"""`rebuilder image`: what is refused before anything is asked of an archive, an engine or a registry."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("reference", ["debian:trixie", "debian", "debian@sha256:12", "debian@sha512:" + "0" * 64])
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
