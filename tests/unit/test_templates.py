"""Templates that become shell scripts: what a topology says cannot become a command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.documents.shipped import data_dir
from labctl.documents.templates import render_text

from .test_catalogue import Rendered, shipped

HOSTILE = (
    "203.0.113.0/24; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "' ; touch pwned ; '",
    "a b\ntouch pwned\n",
    "--help -j $HOME *",
)
RECORDER = (
    '#!/bin/sh\nfor each in "$(basename "$0")" "$@"; do printf "%s\\0" "$each"; done >>calls\n'
)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_an_expression_in_a_shell_script_is_one_word(text: str) -> None:
    script = render_text("#!/bin/sh\nprintf '%s' {{ value }}\n", "script", {"value": text})
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout
    assert said.decode() == text


def test_elsewhere_an_expression_is_itself() -> None:
    assert render_text("key = {{ value }}\n", "conf", {"value": "a b"}) == "key = a b\n"


def test_numbers_and_addresses_stay_as_they_are() -> None:
    values = {"number": 4789, "address": "203.0.113.1/24"}
    text = render_text("#!/bin/sh\necho {{ number }} {{ address }}\n", "script", values)
    assert text == "#!/bin/sh\necho 4789 203.0.113.1/24\n"


def test_no_shell_script_puts_an_expression_between_quotes() -> None:
    """There a word's own quotes would end them."""
    scripts = [
        path
        for path in data_dir("compose").glob("*/*.j2")
        if path.read_text().startswith("#!/bin/sh")
    ]
    assert len(scripts) >= 3
    for path in scripts:
        for line in path.read_text().splitlines():
            for before in line.split("{{")[:-1]:
                assert before.count('"') % 2 == before.count("'") % 2 == 0, (path.name, line)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    ("service", "setting", "path"),
    [
        ("provider-gateway", "subnet", "/etc/labctl/provider-gateway"),
        ("provider-gateway", "address", "/etc/labctl/provider-gateway"),
        ("openvswitch", "provider_group", "/etc/labctl/provider-gateway"),
    ],
)
def test_the_gateways_script_takes_a_setting_as_one_argument(
    tmp_path: Path, hostile: str, service: str, setting: str, path: str
) -> None:
    lab = shipped("three-controller", profile="core", **{service: {setting: hostile}})
    script = Rendered(lab).text("client/provider-gateway", path)
    for name in ("ip", "ethtool", "iptables", "sleep"):
        (tmp_path / name).write_text(RECORDER)
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["/bin/sh", "-c", script], cwd=tmp_path, env=environment, check=True, timeout=20)
    assert not (tmp_path / "pwned").exists()
    assert hostile in (tmp_path / "calls").read_text().split("\0")
