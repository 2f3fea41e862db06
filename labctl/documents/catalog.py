"""The catalogue: reads every ``compose/<service>/service.yml`` and checks them together."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from labctl.documents.images import user_ids
from labctl.documents.reader import load_with_source, shown
from labctl.documents.shipped import data_dir
from labctl.documents.source import Place, Source, suggestion
from labctl.errors import InputError
from labctl.model import clock, disk
from labctl.model.order import find_cycle, find_step_cycle
from labctl.model.probes import ProbeDoc
from labctl.model.service import FileDoc, ServiceDoc

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_PROBES = tuple(name for name in ProbeDoc.model_fields if name != "timeout")


def load_catalog(directory: Path | None = None) -> Mapping[str, ServiceDoc]:
    """The services by name, in alphabetical order.

    ``directory`` holds a directory for each service and has ``images`` beside it; the default is
    the shipped one, which is read once. Raises InputError with file and place for the first
    problem.
    """
    return _shipped(data_dir("compose")) if directory is None else _read(directory)


@cache
def _shipped(directory: Path) -> Mapping[str, ServiceDoc]:
    return MappingProxyType(_read(directory))


def _read(directory: Path) -> dict[str, ServiceDoc]:
    found = sorted(directory.glob("*/service.yml"))
    if not found:
        raise InputError(f"{shown(directory)}: has no service (a directory with a service.yml)")
    catalog: dict[str, ServiceDoc] = {}
    sources: dict[str, Source] = {}
    for path in found:
        name = path.parent.name
        catalog[name], sources[name] = load_with_source(path, ServiceDoc)
        if not _NAME.fullmatch(name):
            raise sources[name].error((), f"the directory's name '{name}' is not a service name")
    _Checks(directory, catalog, sources).run()
    return catalog


class _Checks:
    """Checks across documents: names, references, ports, cycles."""

    def __init__(
        self, directory: Path, catalog: Mapping[str, ServiceDoc], sources: Mapping[str, Source]
    ) -> None:
        self._directory = directory
        self._images = directory.parent / "images"
        self._catalog = catalog
        self._sources = sources
        self._users: Collection[str] = ["root", *user_ids(self._images)]
        self._image_names = sorted(path.name for path in self._images.iterdir() if path.is_dir())
        self._ports: dict[int, str] = {}
        self._verifies: dict[str, tuple[str, int]] = {}
        """step → its service and its index there."""

    def run(self) -> None:
        """Raise InputError for the first problem."""
        for name, doc in self._catalog.items():
            self._check_needs(name, doc)
            self._check_images(name, doc)
            self._check_users(name, doc)
            self._check_disk(name, doc)
            self._check_files(name, doc)
            self._check_probe(name, doc)
            self._check_heartbeats(name, doc)
            self._check_port(name, doc)
            self._check_verify(name, doc)
        self._check_verify_order()
        cycle = find_cycle(self._catalog)
        if cycle:
            source = self._sources[cycle[0].partition("/")[0]]
            raise source.error(("needs",), f"is circular: {' → '.join(cycle)}")

    def _check_needs(self, name: str, doc: ServiceDoc) -> None:
        places: list[tuple[Place, tuple[str, ...]]] = [(("needs",), doc.needs)]
        places += [(("jobs", i, "needs"), job.needs) for i, job in enumerate(doc.jobs)]
        places += [(("uses",), doc.uses), (("beside",), doc.beside)]
        each = [((*place, i), need) for place, needs in places for i, need in enumerate(needs)]
        if doc.change.drained_by is not None:
            each.append((("change", "drained_by"), doc.change.drained_by))
        for where, need in each:
            problem = self._unknown(need)
            if problem:
                raise self._sources[name].error(where, problem)
        names = [job.name for job in doc.jobs]
        for i, job in enumerate(names):
            if job in names[:i]:
                problem = f"'{job}' names two jobs; rename one"
                raise self._sources[name].error(("jobs", i, "name"), problem)
        self._check_turns(name, doc)

    def _check_turns(self, name: str, doc: ServiceDoc) -> None:
        """A job cannot wait for all members to start where each waits for the one before it."""
        in_turn = doc.cluster is not None and (
            doc.cluster.start == "seed" or doc.cluster.joins == "in turn"
        )
        for i, job in enumerate(doc.jobs):
            if in_turn and job.when == "started":
                problem = (
                    "is 'started', when all instances run, but they start one after another; "
                    "use 'seed' or 'ready'"
                )
                raise self._sources[name].error(("jobs", i, "when"), problem)

    def _unknown(self, need: str) -> str | None:
        service, slash, job = need.partition("/")
        if service not in self._catalog:
            return f"no service '{service}'; {suggestion(service, self._catalog)}"
        jobs = [job.name for job in self._catalog[service].jobs]
        if slash and job not in jobs:
            return f"'{service}' has no job '{job}'; {suggestion(job, jobs)}"
        return None

    def _check_images(self, name: str, doc: ServiceDoc) -> None:
        places: list[tuple[Place, str | None]] = [(("image",), doc.image)]
        places += [(("jobs", i, "image"), job.image) for i, job in enumerate(doc.jobs)]
        if clock.SETTING in doc.settings:
            places.append((("settings", clock.SETTING), clock.image(doc.image)))
        for place, image in places:
            if image is not None and image not in self._image_names:
                advice = suggestion(image, self._image_names)
                problem = f"no directory '{image}' in {shown(self._images)}; {advice}"
                raise self._sources[name].error(place, problem)

    def _check_disk(self, name: str, doc: ServiceDoc) -> None:
        if disk.SETTING in doc.settings and not doc.container.volumes:
            place = ("settings", disk.SETTING)
            problem = "is the size of volumes, but container.volumes has none"
            raise self._sources[name].error(place, problem)

    def _check_users(self, name: str, doc: ServiceDoc) -> None:
        places: list[tuple[Place, str | None]] = [(("user",), doc.user)]
        places += [(("jobs", i, "user"), job.user) for i, job in enumerate(doc.jobs)]
        places += [((*place, "user"), file.user) for place, file in _files(doc)]
        for place, user in places:
            if user is not None and user not in self._users:
                advice = suggestion(user, self._users)
                problem = f"no user '{user}' in {shown(self._images / 'users.yml')}; {advice}"
                raise self._sources[name].error(place, problem)

    def _check_files(self, name: str, doc: ServiceDoc) -> None:
        for place, file in _files(doc):
            home = self._directory / name
            shared = "/" in file.template and (self._directory / file.template).is_file()
            found = shared or (home / file.template).is_file()
            if ".." in Path(file.template).parts or not found:
                there = sorted(
                    str(path.relative_to(home))
                    for path in home.rglob("*")
                    if path.is_file() and path.suffix != ".yml"
                )
                advice = suggestion(file.template, there)
                problem = f"no file '{file.template}' in {shown(home)}; {advice}"
                raise self._sources[name].error((*place, "template"), problem)

    def _check_probe(self, name: str, doc: ServiceDoc) -> None:
        for place, probe in (("ready", doc.ready), ("vip_ready", doc.vip_ready)):
            kinds = [kind for kind in _PROBES if probe is not None and getattr(probe, kind)]
            if probe is not None and len(kinds) != 1:
                has = " and ".join(kinds) or "none"
                problem = f"has {has}, should have exactly one of: {', '.join(_PROBES)}"
                raise self._sources[name].error((place,), problem)

            if probe is not None and probe.reports is not None:
                self._check_reports(name, (place, "reports", "to"), probe.reports.to)

    def _check_reports(self, name: str, place: Place, to: str) -> None:
        if to not in self._catalog:
            problem = f"no service '{to}'; {suggestion(to, self._catalog)}"
            raise self._sources[name].error(place, problem)
        if self._catalog[to].heartbeats is None:
            having = [each for each, doc in self._catalog.items() if doc.heartbeats is not None]
            problem = f"'{to}' keeps no heartbeats; {suggestion(to, having)}"
            raise self._sources[name].error(place, problem)

    def _check_heartbeats(self, name: str, doc: ServiceDoc) -> None:
        if doc.heartbeats is not None and doc.database is None:
            problem = "are read from the service's own database, but it has none (database:)"
            raise self._sources[name].error(("heartbeats",), problem)

    def _check_port(self, name: str, doc: ServiceDoc) -> None:
        if doc.endpoint is None:
            return
        other = self._ports.setdefault(doc.endpoint.port, name)
        if other != name:
            problem = f"'{other}' has {doc.endpoint.port} on the virtual IP too; change one"
            raise self._sources[name].error(("endpoint", "port"), problem)

    def _check_verify(self, name: str, doc: ServiceDoc) -> None:
        source = self._sources[name]
        for i, step in enumerate(doc.verify):
            other = self._verifies.setdefault(step.name, (name, i))
            if other != (name, i):
                problem = f"'{other[0]}' has a step '{step.name}' too; rename one"
                raise source.error(("verify", i, "name"), problem)
            directory, _, script = step.file(name).partition("/")
            home = self._directory / directory
            if script not in (there := [path.name for path in home.glob("*.py")]):
                problem = f"no file '{script}' in {shown(home)}; {suggestion(script, there)}"
                raise source.error(("verify", i, "script"), problem)
            for k, service in enumerate(step.proves):
                unknown = self._unknown(service)
                if unknown:
                    raise source.error(("verify", i, "proves", k), unknown)

    def _check_verify_order(self) -> None:
        for name, doc in self._catalog.items():
            for i, step in enumerate(doc.verify):
                for field in ("needs", "after"):
                    for k, other in enumerate(getattr(step, field)):
                        if other not in self._verifies:
                            advice = suggestion(other, self._verifies)
                            problem = f"no service has a step '{other}'; {advice}"
                            raise self._sources[name].error(("verify", i, field, k), problem)
        if cycle := find_step_cycle(self._catalog):
            name, i = self._verifies[cycle[0]]
            problem = f"is circular: {' → '.join(cycle)}"
            raise self._sources[name].error(("verify", i, "needs"), problem)


def _files(doc: ServiceDoc) -> Iterator[tuple[Place, FileDoc]]:
    """Every file of a service and its jobs, with its place in the document."""
    for i, file in enumerate(doc.files):
        yield ("files", i), file
    for i, job in enumerate(doc.jobs):
        for k, file in enumerate(job.files):
            yield ("jobs", i, "files", k), file
