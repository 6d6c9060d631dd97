"""Prepared environments are exactly what was asked for, are found again, and are not believed when altered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.build.cache import PreparedIndex, clear
from rebuilder.build.container import Engine, Spec
from rebuilder.build.engine import DockerEngine
from rebuilder.build.once import run_once
from rebuilder.build.prepare import Prepared, key_of, prepare
from rebuilder.errors import (
    DependencyUnavailable,
    DigestMismatch,
    EnvironmentUnavailable,
    HostileInput,
    RebuilderError,
)
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Package
from tests.build.factory import content_of, environment, package, repository

pytestmark = pytest.mark.engine


def _see(engine: Engine, prepared: Prepared, *command: str) -> str:
    return run_once(engine, prepared.image, command, files={}).output.decode()


def _prepared_once(engine: Engine, index: PreparedIndex, tiny: Digest, *packages: Package) -> Digest:
    with prepare(engine, index, environment(tiny, *packages), repository) as prepared:
        prepared.tree()
        return prepared.image


def _own_images(engine: DockerEngine) -> set[Digest]:
    return {image.image for image in engine.images() if image.labels.get("rebuilder.run") == engine.owner.run}


def test_an_environment_holds_base_plus_packages(engine: DockerEngine, index: PreparedIndex, tiny: Digest) -> None:
    """Packages are installed by exact version without network; logs, lists and the policy file are gone."""
    wanted = environment(tiny, package("networked"), package("tool", "2:1.0+b~1", "amd64"))
    with prepare(engine, index, wanted, repository) as prepared:
        assert (prepared.cached, prepared.fresh) == (False, False)
        assert _see(engine, prepared, "cat", "/var/lib/installed").splitlines() == [
            "base 1 all ii",
            "networked 1 all ii",
            "tool 2:1.0+b~1 amd64 ii",
        ]
        left = _see(engine, prepared, "find", "/usr/sbin", "/var/log", "/var/cache", "/etc", "-type", "f").split()
        assert "/usr/sbin/policy-rc.d" not in left
        assert not [path for path in left if path.startswith(("/var/log", "/var/cache"))]
        assert (
            _see(engine, prepared, "stat", "-c", "%Y", "/var/lib/installed", "/usr/share").split() == ["1700000000"] * 2
        )


def test_an_environment_is_found_again(engine: DockerEngine, index: PreparedIndex, tiny: Digest) -> None:
    """The second use is cached, asks for no package, and has the same tree; the order of packages does not matter."""
    a, b = package("a"), package("b")
    with prepare(engine, index, environment(tiny, a, b), repository) as first:
        tree = first.tree()

    def nothing(packages: tuple[Package, ...]) -> Mapping[str, bytes | Path]:
        pytest.fail(f"asked for {packages}")

    with prepare(engine, index, environment(tiny, b, a), nothing) as second:
        assert second.cached
        assert (second.key, second.image, second.tree()) == (first.key, first.image, tree)


def test_two_fresh_environments_are_equal_and_not_shared(
    engine: DockerEngine, index: PreparedIndex, tiny: Digest
) -> None:
    """Fresh ones start from the base, differ in image, agree in tree, and are gone afterwards."""
    wanted = environment(tiny, package("a"))
    shared = _prepared_once(engine, index, tiny, package("a"))
    found = []
    for _ in range(2):
        with prepare(engine, index, wanted, repository, fresh=True) as prepared:
            assert prepared.fresh
            found.append((prepared.image, prepared.tree()))
    assert len({shared, found[0][0], found[1][0]}) == 3
    assert {tree for _, tree in found} == {index.records()[0].tree}
    assert [engine.image(image) for image, _ in found] == [None, None]
    assert len(index.records()) == 1


def test_an_environment_starts_from_the_largest_cached_subset(
    engine: DockerEngine, index: PreparedIndex, tiny: Digest
) -> None:
    """Only what is missing is installed on top; the result is still exact."""
    a, b, c = package("a"), package("b"), package("c")
    _prepared_once(engine, index, tiny, a)
    _prepared_once(engine, index, tiny, a, b)
    _prepared_once(engine, index, tiny, package("z"), package("y"), package("x"))
    asked: list[str] = []

    def note(packages: tuple[Package, ...]) -> Mapping[str, bytes | Path]:
        asked.extend(item.name for item in packages)
        return repository(packages)

    with prepare(engine, index, environment(tiny, a, b, c), note) as prepared:
        prepared.tree()
        assert asked == ["c"]
        assert len(_see(engine, prepared, "cat", "/var/lib/installed").splitlines()) == 4
    assert [record.depth for record in index.records() if record.image == prepared.image] == [3]


def test_another_version_or_digest_is_another_environment(tiny: Digest) -> None:
    """The key covers name, version, architecture and digest of each package, and the base."""
    plain = environment(tiny, package("a"))
    altered = replace(package("a"), digest=Digest.of(b"other"))
    keys = {
        key_of(plain),
        key_of(environment(tiny, package("a", "2"))),
        key_of(environment(tiny, package("a", "1", "amd64"))),
        key_of(environment(tiny, altered)),
        key_of(environment(Digest.of(b"other base"), package("a"))),
        key_of(environment(tiny)),
    }
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("greedy", EnvironmentUnavailable, "not exact: 0 packages missing .*1 too many .stowaway:all 1"),
        ("half", EnvironmentUnavailable, "not properly installed: 'half 1 all iU'"),
        ("broken", EnvironmentUnavailable, r"status 100.: dpkg: error processing package broken"),
        ("unsatisfiable", DependencyUnavailable, "held broken packages"),
        ("a b", HostileInput, "not a package name"),
        ("-o", HostileInput, "not a package name"),
    ],
)
def test_an_environment_that_is_not_exact_is_refused(  # noqa: PLR0917 - a table
    engine: DockerEngine, index: PreparedIndex, tiny: Digest, name: str, error: type[RebuilderError], words: str
) -> None:
    """Extra, half-installed, failing and unsatisfiable packages: no environment, and nothing is kept."""
    before = _own_images(engine)
    wanted = environment(tiny, package(name))
    with pytest.raises(error, match=words), prepare(engine, index, wanted, repository):
        pytest.fail("it was prepared")
    assert index.records() == ()
    assert _own_images(engine) == before


def test_a_package_with_other_bytes_is_refused(engine: DockerEngine, index: PreparedIndex, tiny: Digest) -> None:
    """A local repository that offers other bytes than the plan names, or none, is not installed from."""
    wanted = environment(tiny, package("a"))
    with (
        pytest.raises(DigestMismatch, match=r"a_1_all\.deb"),
        prepare(engine, index, wanted, lambda _: {"Packages": b"", "a_1_all.deb": b"spoilt"}),
    ):
        pytest.fail("it was prepared")
    with (
        pytest.raises(DependencyUnavailable, match=r"a_1_all\.deb is not in the local repository"),
        prepare(engine, index, wanted, lambda _: {"Packages": b""}),
    ):
        pytest.fail("it was prepared")


def test_an_altered_environment_is_not_believed(engine: DockerEngine, index: PreparedIndex, tiny: Digest) -> None:
    """Whoever reaches the engine and swaps the image is found out before the rebuild counts."""
    honest = _prepared_once(engine, index, tiny, package("a"))
    spec = Spec(image=honest, command=("/bin/sh", "-c", "echo evil >/usr/share/a"), read_only=False)
    with engine.container(spec) as container:
        for _ in container.start():
            pass
        container.wait(10)
        evil = container.commit({}, tag="rebuilder/evil:test")
    index.keep(replace(index.records()[0], image=evil))
    try:
        with prepare(engine, index, environment(tiny, package("a")), repository) as prepared:
            assert prepared.cached
            with pytest.raises(EnvironmentUnavailable, match="was altered: expected tree sha256"):
                prepared.tree()
        with prepare(engine, index, environment(tiny, package("a"), package("b")), repository) as prepared:
            with pytest.raises(EnvironmentUnavailable, match="was altered"):
                prepared.tree()
            engine.remove_image(prepared.image)
    finally:
        engine.remove_image(evil)
        engine.remove_image(honest)


def test_an_altered_base_is_not_believed(engine: DockerEngine, index: PreparedIndex, tiny: Digest) -> None:
    """Without packages the base is the environment: it must hold what it held at first, in every use."""
    bare = environment(tiny)
    with prepare(engine, index, bare, repository) as prepared:
        tree = prepared.tree()
    assert index.bases.tree(tiny) == tree
    for fresh in (False, True):
        with prepare(engine, index, bare, repository, fresh=fresh) as prepared:
            assert prepared.tree() == tree
    index.bases.keep_tree(tiny, Digest.of(b"what it held before"))
    for fresh in (False, True):
        with (
            prepare(engine, index, bare, repository, fresh=fresh) as prepared,
            pytest.raises(EnvironmentUnavailable, match="was altered: expected tree sha256"),
        ):
            prepared.tree()


def test_two_at_once_prepare_once(engine: DockerEngine, index: PreparedIndex, tiny: Digest) -> None:
    """Two verifications that want the same environment at once: one makes it, the other waits and finds it."""
    asked: list[int] = []
    cached: list[bool] = []

    def slow(packages: tuple[Package, ...]) -> Mapping[str, bytes | Path]:
        asked.append(1)
        return repository(packages)

    def one() -> None:
        with prepare(engine, index, environment(tiny, package("a")), slow) as prepared:
            prepared.tree()
            cached.append(prepared.cached)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [1]
    assert sorted(cached) == [False, True]


def test_an_environment_in_use_is_not_pruned(engine: DockerEngine, index: PreparedIndex, tiny: Digest) -> None:
    """Clearing the cache leaves what a build uses, and takes it afterwards."""
    with prepare(engine, index, environment(tiny, package("a")), repository) as prepared:
        prepared.tree()
        assert clear(index).count == 0
        assert engine.image(prepared.image) is not None
    assert index.usage().count == 1
    assert clear(index).count == 1
    assert engine.image(prepared.image) is None
    assert index.usage().count == 0


def test_the_same_content_is_the_same_package() -> None:
    """The factory's packages are what their digests say."""
    assert package("a").digest == Digest.of(content_of("a", "1"))
