"""One command in one throw-away container: how offline apt is asked questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rebuilder.build.container import Engine, Finished, Mount, Spec, Tmpfs
from rebuilder.build.streams import Collector, pack
from rebuilder.errors import ResourceExhausted
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Limits

INPUT = "/input"
_OUTPUT_LIMIT_BYTES = 32 * 1024**2
_LIMITS = Limits(memory_bytes=2 * 1024**3, pids=256, wall_s=300)


def run_once(  # noqa: PLR0913 - keyword-only, all with defaults but what is run
    engine: Engine,
    image: Digest,
    command: tuple[str, ...],
    *,
    files: Mapping[str, bytes | Path],
    limits: Limits = _LIMITS,
    user: str = "0:0",
    environment: tuple[tuple[str, str], ...] = (),
) -> Finished:
    """Run a command to its end without network and without capabilities, and return what it left, whatever its status.

    `files` are found read-only under /input, by their relative path, owned by root. The root file system may be written
    (as root) and is thrown away; /tmp, /var/tmp and /run are in memory. Raise ResourceExhausted when it outlives
    `limits.wall_s` or the kernel kills it for want of memory, EngineFailure when the engine fails. Its environment is
    PATH, LC_ALL=C.UTF-8 and `environment`.
    """
    with engine.volume() as volume:
        fill(engine, image, volume, files)
        spec = Spec(
            image=image,
            command=command,
            user=user,
            environment=(("LC_ALL", "C.UTF-8"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), *environment),
            mounts=(Mount(volume=volume, path=INPUT),),
            tmpfs=tuple(Tmpfs(path=path, size_bytes=limits.memory_bytes // 2) for path in ("/tmp", "/var/tmp", "/run")),  # noqa: S108 - inside the container
            read_only=False,
            limits=limits,
        )
        with engine.container(spec) as container:
            collector = Collector(container.start(), limit_bytes=_OUTPUT_LIMIT_BYTES)
            state = container.wait(limits.wall_s)
            if state is None:
                raise ResourceExhausted(f"{command[0]} in a container did not end within {limits.wall_s} s")
            if state.memory_exhausted:
                raise ResourceExhausted(
                    f"{command[0]} in a container needed more than {limits.memory_bytes} bytes of memory"
                )
            output, errors = collector.result()
    return Finished(status=state.status, output=output, errors=errors)


def fill(engine: Engine, image: Digest, volume: str, files: Mapping[str, bytes | Path]) -> None:
    """Put files into a volume, through a container that is never started."""
    filler = Spec(image=image, command=("/bin/true",), mounts=(Mount(volume=volume, path=INPUT, writable=True),))
    with engine.container(filler) as container:
        container.put(INPUT, pack(files))
