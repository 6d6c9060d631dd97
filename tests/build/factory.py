"""Plans and packages for tests of this row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rebuilder.model.digest import Digest
from rebuilder.model.plan import Environment, Fidelity, Limits, Package, Plan
from rebuilder.model.release import FileReference

BASE_EPOCH = 1_700_000_000
LIMITS = Limits(memory_bytes=64 * 1024**2, pids=40, cpus=1, wall_s=60, output_bytes=24 * 1024**2, log_bytes=64 * 1024)


def content_of(name: str, version: str) -> bytes:
    """Bytes of a make-believe package."""
    return f"package {name} {version}\n".encode()


def package(name: str, version: str = "1", architecture: str = "all") -> Package:
    """Make a make-believe package."""
    content = content_of(name, version)
    return Package(
        name=name,
        version=version,
        architecture=architecture,
        filename=f"{name}_{version}_{architecture}.deb",
        size_bytes=len(content),
        digest=Digest.of(content),
    )


def repository(packages: tuple[Package, ...]) -> Mapping[str, bytes | Path]:
    """Give the make-believe packages' files."""
    return {"Packages": b"", **{item.filename: content_of(item.name, item.version) for item in packages}}


def environment(image: Digest, *packages: Package, build_path: str = "/build/tree") -> Environment:
    """Make an environment on top of an image."""
    return Environment(
        fidelity=Fidelity.INFERRED,
        reason="made by a test",
        architecture="amd64",
        image=image,
        lock=Digest.of(b"lock"),
        packages=packages,
        variables=(("GREETING", "hello world"), ("PATH", "/bin:/usr/bin")),
        build_path=build_path,
        hostname="builder",
        user="builder",
    )


def plan(image: Digest, script: str, *, limits: Limits = LIMITS, sources: Mapping[str, Path] | None = None) -> Plan:
    """Make a plan that runs a script in the bare image."""
    found = {name: path.read_bytes() for name, path in (sources or {}).items()}
    return Plan(
        ecosystem="deb",
        name="sample",
        version="1.0",
        source_version="1.0",
        architecture="amd64",
        sources=tuple(
            FileReference(filename=name, size_bytes=len(data), digest=Digest.of(data)) for name, data in found.items()
        ),
        environment=environment(image),
        recipe="test",
        recipe_digest=Digest.of(b"recipe"),
        script=script,
        texts=(("note.txt", "a note\n"),),
        limits=limits,
    )


def with_packages(original: Plan, *packages: Package) -> Plan:
    """Copy a plan with other packages in its environment."""
    return replace(original, environment=replace(original.environment, packages=packages))
