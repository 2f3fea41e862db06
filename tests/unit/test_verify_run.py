"""How labctl follows the program of verify: events to progress lines and to a report."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from labctl.engine.port import FileEntry
from labctl.engine.streams import LineStream
from labctl.errors import LabError
from labctl.planning.desired import Desired
from labctl.verify import choice, run
from labctl.verify.run import StepReport
from tests.unit import labs


class Scripted:
    """An engine whose program says what it is told to."""

    def __init__(self, *events: dict[str, Any] | str) -> None:
        at = {"at": 2.5}
        said = [e if isinstance(e, str) else json.dumps(at | e) for e in events]
        self._said = "".join(f"{line}\n" for line in said)
        self.files: dict[str, FileEntry] = {}
        self.commands: list[tuple[str, list[str]]] = []

    def put_files(self, name: str, files: Sequence[FileEntry]) -> None:
        self.files |= {file.path: file for file in files}

    def exec_stream(self, name: str, command: Sequence[str]) -> LineStream:
        self.commands.append((name, list(command)))
        text = self._said if len(self.commands) == 1 else ""
        return LineStream([text.encode()], lambda: None)


class Notebook:
    """A watcher that writes everything down."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begun(self, steps: Sequence[choice.Step]) -> None:
        self.lines.append(f"begun {len(steps)}")

    def started(self, step: str) -> None:
        self.lines.append(f"started {step}")

    def said(self, step: str, text: str) -> None:
        self.lines.append(f"{step} said {text}")

    def ended(self, report: StepReport) -> None:
        self.lines.append(f"{report['name']} {report['result']}")

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def desired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desired:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("labctl.documents.shipped.data_dir", lambda _: tmp_path)
    catalogue = labs.catalogue(tmp_path)
    steps = [
        {"name": "used", "description": "It is used", "proves": ["store"]},
        {"name": "more", "description": "More of it", "needs": ["used"]},
    ]
    document = catalogue["api"].model_dump(exclude_defaults=True) | {"verify": steps}
    (tmp_path / "api").mkdir(exist_ok=True)
    (tmp_path / "api" / "verify.py").write_text("def run(ctx): pass\n")
    monkeypatch.setattr(
        labs, "catalogue", lambda *_, **__: {**catalogue, "api": labs.service(**document)}
    )
    return labs.desired(tmp_path)


def follow(desired: Desired, engine: Scripted) -> tuple[run.Report, list[str]]:
    notebook = Notebook()
    chosen = choice.choose(desired.lab, ())
    made = run.verify(engine, desired, chosen, notebook, keep=False)  # type: ignore[arg-type]
    return made, notebook.lines


def reports(desired: Desired) -> Path:
    from labctl.state import paths

    return paths.lab_dir(desired.lab.name) / "reports"


def test_a_run_that_passes(desired: Desired) -> None:
    engine = Scripted(
        {"event": "started", "step": "used"},
        "a library prints something",
        {"event": "said", "step": "used", "text": "it works"},
        {"event": "passed", "step": "used", "seconds": 1.2},
        {"event": "passed", "step": "more", "seconds": 0.3},
        {"event": "cleaning"},
        {"event": "ended"},
    )
    made, lines = follow(desired, engine)
    assert made["passed"] is True
    assert made["seconds"] == 2.5
    assert [(s["name"], s["result"], s["seconds"], s["said"]) for s in made["steps"]] == [
        ("used", "passed", 1.2, ["it works"]),
        ("more", "passed", 0.3, []),
    ]
    assert lines == [
        "begun 2",
        "started used",
        "used said it works",
        "used passed",
        "more passed",
        "removing what was created",
    ]
    container, command = engine.commands[0]
    assert container.endswith("-client-toolbox")
    assert command == ["python3", "/run/labctl/verify/program.pyz", "/run/labctl/verify/spec.json"]
    assert {file.mode for file in engine.files.values()} == {0o400}
    assert {file.uid for file in engine.files.values()} == {908}
    assert "/run/labctl/verify/api/verify.py" in engine.files
    (kept,) = reports(desired).glob("verify-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text()) == made


def test_a_failure_says_which_service_answered_and_where_its_log_is(desired: Desired) -> None:
    engine = Scripted(
        {"event": "failed", "step": "used", "seconds": 3, "error": "500", "service": "store"},
        {"event": "skipped", "step": "more", "because": "used did not pass"},
        {"event": "untidy", "step": "used", "error": "still there"},
        {"event": "ended"},
    )
    made, lines = follow(desired, engine)
    used, more = made["steps"]
    assert made["passed"] is False
    assert (used["result"], used["error"], used["failed_service"]) == ("failed", "500", "store")
    assert used["logs"] == ["labctl logs c1/store (also on c2, c3)"]
    assert (more["result"], more["error"]) == ("not run", "used did not pass")
    assert made["untidy"] == ["used: still there"]
    assert "used: not removed: still there" in lines


def test_a_failure_of_nobody_knows_whom_names_all_that_take_part(desired: Desired) -> None:
    engine = Scripted(
        {
            "event": "failed",
            "step": "used",
            "seconds": 3,
            "error": "KeyError: 'id'",
            "service": None,
            "trace": "Traceback ...",
        },
        {"event": "ended"},
    )
    used = follow(desired, engine)[0]["steps"][0]
    assert used["failed_service"] == "api"
    assert [log.split()[2] for log in used["logs"]] == ["c1/api", "c1/store"]
    assert Path(used["files"][0]).read_text() == "Traceback ..."


def test_files_are_kept_for_their_owner_only(desired: Desired) -> None:
    data = base64.b64encode(b"png").decode()
    engine = Scripted(
        {"event": "file", "step": "used", "name": "page.png", "data": data}, {"event": "ended"}
    )
    made, _ = follow(desired, engine)
    path = reports(desired) / "page.png"
    assert made["steps"][0]["files"] == [str(path)]
    assert path.read_bytes() == b"png"
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_step_wants_beside_it_is_started(desired: Desired) -> None:
    engine = Scripted(
        {"event": "beside", "step": "used", "service": "toolbox", "command": ["look"]},
        {"event": "beside", "step": "used", "service": "browser", "command": ["look"]},
        {"event": "ended"},
    )
    lines = follow(desired, engine)[1]
    assert engine.commands[1] == (engine.commands[0][0], ["look"])
    assert "used: the client node has no browser" in lines


def test_nobody_can_log_in(desired: Desired) -> None:
    engine = Scripted(
        {"event": "login failed", "error": "refused", "service": "api"},
        {"event": "skipped", "step": "used", "because": "login is not possible"},
        {"event": "skipped", "step": "more", "because": "login is not possible"},
        {"event": "ended"},
    )
    made, lines = follow(desired, engine)
    assert made["passed"] is False
    assert "login is not possible: refused" in lines
    assert "see labctl logs c1/api (also on c2, c3)" in lines


def test_a_program_that_ends_early_is_an_error(desired: Desired) -> None:
    with pytest.raises(LabError, match="verify ended early; try 'labctl exec client/toolbox -- "):
        follow(desired, Scripted({"event": "started", "step": "used"}))
