"""What a person sees of verify in a pipe: a line for each step, its evidence, where to look."""

from __future__ import annotations

import io
import re

from rich.console import Console

from labctl.cli.verify import _Lines
from labctl.verify.run import StepReport

REPORT = StepReport(
    name="server",
    service="nova-api",
    description="A server boots",
    proves=["nova-api"],
    result="passed",
    seconds=12.34,
    said=[],
    error=None,
    failed_service=None,
    logs=[],
    files=[],
)


def shown(*reports: StepReport) -> list[str]:
    """The lines, without their times."""
    stream = io.StringIO()
    with _Lines(Console(file=stream, highlight=False)) as lines:
        lines.begun([])
        for report in reports:
            lines.started(report["name"])
            for text in report["said"]:
                lines.said(report["name"], text)
            lines.ended(report)
    return [re.sub(r"^ *\d+\.\d s  ", "", line) for line in stream.getvalue().splitlines()]


def test_a_step_that_passes_with_its_evidence() -> None:
    assert shown({**REPORT, "said": ["ACTIVE on cmp1"]}) == [
        "0 steps",
        "passed  server: A server boots (12.3 s)",
        "         ACTIVE on cmp1",
    ]


def test_a_step_that_fails_says_who_and_where() -> None:
    failed: StepReport = {
        **REPORT,
        "result": "failed",
        "error": "GET http://198.18.0.250:9292/v2: 503",
        "failed_service": "glance",
        "logs": ["labctl logs c1/glance (also on c2, c3)"],
    }
    assert shown(failed)[1:] == [
        "failed  server: A server boots (12.3 s)",
        "         glance: GET http://198.18.0.250:9292/v2: 503",
        "         see labctl logs c1/glance (also on c2, c3)",
    ]


def test_a_step_that_is_not_run_says_why_and_has_no_time() -> None:
    skipped: StepReport = {
        **REPORT,
        "result": "not run",
        "seconds": 0.0,
        "error": "image did not pass",
    }
    assert shown(skipped)[1:] == [
        "not run server: A server boots",
        "         because image did not pass",
    ]
