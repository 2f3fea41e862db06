"""A queue takes messages, gives them to who claims them, and forgets what was done."""

import uuid
from typing import Any

BODIES = ("first", "second")


def run(ctx: Any) -> None:
    """Make a queue, post, claim, read and delete, as a consumer would."""
    name = ctx.name("queue")
    path = f"/v2/queues/{name}"
    # Whoever posts does not get its own messages back, so there are two.
    sender = {"Client-ID": str(uuid.uuid4())}
    receiver = {"Client-ID": str(uuid.uuid4())}
    ctx.request("messaging", "PUT", path, headers=sender, expect=(201, 204))
    ctx.defer(lambda: ctx.request("messaging", "DELETE", path, headers=sender))
    ctx.request(
        "messaging",
        "POST",
        f"{path}/messages",
        headers=sender,
        json={"messages": [{"ttl": 300, "body": body} for body in BODIES]},
        expect=(201,),
    )

    def claimed() -> Any:
        return ctx.request(
            "messaging",
            "POST",
            f"{path}/claims",
            headers=receiver,
            json={"ttl": 60, "grace": 60},
            expect=(201, 204),
        )

    claim = ctx.until("the messages can be claimed", lambda: _messages(claimed()), seconds=30)
    bodies = tuple(message["body"] for message in claim)
    if bodies != BODIES:
        ctx.fail(f"posted {BODIES}, claimed {bodies}")
    for message in claim:
        ctx.request("messaging", "DELETE", message["href"], headers=receiver, expect=(204,))
    left = _messages(ctx.request("messaging", "GET", f"{path}/messages", headers=receiver))
    if left:
        ctx.fail(f"{len(left)} messages are left of the {len(BODIES)} that were deleted")
    ctx.say(f"queue {name}: {len(BODIES)} messages posted, claimed, deleted")


def _messages(response: Any) -> list[Any]:
    return response.json()["messages"] if response.content else []
