"""The report of a run, from its folder: a page, JUnit XML, Markdown and lines for a terminal.

What may enter is presentation: reading the folder leniently, drawing and wording. Nothing here
judges, writes files or needs a lab.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from labctl.chaos.report.page import html
from labctl.chaos.report.plain import junit, lines, summary
from labctl.chaos.report.record import Record, read

HTML, JUNIT, SUMMARY = "report.html", "junit.xml", "summary.md"


def made(folder: Path) -> Mapping[str, str]:
    """The files of a run's report: name → text. Reads what is there and writes nothing."""
    record = read(folder)
    return {HTML: html(record), JUNIT: junit(record), SUMMARY: summary(record)}


__all__ = [
    "HTML",
    "JUNIT",
    "SUMMARY",
    "Record",
    "html",
    "junit",
    "lines",
    "made",
    "read",
    "summary",
]
