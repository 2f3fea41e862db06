"""A campaign: what is chosen for a lab, what is left out, and what comes of all."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from labctl.chaos.document import library
from labctl.chaos.run import campaign
from labctl.chaos.run.campaign import Result
from labctl.cli import chaos
from labctl.errors import EngineError, InputError, LabError
from labctl.running import lifecycle
from tests.unit.chaos_run import change, write_run
from tests.unit.test_chaos_command import labctl
from tests.unit.test_chaos_timeline import lab

SUPPORT = lab()
PLACE = "labs/three-controller/runs"
UNABLE = "this kernel has no netem"


def able(words: Collection[str]) -> None:
    if "delay" in words:
        raise EngineError(UNABLE)


def test_without_a_word_all_that_fits_is_chosen_and_the_rest_left_out() -> None:
    choice = campaign.choose((), SUPPORT, able)
    assert {*choice.names, *choice.left_out} == set(library.scenarios())
    assert "galera-writer-killed" in choice.names
    assert choice.left_out["network-slow"] == UNABLE
    assert choice.left_out["nova"].endswith(
        "needs.profile: lab 'three-controller' has the profile support, should be core; "
        "bring it up with --profile core"
    )
    assert "mariadb.disk" in choice.left_out["galera-disk-full"]
    assert "network-slow" in campaign.choose((), SUPPORT).names


def test_words_find_and_names_must_fit() -> None:
    choice = campaign.choose(("memcached", "vip-split", "memcached-killed"), SUPPORT)
    assert choice.names == ("memcached-frozen", "memcached-killed", "vip-split")
    for word, says in (
        ("nova", "lab 'three-controller' has the profile support"),
        ("./none.yml", "none.yml"),
        ("teapot", "no scenario has 'teapot' in its name, rows or needs: see `labctl chaos list`"),
    ):
        with pytest.raises(InputError) as caught:
            campaign.choose((word,), SUPPORT)
        assert says in str(caught.value)
    with pytest.raises(EngineError):
        campaign.choose(("network-slow",), SUPPORT, able)


def result(outcome: Any, code: int) -> Result:
    return Result("s", outcome, "why", code)


@pytest.mark.parametrize(
    ("results", "code", "said"),
    [
        ([], 0, "1 left out"),
        ([("VALID", 0), ("VALID", 0)], 0, "2 VALID, 1 left out"),
        ([("VALID", 0), ("UNKNOWN", 4)], 4, "1 VALID, 1 UNKNOWN, 1 left out"),
        ([("UNKNOWN", 4), (None, 3), (None, 2)], 3, "1 UNKNOWN, 2 not run, 1 left out"),
        ([(None, 3), ("INVALID", 1), ("UNKNOWN", 4)], 1, "1 INVALID, 1 UNKNOWN, 1 not run"),
    ],
)
def test_the_worst_counts(results: list[tuple[Any, int]], code: int, said: str) -> None:
    made = [result(*each) for each in results]
    assert campaign.worst(made) == code
    assert campaign.tally(made, ["a"]).startswith(said)


def test_nothing_fits() -> None:
    assert campaign.tally([], []) == "no scenario fits"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was carried out: the first comes out UNKNOWN, the second cannot begin, others hang."""
    done: list[str] = []
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path))
    monkeypatch.setattr(lifecycle, "current", lambda _: type("P", (), {"lab": SUPPORT}))
    monkeypatch.setattr(chaos, "attach", lambda *_: (None, type("P", (), {"lab": SUPPORT})))
    monkeypatch.setattr(chaos, "_repair", lambda *_: done.append("mend"))

    def perform(make: Any, *_: Any, **__: Any) -> Path:
        done.append(make(SUPPORT).scenario.name)
        if len(done) == 2:
            folder = write_run(tmp_path / PLACE / "20260101T120000_a1b2c3", rate=0.2)
            change(folder, "run.json", lambda data: data.update(seconds=61.5))
            return folder
        if len(done) == 4:
            raise LabError("the workloads did not start")
        raise typer.Exit(130)

    monkeypatch.setattr(chaos, "_perform", perform)
    yield done


def test_a_campaign_goes_on_after_an_error_and_tells_what_it_knows(
    runs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ("memcached-killed", "vip-split")
    assert labctl(monkeypatch, "campaign", *names, "--seed", "5", "--json") == 1
    assert runs == ["mend", "memcached-killed", "mend", "vip-split"]
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["seed"], told["left_out"]) == (5, {})
    first, second = told["results"]
    assert (first["outcome"], first["seconds"]) == ("UNKNOWN", 61.5)
    assert first["run"] == "20260101T120000_a1b2c3"
    assert (second["outcome"], second["why"]) == (None, "the workloads did not start")
    assert said.err.splitlines()[0] == "1 of 2: memcached-killed"
    page = tmp_path / "labs/three-controller/reports/chaos.html"
    assert said.err.splitlines()[-2:] == ["labctl: the workloads did not start", f"see {page}"]
    assert page.is_file()


def test_an_interrupted_campaign_tells_what_it_knows(
    runs: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("memcached-killed", "vip-split", "vip-power")
    assert labctl(monkeypatch, "campaign", *names) == 130
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[:4] for line in lines[:2]] == [
        ["memcached-killed", "20260101T120000_a1b2c3", "62 s", "UNKNOWN"],
        ["vip-split", "-", "-", "-"],
    ]
    assert lines[2] == ["1 UNKNOWN, 1 not run"]
    assert lines[3][0].startswith("see ")
