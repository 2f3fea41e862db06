"""The virtual IP and the APIs: what is done, refused and unknown, and what is read back."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from labctl.workloads.loop import operate
from tests.unit.workload_fakes import BASE, dice, end


def test_the_neighbour_table_names_the_holder() -> None:
    from labctl.workloads.kinds import vip

    table = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "198.18.0.250     0x1         0x2         02:AB:00:00:00:01     *        eth0\n"
    )
    assert vip.neighbour(table, "198.18.0.250") == "02:ab:00:00:00:01"
    assert vip.neighbour(table, "198.18.0.25") == ""


def answered(status: int, body: Any = None, headers: Any = None) -> requests.Response:
    import json

    answer = requests.Response()
    answer.status_code = status
    answer._content = json.dumps(body).encode()
    answer.headers.update(headers or {})
    return answer


LOGIN = answered(
    201,
    {"token": {"catalog": [{"type": "image", "endpoints": [{"interface": "public", "url": "u"}]}]}},
    {"X-Subject-Token": "t"},
)


@pytest.mark.parametrize(
    ("outcome", "ends"),
    [
        (LOGIN, "ok"),
        (answered(401), "fail"),
        (answered(503), "info"),
        (requests.exceptions.ReadTimeout("late"), "info"),
        (requests.exceptions.ConnectTimeout("late"), "fail"),
        (requests.exceptions.ConnectionError("[Errno 111] Connection refused"), "fail"),
        (requests.exceptions.ConnectionError("Connection aborted."), "info"),
    ],
)
def test_a_login_ends(monkeypatch: pytest.MonkeyPatch, outcome: Any, ends: str) -> None:
    from labctl.workloads import cloud
    from labctl.workloads.kinds import tokens

    def request(*_: Any, **__: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(cloud.requests, "request", request)
    assert end(tokens.Login(BASE), "login", 1)["type"] == ends


def test_a_token_that_is_refused_from_the_beginning_is_no_answer_to_compare_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from labctl.workloads import cloud
    from labctl.workloads.kinds import tokens
    from labctl.workloads.model import RefusedError

    answers = iter([LOGIN, answered(401), answered(200, {"roles": []})])
    monkeypatch.setattr(cloud.requests, "request", lambda *_, **__: next(answers))
    owner = tokens.Answers(BASE)
    with pytest.raises(RefusedError, match="the token is not valid: 401"):
        owner.prepare()
    assert owner.prepare()["answer"].startswith("200 ")


def test_an_answer_that_changes_differs_and_its_order_does_not_matter() -> None:
    from labctl.workloads.kinds.tokens import digest

    assert digest({"roles": ["a", "b"], "x": 1}) == digest({"x": 1, "roles": ["b", "a"]})
    assert digest({"roles": ["a"]}) != digest({"roles": ["b"]})


class Api:
    """An image service in memory."""

    def __init__(self) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self.upload: int | Exception = 204

    def request(self, method: str, url: str, **given: Any) -> Any:  # noqa: PLR0911 - one for each path
        path = url.removeprefix("u/v2/images")
        if url.endswith("/auth/tokens"):
            return LOGIN
        if method == "POST":
            made = {"id": f"i{len(self.images)}", "status": "queued", **given["json"]}
            self.images[made["id"]] = made
            return answered(201, made)
        if path.startswith("?"):
            return answered(200, {"images": list(self.images.values())})
        image, _, file = path[1:].partition("/")
        if image not in self.images:
            return answered(404)
        if method == "PUT":
            self.images[image] |= {"status": "active", "data": given["data"].hex()}
            return answered(int(str(self.upload)))
        if method == "DELETE":
            del self.images[image]
            return answered(204)
        if file:
            answer = answered(200)
            answer._content = bytes.fromhex(self.images[image]["data"])
            return answer
        return answered(200, self.images[image])


def test_an_image_is_made_read_back_listed_and_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    from labctl.workloads import cloud
    from labctl.workloads.kinds import api

    images = Api()
    monkeypatch.setattr(cloud.requests, "request", images.request)
    config = {**BASE, "resource": "image", "size": 64, "delete_every": 2, "settle": 1, "keep": 9}
    things = api.Things(config)
    things.prepare()
    session = things.session(0, dice())
    events: list[dict[str, Any]] = []

    def turn(number: int) -> list[tuple[str, str, Any]]:
        events.clear()
        for operation in session.steps(number):
            operate(session, operation, lambda **event: events.append(event))
        return [(e["type"], e["f"], e["value"]) for e in events if e["type"] != "invoke"]

    seen = {"name": "run_1_w-1", "status": "active", "intact": True}
    assert turn(1) == [("ok", "create", "run_1_w-1"), ("ok", "read", seen)]
    assert [end[:2] for end in turn(2)] == [("ok", "create"), ("ok", "read"), ("ok", "delete")]
    # Taken and then refused its content: it may be there, so nobody knows.
    images.upload = 409
    assert turn(3) == [("info", "create", "run_1_w-3")]
    listed = things.final()["listed"]
    assert [thing["name"] for thing in listed] == ["run_1_w-1", "run_1_w-3"]
    images.images["i0"]["data"] = "00"
    assert things.place.read("run_1_w-1")["intact"] is False
    # Whoever asks in the end is another process, and has made nothing.
    late = api.Things(config)
    assert [thing["intact"] for thing in late.final()["listed"]] == [False, True]
    things.clean()
    assert things.final() == {"listed": []}
    assert things.place.read("run_1_w-1") == {"name": "run_1_w-1", "status": "absent"}


def test_keys_are_left_after_a_bounded_number_of_operations() -> None:
    from labctl.workloads.keys import key_of, register_steps

    keys = [key_of(number, BASE) for number in range(60)]
    assert {key: keys.count(key) for key in keys} == dict.fromkeys(range(6), 10)
    asked = {
        next(register_steps(number, BASE, dice(number), {0: 3})).f for number in range(0, 20, 2)
    }
    assert asked == {"read", "write", "cas"}
