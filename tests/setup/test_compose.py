"""The farm's compose file and Dockerfile: what is promised about them in docs/FARM.md holds for every service."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rebuilder.doctor.packages import Need, load_packages
from tools import compose, farm, farm_base, farm_secrets

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """Let Compose read the file, as `make up` does."""
    done = subprocess.run(
        [*compose.command(), "--file", str(ROOT / "compose.yaml"), "config", "--format", "json"],
        env=farm.environment({"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_no_service_has_privileges(config: dict[str, Any]) -> None:
    """Read-only root, no capability, no new privileges, not root, a limit of processes, a health check: all of them."""
    for name, service in config["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert "privileged" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"] == "1000:1000", name
        assert service["pids_limit"] <= 512, name
        assert service["healthcheck"]["test"], name


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
        if any(volume["target"] == "/run/engine.sock" for volume in service.get("volumes", ()))
    }
    assert holders == {"planner", "builder-1", "builder-2"}


@pytest.mark.live  # where Compose is not installed, apt fetches it
def test_networks_keep_roles_apart(config: dict[str, Any]) -> None:
    """The coordinator alone reaches the ledger, the planner the outside; one port is published, on loopback."""
    reach: dict[str, set[str]] = {}
    for name, service in config["services"].items():
        for network in service["networks"]:
            reach.setdefault(network, set()).add(name)
    assert reach["ledger"] == {"postgres", "coordinator"}
    assert reach["mirrors"] == {"planner"}
    assert reach["front"] == {"web"}
    assert {name for name, network in config["networks"].items() if network.get("internal")} == {"farm", "ledger"}
    ports = {name: service["ports"] for name, service in config["services"].items() if service.get("ports")}
    assert list(ports) == ["web"]
    assert ports["web"][0]["host_ip"] == "127.0.0.1"


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
