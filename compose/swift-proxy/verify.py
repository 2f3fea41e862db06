"""Swift's step: an object comes back as it was, is listed, and lies where the rings say."""

import hashlib
import os
from urllib.parse import urlsplit

import requests

SIZE = 1 << 20


def remove(ctx, path):
    """Delete an object or a container, which must be empty on every node that is asked."""
    ctx.until(
        f"{path} is gone",
        lambda: ctx.request("object-store", "DELETE", path, expect=(204, 404)) is not None,
        seconds=30,
    )


def replicas(ctx, account, *path):
    """The replicas by node: the answer to HEAD, or None where nobody answers."""
    url = "/".join((f"http://{ctx.vip}:8080/endpoints/v1", account, *path))
    found = {}
    for place in ctx.fetch(url).json():
        host = urlsplit(place).hostname
        try:
            found[host] = requests.head(place, timeout=3)
        except requests.RequestException:
            found[host] = None
    return found


def stored(ctx, wanted, account, *path):
    """The replicas when whoever answers has one; as many as make a write valid."""
    found = replicas(ctx, account, *path)
    missing = [host for host, answer in found.items() if answer is not None and not answer.ok]
    assert not missing, f"{'/'.join(path)} is not on {', '.join(missing)}"
    there = [answer for answer in found.values() if answer is not None]
    assert len(there) > len(found) // 2, f"only {len(there)} of {len(found)} servers answer"
    tags = {answer.headers.get("ETag", "").strip('"') for answer in there}
    assert wanted is None or tags == {wanted}, f"the replicas' hashes are {tags}, not {wanted}"
    return f"{len(there)} of {len(found)}"


def run(ctx):
    """Put a megabyte, read it back, find it in the listing and on the storage servers."""
    container, name, data = ctx.name("container"), "megabyte", os.urandom(SIZE)
    tag = hashlib.md5(data).hexdigest()  # noqa: S324 - the hash that Swift keeps
    put = ctx.request("object-store", "PUT", f"/{container}", expect=(201, 202))
    ctx.defer(remove, ctx, f"/{container}")
    put = ctx.request(
        "object-store", "PUT", f"/{container}/{name}", data=data, headers={"ETag": tag}
    )
    ctx.defer(remove, ctx, f"/{container}/{name}")
    assert put.headers["ETag"].strip('"') == tag, "Swift's hash is not that of what was sent"
    got = ctx.request("object-store", "GET", f"/{container}/{name}")
    assert got.content == data, "what comes back is not what was stored"
    ctx.say(f"{SIZE} bytes stored and read back, MD5 {tag}")

    def listed():
        entries = ctx.request("object-store", "GET", f"/{container}?format=json").json()
        return [entry for entry in entries if (entry["name"], entry["hash"]) == (name, tag)]

    ctx.until("the object is in its container's listing", listed, seconds=60)
    account = urlsplit(put.url).path.split("/")[2]
    # What a server missed while it was away, the replicators of the others bring it.
    places = [(None, ()), (None, (container,)), (tag, (container, name))]
    counts = [
        ctx.until("replicas are complete", lambda w=w, p=p: stored(ctx, w, account, *p), 100)
        for w, p in places
    ]
    ctx.say(f"replicas of account, container, object: {', '.join(counts)}")
    ctx.state["container"] = container
