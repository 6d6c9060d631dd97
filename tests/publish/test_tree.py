from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.errors import DigestMismatch, HostileInput, RebuilderError, StorageFailure
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.publish.layout import blob_path
from rebuilder.publish.render import render_all
from rebuilder.publish.tree import Publication, publish
from rebuilder.store.blobs import LocalBlobs
from tests.publish import factory
from tests.publish.look import derived, tree


def _small(dossier: Dossier, ordinal: int = 0) -> Publication:
    return Publication(
        dossier=dossier,
        rebuild_id=factory.rebuild_id(dossier, ordinal),
        documents={"builder.dsse.json": factory.envelope("rebuild")},
    )


def test_a_result_holds_its_documents_and_a_pointer_to_it(tmp_path: Path, blobs: LocalBlobs) -> None:
    """The layout is the documented one, and the dossier is the canonical JSON that statements name by digest."""
    dossier = factory.dossier(Verdict.DIFFERENT)
    directory = publish(factory.publication(dossier, blobs=blobs), tmp_path / "results", blobs)
    assert directory.parent == tmp_path / "results/deb/cjson/1.7.18-3.1/amd64"
    assert (directory / "dossier.json").read_bytes() == codec.render(dossier)
    assert Digest.of((directory / "plan.json").read_bytes()).hex.startswith(directory.name[:16])
    assert (directory / "reports/libcjson1_amd64.deb/diffoscope.html").read_bytes() == factory.REPORT
    assert (directory / "index.html").is_file()
    latest = json.loads((directory.parent / "latest.json").read_bytes())
    assert latest["path"] == f"deb/cjson/1.7.18-3.1/amd64/{directory.name}"
    assert latest["dossier"] == str(Digest.of(codec.render(dossier)))


def test_signed_indices_are_kept_once(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Two results that rest on the same InRelease share its blob; one that the store lacks is left out."""
    for name in ("cjson", "munge"):
        publish(_small(factory.dossier(name=name)), tmp_path / "results", blobs)
    kept = sorted(path.name for path in (tmp_path / "results/blobs").rglob("*") if path.is_file())
    assert kept == sorted([factory.digest("inrelease").hex, factory.digest("packages").hex])


def test_the_same_result_again_changes_nothing(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Publishing is idempotent: a crash after the rename, or a second worker, does no harm."""
    publication = factory.publication(factory.dossier(Verdict.DIFFERENT), blobs=blobs)
    root = tmp_path / "results"
    first = publish(publication, root, blobs)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert publish(publication, root, blobs) == first
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: {**found, "builder.dsse.json": b"{}"}, "other bytes: builder.dsse.json: expected sha256:"),
        (lambda found: {**found, "extra.json": b"{}"}, "extra.json is given now, and not published then"),
        (lambda _: {}, "builder.dsse.json is published already, and not given now"),
    ],
)
def test_other_bytes_under_the_same_name_are_refused(
    tmp_path: Path, blobs: LocalBlobs, change: Callable[[dict[str, bytes]], dict[str, bytes]], message: str
) -> None:
    """Results are append-only; what is there stays as it was."""
    publication = _small(factory.dossier())
    root = tmp_path / "results"
    publish(publication, root, blobs)
    before = tree(root)
    with pytest.raises(StorageFailure, match=message) as caught:
        publish(replace(publication, documents=change(dict(publication.documents))), root, blobs)  # type: ignore[arg-type]
    assert caught.value.hint
    assert "append-only" in caught.value.hint
    assert tree(root) == before


def test_another_dossier_under_the_same_name_is_refused(tmp_path: Path, blobs: LocalBlobs) -> None:
    """One rebuild never has two different dossiers."""
    publish(_small(factory.dossier()), tmp_path / "results", blobs)
    with pytest.raises(StorageFailure, match=r"other bytes: dossier\.json"):
        publish(_small(factory.dossier(day=1)), tmp_path / "results", blobs)


def test_documents_that_contradict_the_dossier_are_refused(tmp_path: Path, blobs: LocalBlobs) -> None:
    """A plan.json that is not the dossier's plan is not published under its id."""
    publication = _small(factory.dossier())
    with pytest.raises(HostileInput, match=r"plan\.json: expected sha256:.* found sha256:"):
        publish(replace(publication, documents={"plan.json": b"{}"}), tmp_path / "results", blobs)
    unplanned = _small(factory.refused_dossier())
    with pytest.raises(HostileInput, match=r"lock\.json is given, and the dossier has none"):
        publish(replace(unplanned, documents={"lock.json": b"{}"}), tmp_path / "results", blobs)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ({"a": b"", "a/b": b""}, "inside another document"),
        ({"a b": b"", "a%20b": b""}, "the same file name"),
        ({f"{number}": b"" for number in range(20_001)}, "documents in one result"),
    ],
)
def test_documents_that_cannot_lie_side_by_side_are_refused(
    tmp_path: Path, blobs: LocalBlobs, documents: dict[str, bytes], message: str
) -> None:
    """A file that would also be a directory, two names for one file, and too many files."""
    with pytest.raises(HostileInput, match=message):
        publish(replace(_small(factory.dossier()), documents=documents), tmp_path / "results", blobs)
    assert not (tmp_path / "results").exists()


def test_a_dossier_that_is_no_text_is_refused(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Half a surrogate pair ends as a clear error, not as a traceback."""
    dossier = replace(factory.dossier(), reason="\ud800")
    with pytest.raises(HostileInput, match="not Unicode"):
        publish(_small(dossier), tmp_path / "results", blobs)


def test_a_damaged_blob_is_never_published(tmp_path: Path, blobs: LocalBlobs) -> None:
    """The store's bytes are hashed on their way; neither the blob nor the result appears."""
    damaged = blobs.path(factory.digest("inrelease"))
    damaged.chmod(0o644)
    damaged.write_bytes(b"other")
    with pytest.raises(DigestMismatch, match="other bytes than its name says"):
        publish(_small(factory.dossier()), tmp_path / "results", blobs)
    assert not (tmp_path / "results/deb").exists()
    assert not (tmp_path / "results" / blob_path(factory.digest("inrelease"))).exists()


def test_an_absent_blob_is_a_clear_error(tmp_path: Path, blobs: LocalBlobs) -> None:
    """A document whose bytes nobody has is not published without them."""
    publication = replace(_small(factory.dossier()), documents={"logs/build.log.zst": factory.digest("never stored")})
    with pytest.raises(StorageFailure, match="is not here"):
        publish(publication, tmp_path / "results", blobs)
    assert not (tmp_path / "results" / "deb").exists()


def test_a_file_in_the_place_of_the_results_is_a_clear_error(tmp_path: Path, blobs: LocalBlobs) -> None:
    """The message names it and the hint says what to do."""
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(StorageFailure, match="is a file; a results directory is needed") as caught:
        publish(_small(factory.dossier()), tmp_path / "results", blobs)
    assert caught.value.hint == "name another one with --results"


def _in_child(act: Callable[[], None]) -> int:
    """Run an act in a forked process; 0 when it ends well, 1 for an error of ours, else minus the signal."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            act()
            status = 0
        except RebuilderError as error:
            status = 1 if isinstance(error, StorageFailure) and error.hint else 3
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_results_that_may_not_be_written_are_a_storage_failure(tmp_path: Path, blobs: LocalBlobs) -> None:
    """A directory of somebody else: an error with a hint, nothing written."""
    root = tmp_path / "results"
    root.mkdir(mode=0o755)

    def act() -> None:
        if os.getuid() == 0:
            os.setuid(65534)
        else:
            root.chmod(0o555)
        publish(_small(factory.dossier()), root, blobs)

    assert _in_child(act) == 1
    assert list(root.iterdir()) == []


def test_a_full_disk_leaves_the_old(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Where no file can grow (RLIMIT_FSIZE stands in for a full disk) the run fails and readers see what they saw."""
    root = tmp_path / "results"
    publish(_small(factory.dossier(version="1.7.17-1")), root, blobs)
    before = tree(root)

    def act() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        publish(_small(factory.dossier()), root, blobs)

    assert _in_child(act) == 1
    assert tree(root) == before
    assert not (root / ".staging").exists()


def _steps(root: Path, publication: Publication, blobs: LocalBlobs) -> list[str]:
    steps: list[str] = []
    publish(publication, root, blobs, step=steps.append)
    return steps


def _verify_whole(root: Path, wanted: dict[str, bytes]) -> None:
    """See what a reader sees: every listed result is there with all its documents, and each is right."""
    documents = {path for path in wanted if "dossier.json" in path or "plan.json" in path or ".dsse.json" in path}
    seen = {path for path in tree(root) if path in documents}
    for directory in {Path(path).parent for path in seen}:
        assert {path for path in documents if Path(path).parent == directory} <= seen
    for pointer in root.glob("*/*/*/*/latest.json"):
        assert f"{json.loads(pointer.read_bytes())['path']}/dossier.json" in seen
    for entry in json.loads((root / "index.json").read_bytes())["results"]:
        assert f"{entry['path']}/dossier.json" in seen
    assert all(tree(root)[path] == wanted[path] for path in seen)


def test_killed_at_any_point_leaves_the_old_or_the_new(tmp_path: Path, blobs: LocalBlobs) -> None:
    """SIGKILL at each boundary between two lasting changes; then the next run ends as if nothing had happened."""
    old, new = _small(factory.dossier(Verdict.UNDECIDED, day=-1)), _small(factory.dossier(), ordinal=1)
    publish(old, tmp_path / "old", blobs)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    steps = _steps(tmp_path / "new", new, blobs)
    wanted = tree(tmp_path / "new")
    assert len(steps) > 20
    for place in range(len(steps)):
        root = tmp_path / str(place)
        shutil.copytree(tmp_path / "old", root)
        passed = iter(range(len(steps)))

        def die(_: str, passed: object = passed, place: int = place) -> None:
            if next(passed) == place:  # type: ignore[call-overload]
                os.kill(os.getpid(), signal.SIGKILL)

        def act(root: Path = root, die: Callable[[str], None] = die) -> None:
            publish(new, root, blobs, step=die)

        assert _in_child(act) == -signal.SIGKILL, steps[place]
        _verify_whole(root, wanted)
        publish(new, root, blobs)
        assert tree(root) == wanted, steps[place]
        assert not (root / ".staging").exists()
        assert not (root / ".pending").exists()
        shutil.rmtree(root)


def test_what_a_killed_run_left_unlisted_is_listed_by_the_next(tmp_path: Path, blobs: LocalBlobs) -> None:
    """A run that dies after its rename is found by the next publication, of another package even."""
    root = tmp_path / "results"
    publish(_small(factory.dossier(name="first")), root, blobs)

    def die(step: str) -> None:
        if step.startswith("after deb/lost/1.7.18-3.1/amd64/"):
            os.kill(os.getpid(), signal.SIGKILL)

    def act() -> None:
        publish(_small(factory.dossier(name="lost")), root, blobs, step=die)

    assert _in_child(act) == -signal.SIGKILL
    publish(_small(factory.dossier(name="third")), root, blobs)
    names = [entry["name"] for entry in json.loads((root / "index.json").read_bytes())["results"]]
    assert names == ["first", "lost", "third"]
    assert (root / "deb/lost/index.html").is_file()


def test_leftovers_of_killed_runs_are_swept(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Whatever lies in the staging area when the lock is taken is deleted."""
    leftover = tmp_path / "results/.staging/17/deep"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"half")
    publish(_small(factory.dossier()), tmp_path / "results", blobs)
    assert not (tmp_path / "results/.staging").exists()


def test_two_publishers_at_once_take_turns(tmp_path: Path, blobs: LocalBlobs) -> None:
    """Four results published by four threads give the same tree as one after the other."""
    publications = [_small(factory.dossier(name=name)) for name in ("a", "b", "c", "a")]
    threads = [threading.Thread(target=publish, args=(item, tmp_path / "results", blobs)) for item in publications]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for item in publications:
        publish(item, tmp_path / "turns", blobs)
    assert tree(tmp_path / "results") == tree(tmp_path / "turns")


def test_deleting_everything_derived_and_rendering_gives_the_same_bytes(results: Path) -> None:
    """Pages, badges, lists and feeds are a pure function of the documents: made one by one or all at once."""
    before = tree(results)
    removed = derived(results)
    assert len(removed) > 50
    for path in removed:
        path.unlink()
    render_all(results)
    assert tree(results) == before


def test_order_of_publication_does_not_matter(tmp_path: Path, blobs: LocalBlobs) -> None:
    """The same results in another order give the same tree."""
    for name, sample in (("forwards", factory.sample()), ("backwards", factory.sample()[::-1])):
        for dossier, ordinal in sample:
            publish(_small(dossier, ordinal), tmp_path / name, blobs)
    assert tree(tmp_path / "forwards") == tree(tmp_path / "backwards")


def test_a_page_depends_on_its_own_result_only(tmp_path: Path, blobs: LocalBlobs) -> None:
    """A blob or a package that arrives later changes no page of another package: a checker renders the same bytes."""
    directory = publish(_small(factory.dossier()), tmp_path / "results", LocalBlobs(tmp_path / "empty"))
    before = (directory / "index.html").read_bytes()
    publish(_small(factory.dossier(name="later")), tmp_path / "results", blobs)
    render_all(tmp_path / "results")
    assert (directory / "index.html").read_bytes() == before


def test_a_shared_blob_is_where_the_pages_look_for_it(published: Path) -> None:
    """The result page links to the InRelease that its evidence was found in."""
    path = blob_path(factory.digest("inrelease"))
    assert (published / path).read_bytes() == b"inrelease"
    (page,) = (published / "deb/munge/0.5.16-1/amd64").glob("*/index.html")
    assert f'href="../../../../../{path}"' in page.read_text()
