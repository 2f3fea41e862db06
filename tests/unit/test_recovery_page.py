"""docs/recovery.md says what the code knows of each store, for people who recover by hand.

After a change: ``LABCTL_GOLDEN=write`` and run this again, which writes the tables again.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from labctl.planning.recovery import common
from labctl.planning.recovery.model import Situation
from labctl.planning.recovery.stores import registered

DOCUMENT = Path(__file__).parents[2] / "docs" / "recovery.md"


def known() -> dict[str, list[Situation]]:
    """Section → what it has to say."""
    own = {
        store.title: [s for key, s in store.situations.items() if key not in common.SITUATIONS]
        for store in registered().values()
    }
    return {"Any cluster": list(common.SITUATIONS.values()), **own}


def table(situations: list[Situation]) -> str:
    """Situations as the page has them."""
    lines = ["| what is seen | `labctl recover` | by hand |", "|---|---|---|"]
    lines += [f"| {s.seen} | {s.done} | {s.by_hand} |" for s in situations]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("title", known())
def test_the_page_has_what_the_code_knows(title: str) -> None:
    wanted = table(known()[title])
    text = DOCUMENT.read_text(encoding="utf-8")
    section = re.compile(rf"(?<=\n## {title}\n\n)(?:\|.*\n)*")
    assert section.search(text), f"{DOCUMENT} has no section {title}"
    if os.environ.get("LABCTL_GOLDEN") == "write":
        text = section.sub(lambda _: wanted, text)
        DOCUMENT.write_text(text, encoding="utf-8")
    found = section.search(text)
    assert found is not None
    assert found[0] == wanted
