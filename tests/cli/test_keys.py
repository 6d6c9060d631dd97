"""`rebuilder keys`: made once, shown, exported, and pinned by hand."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import enrolled
from rebuilder.cli.keys import ROLES
from tests.attest.factory import BUILDER, key_signer
from workers.roles.signer import fault_domains

Cli = Callable[..., tuple[int, str, str]]


def test_keys_are_made_once(cli: Cli, tmp_path: Path) -> None:
    """A second `init` changes nothing; private keys are for their owner alone."""
    code, out, _ = cli("keys", "init", "--json")
    first = {each["role"]: each["keyid"] for each in json.loads(out)["keys"]}
    assert code == 0
    assert set(first) == {"attestation", "builder"}
    again = json.loads(cli("keys", "init", "--json")[1])["keys"]
    assert {each["role"]: each["keyid"] for each in again} == first
    assert not any(each["made"] for each in again)
    private = tmp_path / "xdg_state_home" / "rebuilder" / "keys" / "attestation.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_an_exported_key_can_be_pinned_by_another(cli: Cli, tmp_path: Path) -> None:
    """Export, hand over, pin: both sides name the same key id."""
    cli("keys", "init")
    assert cli("keys", "export", "-o", "out.pem")[0] == 0
    keyid = json.loads(cli("keys", "export", "--json")[1])["keyid"]
    assert cli("keys", "export")[1] == Path("out.pem").read_text()
    code, out, _ = cli("keys", "pin", "friend", "out.pem", "--json")
    assert (code, json.loads(out)) == (0, {"name": "friend", "keyid": keyid})
    assert json.loads(cli("keys", "show", "--json")[1])["pinned"] == {"friend": keyid}


def test_a_pinned_name_is_not_given_to_another_key(cli: Cli) -> None:
    """A changed key is refused until a person removes the old pin."""
    cli("keys", "init")
    cli("keys", "export", "attestation", "-o", "a.pem")
    cli("keys", "export", "builder", "-o", "b.pem")
    assert cli("keys", "pin", "friend", "a.pem")[0] == 0
    assert cli("keys", "pin", "friend", "a.pem")[0] == 0
    code, _, err = cli("keys", "pin", "friend", "b.pem")
    assert code == 2
    assert "friend is pinned to another key" in err


def test_what_is_no_public_key_is_not_pinned(cli: Cli) -> None:
    """Nor a name that would leave the directory."""
    Path("no.pem").write_text("nothing")
    assert cli("keys", "pin", "friend", "no.pem")[0] == 3
    cli("keys", "init")
    cli("keys", "export", "-o", "a.pem")
    code, _, err = cli("keys", "pin", "../friend", "a.pem")
    assert code == 2
    assert "not a name for a key" in err


def test_a_key_that_is_not_there_says_how_it_is_made(cli: Cli) -> None:
    """Export before init."""
    code, _, err = cli("keys", "export")
    assert code == 2
    assert "hint: `rebuilder keys init` makes it" in err


def test_every_role_can_be_made_shown_and_exported(cli: Cli) -> None:
    """Each machine of a farm makes the key of its role; the verbs know all roles that there are."""
    assert set(ROLES) == {role.value for role in Role}
    for role in ROLES:
        code, _, err = cli("keys", "export", role)
        assert code == 2
        assert f"there is no {role} key yet" in err
    assert "hint: `rebuilder keys init --role comparer` makes it" in cli("keys", "export", "comparer")[2]
    code, out, _ = cli("keys", "init", *(word for role in ROLES for word in ("--role", role)), "--json")
    made = {each["role"]: each["keyid"] for each in json.loads(out)["keys"]}
    assert (code, set(made), len(set(made.values()))) == (0, set(ROLES), len(ROLES))
    assert json.loads(cli("keys", "show", "--json")[1])["keys"] == made
    for role in ROLES:
        assert json.loads(cli("keys", "export", role, "--json")[1])["keyid"] == made[role]


def test_a_signer_is_told_who_builds_and_compares(cli: Cli, tmp_path: Path) -> None:
    """What the signer of a farm reads, written by the verb: the key in its role, a builder's fault domain beside it."""
    state = tmp_path / "xdg_state_home" / "rebuilder"
    for role in ("builder", "comparer"):
        (tmp_path / f"{role}.pem").write_text(key_signer(role).public_key.pem)
    code, out, _ = cli("keys", "enrol", "builder", "builder.pem", "--domain", "rack-1", "--json")
    keyid = BUILDER.public_key.keyid
    assert (code, json.loads(out)) == (0, {"role": "builder", "keyid": keyid, "domain": "rack-1"})
    assert cli("keys", "enrol", "comparer", "comparer.pem")[0] == 0
    assert [key.keyid for key in enrolled(state, Role.BUILDER)] == [keyid]
    assert fault_domains(state) == {keyid: "rack-1"}
    assert cli("keys", "enrol", "builder", "builder.pem")[0] == 0
    assert fault_domains(state) == {keyid: "rack-1"}
    assert f"enrolled     {keyid}  builder\n" in cli("keys", "show")[1]


def test_a_key_is_not_enrolled_twice_nor_in_no_domain(cli: Cli, tmp_path: Path) -> None:
    """One key never has two roles; a fault domain is a word, and a builder's."""
    (tmp_path / "builder.pem").write_text(BUILDER.public_key.pem)
    for words, expected in (
        (("comparer", "builder.pem", "--domain", "rack-1"), "a comparer has none"),
        (("builder", "builder.pem", "--domain", "rack 1"), "not a fault domain: 'rack 1'"),
        (("builder", "builder.pem", "--domain", ""), "not a fault domain: ''"),
        (("attestation", "builder.pem"), "'attestation' is not one of"),
        (("builder", "nothing.pem"), "no such file"),
    ):
        code, _, err = cli("keys", "enrol", *words)
        assert (code, expected in err) == (2, True), err
    assert json.loads(cli("keys", "show", "--json")[1])["enrolled"] == []
    assert cli("keys", "enrol", "builder", "builder.pem")[0] == 0
    code, _, err = cli("keys", "enrol", "comparer", "builder.pem")
    assert (code, "is enrolled as a builder: one key never has two roles" in err) == (2, True)


def test_a_path_that_no_file_can_have_is_usage(cli: Cli) -> None:
    """Too long a name is a mistake of the caller, not a failure of the machine."""
    code, _, err = cli("keys", "pin", "friend", "a" * 5000)
    assert code == 2
    assert "name the file that holds the public key" in err


def test_a_layout_makes_no_directories(cli: Cli, tmp_path: Path) -> None:
    """A mistyped directory is an error, and no key is made for it."""
    code, _, err = cli("layout", "-o", str(tmp_path / "absent" / "rebuild.layout"))
    assert code == 2
    assert "its directory is not there" in err
    assert not (tmp_path / "absent").exists()


def test_a_layout_overwrites_no_key(cli: Cli, tmp_path: Path) -> None:
    """Neither a key that the layout names, nor one of ours by an export."""
    cli("keys", "init")
    cli("keys", "export", "-o", "ours.pem")
    code, _, err = cli("layout", "-o", "ours.pem", "--key", "ours.pem")
    assert (code, "would be overwritten" in err) == (2, True)
    (private,) = tmp_path.rglob("attestation.pem")
    kept = private.read_bytes()
    assert cli("keys", "export", "-o", private)[0] == 2
    assert private.read_bytes() == kept


def test_a_passphrase_that_protects_nothing_is_said(cli: Cli, tmp_path: Path) -> None:
    """Keys that are there already stay as they are: the file was not used, and that is no success."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    cli("keys", "init", "--role", "attestation")
    code, out, err = cli("keys", "init", "--passphrase-file", secret)
    assert (code, out) == (2, "")
    assert "there already: attestation key" in err
    assert "was not used" in err
    assert cli("keys", "init", "--role", "builder", "--passphrase-file", secret)[0] == 0


def test_a_rebuilders_new_key_is_pinned_beside_the_old_one(cli: Cli) -> None:
    """Under another name, so that results of either are checked; the old pin is taken back by its name."""
    cli("keys", "init")
    cli("keys", "export", "attestation", "-o", "old.pem")
    cli("keys", "export", "builder", "-o", "new.pem")
    cli("keys", "pin", "friend", "old.pem")
    _, _, err = cli("keys", "pin", "friend", "new.pem")
    assert "pin the new one under another name; trust the old one no more by `rebuilder keys unpin friend`" in err
    cli("keys", "pin", "friend-2", "new.pem")
    keyid = json.loads(cli("keys", "show", "--json")[1])["pinned"]["friend-2"]
    assert cli("keys", "unpin", "friend")[0] == 0
    assert json.loads(cli("keys", "show", "--json")[1])["pinned"] == {"friend-2": keyid}
    code, _, err = cli("keys", "unpin", "friend")
    assert (code, "no key is pinned under 'friend'" in err, "pinned: friend-2" in err) == (2, True, True)
    assert json.loads(cli("keys", "unpin", "friend-2", "--json")[1]) == {"name": "friend-2", "keyid": keyid}
    assert "pinned: no key at all" in cli("keys", "unpin", "../keys/attestation")[2]


def test_a_signer_is_told_who_builds_no_more(cli: Cli, tmp_path: Path) -> None:
    """By the beginning of its key's id: neither key nor fault domain is left; which one must be clear."""
    state, key = tmp_path / "xdg_state_home" / "rebuilder", key_signer("one").public_key
    Path("one.pem").write_text(key.pem)
    cli("keys", "enrol", "builder", "one.pem", "--domain", "rack-1")
    assert [found.keyid for found in enrolled(state, Role.BUILDER)] == [key.keyid]
    for wrong in ("", "zz"):
        code, _, err = cli("keys", "unenrol", "builder", wrong)
        assert (code, "expected the key of one builder, found 0" in err) == (2, True)
    assert "found 0" in cli("keys", "unenrol", "comparer", key.keyid)[2]
    code, out, _ = cli("keys", "unenrol", "builder", key.keyid[:8])
    assert (code, out) == (0, f"builder {key.keyid} is not enrolled any more\n")
    assert (enrolled(state, Role.BUILDER), fault_domains(state)) == ((), {})
