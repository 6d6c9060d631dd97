"""The farm's compose file and Dockerfile: what is promised about them in docs/FARM.md holds for every service."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rebuilder.doctor.packages import Need, load_packages
from tools import compose, farm, farm_base, farm_owner, farm_secrets
from tools.farm_engine import Engines

ROOT = Path(__file__).resolve().parent.parent.parent
BY_HAND = {"operator"}
OWNER = "{0}:{0}".format(farm_owner.owner({}, farm.STATE))
CAGE = ["no-new-privileges:true", "seccomp:./deploy/cage.json"]
NOWHERE = Engines(services="unix:///nonexistent", builds=Path("/var/run/docker.sock"), own=False)


def read(*words: str, engines: Engines = NOWHERE) -> dict[str, Any]:
    """Let Compose read the file, as `make up` does."""
    done = subprocess.run(
        [*compose.command(), "--file", str(ROOT / "compose.yaml"), *words, "config", "--format", "json"],
        env=farm.environment({"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}, engines),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """Give what `make up` starts."""
    return read()


@pytest.fixture(scope="module")
def by_hand() -> dict[str, Any]:
    """Give the services that run for a moment, when a person says so."""
    return {name: service for name, service in read("--profile", "*")["services"].items() if name in BY_HAND}


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_no_service_has_privileges(config: dict[str, Any]) -> None:
    """Read-only root, no capability, no new privileges, not root, a limit of processes, a health check: all of them.

    Only who bootstraps is root and has capabilities.
    """
    for name, service in config["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert ("cap_add" in service) == (name == "bases"), name
        assert "privileged" not in service, name
        assert service["security_opt"][0] == "no-new-privileges:true", name
        assert service["user"] == ("0:0" if name == "bases" else OWNER), name
        assert service["pids_limit"] <= 512, name
        assert service["healthcheck"]["test"], name


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_only_who_opens_archives_may_make_a_namespace(config: dict[str, Any]) -> None:
    """Comparer and planner have the filter that lets a child be cut off; everybody else has the engine's own."""
    filters = {name: service["security_opt"][1:] for name, service in config["services"].items() if name != "bases"}
    assert {name for name, words in filters.items() if words} == {"comparer", "planner"}
    assert filters["comparer"] == filters["planner"] == CAGE[1:]


def test_the_filter_lets_one_kind_of_namespace_be_made() -> None:
    """CLONE_NEWUSER with CLONE_NEWNET by unshare, none by clone; no call by which its root would reach further."""
    profile = json.loads((ROOT / "deploy" / "cage.json").read_text())
    rules = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ERRNO"]
    assert len(rules) == len(profile["syscalls"])
    (unshare,) = (rule for rule in rules if rule["names"] == ["unshare"])
    assert unshare["args"] == [{"index": 0, "value": 0x10000000 | 0x40000000, "op": "SCMP_CMP_NE"}]
    clone = {rule["args"][0]["value"] for rule in rules if rule["names"] == ["clone"]}
    assert sum(clone) == 0x7E020000
    whole = {name for rule in rules if "args" not in rule for name in rule["names"]}
    assert {"mount", "setns", "chroot", "bpf", "keyctl", "ptrace", "clone3", "io_uring_setup"} <= whole


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_only_the_signer_mounts_the_attestation_key(config: dict[str, Any]) -> None:
    """Not by name, and not by a directory that holds it."""
    holders = {
        name
        for name, service in config["services"].items()
        if any(secret["source"] == "attestation_key" for secret in service.get("secrets", ()))
    }
    assert holders == {"signer"}
    for name, service in config["services"].items():
        for volume in service.get("volumes", ()):
            assert not re.search(r"/farm/?$|secrets|attestation", volume["source"]), (name, volume)


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_only_builders_and_planner_reach_an_engine(config: dict[str, Any]) -> None:
    """The socket is mounted where builds are run, and nowhere else."""
    holders = {
        name
        for name, service in config["services"].items()
        if any(volume["target"].startswith("/run/engine") for volume in service.get("volumes", ()))
    }
    assert holders == {"planner", "builder-1", "builder-2"}


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_an_engines_socket_is_never_made_by_mounting_it(config: dict[str, Any]) -> None:
    """Where it is missing nothing is started, and no directory takes its place, which would keep the engine out."""
    for name in ("planner", "builder-1", "builder-2"):
        (mount,) = (volume for volume in config["services"][name]["volumes"] if "/run/engine" in volume["target"])
        assert mount["type"] == "bind"
        assert mount["read_only"] is True
        assert not mount["bind"].get("create_host_path", False)


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_roles_look_for_the_engine_where_it_is_mounted(tmp_path: Path) -> None:
    """A lone socket is mounted with its directory, another one by itself; builders beyond two the same way."""
    for lone, target in ((True, "/run/engine"), (False, "/run/engine/own.sock")):
        place = tmp_path / str(lone)
        place.mkdir()
        (place / "own.sock").touch()
        if not lone:
            (place / "other").touch()
        engines = Engines(services="unix:///nonexistent", builds=place / "own.sock", own=False)
        service = read(engines=engines)["services"]["builder-2"]
        assert service["environment"]["REBUILDER_ENGINE"] == "unix:///run/engine/own.sock"
        (mount,) = (volume for volume in service["volumes"] if "/run/engine" in volume["target"])
        assert (mount["source"], mount["target"]) == (str(place if lone else place / "own.sock"), target)


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_networks_keep_roles_apart(config: dict[str, Any]) -> None:
    """The coordinator alone reaches the ledger, planner and bootstrap the outside; one port, on loopback."""
    reach: dict[str, set[str]] = {}
    for name, service in config["services"].items():
        for network in service["networks"]:
            reach.setdefault(network, set()).add(name)
    assert reach["ledger"] == {"postgres", "coordinator"}
    assert reach["mirrors"] == {"planner", "bases"}
    assert reach["front"] == {"web"}
    assert {name for name, network in config["networks"].items() if network.get("internal")} == {"farm", "ledger"}
    ports = {name: service["ports"] for name, service in config["services"].items() if service.get("ports")}
    assert list(ports) == ["web"]
    assert ports["web"][0]["host_ip"] == "127.0.0.1"


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_what_runs_by_hand_is_not_started(config: dict[str, Any], by_hand: dict[str, Any]) -> None:
    """The operator's verbs are no part of a running farm."""
    assert set(by_hand) == BY_HAND
    assert not BY_HAND & set(config["services"])
    for name, service in by_hand.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["restart"] == "no", name
        assert "ports" not in service, name
        assert not any(volume["target"].startswith("/run/engine") for volume in service["volumes"]), name


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_the_operator_has_the_ledger_and_no_privilege(by_hand: dict[str, Any]) -> None:
    """His verbs write into the ledger and read archives and results; he wakes nobody, signs nothing and is not root."""
    operator = by_hand["operator"]
    assert "cap_add" not in operator
    assert operator["user"] == OWNER
    assert operator["security_opt"] == CAGE
    assert set(operator["networks"]) == {"ledger", "mirrors"}
    assert [secret["source"] for secret in operator["secrets"]] == ["postgres_password"]
    assert {volume["target"] for volume in operator["volumes"] if volume.get("read_only")} == {
        "/etc/rebuilder",
        "/results",
    }


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_the_bootstrap_has_privileges_and_nothing_to_take(config: dict[str, Any]) -> None:
    """It is root in its container and may mount there: so it has no secret, no engine, no ledger and no farm.

    Nobody talks to it: it listens on its own loopback, for its health.
    """
    bases = config["services"]["bases"]
    assert bases["command"] == ["--host", "127.0.0.1", "bases"]
    assert "ports" not in bases
    assert "privileged" not in bases
    assert "NET_ADMIN" not in bases["cap_add"]
    assert "secrets" not in bases
    assert set(bases["networks"]) == {"mirrors"}
    assert {volume["source"] for volume in bases["volumes"] if volume["type"] == "volume"} == {"planner-cache"}
    paths = {Path(volume["source"]).name for volume in bases["volumes"] if volume["type"] == "bind"}
    assert paths == {"settings", "bases"}


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_every_role_reads_the_settings_and_none_writes_them(config: dict[str, Any]) -> None:
    """One directory, mounted for reading, wherever the program of the farm runs with a coordinator."""
    for name, service in config["services"].items():
        if "REBUILDER_FARM_COORDINATOR" not in service.get("environment", {}):
            continue
        found = [volume for volume in service["volumes"] if volume["target"] == "/etc/rebuilder"]
        assert [volume["read_only"] for volume in found] == [True], name
        assert service["environment"]["REBUILDER_CONFIG"] == "/etc/rebuilder/rebuilder.toml"


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_every_role_has_its_own_broker_user(config: dict[str, Any]) -> None:
    """The user in the address, the password that is mounted and the user that Redis knows are the same."""
    for name, service in config["services"].items():
        broker = service.get("environment", {}).get("REBUILDER_FARM_BROKER")
        if broker is None:
            continue
        user = broker.partition("://")[2].partition("@")[0]
        assert user in farm_secrets.BROKER_USERS, name
        sources = {secret["source"] for secret in service["secrets"] if secret["target"].endswith("broker_password")}
        assert sources == {f"broker_{user}"}, name


def test_the_images_have_what_a_verification_needs() -> None:
    """deploy/packages names each package that the doctor calls required or recommended for root."""
    wanted = {
        package.name
        for package in load_packages()
        if package.need in {Need.REQUIRED, Need.RECOMMENDED} and not package.only_without_root
    }
    assert wanted <= set(farm_base.packages())


def test_the_images_are_made_without_the_checkout() -> None:
    """What the Dockerfile copies is what .dockerignore lets in: no keys, no results, no sources."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for path in " ".join(copied).split():
        assert any(path == each or path.startswith(f"{each}/") for each in allowed), path


def test_wheels_are_chosen_for_the_images_python() -> None:
    """A dependency of older Pythons is fetched when the images' is one, with its hashes and without its marker."""
    lock = (
        "# made by hand\n"
        "kept==1 \\\n    --hash=sha256:aa\n    # via x\n"
        "old==2 ; python_full_version < '3.11.3' \\\n    --hash=sha256:bb\n"
        "other==3 ; sys_platform == 'win32' \\\n    --hash=sha256:cc\n"
        "last==4 \\\n    --hash=sha256:dd\n"
    )
    text = farm.for_base(lock)
    assert re.findall(r"^(\w+)==", text, re.MULTILINE) == ["kept", "old", "last"]
    assert ";" not in text
    assert re.findall(r"sha256:(\w+)", text) == ["aa", "bb", "dd"]
