"""The farm of compose.yaml on this machine: `python -m tools.farm up|down|logs|rebuilder|config|run WORD…`.

    up         make what is missing (secrets, settings, images, what builds start from), start everything
    down       stop it; the ledger, the blobs and the results stay, but with --volumes
    logs       follow what it says
    rebuilder  what a person asks or tells it: `rebuilder status`, `rebuilder sync deb:trixie-security`
    config     check compose.yaml
    run        anything else that Compose knows: `run ps`, `run restart signer`

Settings by environment: FARM_BASE (an image to start from, instead of the local bootstrap), FARM_ENGINE (socket of the
engine that builds), FARM_SUITES (what base images are made for beforehand), FARM_QUORUM, FARM_WEB (address and port),
FARM_BUILDERS (2 or more), FARM_UID (of a new farm: the user that its containers run as, who owns its keys).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from packaging.markers import Marker

from rebuilder.errors import RebuilderError
from tools import farm_base, farm_engine, farm_owner, farm_secrets, farm_services, farm_settings
from tools.compose import ComposeError, command
from tools.daemon import EngineError
from tools.farm_engine import Engines
from tools.farm_settings import SettingsError

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".state" / "farm"
COMPOSE = ROOT / "compose.yaml"
PYTHON = "3.11.2"
"""Of Debian bookworm, which the images are made of."""
_MARKED = re.compile(r"(?P<name>\S+==\S+) ; (?P<marker>.+?)(?: \\)?$")
SUITES = "trixie trixie-security"
WEB = "127.0.0.1:8080"
LEAST_BUILDERS = 2
UP_S = 300
"""How long services may take to be healthy: longer than the longest pause after which an engine starts one again."""


def main(words: list[str]) -> int:
    """Do what the verb says; the status is Compose's, or 4 when something cannot be had."""
    parser = argparse.ArgumentParser(
        prog="tools.farm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("up", "down", "logs", "rebuilder", "config", "run"))
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args(words)
    try:
        return 0 if options.verb == "down" and not STATE.is_dir() else do(options.verb, options.words)
    except (ComposeError, EngineError, SettingsError, RebuilderError) as error:
        print(f"farm: {error}", file=sys.stderr)
        return 4


def do(verb: str, words: list[str]) -> int:
    """Do it with the engines of this machine."""
    if verb == "down":
        return down(words)
    engines = farm_engine.choose(os.environ)
    match verb:
        case "up":
            return up(engines)
        case "rebuilder":
            return operate(engines, words)
        case "logs":
            return compose(engines, "logs", "--follow", "--tail", "200", *words)
        case "config":
            return compose(engines, "config", "--quiet")
        case _:
            return compose(engines, *words)


def up(engines: Engines) -> int:
    """Bring it up; whatever is there already is left as it is."""
    farm_settings.prepare(STATE / "settings")
    uid = farm_owner.owner(os.environ, STATE)
    if (words := farm_owner.warning(uid)) is not None:
        print(f"farm: warning: {words}", file=sys.stderr, flush=True)
    farm_secrets.prepare(STATE, builders=_builders(), architecture=_architecture(), owner=uid)
    _more_builders(_builders())
    farm_engine.start(engines)
    if "FARM_BASE" not in os.environ and (status := farm_base.make(engines.services)) != 0:
        return status
    wheels()
    return build(engines) or bases(engines, _suites()) or serve(engines)


def build(engines: Engines) -> int:
    """Build the images; what is said meanwhile is in a file, and its end is shown when it went wrong."""
    print("farm: building the images", flush=True)
    log = STATE / "build.log"
    with log.open("wb") as stream:
        # One image first: the classic builder would install the program once for each that it builds at a time.
        for words in (("build", "coordinator"), ("build",)):
            status = compose(engines, *words, output=stream)
            if status != 0:
                print("\n".join(log.read_text(errors="replace").splitlines()[-20:]), file=sys.stderr)
                return status
    return 0


def serve(engines: Engines) -> int:
    """Start the services and wait until each is healthy; what Compose says meanwhile is in a file."""
    print("farm: starting the services", flush=True)
    with (STATE / "up.log").open("wb") as stream:

        def start(timeout_s: int) -> int:
            words = ("up", "--detach", "--wait", "--wait-timeout", str(timeout_s))
            return compose(engines, *words, output=stream)

        def ask(*words: str) -> str:
            return _answer(engines, *words)

        status = farm_services.start(start, ask, limit_s=UP_S)
    if status != 0:
        print("\n".join((STATE / "up.log").read_text(errors="replace").splitlines()[-3:]), file=sys.stderr)
        return status
    web = os.environ.get("FARM_WEB", WEB)
    print(f"farm: up; results at http://{web}/, `make farm ARGS=status` asks it", flush=True)
    return 0


def down(words: list[str]) -> int:
    """Stop it, and the engine that was started for it, even when nothing else can be done any more."""
    try:
        engines = farm_engine.choose(os.environ)
        return compose(engines, "down", "--remove-orphans", *words) if farm_engine.answers(engines) else 0
    finally:
        farm_engine.stop()


def bases(engines: Engines, suites: list[str]) -> int:
    """Make what builds of these suites start from; of what is there already, nothing."""
    if not suites:
        return 0
    print(
        f"farm: base images for {', '.join(suites)} (half a minute each where the archive has newer ones)", flush=True
    )
    return compose(engines, "run", "--rm", "--no-deps", "--no-TTY", "bases", "bases", *suites)


def operate(engines: Engines, words: list[str]) -> int:
    """Run one of the operator's verbs. What a sync queues is planned soon: base images are brought up to date first."""
    if not farm_engine.answers(engines):
        raise EngineError("the farm is not running: `make up`")
    if words[:1] == ["sync"] and "--dry-run" not in words:
        suites = [word.removeprefix("deb:") for word in words[1:] if word.startswith("deb:")]
        if (status := bases(engines, suites)) != 0:
            return status
    return compose(engines, "run", "--rm", "--no-deps", *_terminal(), "operator", *words)


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


def compose(engines: Engines, *words: str, output: IO[bytes] | None = None) -> int:
    """Run Compose on our files, with the services' engine."""
    environ = environment(dict(os.environ), engines)
    return subprocess.run(_argv(*words), env=environ, check=False, stdout=output, stderr=output).returncode


def _answer(engines: Engines, *words: str) -> str:
    """Return what Compose prints; nothing where it fails."""
    environ = environment(dict(os.environ), engines)
    return subprocess.run(_argv(*words), env=environ, check=False, capture_output=True, text=True).stdout


def _argv(*words: str) -> list[str]:
    files = [word for path in (COMPOSE, STATE / "more.yaml") if path.is_file() for word in ("--file", str(path))]
    return [*command(), "--project-directory", str(ROOT), *files, *words]


def environment(words: dict[str, str], engines: Engines) -> dict[str, str]:
    """Fill in what compose.yaml asks for."""
    base = words.get("FARM_BASE", farm_base.IMAGE)
    group = str(engines.builds.stat().st_gid) if engines.builds.is_socket() else "0"
    own = {
        "DOCKER_HOST": engines.services,
        "FARM_BASE": base,
        "FARM_UID": str(farm_owner.owner(words, STATE)),
        "FARM_ARCHITECTURE": _architecture(),
        "FARM_ENGINE_GROUP": group,
        "FARM_ENGINE_MOUNT": str(engines.mount),
        "FARM_ENGINE_SOCKET": engines.builds.name,
        "FARM_ENGINE_TARGET": "/run/engine" if engines.mount.is_dir() else f"/run/engine/{engines.builds.name}",
        # The local base has everything: its build has no network. An engine of our own has only networks that are made.
        # The classic builder needs no image from a registry.
        "FARM_BUILD_NETWORK": "none" if base == farm_base.IMAGE else "host" if engines.own else "default",
        "DOCKER_BUILDKIT": words.get("DOCKER_BUILDKIT", "0"),
    }
    return {**words, **farm_settings.proxies(words), **own}


def _more_builders(count: int) -> None:
    """Write the services of the builders beyond those of compose.yaml."""
    lines = ["services:"]
    for number in range(LEAST_BUILDERS + 1, count + 1):
        name = f"builder-{number}"
        lines += [
            f"  {name}:",
            f"    extends: {{file: {COMPOSE}, service: builder-1}}",
            "    volumes: !override",
            "      - ./.state/farm/settings:/etc/rebuilder:ro",
            f"      - ./.state/farm/{name}:/state",
            f"      - {name}:/cache",
            "      - type: bind",
            "        source: ${FARM_ENGINE_MOUNT:-/var/run/docker.sock}",
            "        target: ${FARM_ENGINE_TARGET:-/run/engine/docker.sock}",
            "        read_only: true",
            "        bind: {create_host_path: false}",
        ]
    path = STATE / "more.yaml"
    if count <= LEAST_BUILDERS:
        path.unlink(missing_ok=True)
        return
    lines += ["volumes:"]
    lines += [f"  builder-{number}: {{labels: {{rebuilder: farm}}}}" for number in range(LEAST_BUILDERS + 1, count + 1)]
    path.write_text("\n".join([*lines, ""]))


def _suites() -> list[str]:
    return os.environ.get("FARM_SUITES", SUITES).split()


def _terminal() -> list[str]:
    return [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]


def _builders() -> int:
    return max(int(os.environ.get("FARM_BUILDERS", LEAST_BUILDERS)), LEAST_BUILDERS)


def _architecture() -> str:
    done = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
