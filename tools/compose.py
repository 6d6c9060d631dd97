"""Docker Compose version 2, wherever it is: the engine's own plugin, else the one of Debian's package.

Without a plugin the program is taken out of the package `docker-compose` of SUITE, which is one static binary: fetched
and verified by apt from the archive that this machine's apt is configured for, unpacked below .state, not installed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.sources import KEYRING, archives

STATE = Path(__file__).resolve().parent.parent / ".state" / "farm"
SUITE = "trixie"
PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"


class ComposeError(Exception):
    """There is no compose to be had; the message says what to do."""


def command(state: Path = STATE) -> list[str]:
    """Return the words that start Compose; fetch it when need be."""
    if _answers(["docker", "compose"]):
        return ["docker", "compose"]
    kept = state / "docker-compose"
    if not _answers([str(kept)]):
        fetch(kept)
    return [str(kept)]


def fetch(target: Path) -> None:
    """Take the program out of Debian's package."""
    if shutil.which("apt-get") is None:
        raise ComposeError("this machine has no docker compose, and no apt-get to fetch it with; install Compose v2")
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"farm: fetching docker-compose of Debian {SUITE}", flush=True)
    for site in archives():
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".apt-") as name:
            work = Path(name)
            words = _private_apt(work, site)
            if all(_runs([*words, *verb], work) for verb in (["update"], ["download", "docker-compose"])):
                package = next(work.glob("docker-compose_*.deb"))
                subprocess.run(["dpkg-deb", "-x", package, work / "root"], check=True)
                (work / "root" / PLUGIN).replace(target)
                return
    raise ComposeError(
        f"docker-compose of {SUITE} could not be fetched from the archives in apt's configuration; install Compose v2"
    )


def _private_apt(work: Path, site: str) -> list[str]:
    (work / "lists" / "partial").mkdir(parents=True)
    (work / "archives" / "partial").mkdir(parents=True)
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {site} {SUITE} main\n")
    options = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work,
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",
    }
    return ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]


def _runs(words: list[str], work: Path) -> bool:
    return subprocess.run(words, cwd=work, capture_output=True, check=False, timeout=600).returncode == 0


def _answers(words: list[str]) -> bool:
    try:
        return subprocess.run([*words, "version"], capture_output=True, check=False, timeout=60).returncode == 0
    except OSError:
        return False
