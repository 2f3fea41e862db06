"""Heat's steps: stacks whose wait conditions are signalled, by the step and by a server."""

import json
import time

HANDLE = {
    "type": "OS::Heat::WaitConditionHandle",
    "properties": {"signal_transport": "CFN_SIGNAL"},
}
TEMPLATE = {
    "heat_template_version": "2021-04-16",
    "resources": {
        "word": {"type": "OS::Heat::RandomString", "properties": {"length": 12}},
        "handle": HANDLE,
        "condition": {
            "type": "OS::Heat::WaitCondition",
            "properties": {"handle": {"get_resource": "handle"}, "timeout": 90},
        },
    },
    "outputs": {
        "word": {"value": {"get_attr": ["word", "value"]}},
        "signal": {"value": {"get_attr": ["handle", "signal"]}},
        "said": {"value": {"get_attr": ["condition", "data"]}},
    },
}

# The guest has busybox, whose wget knows no PUT.
SCRIPT = """#!/bin/sh
url=$(echo '%signal%' | sed 's/.*http:..\\([^"]*\\)".*/\\1/')
host=${url%%/*}
data='{"status": "SUCCESS", "id": "guest", "data": "'$(hostname)'"}'
for try in 1 2 3 4 5; do
    {
        printf 'PUT /%s HTTP/1.0\\r\\nHost: %s\\r\\n' "${url#*/}" "$host"
        printf 'Content-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n' ${#data}
        printf '%s' "$data"
        sleep 5
    } | nc "${host%:*}" "${host#*:}" | grep -q ' 200 ' && exit 0
    sleep 3
done
"""


def described(ctx, stack):
    """The stack as Heat shows it; fails at once when it has failed."""
    found = ctx.request("orchestration", "GET", f"/stacks/{stack}").json()["stack"]
    if found["stack_status"].endswith("FAILED"):
        ctx.fail(f"stack {stack}: {found['stack_status_reason']}")
    return found


def outputs(ctx, stack):
    """The stack's outputs by name."""
    return {
        output["output_key"]: output["output_value"]
        for output in described(ctx, stack).get("outputs", [])
    }


def gone(ctx, stack):
    """Delete the stack, and wait until it and all that it made are gone."""
    path = f"/stacks/{stack}"
    ctx.request("orchestration", "DELETE", path, expect=(204, 404))

    def deleted():
        answer = ctx.request("orchestration", "GET", path, expect=(200, 404))
        if answer.status_code == 404:
            return True
        found = answer.json()["stack"]
        if found["stack_status"] == "DELETE_FAILED":
            ctx.request("orchestration", "DELETE", path, expect=(204, 404))
        assert found["stack_status"] == "DELETE_COMPLETE", f"it is {found['stack_status']}"
        return True

    ctx.until("the stack is gone", deleted, seconds=110, every=1.0)


def create(ctx, what, template, minutes):
    """Have a stack made; returns how Heat names it."""
    name = ctx.name(what)
    body = {"stack_name": name, "template": template, "timeout_mins": minutes}
    stack = ctx.request("orchestration", "POST", "/stacks", json=body).json()["stack"]["id"]
    ctx.defer(gone, ctx, f"{name}/{stack}")
    return f"{name}/{stack}"


def complete(ctx, stack):
    """The stack's outputs, when all of it is made."""
    status = described(ctx, stack)["stack_status"]
    assert status == "CREATE_COMPLETE", f"it is {status}"
    return outputs(ctx, stack)


def decoded(value):
    """An output that is a mapping: Heat hands it on as JSON or as it is."""
    return json.loads(value) if isinstance(value, str) else value


def run(ctx):
    """Make a stack, signal its wait condition through the CFN API, and read what it says."""
    began = time.monotonic()
    stack = create(ctx, "stack", TEMPLATE, 3)

    def address():
        signal = outputs(ctx, stack).get("signal")
        return signal and decoded(signal).get("alarm_url")

    url = ctx.until("the stack has a URL for signals", address, seconds=60)
    data = {"status": "SUCCESS", "id": "1", "data": "signalled"}
    ctx.until(
        "the signal is taken",
        lambda: ctx.fetch(url, method="PUT", json=data, timeout=30),
        seconds=60,
    )
    found = ctx.until("the stack is complete", lambda: complete(ctx, stack), seconds=60)
    said = decoded(found["said"])
    assert said == {"1": "signalled"}, f"the wait condition says {said}"
    assert len(found["word"]) == 12, f"the stack's word is {found['word']!r}"
    seconds = time.monotonic() - began
    ctx.say(f"stack {stack} complete in {seconds:.1f} s, signalled with a signed URL")
    gone(ctx, stack)
    ctx.say("deleted")


def server_template(ctx):
    """A flavor, a port and a server on the tenant's network, and a wait condition for it."""
    user_data = {
        "str_replace": {
            "template": SCRIPT,
            "params": {"%signal%": {"get_attr": ["handle", "signal"]}},
        }
    }
    server = {
        "image": ctx.state["image"],
        "flavor": {"get_resource": "flavor"},
        "networks": [{"port": {"get_resource": "port"}}],
        "user_data_format": "RAW",
        "user_data": user_data,
    }
    condition = {"handle": {"get_resource": "handle"}, "timeout": 200}
    resources = {
        "handle": HANDLE,
        "condition": {
            "type": "OS::Heat::WaitCondition",
            "depends_on": "server",
            "properties": condition,
        },
        "flavor": {
            "type": "OS::Nova::Flavor",
            "properties": {"vcpus": 1, "ram": 96, "disk": 0},
        },
        "port": {"type": "OS::Neutron::Port", "properties": {"network": ctx.state["network"]}},
        "server": {"type": "OS::Nova::Server", "properties": server},
    }
    told = {"said": ["condition", "data"], "address": ["server", "first_address"]}
    return {
        "heat_template_version": "2021-04-16",
        "resources": resources,
        "outputs": {name: {"value": {"get_attr": path}} for name, path in told.items()},
    }


def server(ctx):
    """Make a stack with a server, and wait for what the server says."""
    began = time.monotonic()
    stack = create(ctx, "server-stack", server_template(ctx), 5)
    found = ctx.until("the stack is complete", lambda: complete(ctx, stack), seconds=270, every=1.0)
    said = decoded(found["said"])
    assert said.get("guest"), f"the wait condition says {said}"
    seconds = time.monotonic() - began
    ctx.say(f"server {said['guest']} at {found['address']} signalled after {seconds:.1f} s")
