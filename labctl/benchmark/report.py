"""The figures as a document for machines and as rows for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import mean, median
from typing import Any

from labctl.benchmark import changes, chaos
from labctl.benchmark.beside import Beside
from labctl.benchmark.gaps import Trial
from labctl.benchmark.phases import Phase, longest_steps, steps
from labctl.benchmark.readings import Reading, Usage, by_service, ratio, whole
from labctl.model.lab import Lab
from labctl.model.sizes import size_bytes

Document = chaos.Document
Row = chaos.Row

MIB = 1 << 20
_QUIET = 0.1
"""The share of CPUs that may be busy with something else without distorting a figure."""


def machine(cpus: int, engine: str, idle: float) -> Document:
    """The machine of the measurement; ``idle`` is the number of CPUs that were busy before it."""
    return {"cpus": cpus, "engine": engine, "busy_before": round(idle, 3)}


def made(phase: Phase, services: Mapping[str, str]) -> Document:
    """A lab that was brought up: its cost, and where its CPU-seconds went.

    ``services`` are the lab's containers (id → service), in ``phase.after``. What is in no
    container that is still there (jobs, network setup, the kernel) is ``rest``. On a machine
    whose CPUs were all busy before, what is counted singly is the better lower bound.
    """
    cost = phase.cost
    sums = whole(by_service(phase.after, services))
    parts = {
        "services": sums.cpu,
        "shims": sums.shim_cpu,
        "engine": phase.after.engine_cpu - phase.before.engine_cpu,
        "program": cost.program,
    }
    own = max(cost.busy_own, sum(parts.values()))
    parts["rest"] = own - sum(parts.values())
    return {
        "wall": round(cost.wall, 2),
        "cpu": round(own, 2),
        "cpu_of_all": round(cost.busy, 2),
        "cpu_parts": {name: round(value, 2) for name, value in parts.items()},
    }


def up(phase: Phase, chain: float, services: Mapping[str, str]) -> Document:
    """The first ``up``; ``chain`` is the critical path of its plan."""
    figures = made(phase, services)
    cores = phase.after.cpus
    return {
        **figures,
        "labctl_share": round(phase.cost.program / figures["cpu"], 3),
        "longest_chain": round(chain, 2),
        "ratio": round(ratio(figures["wall"], figures["cpu"], cores, chain), 2),
        "longest_steps": [
            {"step": title, "seconds": seconds} for title, seconds in longest_steps(steps(phase))
        ],
    }


def checkpoint(size: int, save: Phase, start: Phase, services: Mapping[str, str]) -> Document:
    """A checkpoint of ``size`` bytes that was saved, and the lab that was started from it."""
    return {
        "size": size,
        "save": round(save.cost.wall, 2),
        "start": {
            **made(start, services),
            "longest_steps": [
                {"step": title, "seconds": seconds}
                for title, seconds in longest_steps(steps(start))
            ],
        },
    }


def repeated(phases: Sequence[Phase]) -> Document:
    """Medians of a command that was run several times."""
    return {
        "wall": round(median(phase.cost.wall for phase in phases), 3),
        "program_cpu": round(median(phase.cost.program for phase in phases), 3),
        "runs": len(phases),
    }


def memory(reading: Reading, services: Mapping[str, str]) -> Document:
    """PSS in bytes: of each service (all instances), the whole lab, and the engine's daemons."""
    rows = by_service(reading, services)
    sums = whole(rows)
    instances = list(services.values())
    return {
        "pss": sums.pss + sums.shim_pss,
        "shims": sums.shim_pss,
        "engine": reading.engine_pss,
        "services": {
            name: {**_memory(row), "containers": instances.count(name)}
            for name, row in sorted(rows.items(), key=lambda item: -item[1].pss)
        },
    }


def services(
    lab: Lab, to_ready: Mapping[str, float], used: Reading, containers: Mapping[str, str]
) -> Document:
    """Each service's instances: what one used until it answered and uses now, and what is declared.

    ``to_ready`` is by instance in CPU-seconds, ``containers`` has the instances' ids. Means of
    all instances; memory is PSS in bytes without shims, read after the lab was used.
    """
    found: Document = {}
    for service in lab.services.values():
        names = [name for name in containers if name.partition("/")[2] == service.name]
        cpu = [to_ready[name] for name in names if name in to_ready]
        rows = [used.containers.get(containers[name]) for name in names]
        pss = [row.pss for row in rows if row is not None]
        found[service.name] = {
            "instances": len(names),
            "cpu_to_ready": round(mean(cpu), 2) if cpu else None,
            "cost": service.doc.cost,
            "pss": round(mean(pss)) if pss else None,
            "memory": size_bytes(service.doc.memory),
        }
    return found


def verified(run: Mapping[str, Any]) -> Document:
    """The steps of a run of ``labctl verify``."""
    return {
        "passed": run["passed"],
        "seconds": round(run["seconds"], 2),
        "steps": [
            {key: step[key] for key in ("name", "service", "result", "seconds")}
            for step in run["steps"]
        ],
    }


def gap(trials: Sequence[Trial]) -> Document:
    """Gaps in seconds over trials, each with the bound of its holder."""
    seconds = [trial.gap.seconds for trial in trials]
    return {
        "min": round(min(seconds), 3),
        "median": round(median(seconds), 3),
        "max": round(max(seconds), 3),
        "bound": round(max(trial.bound for trial in trials), 3),
        "over_bound": round(max(t.gap.seconds - t.bound for t in trials), 3),
        "trials": [
            {"node": t.node, "bound": round(t.bound, 3)}
            | {k: round(v, 3) for k, v in asdict(t.gap).items()}
            for t in trials
        ],
    }


def compose(beside: Beside, idle: float) -> Document:
    """Compose's figures, named like labctl's; ``idle`` as for :func:`machine`."""
    return {
        **made(beside.up, beside.services),
        "busy_before": round(idle, 3),
        "until_healthy": round(beside.healthy, 2),
        "down": repeated([beside.down]),
    }


def rows(document: Document) -> Iterator[Row]:
    """The table, with a row for each figure."""
    yield _machine_row(document["machine"])
    yield from _up_rows(document["up"])
    for name, key in (("second up", "up_again"), ("status", "status"), ("down", "down")):
        figures = document.get(key)
        if figures is None:
            continue
        yield name, f"{figures['wall']:.2f} s", f"labctl {figures['program_cpu']:.2f} CPU-s"
    if document.get("checkpoint"):
        yield from _checkpoint_rows(document["checkpoint"], document["up"])
    yield from _memory_rows(document["memory"])
    yield from _service_rows(document.get("services", {}))
    yield from _image_rows(document.get("images", {}))
    yield from _verify_rows(document.get("verify"))
    for key, title in (("service", "HAProxy killed"), ("power", "node without power")):
        if key in document["gaps"]:
            yield _gap_row(title, document["gaps"][key])
    if document.get("chaos"):
        yield from chaos.rows(document["chaos"])
    if document.get("changes"):
        yield from changes.rows(document["changes"], document["up"]["wall"])
    if document["compose"]:
        yield from _compose_rows(document["compose"])


def _machine_row(figures: Document) -> Row:
    cpus, busy = figures["cpus"], figures["busy_before"]
    remark = f"{busy:.2f} of them busy with other things before"
    if busy > _QUIET * cpus:
        remark += ": times and gaps are those of a busy machine, measure again when it is quiet"
    return "machine", f"{cpus} CPUs", remark


def _up_rows(figures: Document) -> Iterator[Row]:
    yield "up", f"{figures['wall']:.1f} s", ""
    yield from _cpu_rows(figures, "labctl")
    yield "  labctl's share", f"{100 * figures['labctl_share']:.1f} %", ""
    yield "  longest chain", f"{figures['longest_chain']:.1f} s", "of the plan, in CPU-s"
    yield "  ratio", f"{figures['ratio']:.2f}", "wall ÷ max(CPU-s ÷ CPUs, longest chain)"
    for step in figures["longest_steps"]:
        yield f"  {step['step']}", f"{step['seconds']:.1f} s", "one of the longest steps"


def _checkpoint_rows(figures: Document, first: Document) -> Iterator[Row]:
    start = figures["start"]
    wall, cpu = start["wall"] / first["wall"], start["cpu"] / first["cpu"]
    yield "checkpoint", f"{figures['size'] / MIB:.1f} MiB", f"saved in {figures['save']:.1f} s"
    yield "up from it", f"{start['wall']:.1f} s", f"{wall:.2f} of the first, {cpu:.2f} of its CPU-s"
    yield from _cpu_rows(start, "labctl")
    for step in start["longest_steps"]:
        yield f"  {step['step']}", f"{step['seconds']:.1f} s", "one of the longest steps"


def _cpu_rows(figures: Document, program: str) -> Iterator[Row]:
    everything = figures["cpu_of_all"]
    yield "  CPU", f"{figures['cpu']:.1f} CPU-s", f"of {everything:.1f} with all else that ran"
    for part, value in figures["cpu_parts"].items():
        yield f"  - {program if part == 'program' else part}", f"{value:.1f} CPU-s", ""


def _memory_rows(figures: Document) -> Iterator[Row]:
    shims = figures["shims"] // MIB
    yield "memory (PSS)", f"{figures['pss'] // MIB} MiB", f"shims {shims} MiB of it"
    for name, row in figures["services"].items():
        yield f"  {name}", f"{row['pss'] // MIB} MiB", f"{row['containers']} containers, no shims"
    yield "  engine's daemons", f"{figures['engine'] // MIB} MiB", "not counted above"


def _service_rows(figures: Document) -> Iterator[Row]:
    for name, row in sorted(figures.items(), key=lambda item: -(item[1]["cpu_to_ready"] or 0)):
        cpu, pss = row["cpu_to_ready"], row["pss"]
        ready = f"{cpu:.2f} CPU-s" if cpu is not None else "-"
        takes = f"{pss // MIB} MiB" if pss is not None else "-"
        said = f"said {row['cost']:.2f} CPU-s, {row['memory'] // MIB} MiB"
        yield f"  {name} until ready", f"{ready}, {takes}", f"mean of {row['instances']}; {said}"


def _image_rows(figures: Document) -> Iterator[Row]:
    for role, row in figures.items():
        took = f"built in {row['seconds']:.0f} s" if row["seconds"] is not None else "built before"
        own = f"{row['own'] / 1e6:.0f} MB of its own"
        yield f"image {role}", f"{row['size'] / 1e6:.0f} MB", f"{own}, {took}"


def _verify_rows(figures: Document | None) -> Iterator[Row]:
    if not figures:
        return
    yield "verify", f"{figures['seconds']:.1f} s", "passed" if figures["passed"] else "failed"
    for step in figures["steps"]:
        yield (
            f"  {step['name']}",
            f"{step['seconds']:.1f} s",
            f"{step['service']}: {step['result']}",
        )


def _gap_row(title: str, figures: Document) -> Row:
    spread = f"{figures['min']:.2f} / {figures['median']:.2f} / {figures['max']:.2f} s"
    return f"gap: {title}", spread, f"min / median / max; bound {figures['bound']:.2f} s"


def _compose_rows(figures: Document) -> Iterator[Row]:
    healthy = f"healthy after {figures['until_healthy']:.1f} s"
    busy = f"{figures['busy_before']:.2f} CPUs busy before"
    yield "docker compose up --wait", f"{figures['wall']:.1f} s", f"{healthy}; {busy}"
    yield from _cpu_rows(figures, "docker compose")
    yield "docker compose down", f"{figures['down']['wall']:.1f} s", ""


def _memory(row: Usage) -> Document:
    return {"pss": row.pss, "shims": row.shim_pss}
