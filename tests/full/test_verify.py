"""A lab is used for real: every step passes, leaves nothing, and says what failed and where."""

from __future__ import annotations

import json
from pathlib import Path

from tests.chaos.ground import Ground
from tests.full.membership import Membership
from tests.lab.command import Labctl

MADE = ("server", "volume", "image", "network", "router", "container", "stack", "flavor")
"""What the command line can list and steps make."""
LISTS = {
    "heat-api": "stack list",
    "octavia-api": "loadbalancer list",
    "gnocchi-api": "metric archive-policy list",
    "aodh-api": "alarm list",
    "sahara-api": "dataproc plugin list",
    "trove-api": "datastore list",
    "zaqar": "messaging queue list",
}
"""Service → a question of the client's command line that it answers."""


def test_every_step_passes_and_leaves_nothing(labctl: Labctl, lab: str) -> None:
    listed = [step["name"] for step in labctl("verify", "--lab", lab, "--list", "--json").json]
    ended = labctl("verify", "--lab", lab, "--json", code=None, timeout=900)
    report = ended.json
    broken = [
        f"{step['name']}: {step['result']}: {step['error']}"
        for step in report["steps"]
        if step["result"] != "passed"
    ]
    assert (broken, report["passed"], ended.code) == ([], True, 0)
    assert [step["name"] for step in report["steps"]] == listed
    assert report["untidy"] == []
    for step in report["steps"]:
        assert step["said"], f"{step['name']} shows nothing"
        assert step["seconds"] >= 0
    kept = sorted((labctl.home / "labs" / lab / "reports").glob("verify-*.json"))[-1]
    assert json.loads(kept.read_text()) == report
    for path in (kept, *(Path(file) for step in report["steps"] for file in step["files"])):
        assert path.stat().st_mode & 0o777 == 0o600
    commands = "".join(f"{kind} list -f json\n" for kind in MADE)
    there = labctl(
        "exec", "--lab", lab, "client/toolbox", "--", "sh", "-c", f"printf '{commands}' | openstack"
    )
    assert "verify-" not in there.out


def test_the_client_has_a_command_line_for_every_service(
    labctl: Labctl, lab: str, ground: Ground
) -> None:
    asked = [words for service, words in LISTS.items() if service in ground.lab.services]
    for words in asked:
        command = ["openstack", *words.split(), "-f", "json"]
        answer = labctl("exec", "--lab", lab, "client/toolbox", "--", *command).json
        assert isinstance(answer, list), words


def test_what_status_calls_healthy_is_up_in_every_list(
    ground: Ground, membership: Membership
) -> None:
    ground.until_healthy()
    down = [i.name for i in ground.lab.instances if membership.listed(i) is False]
    assert down == []


def test_a_failure_names_the_service_and_its_log(labctl: Labctl, lab: str) -> None:
    nodes = ("c1", "c2", "c3")
    labctl("kill", "--lab", lab, *(f"{node}/placement" for node in nodes))
    try:
        said = labctl("verify", "--lab", lab, "--step", "token", code=1)
    finally:
        labctl("heal", "--lab", lab)
    assert "failed  token: " in said.out
    assert "placement: GET http://" in said.out
    assert "see labctl logs c1/placement (also on c2, c3)" in said.out
    assert said.out.splitlines()[-1].endswith(f"lab {lab}: 1 failed")
    assert labctl("verify", "--lab", lab, "--step", "nothing", code=2).out == ""
