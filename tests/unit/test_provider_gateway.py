"""What servers may reach of the lab: the public APIs on the virtual IP, and nothing else."""

from __future__ import annotations

import re

import pytest

from labctl.planning.desired import Desired
from tests.golden.test_golden import desired

ACCEPTS = re.compile(r"^-A from-servers-on (.*) -j ACCEPT$", re.MULTILINE)


@pytest.fixture(scope="module")
def whole() -> Desired:
    return desired("three-controller")


def test_servers_reach_what_is_in_the_catalog_and_nothing_else(whole: Desired) -> None:
    unit = whole.instances["client/provider-gateway"]
    script = next(f.data for f in unit.files if f.path == "/etc/labctl/provider-gateway").decode()
    replies, *ports, ping = ACCEPTS.findall(script)
    assert replies == "-m conntrack --ctstate ESTABLISHED,RELATED"
    where = f"-d {whole.lab.vip} -o eth0"
    assert ping == f"{where} -p icmp --icmp-type echo-request"
    public = {
        f"-d {address} -o eth0 -p tcp --dport {service.doc.endpoint.port}"
        for service in whole.lab.services.values()
        if service.doc.endpoint and service.doc.catalog
        for address in (whole.lab.vip, *(node.address for node in service.nodes))
    }
    assert set(ports) == public
    assert f"{where} -p tcp --dport 3306" not in ports
    assert script.index("RULES\n", script.index("COMMIT")) < script.index("set provider up")
