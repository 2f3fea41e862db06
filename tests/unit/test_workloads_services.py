"""What each further API is asked for, against one in memory that keeps what it is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from labctl.chaos.checks import age, answers
from labctl.workloads import cloud, ground, places, resources
from labctl.workloads.kinds import api, dashboard, polled
from labctl.workloads.loop import operate
from labctl.workloads.model import RefusedError
from labctl.workloads.registry import KINDS
from tests.unit.chaos_histories import broken, op
from tests.unit.workload_fakes import BASE, dice, end

SERVICES = {resource.service for resource in resources.RESOURCES.values()} | {"database"}


def answered(status: int, body: Any = None, **headers: str) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer._content = (body if isinstance(body, str) else json.dumps(body)).encode()
    answer.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return answer


def login() -> requests.Response:
    catalog = [
        {"type": name, "endpoints": [{"interface": "public", "url": f"u/{name}"}]}
        for name in SERVICES
    ]
    return answered(201, {"token": {"catalog": catalog}}, X_Subject_Token="t")


class Rest:
    """Collections of things. ``status`` is what a new one is at, under every key that says so."""

    status = "ACTIVE"

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []

    def request(self, method: str, url: str, **given: Any) -> Any:  # noqa: PLR0911 - one a path
        if url.endswith("/auth/tokens"):
            return login()
        path = url.partition("?")[0].removesuffix("/detail")
        self.asked.append(f"{method} {path}")
        if (special := self.special(method, path, given)) is not None:
            return special
        if method == "POST":
            return self.make(path, given["json"])
        if method == "PUT":
            return answered(204)
        if path in self.things:
            if method == "DELETE":
                return answered(204, self.things.pop(path) and None)
            return answered(200, self.shown(path))
        if re.search(r"/[itms]\d+$", path):
            return answered(404)
        return answered(200, {self.many(path): [t for p, t in self.things.items() if path in p]})

    def special(self, method: str, path: str, given: Any) -> Any:
        """What is no collection."""

    def make(self, path: str, body: dict[str, Any]) -> Any:
        one = next((key for key, value in body.items() if isinstance(value, dict)), "")
        thing = dict(body[one] if one else body)
        thing |= {"id": f"i{len(self.asked)}", "status": self.status}
        thing["provisioning_status"] = self.status
        self.things[f"{path}/{thing['id']}"] = thing
        return answered(201, self.shown(f"{path}/{thing['id']}"))

    def shown(self, path: str) -> Any:
        """A thing in an answer: by itself, and under the name of its kind."""
        return {**self.things[path], self.many(path.rpartition("/")[0])[:-1]: self.things[path]}

    def many(self, path: str) -> str:
        return path.rpartition("/")[2].replace("-", "_")


class Sahara(Rest):
    """A plugin, and images that are made known."""

    status = "Active"

    def special(self, method: str, path: str, given: Any) -> Any:
        if path.endswith("/plugins"):
            return answered(200, {"plugins": [{"name": "fake", "versions": {"0.1": {}}}]})
        if path.endswith("/plugins/fake/0.1"):
            return answered(200, {"plugin": {"node_processes": {"HDFS": ["namenode"]}}})
        return answered(200, {}) if "data-processing/images" in path else None


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Rest], Rest]:
    for name in ("vmlinuz", "initrd", "disk"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(ground, "GUEST", tmp_path)
    monkeypatch.setattr(places, "_PAUSE", 0.0)

    def do(rest: Rest) -> Rest:
        monkeypatch.setattr(cloud.requests, "request", rest.request)
        return rest

    return do


def config(kind: str, **more: Any) -> dict[str, Any]:
    return {**BASE, "id": "run-1-w", **KINDS["api"][kind].settings, "settle": 1, **more}


KINDS_OF = {
    "backup": (Rest, "available"),
    "balancer": (Rest, "ACTIVE"),
    "template": (Sahara, "Active"),
    "cluster": (Sahara, "Active"),
}


@pytest.mark.parametrize("kind", KINDS_OF)
def test_things_are_made_read_listed_and_deleted(serve: Any, kind: str) -> None:
    make, status = KINDS_OF[kind]
    rest = make()
    rest.status = status
    serve(rest)
    things = api.Things(config(kind, delete_every=2))
    things.prepare()
    session = things.session(0, dice())
    assert [done["f"] for done in turn(session, 1)] == ["create", "read"]
    assert [done["f"] for done in turn(session, 2)] == ["create", "read", "delete"]
    listed = api.Things(config(kind)).final()["listed"]
    assert [thing["name"] for thing in listed] == ["run-1-w-1"]
    assert listed[0]["status"] == ("there" if kind == "template" else status)
    api.Things(config(kind)).clean()
    # A subnet goes with its network.
    assert [path for path in rest.things if "subnets" not in path] == []


def turn(session: Any, number: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for operation in session.steps(number):
        operate(session, operation, lambda **event: events.append(event))
    ends = [event for event in events if event["type"] != "invoke"]
    assert {event["type"] for event in ends} == {"ok"}, ends
    return ends


def test_more_than_may_be_kept_is_deleted_at_once(serve: Any) -> None:
    serve(Rest()).status = "available"
    things = api.Things(config("volume", keep=2, delete_every=1000))
    session = things.session(0, dice())
    last = [turn(session, number)[-1]["f"] for number in range(1, 5)]
    assert last == ["read", "read", "delete", "delete"]
    assert len(things.final()["listed"]) == 2


def test_what_stays_though_it_was_deleted_is_told(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stubborn(Rest):
        def special(self, method: str, path: str, given: Any) -> Any:
            return answered(409) if method == "DELETE" else None

    monkeypatch.setattr(places, "_GOING", 0.0)
    serve(Stubborn())
    things = api.Things(config("balancer"))
    things.prepare()
    turn(things.session(0, dice()), 1)
    with pytest.raises(
        TimeoutError, match=r"^1 things cannot be deleted, the first is \{'name': 'run-1-w-1'"
    ):
        things.place.clear()


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        ("error_creating", RuntimeError, "the volume to work on is in error_creating"),
        ("creating", TimeoutError, "the volume to work on is still creating"),
    ],
)
def test_a_volume_that_is_not_there_in_time_is_no_ground(
    serve: Any, monkeypatch: pytest.MonkeyPatch, status: str, error: type[Exception], said: str
) -> None:
    monkeypatch.setattr(ground, "_VOLUME", -1.0)
    serve(Rest()).status = status
    with pytest.raises(error, match=f"^{said}$"):
        api.Things(config("backup")).prepare()


class Trove(Rest):
    """Datastores come with their first version."""

    def make(self, path: str, body: dict[str, Any]) -> Any:
        if "database" not in path:
            return super().make(path, body)
        name = body["version"]["datastore_name"]
        store = {"id": f"s{name}", "name": name, "versions": [{"id": "v1", "name": "1.0"}]}
        self.things[f"u/database/datastores/{name}"] = store
        return answered(202)

    def special(self, method: str, path: str, given: Any) -> Any:
        name = path.rpartition("/")[2]
        if "/mgmt/" in path and method == "DELETE":
            return answered(202)
        if "/datastores/" in path and method == "DELETE":
            del self.things[f"u/database/datastores/{name[1:]}"]
            return answered(202)
        return answered(404) if "/datastores/" in path and path not in self.things else None


def test_datastores_have_their_version_and_go_with_it(serve: Any) -> None:
    rest = serve(Trove())
    things = api.Things(config("datastore", delete_every=2))
    things.prepare()
    session = things.session(0, dice())
    seen = {"name": "run-1-w-1", "status": "there", "intact": True}
    assert turn(session, 1)[-1]["value"] == seen
    assert [done["f"] for done in turn(session, 2)] == ["create", "read", "delete"]
    assert "DELETE u/database/mgmt/datastore-versions/v1" in rest.asked
    assert [thing["name"] for thing in things.final()["listed"]] == ["run-1-w-1"]
    things.clean()
    assert things.final() == {"listed": []}
    assert things.place.read("run-1-w-1") == {"name": "run-1-w-1", "status": "absent"}


class Horizon:
    """A form, sessions, and pages for those who have one."""

    def __init__(self) -> None:
        self.refuses = self.forgets = False

    def request(self, method: str, url: str, **given: Any) -> requests.Response:
        if method == "GET" and url.endswith("/auth/login/"):
            answer = answered(200, "<input name='csrfmiddlewaretoken' value='secret'>")
            answer.cookies.set("csrftoken", "c")
            return answer
        if method == "POST":
            assert given["cookies"] == {"csrftoken": "c"}
            assert given["data"]["csrfmiddlewaretoken"] == "secret"
            answer = answered(200 if self.refuses else 302, "")
            answer.cookies.set("sessionid", "s")
            return answer
        if self.forgets or "sessionid" not in given["cookies"]:
            return answered(302, "", Location="/auth/login/?next=/identity/users/")
        return answered(200, "<html>")


def test_the_dashboard_is_logged_in_to_and_pages_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    horizon = Horizon()
    monkeypatch.setattr(cloud.requests, "request", horizon.request)
    owner = dashboard.Dashboard(BASE)
    assert owner.prepare() == {}
    visitor = owner.session(0, dice())
    assert [done["f"] for done in turn(visitor, 1)] == ["login", "page"]
    assert [(done["f"], done["value"]) for done in turn(visitor, 2)] == [("page", "known")]
    horizon.refuses = True
    assert end(visitor, "login", 5)["type"] == "fail"
    horizon.forgets = True
    assert end(visitor, "page", harmless=True)["value"] == "asked to log in"
    with pytest.raises(RefusedError):
        owner.prepare()
    horizon.refuses = False
    with pytest.raises(RefusedError, match="does not know a user who has just logged in"):
        owner.prepare()


def test_a_session_that_was_forgotten_is_found() -> None:
    history = [
        op(0, "login", 1, 0, 1),
        op(0, "page", None, 1, 2, answer="known"),
        op(0, "login", 6, 3, 4),
    ]
    assert broken(answers.check(history, {}, {})) == []
    lost = op(0, "page", None, 5, 6, answer="asked to log in")
    assert broken(answers.check([*history, lost], {}, {})) == ["answers"]


class Gnocchi(Rest):
    measures: Any = None

    def special(self, method: str, path: str, given: Any) -> Any:
        if "/measures" not in path:
            return None
        return answered(404) if self.measures is None else answered(200, self.measures)


def test_the_newest_measure_has_an_age(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gnocchi = serve(Gnocchi())
    monkeypatch.setattr(polled.time, "time", lambda: 1_000_040.0)
    owner = polled.Polled(config("poll"))
    owner.prepare()
    assert end(owner, "measure", harmless=True)["type"] == "fail"
    gnocchi.measures = [
        ["1970-01-12T13:30:00+00:00", 300.0, 7.0],
        ["1970-01-12T13:46:10+00:00", 10.0, 7.0],
    ]
    seen = end(owner, "measure", harmless=True)["value"]
    assert seen == {"age": 70.0, "moment": "1970-01-12T13:46:10+00:00"}
    owner.clean()
    assert gnocchi.things == {}


def measured(*ages: float) -> list[Any]:
    return [
        op(0, "measure", None, n, n + 0.1, answer={"age": age, "moment": f"m{n // 2}"})
        for n, age in enumerate(ages)
    ]


def test_ages() -> None:
    (found,) = age.check(measured(10, 40, 10), {}, {"bound": 120.0})
    assert found.broken is False
    assert found.why == "2 measures; the newest was at most 40 s old, of 120 s"
    assert broken(age.check(measured(10, 121, 10), {}, {"bound": 120.0})) == ["age"]
    assert age.check([op(0, "measure", None, 0, 1, "fail")], {}, {"bound": 120.0})[0].broken is None
