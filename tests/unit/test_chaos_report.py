"""The report of a run: what a person sees, and that nothing of the lab can speak in it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from labctl.chaos.checks.cycles import SUFFIXES
from labctl.chaos.document.words import CHECKS
from labctl.chaos.folder.history import pair, salvage
from labctl.chaos.model.isolation import ANOMALIES
from labctl.chaos.report import html, read
from labctl.chaos.report.markup import escape, tag
from labctl.chaos.report.page import _concerned
from labctl.chaos.report.words import KEPT
from tests.unit.chaos_run import HOSTILE, change, history, write_run

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Well-formed or not, and what is in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.outside: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data

    def _seen(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value or "")
            elif key == "href" and (value or "").startswith("#"):
                self.links.append((value or "")[1:])
            elif key in ("src", "href", "srcset", "data", "action") or key.startswith("on"):
                self.outside.append(f"{key}={value}")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "20261122T210411_5c1f0e")


def page(folder: Path) -> Page:
    return Page(html(read(folder)))


def test_it_is_well_formed_and_every_link_leads_somewhere(run: Path) -> None:
    seen = page(run)
    assert seen.open == []
    assert len(seen.ids) == len(set(seen.ids))
    assert set(seen.links) <= set(seen.ids)


def test_nothing_is_fetched_from_anywhere(run: Path) -> None:
    text = html(read(run))
    seen = Page(text)
    assert seen.outside == []
    assert not {"script", "link", "img", "iframe", "object", "use"} & set(seen.tags)
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "@import" not in style
    assert set(re.findall(r"url\((.*?)\)", style)) <= {
        "#hatch-away", "#hatch-double", "#hatch-missed", "#hatch-odd"
    }  # fmt: skip


def test_the_outcome_its_reason_and_how_to_repeat_it_are_told(run: Path) -> None:
    text = page(run).text
    for fact in (
        "INVALID",
        "2 acknowledged writes are on no member",
        "lost though promised",
        "20161",
        "labctl chaos replay 20261122T210411_5c1f0e",
        "labctl chaos check 20261122T210411_5c1f0e",
        "c2-mariadb.log",
        "10.11.14",
        "evs.suspect_timeout",
        "1.71 s measured",
        "not measured",
        "of 200 packets from c1 to c3 all 200 arrived",
        "TCP 3306 from client: refused",
    ):
        assert fact in text, fact


def test_the_virtual_ip_is_seen_to_be_nobodys_and_two_nodes(run: Path) -> None:
    text = page(run).text
    assert "no holder, 2.00 s" in text
    assert "2 at once, 2.00 s" in text


def test_a_run_in_which_one_node_held_it_has_no_such_lane(run: Path) -> None:
    (run / "observations.jsonl").write_text('{"t":1,"vip":["c1"],"clusters":{},"unready":[]}\n')
    text = page(run).text
    assert "who holds it" in text
    assert "not just one" not in text


def test_hostile_text_is_shown_and_does_nothing(run: Path) -> None:
    def poison(data: dict[str, object]) -> None:
        data["why"] = HOSTILE

    change(run, "verdict.json", poison)
    text = html(read(run))
    assert "<script" not in text
    assert "<img" not in text
    assert "\x07" not in text
    assert "&lt;script&gt;" in text
    assert '</svg></title><script>alert("1")</script>' in Page(text).text


def test_evidence_leads_to_the_operation_that_it_speaks_of(run: Path) -> None:
    record = read(run)
    found = _concerned(record)
    pieces = record.checks[0]["evidence"]
    assert [found[0, n].value for n in range(len(pieces))] == [p["value"] for p in pieces]
    seen = page(run)
    assert {f"op-{o.number}" for o in found.values()} <= set(seen.links)


def test_evidence_of_no_operation_links_nowhere(run: Path) -> None:
    def other(data: dict[str, list[dict[str, object]]]) -> None:
        piece = {"t": 12.0, "p": 99, "f": "add", "value": 1, "said": "by nobody"}
        data["checks"][0]["evidence"] = [piece]

    change(run, "verdict.json", other)
    assert not _concerned(read(run))
    assert "No check refers to a single operation" in page(run).text


def test_a_run_cut_short_is_readable(run: Path) -> None:
    for name in ("verdict.json", "scenario.yml"):
        (run / name).unlink()
    history = run / "history.jsonl"
    history.write_text(history.read_text()[: history.stat().st_size // 3])
    (run / "timeline.json").write_text('[{"index": 0, "said"')
    seen = page(run)
    assert seen.open == []
    for fact in (
        "UNKNOWN",
        "this run has not been judged yet: labctl chaos check does",
        "verdict.json is missing: the run did not get that far",
        "timeline.json is damaged and left out",
        "history.jsonl has 1 torn or damaged lines",
    ):
        assert fact in seen.text, fact


def test_an_empty_folder_is_readable_too(tmp_path: Path) -> None:
    seen = page(tmp_path)
    assert seen.open == []
    assert "No fault was made." in seen.text


def test_values_of_other_types_than_agreed_are_no_error(run: Path) -> None:
    def wrong(data: dict[str, object]) -> None:
        data |= {"steady": 3, "notes": "no", "checks": [1, {"counts": 4, "evidence": "x"}]}
        data["budgets"] = [{"bound": "much", "parts": [1], "fault": []}]
        data["outcome"] = ["INVALID"]

    change(run, "verdict.json", wrong)
    (run / "observations.jsonl").write_text('{"t": 1, "vip": "c1", "clusters": [1]}\n[]\n')
    assert page(run).open == []


def test_a_hundred_thousand_operations_give_a_small_file(run: Path) -> None:
    events, _ = salvage(json.dumps(each) for each in history(rate=390))
    record = replace(read(run), operations=pair(events, strict=False))
    assert len(record.operations) > 98_000
    assert len(html(record).encode()) < 1_000_000


def test_text_is_escaped_and_attributes_cannot_be_left() -> None:
    assert tag("p", "<b>", title='"><x', class_=None) == '<p title="&#34;&gt;&lt;x">&lt;b&gt;</p>'
    assert tag("p", tag("b", "&")) == "<p><b>&amp;</b></p>"
    assert escape("a\x00b\ud800") == "a\ufffdb\ufffd"


def test_the_first_screen_says_what_was_done_kept_and_lost(run: Path) -> None:
    text = html(read(run))
    cards = text.partition('<div class="glance">')[2].partition("</div><section")[0]
    first = Page(cards).text
    for fact in (
        "The writer dies, then the holder of the virtual IP is cut off",
        "kill c1/mariadb at 15.30 s for 22.8 s",
        "lose 30 % at c3: did not bite",
        "nothing twice: galera-set",
        "galera-set: lost lost though promised",
        "redis-set: lost lost as documented",
        "rabbit-quorum: linearizable",
        "how long rabbitmq was away",
        "✗ vip: 1.71 s, 1.30 s allowed",
    ):
        assert fact in first, fact


def test_every_check_has_a_word_for_what_it_found_well() -> None:
    # An anomaly is named when it is there; without any, all is ``serializable``.
    anomalies = {name + suffix for name in ANOMALIES for suffix in SUFFIXES} - {"lost update"}
    assert KEPT.keys() == {*CHECKS, "recovered"} - anomalies - {"flutter"}


def test_who_looked_at_nothing_says_no_loss_was_seen_by_nobody(run: Path) -> None:
    change(run, "verdict.json", lambda data: data.update(checks=[]))
    assert "unknown: nothing was checked" in page(run).text
    kept = {"workload": "w", "check": "lost", "promise": "kept", "outcome": "VALID", "why": ""}
    change(run, "verdict.json", lambda data: data.update(checks=[kept]))
    assert "nothing of what was checked" in page(run).text


def test_the_legend_has_what_is_drawn(run: Path) -> None:
    assert 'class="key asleep"' not in html(read(run))
    with (run / "history.jsonl").open("a") as file:
        file.write('{"t": 50.0, "w": "client", "type": "lag", "seconds": 1.5}\n')
    text = page(run).text
    assert 'class="key asleep"' in html(read(run))
    assert "the client itself did not run for 1.50 s" in text
    assert "joining, or out of quorum" in text
    for name in ("history.jsonl", "observations.jsonl"):
        (run / name).write_text("")
    text = page(run).text
    assert "joining, or out of quorum" not in text
    assert "operation in question" not in text


def test_moments_of_several_targets_are_told_without_brackets(run: Path) -> None:
    def moments(data: list[dict[str, object]]) -> None:
        data[0]["evidence"] = {"moments": {"c1": 0.012, "c2": 0.014}}

    change(run, "timeline.json", moments)  # type: ignore[arg-type]
    assert "moments: c1 0.012, c2 0.014" in page(run).text


def test_an_observation_that_failed_is_not_drawn_as_an_outage(run: Path) -> None:
    failed = {"t": 500.0, "vip": [], "clusters": {}, "error": "the client node cannot be asked"}
    with (run / "observations.jsonl").open("a") as file:
        file.write(json.dumps(failed) + "\n")
    assert max(seen.t for seen in read(run).observations) < failed["t"]
