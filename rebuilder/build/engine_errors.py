"""What an engine's client raises, in our words: the half of `rebuilder.build.engine` that knows docker-py's errors."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import docker.errors
import requests.exceptions  # noqa: TID251 - docker-py lets its exceptions through; nothing is downloaded
import urllib3.exceptions

from rebuilder.errors import EngineFailure, ResourceExhausted

_ABSENT = "start it with `make engine`, name another with DOCKER_HOST, or ask `rebuilder doctor`"

_WAYS_OUT = (
    ("no such container-init|container-init binary", "install catatonit (Debian: apt-get install catatonit)"),
    ("hybrid mode not supported", 'crun cannot use these control groups: set `runtime = "runc"` in containers.conf'),
    (
        r"controller `?\w+`? is not available|cannot set limits without cgroups|resource limits without cgroups",
        "this engine has no control group to set limits in: `rebuilder doctor` says how to get one",
    ),
    (
        "dial tcp|no such host|connection refused|i/o timeout|pinging container registry|TLS handshake",
        "the engine could not reach the registry: is its name right, and may this machine's engine go there?",
    ),
    ("RLIMIT_|rlimit", "this user's own limits (`ulimit -H -a`) are below what a container gets: raise them"),
)
"""What an engine refuses for a reason of the machine, by its words."""


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Translate everything that talking to an engine can raise."""
    try:
        yield
    except docker.errors.APIError as error:
        raise _refused(doing, error) from error
    except docker.errors.DockerException as error:
        raise EngineFailure(f"no container engine answers ({doing})", hint=_ABSENT) from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise EngineFailure(f"the container engine stopped answering while {doing}", hint=_ABSENT) from error


def _refused(doing: str, error: docker.errors.APIError) -> EngineFailure | ResourceExhausted:
    words = " ".join(str(error.explanation or error).split())[:300]
    if "no space left on device" in words or "disk quota exceeded" in words:
        return ResourceExhausted(
            f"the container engine's disk is full ({doing})", hint="`rebuilder cache prune`, or a bigger disk"
        )
    hint = next((hint for pattern, hint in _WAYS_OUT if re.search(pattern, words)), None)
    return EngineFailure(f"the container engine refused {doing}: {words}", hint=hint)


def raise_reported(lines: Iterable[Mapping[str, Any]]) -> None:
    """Raise the first error of an answer that reports errors in its body; read to its end, so that it is closed."""
    reported = [str(line["error"]) for line in lines if "error" in line]
    if reported:
        raise docker.errors.APIError(reported[0], explanation=reported[0])


def raise_for_status(answer: Any) -> None:  # noqa: ANN401 - requests' answer
    """Raise what docker-py would raise for an answer that refuses."""
    try:
        answer.raise_for_status()
    except requests.exceptions.HTTPError as error:
        raise docker.errors.create_api_error_from_http_exception(error) from error


def knock(address: str) -> None:
    """Raise EngineFailure when a local socket does not answer; docker-py would leave its own socket open."""
    if not address.startswith("unix:"):
        return
    path = "/" + address.removeprefix("unix:").lstrip("/")
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
    except PermissionError as error:
        raise EngineFailure(
            f"the container engine at {path} does not let this user in",
            hint="join the engine's group, become root, or name a rootless engine with DOCKER_HOST",
        ) from error
    except OSError as error:
        raise EngineFailure(f"no container engine answers at {path}", hint=_ABSENT) from error
