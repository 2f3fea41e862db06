"""A volume in use: a server finds it as a disk, writes to it, and gives it back."""

import time


def console(ctx, server):
    """What the server has written to its console."""
    body = {"os-getConsoleOutput": {"length": None}}
    return ctx.request("compute", "POST", f"/servers/{server}/action", json=body).json()["output"]


def seen(ctx, server, since, text):
    """The line of the console after its first ``since`` characters that has a text."""
    lines = [line for line in console(ctx, server)[since:].splitlines() if text in line]
    assert lines, f"its console does not say {text!r}"
    return lines[-1].strip()


def status(ctx, volume, wanted):
    """Whether the volume has a status; fails at once when it is in error."""
    found = ctx.request("volumev3", "GET", f"/volumes/{volume}").json()["volume"]
    if found["status"].startswith("error"):
        ctx.fail(f"volume {volume} is {found['status']}")
    assert found["status"] == wanted, f"it is {found['status']}"
    return True


def detach(ctx, server, volume):
    """Take it from the server, if it is there, and wait until it is free."""
    path = f"/servers/{server}/os-volume_attachments/{volume}"
    ctx.request("compute", "DELETE", path, expect=(202, 404))
    ctx.until("the volume is free again", lambda: status(ctx, volume, "available"), seconds=90)


def run(ctx):
    """Attach the volume, and believe what the guest says of it."""
    server, volume = ctx.state["server"], ctx.state["volume"]
    since, began = len(console(ctx, server)), time.monotonic()
    body = {"volumeAttachment": {"volumeId": volume}}
    path = f"/servers/{server}/os-volume_attachments"
    device = ctx.request("compute", "POST", path, json=body).json()["volumeAttachment"]["device"]
    ctx.defer(detach, ctx, server, volume)
    ctx.until("the volume is in use", lambda: status(ctx, volume, "in-use"), seconds=60)
    line = ctx.until(
        "the guest sees the disk",
        lambda: seen(ctx, server, since, f"disk={device} size="),
        seconds=60,
    )
    assert f"size={1 << 30} " in f"{line} ", f"the disk is not the volume: {line}"
    ctx.say(f"after {time.monotonic() - began:.1f} s its console says: {line}")
    ctx.until("the guest has written", lambda: seen(ctx, server, since, "wrote="), seconds=30)
    detach(ctx, server, volume)
    ctx.until(
        "the guest has lost the disk",
        lambda: seen(ctx, server, since, f"disk-gone={device}"),
        seconds=30,
    )
    ctx.say(f"detached; the guest no longer has {device}")
