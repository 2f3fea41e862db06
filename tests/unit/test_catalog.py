"""The catalogue: what is read, and what of one service must fit another."""

import shutil
from pathlib import Path

import pytest

from labctl.documents.catalog import load_catalog
from labctl.errors import InputError

SMALL = Path(__file__).parents[1] / "data" / "catalogue"


@pytest.fixture
def compose(tmp_path, monkeypatch):
    shutil.copytree(SMALL, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "compose"


def change(compose, service, old, new):
    path = compose / service / "service.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_services_by_name(compose):
    (compose / "notes").mkdir()
    catalog = load_catalog(compose)
    assert list(catalog) == sorted(catalog)
    assert catalog["mariadb"].memory == "256M"


def test_templates_may_be_in_directories_below(compose):
    (compose / "mariadb" / "conf").mkdir()
    (compose / "mariadb" / "my.cnf.j2").rename(compose / "mariadb" / "conf" / "my.cnf.j2")
    change(compose, "mariadb", "template: my.cnf.j2", "template: conf/my.cnf.j2")
    assert load_catalog(compose)["mariadb"].files[0].template == "conf/my.cnf.j2"


@pytest.mark.parametrize(
    ("service", "old", "new", "message"),
    [
        (
            "keystone",
            "[mariadb, memcached]",
            "[mariadb, memcache]",
            "compose/keystone/service.yml:5: needs[1]: no service 'memcache'; "
            "did you mean 'memcached'?",
        ),
        (
            "keystone",
            "mariadb/databases",
            "mariadb/database",
            "compose/keystone/service.yml:10: jobs[0].needs[0]: 'mariadb' has no job 'database'; "
            "did you mean 'databases'?",
        ),
        (
            "memcached",
            "user: lab",
            "user: lab\nneeds: [keystone]",
            "compose/keystone/service.yml:5: needs: is circular: keystone → memcached → keystone",
        ),
        (
            "keystone",
            "image: base",
            "image: keystone",
            "compose/keystone/service.yml:2: image: no directory 'keystone' in images; "
            "allowed: base",
        ),
        (
            "keystone",
            "image: base",
            "image: base\nsettings: {fake_clock: false}",
            "compose/keystone/service.yml:3: settings.fake_clock: no directory 'base-clock' in "
            "images; allowed: base",
        ),
        (
            "keystone",
            "image: base",
            "image: base\nsettings: {disk: null}",
            "compose/keystone/service.yml:3: settings.disk: is the size of volumes, but "
            "container.volumes has none",
        ),
        (
            "keystone",
            "user: lab",
            "user: keystone",
            "compose/keystone/service.yml:3: user: no user 'keystone' in images/users.yml; "
            "allowed: root, lab, mysql",
        ),
        (
            "mariadb",
            "template: my.cnf.j2",
            "template: my.cnf",
            "compose/mariadb/service.yml:7: files[0].template: no file 'my.cnf' in "
            "compose/mariadb; did you mean 'my.cnf.j2'?",
        ),
        (
            "mariadb",
            "template: my.cnf.j2",
            "template: ../mariadb/my.cnf.j2",
            "compose/mariadb/service.yml:7: files[0].template: no file '../mariadb/my.cnf.j2' in "
            "compose/mariadb; did you mean 'my.cnf.j2'?",
        ),
        (
            "toolbox",
            "{running: true}",
            "{running: true, tcp: {port: 1}}",
            "compose/toolbox/service.yml:5: ready: has running and tcp, should have exactly one",
        ),
        (
            "toolbox",
            "{running: true}",
            "{timeout: 3}",
            "compose/toolbox/service.yml:5: ready: has none, should have exactly one of: running",
        ),
        (
            "mariadb",
            "port: 3306",
            "port: 5000",
            "compose/mariadb/service.yml:9: endpoint.port: 'keystone' has 5000 on the virtual IP "
            "too; change one",
        ),
        (
            "mariadb",
            "    command: [/usr/bin/mariadb]",
            "    command: [a]\n  - {name: databases, description: again, command: [b]}",
            "compose/mariadb/service.yml:17: jobs[1].name: 'databases' names two jobs; rename one",
        ),
        (
            "keepalived",
            "beside: [haproxy]",
            "beside: [haproxi]",
            "compose/keepalived/service.yml:9: beside[0]: no service 'haproxi'; "
            "did you mean 'haproxy'?",
        ),
        (
            "memcached",
            "user: lab",
            "user: lab\nchange: {drained_by: memcache}",
            "compose/memcached/service.yml:4: change.drained_by: no service 'memcache'; "
            "did you mean 'memcached'?",
        ),
        (
            "memcached",
            "user: lab",
            "user: lab\nuses: [nothing]",
            "compose/memcached/service.yml:4: uses[0]: no service 'nothing'; allowed: ",
        ),
        (
            "mariadb",
            "when: seed",
            "when: started",
            "compose/mariadb/service.yml:15: jobs[0].when: is 'started', when all instances run, "
            "but they start one after another; use 'seed' or 'ready'",
        ),
    ],
)
def test_what_does_not_fit(compose, service, old, new, message):
    change(compose, service, old, new)
    with pytest.raises(InputError) as caught:
        load_catalog(compose)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_a_directory_whose_name_is_no_service(compose):
    (compose / "toolbox").rename(compose / "Tool_Box")
    with pytest.raises(InputError, match="directory's name 'Tool_Box' is not a service name"):
        load_catalog(compose)


def test_no_service_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        load_catalog(tmp_path / "compose")
    assert str(caught.value) == "compose: has no service (a directory with a service.yml)"
