"""The adapter's pure parts: a spec in the API's words, answers as data, refusals as sentences."""

from __future__ import annotations

import pytest

from labctl.engine import answers, podman
from labctl.engine.port import Attachment, ContainerSpec, VolumeMount
from labctl.engine.refusals import refusal
from labctl.engine.spec import container_config

NODE = ContainerSpec(
    "lab-c1",
    "node:1",
    {"labctl.lab": "lab"},
    hostname="c1",
    attachment=Attachment("lab", "198.18.0.11", "02:42:c6:12:00:0b"),
    cap_add=("NET_ADMIN",),
)
TENANT = ContainerSpec("lab-c1-a", "a:1", {}, ("run",), hostname="c1", join="lab-c1")


def config(spec: ContainerSpec, kind: str = "docker", api: tuple[int, int] = (1, 41)) -> dict:
    return container_config(spec, kind=kind, api=api, ulimits={"nofile": 7})


@pytest.mark.parametrize("said", [1764253801, "2025-11-27T14:30:01.123456789Z"])
def test_when_an_image_was_made(said: int | str) -> None:
    item = {"Id": "sha256:0", "RepoTags": ["a:1"], "Size": 1, "Created": said}
    assert f"{answers.image(item).created:%Y-%m-%d %H:%M:%S}" == "2025-11-27 14:30:01"


def test_user_namespaces_are_seen() -> None:
    """As Docker 20.10 and 28 say it."""
    info = {"NCPU": 1, "MemTotal": 1, "Driver": "overlay2", "DockerRootDir": "/d"}
    version = {"Version": "20.10.24", "ApiVersion": "1.41"}
    options = ["name=seccomp,profile=default", "name=userns"]
    assert answers.engine_info(info | {"SecurityOptions": options}, version).remapped
    assert not answers.engine_info(info | {"SecurityOptions": options[:1]}, version).remapped


def test_rights_are_none_but_the_named() -> None:
    host = config(NODE)["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["NET_ADMIN"])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert "Privileged" not in host
    assert host["RestartPolicy"] == {"Name": "no"}


@pytest.mark.parametrize("kind", ["docker", "podman"])
def test_the_engines_own_protection_is_lifted_nowhere_but_for_apparmor(kind: str) -> None:
    """What the engine masks, its seccomp profile and the kernel's settings are nobody's to open."""
    spec = ContainerSpec("a", "a:1", {}, apparmor=False)
    host = config(spec, kind)["HostConfig"]
    assert host["SecurityOpt"] == ["no-new-privileges", "apparmor=unconfined"]
    assert not {"MaskedPaths", "ReadonlyPaths", "Privileged"} & set(host)


@pytest.mark.parametrize(
    ("kind", "api", "at_endpoint"),
    [("docker", (1, 41), False), ("docker", (1, 44), True), ("podman", (1, 41), True)],
)
def test_where_the_mac_address_belongs(kind: str, api: tuple[int, int], at_endpoint: bool) -> None:
    made = config(NODE, kind, api)
    endpoint = made["NetworkingConfig"]["EndpointsConfig"]["lab"]
    assert endpoint["IPAMConfig"] == {"IPv4Address": "198.18.0.11"}
    assert ("MacAddress" in endpoint, "MacAddress" in made) == (at_endpoint, not at_endpoint)


def test_a_tenant_shares_names_with_its_holder() -> None:
    """Docker refuses a host name and hosts beside a joined network; Podman must be told more."""
    made = config(TENANT)
    assert made["HostConfig"]["NetworkMode"] == "container:lab-c1"
    assert "Hostname" not in made
    assert not {"ExtraHosts", "UTSMode"} & set(made["HostConfig"])
    assert config(TENANT, "podman")["HostConfig"]["UTSMode"] == "container:lab-c1"


def test_networks_of_the_other_kinds() -> None:
    assert config(ContainerSpec("a", "a:1", {}))["HostConfig"]["NetworkMode"] == "none"
    host = ContainerSpec("a", "a:1", {}, host_network=True, host_pid=True)
    assert config(host)["HostConfig"]["NetworkMode"] == "host"
    assert config(host)["HostConfig"]["PidMode"] == "host"


def test_what_the_spec_names_goes_before_the_engines_defaults() -> None:
    spec = ContainerSpec(
        "a",
        "a:1",
        {},
        ulimits={"nofile": 9},
        volumes=(VolumeMount("v", "/data"),),
        devices=("/dev/net/tun",),
    )
    host = config(spec)["HostConfig"]
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 9, "Hard": 9}]
    assert host["Binds"] == ["v:/data"]
    assert host["Devices"][0]["PathInContainer"] == "/dev/net/tun"


@pytest.mark.parametrize(
    ("user", "options", "expected"),
    [
        ("901:901", "size=1m,mode=0700,uid=901,gid=901", "size=1m,mode=0700,U,notmpcopyup"),
        ("0:0", "size=1m,mode=0700", "size=1m,mode=0700,notmpcopyup"),
        ("0:0", "mode=0700,uid=901", "mode=1777,notmpcopyup"),
        ("0:0", "", "notmpcopyup"),
    ],
)
def test_temporary_file_systems_on_podman(user: str, options: str, expected: str) -> None:
    spec = ContainerSpec("a", "a:1", {}, user=user, tmpfs={"/run/a": options})
    assert podman.tmpfs(spec) == {"/run/a": expected}


def test_only_an_engine_on_this_machine_has_this_machines_limits() -> None:
    assert podman.default_ulimits("tcp://198.51.100.1:2375") == {}
    assert set(podman.default_ulimits("unix:///run/podman/podman.sock")) == {"nofile", "nproc"}


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        ("running", "Up 3 seconds", ("running", None)),
        ("exited", "Exited (137) 2 seconds ago", ("exited", 137)),
        ("stopped", "Exited (0) 2 seconds ago", ("exited", 0)),
        ("initialized", "Initialized", ("created", None)),
        ("stopping", "Stopping", ("running", None)),
        ("unheard-of", "", ("dead", None)),
    ],
)
def test_states_of_both_engines(state: str, status: str, expected: tuple[str, int | None]) -> None:
    item = {"Id": "1", "Names": ["/lab-c1"], "Image": "localhost/a:1", "Labels": None}
    container = answers.container({**item, "State": state, "Status": status})
    assert (container.status, container.exit_code) == expected
    assert (container.name, container.image, container.labels) == ("lab-c1", "a:1", {})


@pytest.mark.parametrize("prefix", ["", "localhost/", "docker.io/library/", "docker.io/"])
def test_an_images_name_is_the_one_that_was_given(prefix: str) -> None:
    assert answers.plain_tag(f"{prefix}labctl/node:1") == "labctl/node:1"


def test_an_event_that_failed_ends_a_build() -> None:
    events = [{"stream": "Step 1\nSt"}, {"stream": "ep 2\n"}, {"error": "exit 1"}]
    log = answers.build_lines(answers.checked(events))
    assert [next(log), next(log)] == ["Step 1", "Step 2"]
    with pytest.raises(answers.RefusedError, match=r"^exit 1$"):
        next(log)


DOING = "cannot start container lab-c1"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "write /var/lib/x: no space left on device",
            f"{DOING}: the engine's disk is full; free some space there and run again",
        ),
        (
            'Conflict. The container name "/lab-c1" is already in use by container "f00"',
            "the container name lab-c1 is taken by a container that is not the lab's;"
            " remove it or give the lab another name",
        ),
        (
            "creating container storage: the container name lab-c1 is already in use by f00",
            "the container name lab-c1 is taken by a container that is not the lab's;"
            " remove it or give the lab another name",
        ),
        (
            "IPAM error: requested ip address 198.18.0.11 is already allocated to container f00",
            f"{DOING}: its address is taken on the network;"
            " give the node another `address`, or the lab another `network.subnet`",
        ),
        (
            "Pool overlaps with other one on this address space",
            f"{DOING}: its subnet overlaps that of another network;"
            " set another `network.subnet` in the topology",
        ),
        (
            "error setting rlimit type 7: operation not permitted",
            f"{DOING}: the machine does not allow its `ulimits`; lower them",
        ),
        (
            "runc did not terminate: unable to set memory limit to 50 (current usage: 316, peak 9)",
            f"{DOING}: its processes use 316 bytes of memory, which cannot be reclaimed;"
            " set a higher limit",
        ),
        ("container f00 has dependent containers", f"{DOING}: containers that share its network"
         " must be removed first"),
        ("something\n  else", f"{DOING}: the engine says: something else"),
    ],
)  # fmt: skip
def test_refusals_are_sentences(said: str, sentence: str) -> None:
    assert refusal(DOING, said) == sentence
