"""Settings: what wins over what, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.config import Archive, PackageRule, Settings, SuiteRule, load_settings, recipes_dir
from rebuilder.errors import ConfigurationError
from rebuilder.model import table


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings of the person who runs it."""
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rebuilder.toml"
    path.write_text(text)
    return path


def _faults(text: str, tmp_path: Path, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(_file(tmp_path, text), environment=environment or {})
    return str(caught.value)


def test_without_any_file_there_are_defaults(tmp_path: Path) -> None:
    """The cache, the state and the results have places, and the policy is strict."""
    settings = load_settings(environment={})
    assert settings.cache == tmp_path / "xdg_cache_home" / "rebuilder"
    assert settings.state == tmp_path / "xdg_state_home" / "rebuilder"
    assert settings.results == tmp_path / "results"
    assert settings.engine is None
    assert not settings.policy.accept_expired


def test_later_sources_win(tmp_path: Path) -> None:
    """Options win over the environment, the environment over the file, the file over defaults."""
    path = _file(tmp_path, 'jobs = 1\nreport_timeout = "1 min"\ncache_budget = "1 GiB"')
    environment = {"REBUILDER_JOBS": "2", "REBUILDER_REPORT_TIMEOUT": "2 min"}
    settings = load_settings(path, {"jobs": 3, "engine": None}, environment=environment)
    assert (settings.jobs, settings.report_timeout_s, settings.cache_budget_bytes) == (3, 120, 1024**3)


def test_the_engine_of_the_file_wins_over_docker_host(tmp_path: Path) -> None:
    """DOCKER_HOST is for every program; what was said to rebuilder itself is nearer."""
    address = {"DOCKER_HOST": "unix:///general.sock"}
    assert load_settings(environment=address).engine == "unix:///general.sock"
    path = _file(tmp_path, 'engine = "unix:///ours.sock"')
    assert load_settings(path, environment=address).engine == "unix:///ours.sock"
    assert (
        load_settings(path, environment={**address, "REBUILDER_ENGINE": "unix:///now.sock"}).engine
        == "unix:///now.sock"
    )


def test_files_are_found_where_one_stands_and_by_variable(tmp_path: Path) -> None:
    """`./rebuilder.toml` is read unasked; REBUILDER_CONFIG names another; --config wins over both."""
    _file(tmp_path, "jobs = 4")
    other, third = tmp_path / "other.toml", tmp_path / "third.toml"
    other.write_text("jobs = 5")
    third.write_text("jobs = 6")
    assert load_settings(environment={}).jobs == 4
    assert load_settings(environment={"REBUILDER_CONFIG": str(other)}).jobs == 5
    assert load_settings(third, environment={"REBUILDER_CONFIG": str(other)}).jobs == 6


def test_tables_quantities_and_archives_are_read(tmp_path: Path) -> None:
    """Sizes and durations are read as people write them; relative paths start at the file."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/frozen.gpg").touch()
    path = _file(
        tmp_path,
        """
        results = "published"
        [limits]
        memory = "512 MiB"
        wall = "90 min"
        cpus = 1
        [policy]
        unknown_freshness_max_age = "30 d"
        dsc_signature = "require"
        [debian]
        developer_keyrings = ["keys/developers.gpg"]
        [[debian.archives]]
        label = "frozen"
        uri = "http://127.0.0.1:8000/debian"
        suites = ["trixie"]
        keyrings = ["keys/frozen.gpg"]
        """,
    )
    settings = load_settings(
        path, environment={"REBUILDER_POLICY_ACCEPT_EXPIRED": "yes", "REBUILDER_LIMITS_PIDS": "64"}
    )
    assert settings.results == tmp_path / "published"
    assert (settings.limits.memory_bytes, settings.limits.wall_s, settings.limits.cpus) == (512 * 1024**2, 5400, 1.0)
    assert settings.limits.pids == 64
    assert settings.policy.accept_expired
    assert settings.policy.unknown_freshness_max_age == timedelta(days=30)
    assert settings.policy.dsc_signature == "require"
    assert settings.debian.developer_keyrings == (tmp_path / "keys/developers.gpg",)
    assert settings.debian.archives == (
        Archive(
            label="frozen",
            uri="http://127.0.0.1:8000/debian",
            suites=("trixie",),
            keyrings=(tmp_path / "keys/frozen.gpg",),
        ),
    )


def test_every_fault_of_every_archive_is_reported_at_once(tmp_path: Path) -> None:
    """A label that is a path, an address that cannot be fetched from, no suites, keyrings that are not there."""
    message = _faults(
        """
        [debian]
        snapshot = "rsync://127.0.0.1/"
        [[debian.archives]]
        label = "../up"
        uri = "ftp://archive.test/debian"
        suites = []
        keyrings = ["one.gpg", "two.gpg"]
        [[debian.archives]]
        label = "a/b"
        uri = "/srv/debian"
        suites = ["trixie", "../../etc", ""]
        components = ["main contrib"]
        """,
        tmp_path,
    )
    for part in (
        "9 settings are wrong",
        "debian.snapshot: expected an address with http://, https:// or file:///, found 'rsync://127.0.0.1/'",
        "debian.archives[1].label: expected letters, digits, spaces and . _ + - (at most 64), found '../up'",
        "debian.archives[1].uri: expected an address with http://, https:// or file:///, found 'ftp://archive.test/",
        "debian.archives[1].suites: expected at least one name, found none",
        f"debian.archives[1].keyrings: no such file: {tmp_path}/one.gpg, {tmp_path}/two.gpg",
        "debian.archives[2].label: expected letters",
        "debian.archives[2].uri: expected an address with http://, https:// or file:///, found '/srv/debian'",
        "debian.archives[2].suites: expected names, found '../../etc', ''",
        "debian.archives[2].components: expected names, found 'main contrib'",
    ):
        assert part in message


_PINNED = f"127.0.0.1:5000/team/base@sha256:{'0' * 64}"


def test_images_are_chosen_by_suite(tmp_path: Path) -> None:
    """A table under the names of suites; the variable has the same as words, and replaces it."""
    path = _file(tmp_path, f'[debian.images]\ntrixie = "{_PINNED}"\n"trixie/updates" = "{_PINNED}"')
    both = (("trixie", _PINNED), ("trixie/updates", _PINNED))
    assert load_settings(path, environment={}).debian.images == both
    words = {"REBUILDER_DEBIAN_IMAGES": f"sid={_PINNED}, forky={_PINNED}"}
    assert load_settings(path, environment=words).debian.images == (("sid", _PINNED), ("forky", _PINNED))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('"debian:trixie"', "expected an image as NAME@sha256: and 64 hexadecimal digits, found 'debian:trixie'"),
        (f'"{_PINNED.replace("@", ":tag@")}"', "expected an image as NAME@sha256:"),
        (f'"--privileged@{_PINNED.partition("@")[2]}"', "expected an image as NAME@sha256:"),
        (f'"{"a" * 400}@{_PINNED.partition("@")[2]}"', "expected an image as NAME@sha256:"),
        ("7", "expected text for trixie, found 7"),
        (f'{{deeper = "{_PINNED}"}}', "expected text for trixie, found a table"),
    ],
)
def test_an_image_that_is_not_pinned_is_refused(value: str, problem: str, tmp_path: Path) -> None:
    """A tag means another image tomorrow; a tag beside a digest is checked by nobody."""
    assert f"debian.images: {problem}" in _faults(f"[debian.images]\ntrixie = {value}", tmp_path)


def test_a_suite_of_an_image_is_named_in_full(tmp_path: Path) -> None:
    """No pattern, no path, no word without a value, no list."""
    for text in (f'"*" = "{_PINNED}"', f'"../x" = "{_PINNED}"'):
        assert "debian.images: expected the name of a suite" in _faults(f"[debian.images]\n{text}", tmp_path)
    assert "debian.images: expected a table, found ['a']" in _faults('debian.images = ["a"]', tmp_path)
    words = {"REBUILDER_DEBIAN_IMAGES": "trixie"}
    assert "REBUILDER_DEBIAN_IMAGES: expected NAME=VALUE, found 'trixie'" in _faults("", tmp_path, words)


@pytest.mark.parametrize(
    "uri",
    ["http://", "https:///debian", "file://debian", "file:", "http://[::1", "http://a.test:x/", "http://a.test/\u202e"],
)
def test_an_address_that_is_none_is_refused(uri: str, tmp_path: Path) -> None:
    """No host, no path, a port that is none, brackets that do not close, a character that is not seen."""
    text = f'[[debian.archives]]\nlabel = "a"\nsuites = ["trixie"]\nuri = "{uri}"'
    assert "debian.archives[1].uri: " in _faults(text, tmp_path)


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:80/debian", "https://archive.test", "file:///srv/debian", "http://[::1]/"]
)
def test_an_address_is_taken(uri: str, tmp_path: Path) -> None:
    """The three schemes that are fetched from, and patterns of suites."""
    text = f'[[debian.archives]]\nlabel = "our archive"\nsuites = ["*", "*-security", "trixie/updates"]\nuri = "{uri}"'
    assert load_settings(_file(tmp_path, text), environment={}).debian.archives[0].uri == uri


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    """One run shows a person everything that is wrong, by key path, with the near name."""
    message = _faults(
        """
        jbos = 1
        cache_budget = "plenty"
        [limits]
        memroy = "1 GiB"
        pids = 0
        cpus = "two"
        [policy]
        dsc_signature = "maybe"
        accept_expired = 1
        [[debian.archives]]
        label = "no address"
        """,
        tmp_path,
        {"REBUILDER_JOSB": "1", "REBUILDER_POLICY_SECOND_OPINION": "perhaps"},
    )
    for part in (
        "11 settings are wrong",
        "jbos: unknown key; did you mean jobs?",
        "cache_budget: expected a size such as 512 MiB or 20 GiB, found 'plenty'",
        "limits.memroy: unknown key; did you mean memory?",
        "limits.pids: expected more than 0, found 0",
        "limits.cpus: expected a number, found 'two'",
        "policy.dsc_signature: expected record or require, found 'maybe'",
        "policy.accept_expired: expected true or false, found 1",
        "debian.archives[1].uri: this key is required",
        "debian.archives[1].suites: this key is required",
        "REBUILDER_JOSB: unknown variable; did you mean REBUILDER_JOBS?",
        "REBUILDER_POLICY_SECOND_OPINION: expected true or false, found 'perhaps'",
    ):
        assert part in message


def test_values_that_would_fail_far_later_are_refused_at_loading(tmp_path: Path) -> None:
    """Another's home, numbers that end nowhere, limits below any engine's, addresses of no kind: all named at once."""
    message = _faults(
        """
        results = "~nosuch-user/x"
        state = "a\\u0000b"
        engine = "ftp://x"
        jobs = 99999999999
        cache_budget = "999999999999 TiB"
        report_timeout = "999999999999 s"
        policy.unknown_freshness_max_age = "40000 d"
        debian.snapshot = "file:///srv/snapshot"
        [limits]
        cpus = nan
        memory = "1 B"
        pids = 99999999999
        wall = "4000 d"
        """,
        tmp_path,
        {"REBUILDER_LIMITS_CPUS": "inf"},
    )
    for part in (
        "13 settings are wrong",
        "results: expected the home directory of somebody who is here, found '~nosuch-user/x'",
        "state: expected a path, found 'a\\x00b'",
        "engine: expected unix:///PATH, tcp://HOST:PORT, http://… or https://…, found 'ftp://x'",
        "jobs: expected 0 to 4096, found 99999999999",
        "cache_budget: expected 1 B to 1024 TiB, found",
        "report_timeout: expected more than 0 s and at most 3650 d",
        "policy.unknown_freshness_max_age: expected at most 36500 d, found 40000 d",
        "debian.snapshot: expected an address with http:// or https://, found 'file:///srv/snapshot'",
        "limits.cpus: expected a number that ends, found nan",
        "environment: limits.cpus: expected a number that ends, found inf",
        "limits.memory: expected 6 MiB to 1024 TiB, found 1 B",
        "limits.pids: expected 1 to 4194304, found 99999999999",
        "limits.wall: expected more than 0 s and at most 3650 d",
    ):
        assert part in message


def test_an_option_that_is_out_of_bounds_is_named(tmp_path: Path) -> None:
    """`-j 99999999999` and `--results ~nosuch/x` are faults of the command line, not of the program."""
    with pytest.raises(ConfigurationError, match="command line: jobs: expected 0 to 4096") as caught:
        load_settings(overrides={"jobs": 99999999999, "results": Path("~nosuch-user/x")}, environment={})
    assert "command line: results: expected the home directory" in str(caught.value)


def test_a_general_engine_of_no_kind_is_named_only_when_it_is_used(tmp_path: Path) -> None:
    """DOCKER_HOST is judged as the engine's key is, unless the file names another engine."""
    with pytest.raises(ConfigurationError, match="environment: DOCKER_HOST: expected unix:///PATH"):
        load_settings(environment={"DOCKER_HOST": "ftp://x"})
    path = _file(tmp_path, 'engine = "tcp://127.0.0.1:2375"')
    assert load_settings(path, environment={"DOCKER_HOST": "ftp://x"}).engine == "tcp://127.0.0.1:2375"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("jobs = [", "not TOML"),
        ('limits = "big"', "limits: expected a table, found 'big'"),
        ("debian.archives = 3", "debian.archives: expected a list of tables, found 3"),
        ("debian.archives = [3]", "debian.archives[1]: expected a table, found 3"),
        ("jobs = true", "jobs: expected a whole number, found True"),
        ('results = ""', "results: expected a path, found ''"),
        ("jobs = -1", "jobs: expected at least 0, found -1"),
        ('debian.developer_keyrings = "one.gpg"', "debian.developer_keyrings: expected a list, found 'one.gpg'"),
        ("farm.quorum = 100", "farm: expected a quorum between 1 and 16, found 100"),
        ('farm.heartbeat = "5 min"', "farm: expected a heartbeat shorter than the lease of 300 s, found 300 s"),
        ('farm.database = "mysql://x@h/d"', "expected postgresql://USER@HOST/NAME, found 'mysql://x@h/d'"),
        ('farm.database = "postgresql://x:y@h/d"', "without a password, found one; put it into a file"),
        ('farm.broker = "redis:///0"', "expected redis://USER@HOST:PORT/NUMBER, found 'redis:///0'"),
        (
            'policy.unknown_freshness_max_age = "30"',
            "expected a duration such as 90 s, 10 min, 2 h or 30 d, found '30'",
        ),
    ],
)
def test_a_wrong_value_says_what_was_expected(text: str, part: str, tmp_path: Path) -> None:
    """Types are never coerced."""
    assert part in _faults(text, tmp_path)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """A misspelt --config is an error, not the defaults."""
    with pytest.raises(ConfigurationError, match=r"absent\.toml: No such file"):
        load_settings(tmp_path / "absent.toml", environment={})


def test_an_option_is_checked_like_a_key() -> None:
    """The command line cannot set what the file could not."""
    with pytest.raises(ConfigurationError, match="command line: jobs: expected at least 0"):
        load_settings(overrides={"jobs": -2}, environment={})


def test_recipes_are_found_from_the_checkout() -> None:
    """The data directory is named `recipes` beside the package, or `_recipes` inside an installed one."""
    assert recipes_dir().name in {"recipes", "_recipes"}


_ROOT = Path(__file__).resolve().parent.parent


def test_the_documentation_names_every_key_and_no_other() -> None:
    """docs/CONFIGURATION.md is as long as the settings are."""
    text = (_ROOT / "docs" / "CONFIGURATION.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE))
    lists = {key.path for kind in (Archive, PackageRule, SuiteRule) for key in table.keys(kind)}
    assert documented == {key.path for key in table.keys(Settings)} | lists


def test_documented_defaults_are_the_defaults() -> None:
    """A default that is written as TOML in the documentation gives the setting without a file."""
    text = (_ROOT / "docs" / "CONFIGURATION.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+(?:\.[a-z_]+)?)` \| `([^`]+)` \|", text, re.MULTILINE)
    written = [
        f"{key} = {value}"
        for key, value in rows
        if (value[0] in '"0123456789tf' and "." in key) or key in {"jobs", "cache_budget"}
    ]
    path = Path("documented.toml")
    path.write_text("\n".join(written))
    assert len(written) > 15
    assert load_settings(path, environment={}) == load_settings(environment={})


def test_the_example_is_a_file_that_can_be_used(tmp_path: Path) -> None:
    """And it changes nothing but where relative results are."""
    example = load_settings(_ROOT / "rebuilder.toml.example", environment={})
    assert replace(example, results=tmp_path) == replace(load_settings(environment={}), results=tmp_path)
