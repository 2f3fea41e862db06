"""Cinder's step: a volume is made, and a snapshot of it; both are there, and the snapshot goes."""

import time


def described(ctx, kind, which):
    """A volume, a snapshot or a backup as Cinder shows it; fails at once when it is in error."""
    found = ctx.request("volumev3", "GET", f"/{kind}s/{which}").json()[kind]
    if found["status"].startswith("error"):
        ctx.fail(f"{kind} {which} is {found['status']}: {found.get('fail_reason') or 'see logs'}")
    return found


def available(ctx, kind, which, seconds=60):
    """The same, when it has become available."""

    def ask():
        found = described(ctx, kind, which)
        assert found["status"] == "available", f"it is {found['status']}"
        return found

    return ctx.until(f"the {kind} is available", ask, seconds=seconds)


def gone(ctx, kind, which, seconds=60):
    """Delete it, and wait until it is gone."""
    path = f"/{kind}s/{which}"

    def deleted():
        answer = ctx.request("volumev3", "GET", path, expect=(200, 404))
        if answer.status_code == 404:
            return True
        if answer.json()[kind]["status"] == "creating":
            # Nobody makes it: whoever does so later finds that it is to go.
            body = {"os-reset_status": {"status": "error"}}
            ctx.request("volumev3", "POST", f"{path}/action", json=body)
        ctx.request("volumev3", "DELETE", path, expect=(202, 204, 404))
        return False

    ctx.until(f"the {kind} is gone", deleted, seconds=seconds, every=1.0)


def create(ctx, name, **fields):
    """A volume of the smallest size there is; returns its id."""
    body = {"volume": {"name": ctx.name(name), "size": 1, **fields}}
    volume = ctx.request("volumev3", "POST", "/volumes", json=body).json()["volume"]["id"]
    ctx.defer(gone, ctx, "volume", volume)
    return volume


def run(ctx):
    """Make a volume and a snapshot of it."""
    began = time.monotonic()
    volume = create(ctx, "volume")
    found = available(ctx, "volume", volume)
    seconds = time.monotonic() - began
    ctx.say(f"volume {volume} on {found['os-vol-host-attr:host']} after {seconds:.1f} s")
    body = {"snapshot": {"name": ctx.name("snapshot"), "volume_id": volume}}
    snapshot = ctx.request("volumev3", "POST", "/snapshots", json=body).json()["snapshot"]["id"]
    ctx.defer(gone, ctx, "snapshot", snapshot)
    available(ctx, "snapshot", snapshot)
    gone(ctx, "snapshot", snapshot)
    ctx.say(f"snapshot {snapshot} made and removed")
    ctx.state["volume"] = volume
