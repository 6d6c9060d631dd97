"""The lists of everything, left to a later run: nothing is forgotten, whoever dies when."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from rebuilder.publish.pending import PENDING, pending_in
from rebuilder.publish.render import render_pending
from rebuilder.publish.tree import Publication, publish
from rebuilder.store.blobs import LocalBlobs
from tests.publish import factory
from tests.publish.look import tree

NAMES = ("first", "second", "third")


def publication(name: str) -> Publication:
    """Make a small result of a package."""
    dossier = factory.dossier(name=name)
    return Publication(
        dossier=dossier, rebuild_id=factory.rebuild_id(dossier), documents={"builder.dsse.json": b"record"}
    )


def listed(root: Path) -> list[str]:
    """Name the packages in the list of everything."""
    return [entry["name"] for entry in json.loads((root / "index.json").read_bytes())["results"]]


@pytest.fixture
def wanted(tmp_path: Path, blobs: LocalBlobs) -> dict[str, bytes]:
    """Publish three packages, each with the lists."""
    for name in NAMES:
        publish(publication(name), tmp_path / "wanted", blobs)
    return tree(tmp_path / "wanted")


def test_lists_that_were_left_are_made_once_for_all(
    tmp_path: Path, blobs: LocalBlobs, wanted: dict[str, bytes]
) -> None:
    """Pages of a package are there at once; the lists come with `render_pending`, and all is as one by one."""
    root = tmp_path / "results"
    publish(publication("first"), root, blobs)
    for name in NAMES[1:]:
        publish(publication(name), root, blobs, lists_too=False)
        assert (root / "deb" / name / "index.html").read_bytes() == wanted[f"deb/{name}/index.html"]
    assert listed(root) == ["first"]
    assert (root / PENDING).read_text() == "deb/second\ndeb/third\n"
    assert render_pending(root)
    assert tree(root) == wanted
    assert not (root / PENDING).exists()
    assert not render_pending(root)


def test_the_next_publication_lists_what_was_left(tmp_path: Path, blobs: LocalBlobs, wanted: dict[str, bytes]) -> None:
    """Whoever publishes with the lists finishes what others left."""
    root = tmp_path / "results"
    for name in NAMES:
        publish(publication(name), root, blobs, lists_too=name == NAMES[-1])
    assert tree(root) == wanted
    assert pending_in(root) == frozenset()


def test_the_same_result_again_without_its_lists_leaves_no_marker(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Nothing is pending where nothing changed."""
    publish(publication("first"), tmp_path / "results", blobs)
    publish(publication("first"), tmp_path / "results", blobs, lists_too=False)
    assert not (tmp_path / "results" / PENDING).exists()


@pytest.mark.parametrize("marker", [b"", b"deb/first\n../../etc\n", b"\xff\n", b"/x\n", b"deb/second\n\n"])
def test_a_marker_that_does_not_tell_which_means_all(
    tmp_path: Path, blobs: LocalBlobs, wanted: dict[str, bytes], marker: bytes
) -> None:
    """An empty marker, as older programs left it, or one that somebody spoilt: everything is made again."""
    root = tmp_path / "results"
    for name in NAMES:
        publish(publication(name), root, blobs)
    (root / "deb/second/index.html").unlink()
    (root / PENDING).write_bytes(marker)
    assert pending_in(root) is None
    assert render_pending(root)
    assert tree(root) == wanted
    assert not (root / PENDING).exists()


def _killed_at(place: int, root: Path, blobs: LocalBlobs) -> bool:
    """Publish without the lists in a process that dies at a step; return whether it came to it."""
    count = 0

    def die(_: str) -> None:
        nonlocal count
        if count == place:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    child = os.fork()
    if child == 0:
        status = 1
        try:
            publish(publication("second"), root, blobs, step=die, lists_too=False)
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, -signal.SIGKILL}
    return status != 0


def test_killed_at_any_point_what_was_left_is_found(
    tmp_path: Path, blobs: LocalBlobs, wanted: dict[str, bytes]
) -> None:
    """SIGKILL at each step of one that leaves the lists: `render_pending` and the same again end as ever."""
    publish(publication("first"), tmp_path / "before", blobs)
    publish(publication("third"), tmp_path / "before", blobs, lists_too=False)
    place = 0
    while True:
        root = tmp_path / str(place)
        shutil.copytree(tmp_path / "before", root)
        if not _killed_at(place, root, blobs):
            break
        render_pending(root)
        assert "third" in listed(root)
        assert set(listed(root)) == {path.name for path in (root / "deb").iterdir() if any(path.glob("*/*/*/"))}
        publish(publication("second"), root, blobs, lists_too=False)
        render_pending(root)
        assert tree(root) == wanted, place
        shutil.rmtree(root)
        place += 1
    assert place > 20
