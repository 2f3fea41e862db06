"""A secret is stored and comes back as it was."""

PAYLOAD = "nobody else may know this"


def run(ctx):
    made = ctx.request(
        "key-manager",
        "POST",
        "/v1/secrets",
        json={
            "name": ctx.name("secret"),
            "payload": PAYLOAD,
            "payload_content_type": "text/plain",
        },
    ).json()
    path = "/v1/secrets/" + made["secret_ref"].rpartition("/")[2]
    ctx.defer(ctx.request, "key-manager", "DELETE", path)
    got = ctx.request("key-manager", "GET", f"{path}/payload", headers={"Accept": "text/plain"})
    assert got.text == PAYLOAD, f"it says {got.text!r}"
    ctx.say(f"{path} comes back as it was stored")
