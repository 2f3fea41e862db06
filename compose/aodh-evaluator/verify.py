"""Alarms fire and call back: one on measures in Gnocchi, one on an event of Keystone's."""

import contextlib
import datetime
import http.server
import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

Calls = queue.Queue[dict[str, Any]]
LIMIT = 50.0


@contextlib.contextmanager
def webhook(ctx: Any) -> Iterator[tuple[str, Calls]]:
    """A listener on the client's address: its URL, and what alarms have told it."""
    calls: Calls = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Progress is told by the step."""

    server = http.server.ThreadingHTTPServer(("", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{ctx.nodes['client']}:{server.server_port}/", calls
    finally:
        server.shutdown()
        server.server_close()


def make_alarm(ctx: Any, url: str, kind: str, rule: dict[str, Any]) -> str:
    """An alarm that calls the URL."""
    alarm = {
        "name": ctx.name(kind),
        "type": kind,
        f"{kind}_rule": rule,
        "alarm_actions": [url],
        "repeat_actions": kind == "event",
    }
    return str(ctx.make("alarming", "/v2/alarms", alarm, key="alarm_id")["alarm_id"])


def told(calls: Calls, alarm: str) -> dict[str, Any] | None:
    """The call that says that the alarm has fired."""
    while not calls.empty():
        call = calls.get()
        if call["alarm_id"] == alarm and call["current"] == "alarm":
            return call
    return None


def threshold(ctx: Any) -> None:
    """A metric rises over a limit: evaluated, written down, called back."""
    body = {"name": ctx.name("alarm"), "archive_policy_name": "polled"}
    metric = ctx.make("metric", "/v1/metric", body)["id"]
    kind = "gnocchi_aggregation_by_metrics_threshold"
    rule = {
        "metrics": [metric],
        "aggregation_method": "mean",
        "granularity": 10,
        "evaluation_periods": 1,
        "comparison_operator": "gt",
        "threshold": LIMIT,
    }
    with webhook(ctx) as (url, calls):
        alarm = make_alarm(ctx, url, kind, rule)

        def fired() -> dict[str, Any] | None:
            # The rule looks at the last seconds only, so the metric has to stay high.
            measure = {
                "timestamp": datetime.datetime.now(datetime.UTC).isoformat(),
                "value": 2 * LIMIT,
            }
            path = f"/v1/metric/{metric}/measures"
            ctx.request("metric", "POST", path, json=[measure], expect=(202,))
            return told(calls, alarm)

        call = ctx.until("the alarm has called back", fired, seconds=90, every=2.0)
    state = ctx.request("alarming", "GET", f"/v2/alarms/{alarm}/state").json()
    if state != "alarm":
        ctx.fail(f"alarm {alarm} has called back and its state is {state}")
    ctx.say(f"alarm {alarm} called back: {call['reason']}")


def event(ctx: Any) -> None:
    """Keystone tells of a new project; the alarm on it fires."""
    with webhook(ctx) as (url, calls):
        rule = {"event_type": "identity.project.created"}
        alarm = make_alarm(ctx, url, "event", rule)
        made: list[str] = []

        def fired() -> dict[str, Any] | None:
            # The listener learns of new alarms now and then, so the first events may be too early.
            if len(made) < 12:
                name = ctx.name(f"alarm-{len(made)}")
                project = ctx.cloud.identity.create_project(name=name)
                made.append(project.id)
                ctx.defer(ctx.cloud.identity.delete_project, project.id)
            call = told(calls, alarm)
            if call is None:
                return None
            traits = {trait[0]: trait[2] for trait in call["reason_data"]["event"]["traits"]}
            return call if traits.get("resource_id") in made else None

        call = ctx.until("the alarm on an event has called back", fired, seconds=90, every=5.0)
    ctx.say(f"alarm {alarm} called back: {call['reason_data']['event']['event_type']}")
