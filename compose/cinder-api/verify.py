"""Cinder's steps: a volume and a snapshot are made; a backup is in Swift, and in another volume."""

import os
import time

CHUNK = 1 << 16
"""A cluster of qcow2: what is contiguous in the file that Cinder makes of a volume."""


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


def gone(ctx, kind, which, seconds=90):
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


def create(ctx, kind, name, **fields):
    """A volume, a snapshot or a backup, which is gone in the end; returns its id."""
    body = {kind: {"name": ctx.name(name), **fields}}
    made = ctx.request("volumev3", "POST", f"/{kind}s", json=body).json()[kind]["id"]
    ctx.defer(gone, ctx, kind, made)
    return made


def run(ctx):
    """Make a volume and a snapshot of it."""
    began = time.monotonic()
    volume = create(ctx, "volume", "volume", size=1)
    found = available(ctx, "volume", volume)
    seconds = time.monotonic() - began
    ctx.say(f"volume {volume} on {found['os-vol-host-attr:host']} after {seconds:.1f} s")
    snapshot = create(ctx, "snapshot", "snapshot", volume_id=volume)
    available(ctx, "snapshot", snapshot)
    gone(ctx, "snapshot", snapshot)
    ctx.say(f"snapshot {snapshot} made and removed")
    ctx.state["volume"] = volume


def make_image(ctx, data):
    """An image with these bytes."""
    body = {"name": ctx.name("content"), "disk_format": "raw", "container_format": "bare"}
    image = ctx.make("image", "/v2/images", body)["id"]
    kind = {"Content-Type": "application/octet-stream"}
    ctx.request("image", "PUT", f"/v2/images/{image}/file", data=data, headers=kind)
    return image


def content(ctx, volume):
    """What a volume holds, as Cinder writes it into an image: sparse."""
    body = {
        "os-volume_upload_image": {
            "image_name": ctx.name("restored"),
            "disk_format": "qcow2",
            "container_format": "bare",
        }
    }
    answer = ctx.request("volumev3", "POST", f"/volumes/{volume}/action", json=body).json()
    path = f"/v2/images/{answer['os-volume_upload_image']['image_id']}"
    ctx.defer(ctx.request, "image", "DELETE", path)

    def active():
        found = ctx.request("image", "GET", path).json()["status"]
        assert found == "active", f"it is {found}"
        return True

    ctx.until("the volume is an image", active, seconds=90, every=1.0)
    available(ctx, "volume", volume, seconds=30)
    return ctx.request("image", "GET", f"{path}/file").content


def backup(ctx):
    """Back a volume with known content up to Swift, restore it to another, and compare."""
    data = os.urandom(4 * CHUNK)
    image = make_image(ctx, data)
    original = create(ctx, "volume", "original", size=1, imageRef=image)
    available(ctx, "volume", original, seconds=60)

    began = time.monotonic()
    made = create(ctx, "backup", "backup", volume_id=original)
    found = available(ctx, "backup", made, seconds=180)
    container = ctx.request("object-store", "GET", f"/{found['container']}?format=json").json()
    mine = [entry["bytes"] for entry in container if made in entry["name"]]
    assert mine, f"Swift's container {found['container']} has nothing of backup {made}"
    seconds = time.monotonic() - began
    ctx.say(f"backup {made}: {len(mine)} objects, {sum(mine)} bytes in Swift, {seconds:.1f} s")

    began = time.monotonic()
    body = {"restore": {"name": ctx.name("restored")}}
    answer = ctx.request("volumev3", "POST", f"/backups/{made}/restore", json=body).json()
    restored = answer["restore"]["volume_id"]
    ctx.defer(gone, ctx, "volume", restored)
    available(ctx, "backup", made, seconds=180)
    available(ctx, "volume", restored, seconds=60)
    seconds = time.monotonic() - began
    there = content(ctx, restored)
    lost = [i for i in range(0, len(data), CHUNK) if data[i : i + CHUNK] not in there]
    assert not lost, f"{len(lost)} of {len(data) // CHUNK} pieces are not in the restored volume"
    ctx.say(f"volume {restored} restored in {seconds:.1f} s, with what the original held")
