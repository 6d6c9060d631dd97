"""Splitting a release into builds, and fixing each build as data."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.errors import ConfigurationError, EnvironmentUnavailable, UsageError
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Fidelity, Limits, Package, Plan
from rebuilder.model.release import Artifact, FileReference, Release
from rebuilder.origins.debian.plan import (
    CLOCK_PACKAGES,
    Place,
    binnmu_number,
    built_version,
    is_usable_build_path,
    make_plan,
    parts,
    vary,
)
from rebuilder.origins.debian.recipe import Step, load_build_recipe
from rebuilder.origins.debian.script import Build, render

SOME = Digest.of(b"some bytes")
RECIPE = load_build_recipe()
PLACE = Place(
    fidelity=Fidelity.INFERRED, reason="a test", architecture="amd64", image=SOME, lock=SOME, packages=(), jobs=2
)
ENTRY = "hello (1.0-1+b2) sid; urgency=low, binary-only=yes\n\n  * Again.\n\n -- A <a@archive.test>  now\n\n"


def _file(name: str) -> FileReference:
    return FileReference(filename=name, size_bytes=1, digest=SOME)


def _artifact(name: str, version: str, architecture: str = "amd64", *, published: bool = True) -> Artifact:
    filename = f"{name}_{version.rpartition(':')[2]}_{architecture}.deb"
    reference = _file(filename) if published else None
    return Artifact(name=name, version=version, architecture=architecture, filename=filename, reference=reference)


def _release(*artifacts: Artifact, version: str = "1.0-1", name: str = "hello") -> Release:
    return Release(
        target=f"pkg:deb/debian/{name}@{version}?arch=source&distro=trixie",
        ecosystem="deb",
        distribution="debian",
        suite="trixie",
        name=name,
        version=version,
        artifacts=artifacts,
        sources=(_file("hello_1.0-1.dsc"), _file("hello_1.0.orig.tar.gz")),
        evidence=(),
    )


def _plan(part: Release, place: Place = PLACE, changelog: str | None = None) -> Plan:
    return make_plan(part, place, RECIPE, changelog=changelog, limits=Limits())


def test_each_kind_and_each_binary_only_rebuild_is_a_build_of_its_own() -> None:
    """Arch:any, arch:all and +b2 packages of one source are three parts, and no artifact is in two or in none."""
    release = _release(
        _artifact("hello", "1.0-1+b2"), _artifact("hello-doc", "1.0-1", "all"), _artifact("hello-old", "1.0-1")
    )
    found = [(built_version(part), [artifact.name for artifact in part.artifacts]) for part in parts(release)]
    assert found == [("1.0-1", ["hello-old"]), ("1.0-1+b2", ["hello"]), ("1.0-1", ["hello-doc"])]


def test_packages_with_versions_of_their_own_are_one_build() -> None:
    """A source whose packages have other versions than itself (gcc-defaults) is not split by them."""
    release = _release(_artifact("gcc", "4:14.2.0-1"), _artifact("g++", "4:14.2.0-1"), version="1.220")
    (part,) = parts(release)
    assert (built_version(part), binnmu_number(part)) == ("1.220", 0)


def test_a_source_version_that_ends_like_a_binnmu_is_none() -> None:
    """`1.0+b1` as the source's own version asks for no changelog entry."""
    (part,) = parts(_release(_artifact("hello", "1.0+b1"), version="1.0+b1"))
    assert _plan(part).version == "1.0+b1"


def test_an_artifact_without_reference_joins_the_newest_build_of_its_kind() -> None:
    """What was never published does not cause a build of its own."""
    release = _release(
        _artifact("hello", "1.0-1+b2"), _artifact("extra", "1.0-1", published=False), _artifact("doc", "1.0-1", "all")
    )
    any_part, all_part = parts(release)
    assert {artifact.name for artifact in any_part.artifacts} == {"hello", "extra"}
    assert [artifact.name for artifact in all_part.artifacts] == ["doc"]


def test_a_release_without_artifacts_is_refused() -> None:
    """Nothing to rebuild is a fault of the request, not an empty answer."""
    with pytest.raises(UsageError, match="without artifacts"):
        parts(_release())


@pytest.mark.parametrize(("architecture", "option"), [("amd64", "-B"), ("all", "-A")])
def test_the_kind_decides_the_build_option(architecture: str, option: str) -> None:
    """Buildds build arch:any packages with -B and arch:all ones with -A."""
    plan = _plan(_release(_artifact("hello", "1.0-1", architecture)))
    assert f"dpkg-buildpackage -us -uc {option}\n" in plan.script
    assert plan.architecture == architecture


def test_a_plan_survives_its_own_canonical_form() -> None:
    """What is written of a plan reads back as the same plan."""
    plan = _plan(_release(_artifact("hello", "1.0-1+b2")), changelog=ENTRY)
    assert codec.parse(codec.render(plan), Plan) == plan


def test_the_environment_is_the_recipes_and_nothing_else() -> None:
    """No build profile is set, tests are skipped, and the build path is that of a buildd."""
    environment = _plan(_release(_artifact("hello", "1:1.0-1"), version="1:1.0-1")).environment
    assert dict(environment.variables)["DEB_BUILD_OPTIONS"] == "parallel=2 nocheck"
    assert {name for name, _ in environment.variables} == {
        "DEB_BUILD_OPTIONS",
        "HOME",
        "LC_ALL",
        "LOGNAME",
        "PATH",
        "TZ",
    }
    assert environment.build_path == "/build/reproducible-path/hello-1.0"


def test_a_binnmu_needs_its_entry_and_nothing_else_takes_one() -> None:
    """An entry without a binNMU, and a binNMU without its entry, are refused."""
    with pytest.raises(UsageError, match="goes with a binNMU"):
        _plan(_release(_artifact("hello", "1.0-1+b2")))
    with pytest.raises(UsageError, match="goes with a binNMU"):
        _plan(_release(_artifact("hello", "1.0-1")), changelog=ENTRY)


def test_what_a_buildinfo_says_replaces_the_recipes_defaults() -> None:
    """Build path and variables of an exact environment are taken over; its locale leaves no room for ours."""
    given = {"DEB_BUILD_OPTIONS": "parallel=4", "LANG": "de_DE"}
    place = replace(PLACE, build_path="/build/elsewhere/hello", variables=given)
    environment = _plan(_release(_artifact("hello", "1.0-1")), place).environment
    assert environment.build_path == "/build/elsewhere/hello"
    assert dict(environment.variables) == {
        **given,
        "HOME": "/nonexistent/first-build",
        "LOGNAME": "builduser",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "TZ": "UTC",
    }


def test_nothing_in_a_name_reaches_the_shell() -> None:
    """A .dsc, a path and a variable that are shell code stay words: the script is syntax-checked and run."""
    evil = "x'; touch owned; '.dsc"
    part = replace(_release(_artifact("hello", "1.0-1")), sources=(_file(evil),))
    place = replace(PLACE, build_path="/build/$(touch owned)/`id`", variables={"LC_ALL": '"; touch owned; "'})
    script = _plan(part, place).script
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)
    words = subprocess.run(
        ["sh"],
        input=script.partition("mkdir -p")[0].encode() + b"run printenv LC_ALL\n",
        capture_output=True,
        check=True,
    )
    assert words.stdout == b'"; touch owned; "\n'


def test_the_script_builds_collects_and_fails_as_it_should(tmp_path: Path) -> None:
    """The binNMU entry goes on top, outputs are copied, links are not, and a build without a .deb fails."""
    done = _rehearse(tmp_path, made="hello_1.0-1_amd64.deb")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "output"
    assert sorted(path.name for path in out.iterdir()) == ["h.buildinfo", "h.changes", "hello_1.0-1_amd64.deb"]
    assert (tmp_path / "build/p/hello/debian/changelog").read_text() == ENTRY + "old entry\n"
    failed = _rehearse(tmp_path / "again", made="hello.txt")
    assert failed.returncode == 70
    assert b"the build made no *.deb" in failed.stderr


def _rehearse(root: Path, *, made: str) -> subprocess.CompletedProcess[bytes]:
    """Run a plan's script below a directory of its own, with stand-ins for dpkg's programs."""
    for name in ("bin", "input", "output"):
        (root / name).mkdir(parents=True)
    (root / "input/binnmu-changelog").write_text(ENTRY)
    extract = 'mkdir -p "$4/debian" && echo "old entry" >"$4/debian/changelog"'
    build = f"touch ../{made} ../h.buildinfo ../h.changes; ln -s /etc/passwd ../link.deb"
    for name, text in (("dpkg-source", extract), ("dpkg-buildpackage", build)):
        (root / "bin" / name).write_text(f"#!/bin/sh\nset -e\n{text}\n")
        (root / "bin" / name).chmod(0o755)
    variables = {"PATH": f"{root}/bin:/usr/bin:/bin"}
    place = replace(PLACE, build_path=f"{root}/build/p/hello", variables=variables)
    script = _plan(_release(_artifact("hello", "1.0-1+b2")), place, ENTRY).script
    script = script.replace("/input/", f"{root}/input/").replace(" /output/", f" {root}/output/")
    return subprocess.run(["sh", "-c", script], capture_output=True, check=False)


def test_a_variation_changes_one_factor_and_the_script_with_it() -> None:
    """Another path or locale is in the environment and in the script, and all else stays."""
    plan = _plan(_release(_artifact("hello", "1.0-1")))
    other = vary(plan, "path", RECIPE)
    assert other.environment.build_path == "/build/another/and-longer-path/hello-1.0"
    assert "/build/another/and-longer-path/hello-1.0" in other.script
    assert replace(other, environment=plan.environment, script=plan.script) == plan
    assert "LC_ALL=C " in vary(plan, "locale", RECIPE).script


def test_another_clock_needs_faketime_as_a_package() -> None:
    """A container shares its machine's clock: without the suite's faketime the variation cannot be run."""
    plan = _plan(_release(_artifact("hello", "1.0-1")))
    with pytest.raises(EnvironmentUnavailable, match="faketime and libfaketime"):
        vary(plan, "clock", RECIPE)
    added = tuple(
        Package(name=name, version="1", architecture="amd64", filename=f"{name}.deb", size_bytes=1, digest=SOME)
        for name in CLOCK_PACKAGES
    )
    varied = vary(plan, "clock", RECIPE, clock_packages=added)
    assert "faketime -m -f +400d dpkg-buildpackage" in varied.script
    assert varied.environment.packages == added


def test_only_the_build_runs_under_another_clock() -> None:
    """Unpacking a `3.0 (quilt)` source with patches sets times in a way that libfaketime fails: it is not faked."""
    build = Build(dsc="hello_1.0-1.dsc", kind="any")
    environment = _plan(_release(_artifact("hello", "1.0-1"))).environment
    plain = render(RECIPE.build, build, environment).splitlines()
    varied = render(RECIPE.build, replace(build, wrapper=("faketime", "+400d")), environment).splitlines()
    changed = [(before, after) for before, after in zip(plain, varied, strict=True) if before != after]
    assert changed == [
        ("run dpkg-buildpackage -us -uc -B", "run faketime +400d dpkg-buildpackage -us -uc -B"),
    ]
    assert any(line.startswith("run dpkg-source ") for line in varied)


def test_an_unknown_factor_is_refused() -> None:
    """The message lists those that are known."""
    with pytest.raises(UsageError, match="unknown factor 'moon'") as refused:
        vary(_plan(_release(_artifact("hello", "1.0-1"))), "moon", RECIPE)
    assert refused.value.hint == "one of clock, path, locale"


@pytest.mark.parametrize("path", ["/build", "/home/me/x", "/build/../etc", "/build/a b", "/build/$x", "/build//x", "x"])
def test_only_paths_below_build_are_usable(path: str) -> None:
    """Elsewhere nothing may be written, and odd letters are nobody's build path."""
    assert not is_usable_build_path(path)
    assert is_usable_build_path("/build/reproducible-path/hello-1.0+dfsg~rc1")


def test_a_recipe_that_names_an_unknown_value_is_refused() -> None:
    """A typing error in a recipe is found when the script is rendered, not in a container."""
    broken = replace(RECIPE.build, steps=(Step(run=("dpkg-source", "{dcs}"), reason="a typing error"),))
    plan = _plan(_release(_artifact("hello", "1.0-1")))
    with pytest.raises(ConfigurationError, match="names an unknown value"):
        render(broken, Build(dsc="hello.dsc", kind="any"), plan.environment)


def test_every_choice_in_the_recipe_has_a_reason() -> None:
    """A pin without a reason is a defect."""
    recipe = RECIPE.build
    reasons = [
        *(step.reason for step in recipe.steps),
        *(output.reason for output in recipe.outputs),
        *(variable.reason for variable in recipe.variables),
        *(variable.reason for variable in recipe.honoured),
    ]
    assert all(len(reason) > len("because") for reason in reasons)
