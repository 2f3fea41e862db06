"""Selects the part of a topology that a lab gets: a profile, services added or left out. Pure.

Services that others need are included, or named in the error where they cannot be. Roles with
nothing left to run are removed, and so are nodes without a role.
"""

from __future__ import annotations

from collections.abc import Mapping

from labctl.documents.source import Place, Source, suggestion
from labctl.errors import InputError
from labctl.model.lab import CLIENT
from labctl.model.order import needed
from labctl.model.service import PROFILES, ServiceDoc
from labctl.model.topology import Choice, TopologyDoc


def select(
    topology: TopologyDoc, catalog: Mapping[str, ServiceDoc], choice: Choice, source: Source
) -> TopologyDoc:
    """The topology reduced to what is chosen of it, with nothing left to choose.

    ``source`` gives the positions for errors. InputError when something is added that does not
    exist, or left out that another service needs.
    """
    return _Selection(topology, catalog, choice, source).made()


class _Selection:
    def __init__(
        self,
        topology: TopologyDoc,
        catalog: Mapping[str, ServiceDoc],
        choice: Choice,
        source: Source,
    ) -> None:
        self._topology, self._catalog, self._choice = topology, catalog, choice
        self._source = source
        self._profile = choice.profile or topology.profile
        self._roles = {role: list(services) for role, services in topology.roles.items()}
        self._added: set[str] = set()
        self._dropped: dict[str, Place | None] = {}
        """Service → where the document leaves it out; None when the command line does."""

    def made(self) -> TopologyDoc:
        self._add()
        self._drop()
        kept = self._kept()
        roles = {
            role: tuple(service for service in services if service in kept)
            for role, services in self._roles.items()
        }
        empty = {role for role, services in self._roles.items() if services and not roles[role]}
        if CLIENT in empty:
            raise InputError(
                f"nothing is left of the role '{CLIENT}', from which the lab is probed; "
                f"keep {' or '.join(self._roles[CLIENT])}"
            )
        nodes = {
            name: node.model_copy(update={"roles": left})
            for name, node in self._topology.nodes.items()
            if (left := tuple(role for role in node.roles if role not in empty))
        }
        listed = {service for services in self._roles.values() for service in services}
        return self._topology.model_copy(
            update={
                "profile": self._profile,
                "nodes": nodes,
                "roles": {role: roles[role] for role in roles if role not in empty},
                "services": {
                    # Settings of a service that no role lists are a mistake: keep them, so that
                    # the check of the whole topology reports them.
                    name: settings
                    for name, settings in self._topology.services.items()
                    if name in kept or name not in listed
                },
                "add": {},
                "drop": (),
            }
        )

    # services added or left out by name

    def _add(self) -> None:
        for role, services in self._topology.add.items():
            if role not in self._roles:
                problem = f"no role '{role}'; {suggestion(role, self._roles)}"
                raise self._source.error(("add", role), problem)
            for i, service in enumerate(services):
                if service not in self._catalog:
                    problem = f"no service '{service}'; {suggestion(service, self._catalog)}"
                    raise self._source.error(("add", role, i), problem)
                self._enlist(service, role)
        for service, wish in self._choice.add.items():
            if service not in self._catalog:
                advice = suggestion(service, self._catalog)
                raise InputError(f"--with {service}: no service '{service}'; {advice}")
            if service in self._choice.drop:
                raise InputError(f"--with and --without both name {service}; keep one")
            if wish is not None and wish not in self._roles:
                advice = suggestion(wish, self._roles)
                raise InputError(f"--with {service}:{wish}: no role '{wish}'; {advice}")
            self._enlist(service, wish or self._implied_role(service))

    def _enlist(self, service: str, role: str) -> None:
        self._added.add(service)
        if service not in self._roles[role]:
            self._roles[role].append(service)

    def _implied_role(self, service: str) -> str:
        """The role that lists it, or the only one that lists anything it needs."""
        own = [role for role, services in self._roles.items() if service in services]
        if own:
            return own[0]
        needs = set(needed(self._catalog[service]))
        found = [role for role, services in self._roles.items() if needs & set(services)]
        if len(found) == 1:
            return found[0]
        roles = ", ".join(self._roles)
        raise InputError(
            f"--with {service}: cannot tell which role should get it; "
            f"use --with {service}:ROLE (roles: {roles})"
        )

    def _drop(self) -> None:
        listed = {service for services in self._roles.values() for service in services}
        for i, service in enumerate(self._topology.drop):
            if service not in listed:
                problem = f"no role lists '{service}'; {suggestion(service, sorted(listed))}"
                raise self._source.error(("drop", i), problem)
            if service not in self._choice.add:
                self._dropped[service] = ("drop", i)
        for service in self._choice.drop:
            if service not in listed:
                advice = suggestion(service, sorted(listed))
                raise InputError(f"--without {service}: no role lists it; {advice}")
            self._dropped[service] = None

    # services that others need

    def _kept(self) -> set[str]:
        """The services of the profile and those added, with what they need."""
        rank = PROFILES.index(self._profile)
        listed = {service for services in self._roles.values() for service in services}
        known = [service for service in sorted(listed) if service in self._catalog]
        kept = {
            service
            for service in known
            if service in self._added or PROFILES.index(self._catalog[service].profile) <= rank
        } - set(self._dropped)
        todo = sorted(kept)
        while todo:
            service = todo.pop()
            for need in needed(self._catalog[service]):
                if need in self._dropped:
                    raise self._needed_error(service, need)
                if need in kept or need not in self._catalog:
                    continue
                if service in self._added and need not in listed:
                    self._add_need(service, need)
                    listed.add(need)
                if need in listed:
                    kept.add(need)
                    todo.append(need)
        # Keep unknown services, so that the check of the whole topology reports them.
        return kept | (listed - set(known) - set(self._added))

    def _needed_error(self, service: str, need: str) -> InputError:
        """The error for leaving out something that another service needs."""
        place = self._dropped[need]
        if place is None:
            return InputError(
                f"--without {need}: {service} needs it; add '--without {service}', or keep it"
            )
        problem = f"{service} needs {need}; drop {service} too, or keep {need}"
        return self._source.error(place, problem)

    def _add_need(self, service: str, need: str) -> None:
        """Add a need that no role lists to the roles of the added service that needs it."""
        self._added.add(need)
        for services in self._roles.values():
            if service in services:
                services.append(need)
