"""The bound of the gap in service: RFC 5798's timers on keepalived's configuration."""

from __future__ import annotations

import pytest

from labctl.chaos.model.vrrp import Timers, power_loss, service_death, timers
from labctl.errors import LabError

CONF = """
vrrp_script haproxy {
    script "/usr/local/bin/http-check 198.18.0.1 8404 /health"
    interval 1
    timeout 3
    fall 2
    rise 2
}
vrrp_instance lab {
    priority 200
    advert_int 0.3
}
"""


def node(priority: int) -> Timers:
    return Timers(advert=0.3, priority=priority, check_interval=1, check_fall=2)


NODES = {"c1": node(200), "c2": node(125), "c3": node(50)}


def test_timers_are_read_from_the_rendered_configuration() -> None:
    assert timers(CONF) == node(200)


def test_a_timer_that_is_missing_is_said() -> None:
    with pytest.raises(LabError, match=r"^the lab's keepalived.conf sets no advert$"):
        timers(CONF.replace("advert_int", "#"))


def test_skew_shrinks_as_priority_grows() -> None:
    assert node(200).skew == pytest.approx(56 / 256 * 0.3)
    assert node(50).skew == pytest.approx(206 / 256 * 0.3)


def test_power_loss_is_three_adverts_and_the_skew_of_the_next() -> None:
    assert power_loss(NODES, "c1") == pytest.approx(0.9 + 131 / 256 * 0.3)
    assert power_loss(NODES, "c2") == pytest.approx(0.9 + 56 / 256 * 0.3)


def test_service_death_is_what_the_checks_take_and_the_skew_of_the_next() -> None:
    assert service_death(NODES, "c1") == pytest.approx(2 + 131 / 256 * 0.3)


def test_the_last_node_has_no_successor() -> None:
    with pytest.raises(LabError, match="no other node can take the virtual IP from c1"):
        power_loss({"c1": node(200)}, "c1")
