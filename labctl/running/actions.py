"""Carry out single steps of a plan on the engine; all decisions are in the plan."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import singledispatchmethod

import tenacity

from labctl.engine import link
from labctl.engine.port import Engine, ExecResult, FileEntry
from labctl.errors import EngineError, LabError
from labctl.images import build
from labctl.planning.desired import Desired, Unit
from labctl.planning.steps import (
    AwaitCounted,
    BuildImage,
    CreateLink,
    CreateNetwork,
    Forget,
    ForgetJobs,
    Join,
    Remove,
    RemoveVolumes,
    RunJob,
    StartDisk,
    StartHolder,
    StartInstance,
    Step,
    Stop,
    WriteNames,
)
from labctl.running import names, records
from labctl.running.probe import inspect
from labctl.running.volumes import volume_labels

LOG_LINES = 15
"""How much of a log an error shows."""
COMMAND_SECONDS = 90.0
"""How long a command that drains an instance, or forgets a member, may take."""
COUNT_PATH = "/run/labctl/count.json"
"""Where the question after a cluster's members is put, beside those of others."""
COUNT_PAUSE = 0.5
"""Seconds between two looks at a cluster."""


class Actions:
    """Carries out the steps of one lab; safe to use from several threads."""

    def __init__(self, engine: Engine, desired: Desired, note: Callable[[str], None]) -> None:
        self._engine, self._desired, self._note = engine, desired, note
        self._naming = threading.Lock()
        """Held while a file that all holders share is written: an engine takes away what is there
        before it writes anew, and would find the file of another gone."""

    @singledispatchmethod
    def do(self, step: Step) -> None:
        """Carry out a step completely. LabError or EngineError when it fails."""
        raise TypeError(f"no action for {step}")

    @do.register
    def _(self, step: BuildImage) -> None:
        build.build(self._engine, self._desired.lab.release, step.role, self._note)

    @do.register
    def _(self, _step: CreateLink) -> None:
        lab = self._desired.lab
        prefix = lab.subnet.partition("/")[2]
        parent, host_end = self._desired.link
        address = f"{lab.host_address}/{prefix}"
        link.create_link(
            self._engine,
            lab.name,
            parent,
            host_end,
            address,
            self._desired.images["node"],
            host_services=lab.host_services,
        )

    @do.register
    def _(self, _step: CreateNetwork) -> None:
        self._engine.remove_network(self._desired.network.name)
        self._engine.create_network(self._desired.network)

    @do.register
    def _(self, step: Remove) -> None:
        self._end(step)
        self._engine.remove(step.container)

    @do.register
    def _(self, step: Stop) -> None:
        self._engine.stop(step.container, step.grace)

    @do.register
    def _(self, step: Forget) -> None:
        self._end(step)
        name = self._desired.instances[step.by].spec.name
        result = self._engine.exec(name, step.command, timeout=COMMAND_SECONDS)
        if result.code != 0:
            raise LabError(
                f"{step.by} could not forget {step.leaving} (exit code {result.code}):\n"
                f"{_indented(result.stderr or result.stdout)}"
            )

    @do.register
    def _(self, step: Join) -> None:
        name = self._desired.instances[step.instance].spec.name
        result = self._engine.exec(name, step.command, timeout=COMMAND_SECONDS)
        if result.code != 0:
            self._note(f"{step.instance} has not taken its part of its cluster: {_last(result)}")

    @do.register
    def _(self, step: RemoveVolumes) -> None:
        for volume in step.volumes:
            self._engine.remove_volume(volume)

    @do.register
    def _(self, step: AwaitCounted) -> None:
        def counted() -> int:
            try:
                seen = inspect(self._engine, self._desired, probes=(), path=COUNT_PATH)
            except LabError as error:
                # A busy machine may answer the next time.
                self._note(f"{step.service} could not be counted: {error}")
                return 0
            clusters = seen.clusters.values()
            return next((c["size"] for c in clusters if c["service"] == step.service), 0)

        try:
            tenacity.Retrying(
                stop=tenacity.stop_after_delay(step.timeout),
                wait=tenacity.wait_fixed(COUNT_PAUSE),
                retry=tenacity.retry_if_result(lambda size: size < step.members),
            )(counted)
        except tenacity.RetryError as error:
            raise LabError(
                f"{step.service} counts {error.last_attempt.result()} of {step.members} members "
                f"after {step.timeout:.0f} s; see `labctl status`"
            ) from None

    @do.register
    def _(self, step: WriteNames) -> None:
        with self._naming:
            names.write(self._engine, self._desired, step.holders)

    @do.register
    def _(self, step: StartHolder) -> None:
        self._start(self._desired.holders[step.node], step.action, [names.entry(self._desired)])

    @do.register
    def _(self, step: StartDisk) -> None:
        self._start(self._desired.disks[step.instance], step.action)

    @do.register
    def _(self, step: StartInstance) -> None:
        unit = self._desired.instances[step.instance]
        self._start(unit, step.action, bootstrap=step.bootstrap)

    @do.register
    def _(self, step: ForgetJobs) -> None:
        records.remove(self._engine, self._desired, step.jobs)

    @do.register
    def _(self, step: RunJob) -> None:
        unit = self._desired.jobs[f"{step.service}/{step.job}"]
        if not step.running:
            self._start(unit, "create")
        code = self._engine.wait(unit.spec.name, step.timeout)
        if code != 0:
            raise LabError(
                f"job {step.service}/{step.job} failed with exit code {code}; "
                f"its log ends:\n{self.log(unit.spec.name)}"
            )
        records.add(self._engine, self._desired, f"{step.service}/{step.job}")

    def log(self, container: str) -> str:
        """The end of a container's log, indented, for an error message."""
        return _indented(self._engine.logs(container, LOG_LINES))

    def _end(self, step: Remove | Forget) -> None:
        """Let an instance that runs end in good order."""
        if step.grace:
            self._drain(step)
            self._engine.stop(step.container, step.grace)

    def _drain(self, step: Remove | Forget) -> None:
        """Have an instance hand its work over; one that cannot is stopped as it is, and said."""
        for command in step.drain:
            try:
                result = self._engine.exec(step.container, command, timeout=COMMAND_SECONDS)
            except EngineError as error:
                self._note(f"{step.container} could not be drained: {error}")
                return
            if result.code != 0:
                self._note(f"{step.container} could not be drained: {_last(result)}")
                return

    def _start(
        self,
        unit: Unit,
        action: str,
        more_files: Sequence[FileEntry] = (),
        *,
        bootstrap: bool = False,
    ) -> None:
        name = unit.spec.name
        if action == "unpause":
            self._engine.unpause(name)
            return
        if action == "restart":
            self._engine.stop(name, unit.spec.stop_seconds)
        if action == "create":
            labels = volume_labels(self._desired.lab.name)
            for mount in unit.spec.volumes:
                self._engine.create_volume(mount.volume, labels, mount.size)
            self._engine.create(unit.spec)
            if unit.files:
                self._engine.put_files(name, unit.files)
        if bootstrap and unit.bootstrap_files:
            more_files = unit.bootstrap_files
        if more_files:
            with self._naming:
                self._engine.put_files(name, more_files)
        self._engine.start(name)


def _indented(output: str) -> str:
    """The end of a log or of a command's output, indented."""
    lines = output.rstrip().splitlines()[-LOG_LINES:]
    return "\n".join(f"  {line}" for line in lines) or "  (nothing)"


def _last(result: ExecResult) -> str:
    """The last line that a command printed."""
    return " ".join((result.stderr or result.stdout).strip().splitlines()[-1:])
