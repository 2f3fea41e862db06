"""Make Keystone's schema and what is in it first: ``bootstrap.py BOOTSTRAP.json``.

Schema, administrator, region, the catalog and the service users of every service in the lab, in
one process and not over the API: Python and Keystone start once, and no password is in a command
line or an environment. May be run again at any time: passwords and addresses become those of the
document.
"""

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import keystone.server
from keystone.cmd.bootstrap import Bootstrapper
from keystone.common import driver_hints, provider_api
from keystone.common.sql import upgrades

PROVIDERS = provider_api.ProviderAPIs
INTERFACES = ("public", "internal", "admin")
Reference = dict[str, Any]


def filtered(**wanted: str) -> driver_hints.Hints:
    """What a list call of Keystone's managers is to be narrowed to."""
    hints = driver_hints.Hints()
    for key, value in wanted.items():
        hints.add_filter(key, value)
    return hints


def make_administrator(document: Reference) -> Bootstrapper:
    """Keystone's own bootstrap: domain, roles, region, and the administrator."""
    bootstrapper = Bootstrapper()
    bootstrapper.admin_username = bootstrapper.project_name = bootstrapper.admin_role_name = "admin"
    bootstrapper.admin_password = document["admin_password"]
    bootstrapper.region_id = document["region"]
    bootstrapper.immutable_roles = True
    bootstrapper.bootstrap()
    return bootstrapper


def register(entry: Reference, region: str) -> None:
    """A service in the catalog and its endpoints, one for each interface."""
    catalog = PROVIDERS.catalog_api
    fields = {key: entry[key] for key in ("type", "name", "description")} | {"enabled": True}
    found = catalog.list_services(filtered(type=entry["type"]))
    service = found[0] if found else {"id": uuid.uuid4().hex}
    save = catalog.update_service if found else catalog.create_service
    save(service["id"], {**service, **fields})
    present = {
        endpoint["interface"]: endpoint
        for endpoint in catalog.list_endpoints(filtered(service_id=service["id"]))
        if endpoint["region_id"] == region
    }
    for interface in INTERFACES:
        endpoint = {
            "id": uuid.uuid4().hex,
            "interface": interface,
            "service_id": service["id"],
            "region_id": region,
            "enabled": True,
            **present.get(interface, {}),
        }
        if endpoint.get("url") == entry["url"]:
            continue
        endpoint["url"] = entry["url"]
        save = catalog.update_endpoint if interface in present else catalog.create_endpoint
        save(endpoint["id"], endpoint)


def project(name: str, domain: str) -> str:
    """The id of a project, which is made if there is none."""
    found = PROVIDERS.resource_api.list_projects(filtered(name=name, domain_id=domain))
    if found:
        return str(found[0]["id"])
    reference = {"id": uuid.uuid4().hex, "name": name, "domain_id": domain, "enabled": True}
    return str(PROVIDERS.resource_api.create_project(reference["id"], reference)["id"])


def role(name: str) -> str:
    """The id of a role, which is made if there is none."""
    found = PROVIDERS.role_api.list_roles(filtered(name=name))
    if found:
        return str(found[0]["id"])
    reference = {"id": uuid.uuid4().hex, "name": name}
    return str(PROVIDERS.role_api.create_role(reference["id"], reference)["id"])


def account(name: str, password: str, domain: str) -> str:
    """The id of a user with this password, who is made if there is none."""
    identity = PROVIDERS.identity_api
    found = identity.list_users(hints=filtered(name=name, domain_id=domain))
    if not found:
        fields = {"name": name, "domain_id": domain, "enabled": True, "password": password}
        return str(identity.create_user(fields)["id"])
    user = str(found[0]["id"])
    try:
        identity.driver.authenticate(user, password)
    except AssertionError:
        identity.update_user(user, {"password": password})
    return user


def make_user(user: Reference, domain: str) -> None:
    """A service user with its password and its roles in its project."""
    assignment = PROVIDERS.assignment_api
    reference = account(user["name"], user["password"], domain)
    place = project(user["project"], domain)
    held = assignment.get_roles_for_user_and_project(reference, place)
    for name in user["roles"]:
        if (wanted := role(name)) not in held:
            assignment.add_role_to_user_and_project(reference, place, wanted)


def make_domain(domain: Reference) -> None:
    """A domain of a service's own, with a user who may administer it."""
    resource, assignment = PROVIDERS.resource_api, PROVIDERS.assignment_api
    found = resource.list_domains(filtered(name=domain["name"]))
    if found:
        place = str(found[0]["id"])
    else:
        place = uuid.uuid4().hex
        resource.create_domain(place, {"id": place, "name": domain["name"], "enabled": True})
    user = account(domain["admin"], domain["password"], place)
    held = {grant["id"] for grant in assignment.list_grants(user_id=user, domain_id=place)}
    for name in domain["roles"]:
        if (wanted := role(name)) not in held:
            assignment.create_grant(wanted, user_id=user, domain_id=place)


def main() -> None:
    """Read the document and make what it says."""
    # Taken off the command line, which oslo.config reads too.
    document = json.loads(Path(sys.argv.pop()).read_text())
    keystone.server.configure(config_files=["/etc/keystone/keystone.conf"])
    upgrades.offline_sync_database_to_version()
    domain = make_administrator(document).default_domain_id
    project("service", domain)
    for entry in document["catalog"]:
        register(entry, document["region"])
    for name in document["roles"]:
        role(name)
    for each in document["domains"]:
        make_domain(each)
    for user in document["users"]:
        make_user(user, domain)
    names = ", ".join(entry["name"] for entry in document["catalog"])
    sys.stdout.write(f"catalog: {names}; service users: {len(document['users'])}\n")


if __name__ == "__main__":
    main()
