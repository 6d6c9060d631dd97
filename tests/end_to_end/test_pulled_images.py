"""Base images pulled by digest, from a registry on loopback: locked, built in, verified; and what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rebuilder.build.cache import PreparedIndex
from rebuilder.build.container import Spec
from rebuilder.build.engine import DockerEngine
from rebuilder.build.install_script import CAPABILITIES
from rebuilder.errors import EngineFailure
from rebuilder.model.codec import parse
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock
from tests.end_to_end.conftest import MakePerson
from tests.end_to_end.person import Person
from tests.end_to_end.registry import Registry, serving

Change = Callable[[str, str], str]
"""Changes the base image by a shell command, pushes the outcome under a name, and returns its reference."""
_WITHOUT_FAKEROOT = "dpkg --purge fakeroot libfakeroot && rm -rf /var/log/*"
_PATH = ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.fixture(scope="module")
def engine() -> DockerEngine:
    """Find an engine that pulls over HTTP from loopback, which Podman does only where it is configured to."""
    engine = DockerEngine()
    if engine.describe().name != "docker":
        pytest.skip("only Docker pulls over HTTP from 127.0.0.0/8 without being told to")
    return engine


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Run a registry."""
    with serving(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def change(regular: Person, engine: DockerEngine, registry: Registry) -> Iterator[Change]:
    """Make images out of the one that was bootstrapped; the engine keeps none of them."""
    base = Digest.parse(json.loads(regular.run("image", "build", "trixie", "--json", "--quiet").out)["image"])
    images: list[Digest] = []

    def change(command: str, name: str) -> str:
        spec = Spec(
            image=base,
            command=("/bin/sh", "-ec", command),
            environment=(_PATH,),
            capabilities=CAPABILITIES,
            read_only=False,
        )
        with engine.container(spec) as container:
            said = b"".join(part for pair in container.start() for part in pair)
            state = container.wait(60)
            assert state is not None
            assert state.status == 0, said
            image = container.commit({}, tag=f"rebuilder/test:{name}")
        images.append(image)
        reference = registry.push(engine, image, name)
        engine.remove_image(image)
        assert engine.image(image) is None
        return reference

    yield change
    for image in images:
        with suppress(EngineFailure):
            engine.remove_image(image)


@pytest.fixture(scope="module")
def reference(change: Change) -> str:
    """Push an image that lacks what a bootstrapped one has: fakeroot."""
    return change(_WITHOUT_FAKEROOT, "plain")


@pytest.fixture
def puller(make_person: MakePerson, engine: DockerEngine, reference: str, tmp_path: Path) -> Iterator[Person]:
    """Somebody whose settings choose that image for trixie; nothing is on the machine but downloads."""
    person = make_person("puller")
    _choose(person, reference, tmp_path / "images")
    yield person
    for record in PreparedIndex(person.settings.prepared_dir, engine).records():
        engine.remove_image(record.image)


def _choose(person: Person, reference: str | None, cache: Path) -> None:
    """Set an image for trixie, and a cache of the person's own in which only downloads are others'."""
    text = person.config.read_text()
    shared = person.settings.cache
    cache.mkdir()
    for part in ("blobs", "indices"):
        (cache / part).symlink_to(shared / part)
    text = text.replace(json.dumps(str(shared)), json.dumps(str(cache)))
    person.config.write_text(text + (f'\n[debian.images]\ntrixie = "{reference}"\n' if reference else ""))


def test_a_release_is_rebuilt_in_a_pulled_image(puller: Person, reference: str, tmp_path: Path) -> None:
    """Reproduced; fakeroot came on top; every document says `pulled`, and none that the image was bootstrapped."""
    said = puller.verify("deb:trixie/rebuilt")
    said.concludes("reproduced", 0)
    dossier = puller.dossier(said.result)
    assert dossier.plan is not None
    assert dossier.lock is not None
    assert dossier.lock.pulled is not None
    assert dossier.lock.pulled.reference == reference
    assert dossier.lock.pulled.image == dossier.plan.environment.image
    assert {"fakeroot", "libfakeroot"} == {package.name for package in dossier.plan.environment.packages}
    assert not {"fakeroot"} & {package.name for package in dossier.lock.packages}
    assert f"pulled, not bootstrapped: {reference}" in dossier.plan.environment.reason
    assert [each["pulled"] for each in said.answer["environment"]["plans"]] == [reference]
    assert "mmdebstrap" not in dict(dossier.tools)
    statement = _payload(next(said.result.glob("attestations/*/verdict.dsse.json")))
    assert statement["predicate"]["environment"]["pulled"] == reference
    assert any("it was pulled, not bootstrapped" in note for note in statement["predicate"]["notChecked"])
    provenance = _payload(next(said.result.glob("attestations/*/slsa-provenance.dsse.json")))
    (image,) = [
        each["annotations"]
        for each in provenance["predicate"]["buildDefinition"]["resolvedDependencies"]
        if each["name"] == "image"
    ]
    assert image == {"kind": "image", "pulled": reference}
    page = (said.result / "index.html").read_text()
    assert f"<dt>Pulled</dt><dd><code>{reference}</code>, not bootstrapped" in page
    assert "<dt>Bootstrapped</dt>" not in page
    checked = puller.check(said.result)
    assert checked.code == 0, checked.err


def test_a_pulled_image_is_locked_listed_verified_and_pulled_again(
    make_person: MakePerson, engine: DockerEngine, change: Change, tmp_path: Path
) -> None:
    """The lock file alone leads somebody else to the same image; `image verify` never says that it made it."""
    reference = change("touch /marker", "listed")
    author = make_person("author")
    _choose(author, None, tmp_path / "author-cache")
    path = tmp_path / "lock.json"
    said = author.run("image", "lock", "trixie", "--pull", reference, "--out", path, "--json")
    assert said.code == 0, said.err
    assert said.answer["pulled"] == reference
    assert f"pulling {reference}" in said.err
    lock = parse(path.read_bytes(), ImageLock)
    assert said.answer["packages"] == len(lock.packages) > 50
    assert lock.pulled is not None
    image = lock.pulled.image
    engine.remove_image(image)
    reader = make_person("reader")
    _choose(reader, None, tmp_path / "reader-cache")
    built = reader.run("image", "build", path, "--json")
    assert built.code == 0, built.err
    assert (built.answer["image"], built.answer["pulled"]) == (str(image), reference)
    assert engine.image(image) is not None
    verified = reader.run("image", "verify", path)
    assert verified.code == 0, verified.err
    assert verified.out == (
        f"same: {image}, pulled once more, with the same {len(lock.packages)} packages; not made again from them\n"
    )
    (entry,) = json.loads(reader.run("image", "list", "--json").out)["images"]
    assert (entry["pulled"], entry["image"], entry["loaded"]) == (reference, str(image), True)
    assert f"here  pulled: {reference}" in reader.run("image", "list").out
    other = reader.run("image", "verify", path, "--image", "0" * 64)
    assert (other.code, other.out.startswith("different: expected sha256:0000")) == (1, True)


def test_attack_an_image_with_a_package_that_no_signed_index_names(
    make_person: MakePerson, change: Change, tmp_path: Path
) -> None:
    """Refused by name before anything is built: exit code 3, and what to do."""
    paragraph = "Package: implant\\nStatus: install ok installed\\nVersion: 6.6\\nArchitecture: all\\n"
    paragraph += "Maintainer: Nobody <nobody@archive.test>\\nDescription: none\\n"
    reference = change(f"printf '\\n{paragraph}' >>/var/lib/dpkg/status", "implanted")
    person = make_person("victim")
    _choose(person, reference, tmp_path / "cache")
    said = person.run("image", "lock", "trixie", "--json")
    assert said.code == 3
    assert f"image {reference} holds implant 6.6 all: no signed index of trixie names it" in said.answer["error"]
    assert "take another image" in said.answer["hint"]
    refused = person.verify("deb:trixie/rebuilt")
    assert refused.code == 3
    assert refused.answer["verdict"] == "undecided"
    assert "implant 6.6 all" in refused.answer["reason"]


def test_attack_a_manifest_that_is_not_the_one_that_was_named(
    make_person: MakePerson, change: Change, registry: Registry, tmp_path: Path
) -> None:
    """A registry that serves other bytes under the digest, or has none: the engine refuses, and it is said."""
    reference = change("touch /marker", "tampered")
    person = make_person("victim")
    _choose(person, None, tmp_path / "cache")
    unknown = reference.partition("@")[0] + f"@{Digest.of(b'nothing')}"
    said = person.run("image", "lock", "trixie", "--pull", unknown, "--json")
    assert said.code == 4
    assert f"the container engine refused pulling {unknown}" in said.answer["error"]
    manifest = registry.blob(reference)
    manifest.write_bytes(manifest.read_bytes().replace(b'"schemaVersion": 2', b'"schemaVersion":  2', 1))
    said = person.run("image", "lock", "trixie", "--pull", reference, "--json")
    assert said.code == 4
    assert f"the container engine refused pulling {reference}" in said.answer["error"]
    assert json.loads(person.run("image", "list", "--json").out)["images"] == []


def test_attack_a_lock_that_claims_another_image_for_a_reference(
    make_person: MakePerson, reference: str, tmp_path: Path
) -> None:
    """The id that is pulled must be the lock's: exit code 3."""
    person = make_person("victim")
    _choose(person, None, tmp_path / "cache")
    path = tmp_path / "lock.json"
    assert person.run("image", "lock", "trixie", "--pull", reference, "--out", path).code == 0
    lock = parse(path.read_bytes(), ImageLock)
    assert lock.pulled is not None
    path.write_bytes(path.read_bytes().replace(lock.pulled.image.hex.encode(), b"0" * 64))
    said = person.run("image", "build", path, "--json")
    assert said.code == 3
    assert "its lock says 000000000000" in said.answer["error"]


def _payload(envelope: Path) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(base64.b64decode(json.loads(envelope.read_text())["payload"]))
    return payload
