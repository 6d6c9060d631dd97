"""A container engine for this machine: `python -m tools.engine up|down|status|address [--root DIRECTORY [--networks]]`.

    up        use the engine that answers (DOCKER_HOST, Docker's socket, Podman's); else, as root on Debian or Ubuntu,
              install docker.io and start it; else say what to do
    down      stop the engine that `up` of this checkout started, and no other
    status    say which engine answers
    address   print its address alone, for DOCKER_HOST

`--root` is an engine of its own with everything under one directory, beside whatever else runs: for builds alone, or
with `--networks` for a farm's services.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys
from pathlib import Path

from rebuilder.doctor.engine import Answer, Silence, ask, default_addresses, first_answer
from rebuilder.world import process
from tools import daemon
from tools.daemon import EngineError, Place

APT_INSTALL = Path(__file__).with_name("apt-install")
BY_HAND = """\
no container engine answers, and one is started only by root on Debian or Ubuntu. Choose:
  sudo make engine                                      install Debian's docker.io and start it
  export DOCKER_HOST=unix:///run/user/$(id -u)/podman/podman.sock; systemctl --user start podman.socket
                                                        use Podman without root (docs/GUIDE.md says what it needs)
  export DOCKER_HOST=tcp://ADDRESS:2375                 use an engine elsewhere"""


def main(words: list[str]) -> int:
    """Do what the verb says; 0 when an engine answers (or is stopped), 4 when none does."""
    parser = argparse.ArgumentParser(prog="tools.engine", description=__doc__)
    parser.add_argument("verb", choices=("up", "down", "status", "address"))
    parser.add_argument("--root", type=Path, help="an engine of its own, under this directory")
    parser.add_argument("--networks", action="store_true", help="whose containers may have networks; needs --root")
    options = parser.parse_args(words)
    if options.networks and not options.root:
        parser.error("--networks needs --root")
    place = daemon.below(options.root.absolute(), networks=options.networks) if options.root else daemon.DEFAULT
    addresses = (place.address,) if options.root else chosen_addresses()
    try:
        match options.verb:
            case "up":
                print(_sentence(up(place, addresses)), flush=True)
                return 0
            case "down":
                return down(place)
            case "status":
                return status(addresses)
            case _:
                return address(addresses)
    except EngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 4


def up(place: Place, addresses: tuple[str, ...]) -> Answer:
    """Return an engine that answers, started if need be; raise EngineError when there is none to be had."""
    found = first_answer(addresses)
    if found is not None:
        return found
    if place.address not in addresses:
        raise EngineError(f"DOCKER_HOST is {addresses[0]}, and nothing answers there; start it, or unset DOCKER_HOST")
    silence = ask(place.address)
    if os.geteuid() != 0 or process.find("apt-get") is None:
        raise EngineError(_why_not(silence))
    place.state.mkdir(parents=True, exist_ok=True)
    with (place.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return first_answer(addresses) or _install_and_start(place)


def down(place: Place) -> int:
    """Stop what we started; what another checkout started is in use there."""
    other = daemon.anothers(place)
    if other is not None:
        print(f"engine: left the one running that {other} started; `make down` there stops it")
    elif daemon.stop(place):
        print("engine: stopped the engine that `make engine` had started")
    else:
        print("engine: nothing to stop: no engine here was started by `make engine` of this checkout")
    return 0


def status(addresses: tuple[str, ...]) -> int:
    """Say what answers, and where nothing does."""
    found = first_answer(addresses)
    if found is not None:
        print(_sentence(found))
        return 0
    for silence in map(ask, addresses):
        if isinstance(silence, Silence):
            print(f"engine: {silence.address}: {silence.reason}")
    return 4


def address(addresses: tuple[str, ...]) -> int:
    """Print where the engine is that a verification would use."""
    found = first_answer(addresses)
    if found is None:
        return 4
    print(found.address)
    return 0


def chosen_addresses() -> tuple[str, ...]:
    """Where to ask: what DOCKER_HOST says, and nowhere else, or the usual places."""
    chosen = os.environ.get("DOCKER_HOST")
    return (chosen,) if chosen else default_addresses()


def _install_and_start(place: Place) -> Answer:
    if process.find("dockerd") is None:
        print("engine: no container engine answers; installing Debian's docker.io", flush=True)
        if subprocess.run([APT_INSTALL, "docker.io"], check=False).returncode != 0:
            raise EngineError("docker.io could not be installed")
        # The package's own scripts may have started it as a service of the machine.
        answer = daemon.wait_for(place.address, 3, alive=lambda: bool(daemon.running("dockerd")))
        if answer is not None:
            return _adopt(place, answer)
    if Path("/run/systemd/system").is_dir() and place.data is None:
        print("engine: starting the docker service (`make down` stops it)", flush=True)
        subprocess.run(["systemctl", "start", "docker.service"], check=False)
        answer = daemon.wait_for(place.address, daemon.START_S, alive=lambda: True)
        if answer is None:
            raise EngineError("the docker service does not come up; see `journalctl -u docker`")
        return _adopt(place, answer)
    print(f"engine: starting dockerd, log in {place.log} (`make down` stops it)", flush=True)
    return daemon.start(place)


def _adopt(place: Place, answer: Answer) -> Answer:
    """Note that the service which runs now runs because of us."""
    for pid in daemon.running("dockerd"):
        daemon.write_record(place, pid, service=Path("/run/systemd/system").is_dir())
    return answer


def _why_not(silence: Answer | Silence) -> str:
    """Say what an ordinary user can do: use the engine that is there, or choose another."""
    if isinstance(silence, Answer):
        return BY_HAND
    forbidden = "may not" in silence.reason
    return f"{silence.address}: {silence.reason}\n  {silence.hint if forbidden else BY_HAND}"


def _sentence(answer: Answer) -> str:
    return (
        f"engine: {answer.name} {answer.version} answers at {answer.address} "
        f"(cgroup v{answer.cgroup}, storage {answer.storage})"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
