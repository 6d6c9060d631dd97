"""The farm of compose.yaml on this machine: `python -m tools.farm up|down|logs|config|run WORD…`.

    up      make what is missing (secrets, the base image, wheels), build the images, start everything
    down    stop it; the ledger, the blobs and the results stay
    logs    follow what it says
    config  check compose.yaml
    run     anything else that Compose knows: `run ps`, `run exec coordinator rebuilder status`

Settings by environment: FARM_BASE (an image to start from, instead of the local bootstrap), FARM_ENGINE (socket of the
engine that builds), FARM_QUORUM, FARM_WEB (address and port), FARM_BUILDERS (2 or more).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from packaging.markers import Marker

from tools import farm_base, farm_secrets
from tools.compose import ComposeError, command

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".state" / "farm"
COMPOSE = ROOT / "compose.yaml"
UID = 1000
PYTHON = "3.11.2"
"""Of Debian bookworm, which the images are made of."""
_MARKED = re.compile(r"(?P<name>\S+==\S+) ; (?P<marker>.+?)(?: \\)?$")
SOCKET = "/var/run/docker.sock"
LEAST_BUILDERS = 2


def main(words: list[str]) -> int:
    """Do what the verb says; the status is Compose's, or 4 when something cannot be had."""
    parser = argparse.ArgumentParser(prog="tools.farm", description=__doc__)
    parser.add_argument("verb", choices=("up", "down", "logs", "config", "run"))
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args(words)
    try:
        match options.verb:
            case "up":
                return up()
            case "down":
                return compose("down", "--remove-orphans") if STATE.is_dir() else 0
            case "logs":
                return compose("logs", "--follow", "--tail", "200", *options.words)
            case "config":
                return compose("config", "--quiet")
            case _:
                return compose(*options.words)
    except ComposeError as error:
        print(f"farm: {error}", file=sys.stderr)
        return 4


def up() -> int:
    """Bring it up; whatever is there already is left as it is."""
    farm_secrets.prepare(STATE, builders=_builders(), architecture=_architecture(), owner=UID)
    _more_builders(_builders())
    if "FARM_BASE" not in os.environ and (status := farm_base.main()) != 0:
        return status
    wheels()
    # One image first: the classic builder would install the program once for each of those that it builds at a time.
    return (
        compose("build", "--quiet", "coordinator")
        or compose("build", "--quiet")
        or compose("up", "--detach", "--wait", "--wait-timeout", "300")
    )


def wheels() -> None:
    """Put the program and what it depends on beside the Dockerfile: fetched once, each by its hash."""
    target, stamp = STATE / "wheels", STATE / "wheels.lock"
    pip = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "-q", "wheel", "--no-deps"]
    pip += ["--no-build-isolation", "--wheel-dir", str(target)]
    lock = ROOT / "requirements.lock"
    if not stamp.is_file() or stamp.read_bytes() != lock.read_bytes():
        shutil.rmtree(target, ignore_errors=True)
        print("farm: fetching the locked dependencies as wheels", flush=True)
        wanted = STATE / "wheels.txt"
        wanted.write_text(for_base(lock.read_text()))
        subprocess.run([*pip, "--require-hashes", "-r", str(wanted)], check=True, stderr=subprocess.DEVNULL)
        shutil.copyfile(lock, stamp)
    for old in target.glob("rebuilder-*.whl"):
        old.unlink()
    subprocess.run([*pip, str(ROOT)], check=True, stderr=subprocess.DEVNULL)


def for_base(lock: str) -> str:
    """Choose from the lock what the images' Python wants, which is not the one that runs here."""
    kept, keeps = [], True
    for line in lock.splitlines():
        if found := _MARKED.match(line):
            keeps = Marker(found["marker"]).evaluate({"python_full_version": PYTHON, "python_version": "3.11"})
            kept += [f"{found['name']} \\"] if keeps else []
        elif not line.startswith((" ", "#")):
            keeps = True
            kept.append(line)
        elif keeps:
            kept.append(line)
    return "\n".join([*kept, ""])


def compose(*words: str) -> int:
    """Run Compose on our files."""
    files = [word for path in (COMPOSE, STATE / "more.yaml") if path.is_file() for word in ("--file", str(path))]
    argv = [*command(), "--project-directory", str(ROOT), *files, *words]
    return subprocess.run(argv, env=environment(dict(os.environ)), check=False).returncode


def environment(words: dict[str, str]) -> dict[str, str]:
    """Fill in what compose.yaml asks for."""
    base = words.get("FARM_BASE", farm_base.IMAGE)
    socket = Path(words.get("FARM_ENGINE", SOCKET))
    group = str(socket.stat().st_gid) if socket.exists() and stat.S_ISSOCK(socket.stat().st_mode) else "0"
    own = {
        "FARM_BASE": base,
        "FARM_UID": str(UID),
        "FARM_ARCHITECTURE": _architecture(),
        "FARM_ENGINE": str(socket),
        "FARM_ENGINE_GROUP": group,
        # The local base has everything: its build has no network. The classic builder needs no image from a registry.
        "FARM_BUILD_NETWORK": "none" if base == farm_base.IMAGE else "default",
        "DOCKER_BUILDKIT": words.get("DOCKER_BUILDKIT", "0"),
    }
    return {**words, **own}


def _more_builders(count: int) -> None:
    """Write the services of the builders beyond those of compose.yaml."""
    lines = ["services:"]
    for number in range(LEAST_BUILDERS + 1, count + 1):
        name = f"builder-{number}"
        lines += [
            f"  {name}:",
            f"    extends: {{file: {COMPOSE}, service: builder-1}}",
            "    volumes: !override",
            f"      - ./.state/farm/{name}:/state",
            f"      - {name}:/cache",
            "      - ${FARM_ENGINE:-/var/run/docker.sock}:/run/engine.sock",
        ]
    path = STATE / "more.yaml"
    if count <= LEAST_BUILDERS:
        path.unlink(missing_ok=True)
        return
    lines += ["volumes:"]
    lines += [f"  builder-{number}: {{labels: {{rebuilder: farm}}}}" for number in range(LEAST_BUILDERS + 1, count + 1)]
    path.write_text("\n".join([*lines, ""]))


def _builders() -> int:
    return max(int(os.environ.get("FARM_BUILDERS", LEAST_BUILDERS)), LEAST_BUILDERS)


def _architecture() -> str:
    done = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
