"""What `make up` finds out about this machine: its engines, its archives, its proxies."""

from __future__ import annotations

import socket
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.config import Archive, load_settings
from rebuilder.origins.debian.mirrors import configured_archives
from tests.doctor.test_engine import bodies, engine
from tools import daemon, farm, farm_engine, farm_settings
from tools.daemon import EngineError
from tools.farm_settings import SettingsError

CLIENT = """\
#!/bin/sh
[ "$3 $4" = "network ls" ] && printf '%s\\n' {networks}
"""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a directory with a short path whose `docker` is the only program of that name, and where .state is."""
    with tempfile.TemporaryDirectory(prefix="farm-") as name:
        root = Path(name)
        monkeypatch.setenv("PATH", f"{root}:/usr/bin:/bin")
        monkeypatch.setattr(farm_engine, "PLACE", daemon.below(root / "engine", networks=True))
        monkeypatch.chdir(root)
        yield root
        monkeypatch.undo()


def client(machine: Path, networks: str) -> None:
    """Write a docker that knows these networks."""
    (machine / "docker").write_text(CLIENT.format(networks=networks))
    (machine / "docker").chmod(0o755)


def archives(machine: Path, monkeypatch: pytest.MonkeyPatch, *given: Archive) -> Path:
    """Let the machine use these archives; give the directory for the farm's settings."""
    monkeypatch.setattr(farm_settings, "configured_archives", lambda _: given)
    return machine / "settings"


def test_an_engine_with_networks_has_services_and_builds(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ordinary case: nothing is started beside it."""
    client(machine, "bridge other")
    with engine(machine / "docker.sock", bodies()) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        found = farm_engine.choose({})
    assert (found.services, found.builds, found.own) == (address, machine / "docker.sock", False)


def test_services_get_an_engine_where_builds_have_no_network(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine without even the ordinary network builds, and another one below .state has the services."""
    client(machine, "left-by-somebody")
    with engine(machine / "docker.sock", bodies()) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        found = farm_engine.choose({})
    assert (found.services, found.builds, found.own) == (farm_engine.PLACE.address, machine / "docker.sock", True)


def test_builds_may_have_an_engine_of_their_own(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FARM_ENGINE names its socket; something else than a socket is refused before anything is started."""
    client(machine, "bridge")
    with engine(machine / "docker.sock", bodies()) as address, engine(machine / "builds.sock", bodies()):
        monkeypatch.setenv("DOCKER_HOST", address)
        assert farm_engine.choose({"FARM_ENGINE": str(machine / "builds.sock")}).builds == machine / "builds.sock"
        with pytest.raises(EngineError, match="docker is no socket of an engine"):
            farm_engine.choose({"FARM_ENGINE": str(machine / "docker")})


@pytest.mark.parametrize("elsewhere", [False, True], ids=["usual", "below-a-directory"])
def test_an_engine_of_ours_is_mounted_by_its_lone_socket(
    *, elsewhere: bool, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers there as well, and the directory that is mounted outlives each of its sockets."""
    below = daemon.below(machine / "ours")
    place = below if elsewhere else replace(below, socket=machine / "usual.sock")
    monkeypatch.setattr(daemon, "DEFAULT", daemon.DEFAULT if elsewhere else place)
    place.lone.parent.mkdir(parents=True)
    client(machine, "bridge")
    with engine(place.socket, bodies()) as address, engine(place.lone, bodies()):
        monkeypatch.setenv("DOCKER_HOST", address)
        found = farm_engine.choose({})
    assert (found.builds, found.mount) == (place.lone, place.lone.parent)


def test_a_lone_socket_that_nobody_answers_at_is_a_killed_engines(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine that runs now is another: its own socket is mounted, for its directory has more in it."""
    place = daemon.below(machine / "ours")
    monkeypatch.setattr(daemon, "DEFAULT", place)
    place.lone.parent.mkdir(parents=True)
    client(machine, "bridge")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place.lone))
    with engine(place.socket, bodies()) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        found = farm_engine.choose({})
        assert (found.builds, found.mount) == (place.socket, place.socket)


def test_without_an_engine_nothing_is_begun(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to get one."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{machine}/absent.sock")
    with pytest.raises(EngineError, match="make engine"):
        farm_engine.choose({})


def test_a_farm_can_be_asked_while_its_builds_engine_is_away(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services' own engine answers: verbs go there; only `up` wants an engine to build with."""
    client(machine, "none-of-note")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{machine}/absent.sock")
    monkeypatch.setattr(daemon, "DEFAULT", daemon.below(machine / "ours"))
    farm_engine.PLACE.state.mkdir()
    with engine(farm_engine.PLACE.socket, bodies()) as address:
        found = farm_engine.choose({})
        assert (found.services, found.own) == (address, True)
        assert farm_engine.answers(found)
        with pytest.raises(EngineError, match="where builds are to run; `make engine`"):
            farm_engine.start(found)


def test_an_engine_elsewhere_cannot_be_mounted(machine: Path) -> None:
    """Its socket is on another machine: FARM_ENGINE must name one here."""
    del machine
    with pytest.raises(EngineError, match="FARM_ENGINE=/PATH"):
        farm_engine._socket({}, "tcp://192.0.2.1:2375")


def test_networks_are_refused_where_the_packet_filter_does_not_answer(machine: Path) -> None:
    """A kernel without netfilter cannot keep containers apart: said before dockerd is started, with a way out."""
    (machine / "iptables").write_text("#!/bin/sh\necho 'iptables: Protocol not supported' >&2\nexit 3\n")
    (machine / "iptables").chmod(0o755)
    (machine / "dockerd").write_text("#!/bin/sh\nexit 1\n")
    (machine / "dockerd").chmod(0o755)
    with pytest.raises(EngineError, match=r"need iptables.*Protocol not supported\n  set DOCKER_HOST"):
        daemon.start(farm_engine.PLACE)
    assert not farm_engine.PLACE.record.exists()


def test_a_directory_too_deep_for_sockets_is_named(machine: Path) -> None:
    """The kernel cuts a socket's name at 107 bytes; dockerd would fail with half of a name."""
    (machine / "dockerd").write_text("#!/bin/sh\nexit 1\n")
    (machine / "dockerd").chmod(0o755)
    with pytest.raises(EngineError, match="nearer to /"):
        daemon.start(daemon.below(machine / ("x" * daemon.LONGEST_ROOT)))


def test_the_archives_of_the_machine_become_the_farms(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is what a role reads: labels, addresses, suites, components, own keyrings beside it."""
    keyring = machine / "own.gpg"
    keyring.write_bytes(b"a certificate")
    given = (
        Archive(label="debian", uri="http://archive.test/debian", suites=("*",), components=("main", "contrib")),
        Archive(label="own", uri="https://archive.test/own", suites=("one",), keyrings=(keyring,)),
    )
    directory = archives(machine, monkeypatch, *given)
    farm_settings.prepare(directory)
    read = configured_archives(load_settings(directory / "rebuilder.toml", environment={}).debian)
    assert read[0] == given[0]
    assert (read[1].uri, read[1].keyrings) == (given[1].uri, (directory / "1-own.gpg",))
    assert (directory / "rebuilder.toml").stat().st_mode & 0o777 == 0o600


def test_settings_are_the_operators_once_they_are_written(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another mirror in apt's configuration changes nothing in a farm that has its settings."""
    directory = archives(machine, monkeypatch)
    directory.mkdir()
    (directory / "rebuilder.toml").write_text('[farm]\nrecheck = "90 d"\n')
    farm_settings.prepare(directory)
    assert tomllib.loads((directory / "rebuilder.toml").read_text()) == {"farm": {"recheck": "90 d"}}


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("file:///srv/debian", "a directory of this machine"),
        ("http://127.0.0.1:3142/debian", "loopback"),
        ("http://[::1]/debian", "loopback"),
        ("http://localhost/debian", "loopback"),
    ],
)
def test_an_archive_that_no_container_reaches_is_refused(
    uri: str, word: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named by its label, with the file to write another one into; nothing is written."""
    directory = archives(machine, monkeypatch, Archive(label="debian", uri=uri, suites=("*",)))
    with pytest.raises(SettingsError, match=word) as caught:
        farm_settings.prepare(directory)
    assert "settings/rebuilder.toml" in str(caught.value)
    assert uri not in str(caught.value)
    assert not (directory / "rebuilder.toml").exists()


def test_a_name_that_is_not_found_now_is_left_to_the_planner(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a resolver at this moment the settings are written all the same."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    directory = archives(machine, monkeypatch, Archive(label="debian", uri="http://archive.test/debian", suites=("*",)))
    farm_settings.prepare(directory)
    assert "archive.test" in (directory / "rebuilder.toml").read_text()


def test_proxies_come_from_the_environment_or_apt(machine: Path) -> None:
    """The environment first, in small letters or capitals; then apt's, whose DIRECT means none."""
    (machine / "apt-config").write_text(
        "#!/bin/sh\ncase $3 in *https*) echo \"$2='DIRECT'\";; *) echo \"$2='http://proxy.test:3128'\";; esac\n"
    )
    (machine / "apt-config").chmod(0o755)
    assert farm_settings.proxies({"NO_PROXY": "archive.test"}) == {
        "http_proxy": "http://proxy.test:3128",
        "https_proxy": "",
        "no_proxy": "archive.test",
    }
    assert farm_settings.proxies({"HTTP_PROXY": "http://other.test"})["http_proxy"] == "http://other.test"


def test_a_verb_needs_a_farm_that_runs(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the services' engine is not started, the message is `make up` and not a stranger's."""
    client(machine, "none-of-note")
    with engine(machine / "docker.sock", bodies()) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        with pytest.raises(EngineError, match="make up"):
            farm.do("rebuilder", ["status"])


def test_what_a_sync_imports_gets_its_base_images_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sync` of suites brings their bases up to date; a trial of one, and every other verb, does not."""
    ran: list[tuple[str, ...]] = []

    def compose(_engines: object, *words: str) -> int:
        ran.append(words[-2:] if "operator" in words else words[words.index("bases") :])
        return 0

    monkeypatch.setattr(farm, "compose", compose)
    monkeypatch.setattr(farm_engine, "answers", lambda _: True)
    engines = farm_engine.Engines(services="unix:///x", builds=Path("/x"), own=False)
    assert farm.operate(engines, ["sync", "deb:trixie-security"]) == 0
    assert farm.operate(engines, ["sync", "deb:trixie", "--dry-run"]) == 0
    assert farm.operate(engines, ["status"]) == 0
    assert ran == [
        ("bases", "bases", "trixie-security"),
        ("sync", "deb:trixie-security"),
        ("deb:trixie", "--dry-run"),
        ("operator", "status"),
    ]


def test_a_farm_is_stopped_when_nothing_answers_any_more(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The builds' engine is gone: `down` says so, and has stopped the services' engine all the same."""
    stopped: list[bool] = []
    monkeypatch.setattr(farm_engine, "stop", lambda: stopped.append(True))
    monkeypatch.setattr(farm, "STATE", machine)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{machine}/absent.sock")
    assert farm.main(["down"]) == 4
    assert stopped == [True]


def test_what_was_never_up_is_down(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without .state/farm no engine is asked: `make down` of a machine that has no farm goes on to its engine."""
    monkeypatch.setattr(farm, "STATE", machine / "absent")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{machine}/absent.sock")
    assert farm.main(["down"]) == 0
