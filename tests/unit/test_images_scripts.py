"""The images' start scripts: run here with their paths moved and their daemons replaced."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from labctl.documents import shipped

IMAGES = shipped.data_dir("images")
UUID = "2510254f-e68e-11f1-bc14-43e4989461f8"
NO_UUID = "00000000-0000-0000-0000-000000000000"

MARIADBD = f"""#!/bin/sh
echo "mariadbd $*" >>"$LOG"
case "$*" in
    *--bootstrap*) cat >>"$LOG" ;;
    *--wsrep-recover*) echo "[Note] WSREP: Recovered position: {UUID}:42" ;;
esac
"""
SAYS = '#!/bin/sh\necho "$(basename "$0") $*" >>"$LOG"\n'


class Sandbox:
    """A directory that stands for / and for PATH; ``log`` is what the daemons were called with."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin, self.log = root, root / "bin", root / "log"
        self.bin.mkdir()
        for directory in (
            "etc/redis",
            "etc/labctl",
            "run/labctl",
            "var/lib/mysql",
            "var/lib/redis",
        ):
            (root / directory).mkdir(parents=True)
        (root / "usr/share/labctl/mariadb-seed").mkdir(parents=True)
        (root / "usr/share/labctl/mariadb-seed/ibdata1").touch()
        self.program("mariadbd", MARIADBD)
        self.program("my_print_defaults", "#!/bin/sh\necho --wsrep_cluster_address=gcomm://a,b,c\n")
        self.program("redis-server", SAYS)
        self.program("redis-sentinel", SAYS)
        self.program("redis-cli", "#!/bin/sh\nexit 1\n")

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def file(self, path: str, text: str) -> Path:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)
        return self.root / path

    def install(self, script: str) -> str:
        """Put a script of the database image in PATH, its absolute paths below the sandbox."""
        text = (IMAGES / "database" / script).read_text()
        for top in ("/var/lib", "/run/labctl", "/etc", "/usr/share"):
            text = text.replace(top, f"{self.root}{top}")
        self.program(script, text)
        return str(self.bin / script)

    def run(self, script: str, *arguments: str) -> list[str]:
        """Run to the end; what the daemons were called with, without the sandbox's own path."""
        self.log.write_text("")
        self.install("sentinel-master")
        subprocess.run(
            [self.install(script), *arguments],
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "LOG": str(self.log)},
            check=True,
            capture_output=True,
            timeout=20,
        )
        return self.log.read_text().replace(str(self.root), "").splitlines()

    def grastate(self, uuid: str, seqno: int, safe: int = 0) -> Path:
        state = (
            f"# GALERA saved state\nuuid:    {uuid}\nseqno:   {seqno}\nsafe_to_bootstrap: {safe}\n"
        )
        return self.file("var/lib/mysql/data/grastate.dat", state)


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def test_a_founder_makes_its_data_and_uses_up_the_token(sandbox: Sandbox) -> None:
    token = sandbox.file("run/labctl/bootstrap", "")
    assert sandbox.run("mariadb-start") == ["mariadbd --wsrep-new-cluster"]
    assert not token.exists()
    assert (sandbox.root / "var/lib/mysql/data/ibdata1").exists()


def test_a_founder_that_was_killed_before_it_had_an_identity_founds_again(
    sandbox: Sandbox,
) -> None:
    sandbox.file("run/labctl/bootstrap", "")
    sandbox.run("mariadb-start")
    assert sandbox.run("mariadb-start") == ["mariadbd --wsrep-new-cluster"]


def test_a_founder_that_was_killed_while_it_made_its_data_starts_anew(sandbox: Sandbox) -> None:
    sandbox.file("run/labctl/bootstrap", "")
    half = sandbox.file("var/lib/mysql/data.new/half", "")
    assert sandbox.run("mariadb-start")[-1] == "mariadbd --wsrep-new-cluster"
    assert not half.exists()
    assert not (sandbox.root / "var/lib/mysql/data/half").exists()


def test_a_founder_with_an_identity_rejoins(sandbox: Sandbox) -> None:
    sandbox.file("run/labctl/bootstrap", "")
    sandbox.run("mariadb-start")
    sandbox.grastate(UUID, 7)
    assert sandbox.run("mariadb-start") == ["mariadbd "]
    assert not (sandbox.root / "var/lib/mysql/data/founding").exists()


def test_a_member_without_data_joins_empty(sandbox: Sandbox) -> None:
    assert sandbox.run("mariadb-start", "--port=3306") == ["mariadbd --port=3306"]


def test_wiped_data_never_found_a_second_cluster(sandbox: Sandbox) -> None:
    sandbox.file("run/labctl/bootstrap", "")
    sandbox.run("mariadb-start")
    for path in (sandbox.root / "var/lib/mysql/data").iterdir():
        path.unlink()
    assert sandbox.run("mariadb-start") == ["mariadbd "]


def test_after_a_kill_the_position_is_recovered(sandbox: Sandbox) -> None:
    sandbox.grastate(UUID, -1)
    assert sandbox.run("mariadb-start") == [
        "mariadbd --wsrep-recover --disable-log-error",
        f"mariadbd --wsrep-start-position={UUID}:42",
    ]


def test_after_a_clean_stop_or_a_broken_transfer_there_is_nothing_to_recover(
    sandbox: Sandbox,
) -> None:
    sandbox.grastate(UUID, 42)
    assert sandbox.run("mariadb-start") == ["mariadbd "]
    sandbox.grastate(NO_UUID, -1)
    assert sandbox.run("mariadb-start") == ["mariadbd "]


def test_an_empty_saved_view_is_removed_and_a_full_one_kept(sandbox: Sandbox) -> None:
    sandbox.grastate(UUID, 42)
    view = sandbox.file("var/lib/mysql/data/gvwstate.dat", "")
    sandbox.run("mariadb-start")
    assert not view.exists()
    view.write_text("my_uuid: x\n")
    sandbox.run("mariadb-start")
    assert view.exists()


def test_a_token_with_data_founds_from_them(sandbox: Sandbox) -> None:
    state = sandbox.grastate(UUID, -1)
    sandbox.file("run/labctl/bootstrap", "")
    last = sandbox.run("mariadb-start")[-1]
    assert last == f"mariadbd --wsrep-new-cluster --wsrep-start-position={UUID}:42"
    assert "safe_to_bootstrap: 1" in state.read_text()


@pytest.mark.parametrize("address", ["gcomm://", "gcomm://198.18.0.11"])
def test_a_cluster_of_one_founds_itself_whenever_it_starts(sandbox: Sandbox, address: str) -> None:
    sandbox.program("my_print_defaults", f"#!/bin/sh\necho --wsrep-cluster-address={address}\n")
    sandbox.grastate(UUID, 42)
    assert sandbox.run("mariadb-start") == ["mariadbd --wsrep-new-cluster"]


REDIS = """bind 198.18.0.12
# labctl sentinels: 198.18.0.11:26379 198.18.0.12:26379 198.18.0.13:26379
# labctl master: lab
maxmemory 64mb
replicaof 198.18.0.11 6379
"""


def sentinels_say(sandbox: Sandbox, **addresses: str) -> None:
    """redis-cli answers for the sentinels at .11, .12 and .13; the others do not."""
    cases = "".join(
        f"*198.18.0.{key[1:]}*) printf '%s\\n' {address} 6379 ;;\n"
        for key, address in addresses.items()
    )
    sandbox.program("redis-cli", f'#!/bin/sh\ncase "$*" in\n{cases}*) exit 1 ;;\nesac\n')


def redis_role(sandbox: Sandbox) -> list[str]:
    assert sandbox.run("redis-start") == ["redis-server /var/lib/redis/redis.conf"]
    kept = (sandbox.root / "var/lib/redis/redis.conf").read_text()
    return [line for line in kept.splitlines() if line.startswith("replicaof")]


def test_redis_has_the_rendered_role_at_first(sandbox: Sandbox) -> None:
    sandbox.file("etc/redis/redis.conf", REDIS)
    assert redis_role(sandbox) == ["replicaof 198.18.0.11 6379"]


def test_redis_remembers_its_role_and_takes_new_settings(sandbox: Sandbox) -> None:
    sandbox.file("var/lib/redis/redis.conf", "maxmemory 1mb\n")
    sandbox.file("etc/redis/redis.conf", REDIS)
    assert redis_role(sandbox) == []
    kept = (sandbox.root / "var/lib/redis/redis.conf").read_text()
    assert "maxmemory 64mb" in kept
    assert "maxmemory 1mb" not in kept


def test_redis_does_as_most_sentinels_say(sandbox: Sandbox) -> None:
    sandbox.file("var/lib/redis/redis.conf", "")
    sandbox.file("etc/redis/redis.conf", REDIS)
    sentinels_say(sandbox, n11="198.18.0.11", n12="198.18.0.13", n13="198.18.0.13")
    assert redis_role(sandbox) == ["replicaof 198.18.0.13 6379"]


def test_redis_is_master_when_the_sentinels_name_it(sandbox: Sandbox) -> None:
    sandbox.file("etc/redis/redis.conf", REDIS)
    sentinels_say(sandbox, n13="198.18.0.12")
    assert redis_role(sandbox) == []


SENTINEL = """port 26379
# labctl sentinels: 198.18.0.11:26379
# labctl master: lab
sentinel monitor lab 198.18.0.11 6379 2
sentinel down-after-milliseconds lab 5000
"""
LEARNT = """port 26379
sentinel monitor lab 198.18.0.13 6379 1
sentinel down-after-milliseconds lab 30000
sentinel myid 84e252384af1b301387384d3cb6b026cc6124d0b
sentinel config-epoch lab 3
sentinel known-replica lab 198.18.0.12 6379
"""


def sentinel_config(sandbox: Sandbox) -> list[str]:
    assert sandbox.run("sentinel-start") == ["redis-sentinel /var/lib/redis/sentinel.conf"]
    text = (sandbox.root / "var/lib/redis/sentinel.conf").read_text()
    return [line for line in text.splitlines() if line.startswith("sentinel ")]


def test_sentinel_starts_with_the_rendered_configuration(sandbox: Sandbox) -> None:
    rendered = sandbox.file("etc/redis/sentinel.conf", SENTINEL)
    sentinel_config(sandbox)
    assert (sandbox.root / "var/lib/redis/sentinel.conf").read_text() == rendered.read_text()


def test_sentinel_keeps_what_it_learnt_and_takes_new_settings(sandbox: Sandbox) -> None:
    sandbox.file("etc/redis/sentinel.conf", SENTINEL)
    sandbox.file("var/lib/redis/sentinel.conf", LEARNT)
    expected = [
        "sentinel monitor lab 198.18.0.13 6379 2",
        "sentinel down-after-milliseconds lab 5000",
        "sentinel myid 84e252384af1b301387384d3cb6b026cc6124d0b",
        "sentinel config-epoch lab 3",
        "sentinel known-replica lab 198.18.0.12 6379",
    ]
    assert sentinel_config(sandbox) == expected
    assert sentinel_config(sandbox) == expected


def test_a_rendered_id_wins_over_the_learnt(sandbox: Sandbox) -> None:
    sandbox.file("etc/redis/sentinel.conf", SENTINEL + "sentinel myid " + "a" * 40 + "\n")
    sandbox.file("var/lib/redis/sentinel.conf", LEARNT)
    ids = [line for line in sentinel_config(sandbox) if "myid" in line]
    assert ids == ["sentinel myid " + "a" * 40]


def test_sentinel_believes_the_others_about_the_master(sandbox: Sandbox) -> None:
    sandbox.file("etc/redis/sentinel.conf", SENTINEL)
    sentinels_say(sandbox, n11="198.18.0.12")
    assert sentinel_config(sandbox)[0] == "sentinel monitor lab 198.18.0.12 6379 2"


@pytest.mark.parametrize(
    "script", [p for p in IMAGES.rglob("*") if p.is_file() and p.read_bytes()[:4] == b"#!/b"]
)
def test_every_script_is_executable_and_parses(script: Path) -> None:
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    assert script.stat().st_mode & 0o111
    subprocess.run([shell, "-n", str(script)], check=True)
