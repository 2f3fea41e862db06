"""Secrets: random, complete, kept, private, and never shown."""

import base64
import stat
from pathlib import Path

import pytest

from labctl.documents.catalog import load_catalog
from labctl.documents.reader import load, read_yaml
from labctl.errors import InputError
from labctl.model.service import MongodbDoc, SecretDoc
from labctl.model.topology import TopologyDoc
from labctl.resolve.resolution import resolve
from labctl.state.secrets import load_or_generate, make_secret, save, wanted

DATA = Path(__file__).parents[1] / "data"
TWO = {"a.admin": SecretDoc(), "b.cookie": SecretDoc(kind="hex", length=32)}


def ensure(lab_dir, docs):
    values = load_or_generate(lab_dir, docs)
    save(lab_dir, values)
    return values


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_wanted_are_the_declared_and_those_of_database_and_identity():
    catalog = load_catalog(DATA / "catalogue" / "compose")
    lab = resolve(load(DATA / "topology.yml", TopologyDoc), catalog)
    assert {name: doc.kind for name, doc in wanted(lab).items()} == {
        "haproxy.stats": "password",
        "mariadb.sst": "hex",
        "keystone.database": "password",
        "keystone.identity": "password",
    }


def test_a_user_of_the_document_store_has_a_password():
    catalog = load_catalog(DATA / "catalogue" / "compose")
    store = MongodbDoc(user="notes", databases=("notes",))
    catalog = {**catalog, "keystone": catalog["keystone"].model_copy(update={"mongodb": store})}
    lab = resolve(load(DATA / "topology.yml", TopologyDoc), catalog)
    assert wanted(lab)["keystone.mongodb"] == SecretDoc()


def test_made_once_and_kept_when_more_are_wanted(tmp_path):
    lab = tmp_path / "labs" / "small"
    lab.mkdir(parents=True, mode=0o755)
    first = dict(ensure(lab, {"a.admin": SecretDoc()}))
    second = dict(ensure(lab, TWO))
    assert second["a.admin"] == first["a.admin"]
    assert dict(ensure(lab, TWO)) == second == read_yaml(lab / "secrets.yml")
    assert (mode(lab), mode(lab / "secrets.yml")) == (0o700, 0o600)


def test_drawing_writes_nothing(tmp_path):
    assert list(load_or_generate(tmp_path / "labs" / "small", TWO)) == list(TWO)
    assert not any(tmp_path.iterdir())


def test_nothing_is_written_when_all_are_there(tmp_path):
    ensure(tmp_path, TWO)
    before = (tmp_path / "secrets.yml").stat()
    ensure(tmp_path, TWO)
    assert (tmp_path / "secrets.yml").stat() == before


@pytest.mark.parametrize("length", [8, 33, 64, 1024])
def test_kinds(length):
    password = make_secret(SecretDoc(length=length))
    assert len(password) == length
    assert password.isalnum() and password.isascii()
    number = make_secret(SecretDoc(kind="hex", length=length))
    assert len(number) == length
    assert int(number, 16) >= 0
    key = make_secret(SecretDoc(kind="keyfile", length=length))
    assert length - 4 < len(key) <= length
    assert base64.b64decode(key, validate=True)


def test_fernet_key_is_32_bytes():
    assert len(base64.urlsafe_b64decode(make_secret(SecretDoc(kind="fernet")))) == 32


def test_no_two_are_equal():
    assert len({make_secret(SecretDoc(length=8)) for _ in range(1000)}) == 1000


def test_values_are_not_shown(tmp_path):
    values = ensure(tmp_path, TWO)
    assert repr(values) == f"{values}" == "Secrets(a.admin, b.cookie)"


def test_a_file_that_others_can_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = ensure(tmp_path, TWO)
    (tmp_path / "secrets.yml").chmod(0o640)
    with pytest.raises(InputError) as caught:
        ensure(tmp_path, TWO)
    assert str(caught.value) == (
        "secrets.yml: others can read it (mode 0640); chmod 600 it if nobody did, or else take "
        "the lab down and bring it up again"
    )
    assert not any(value in str(caught.value) for value in values.values())


@pytest.mark.parametrize(
    "text", ["", "- hunter22", "a.admin: 4711", "a.admin: {x: hunter22}", "a:"]
)
def test_a_file_that_holds_something_else(tmp_path, text):
    (tmp_path / "secrets.yml").write_text(text)
    (tmp_path / "secrets.yml").chmod(0o600)
    with pytest.raises(InputError) as caught:
        ensure(tmp_path, TWO)
    assert "hunter22" not in str(caught.value)
    assert "4711" not in str(caught.value)
