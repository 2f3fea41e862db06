"""Keystone's step: a token, a catalog that has every service, and endpoints that answer."""


def run(ctx):
    """Log in anew, and call on every public endpoint of the catalog with the token."""
    session = ctx.cloud.session
    session.invalidate()
    access = session.auth.get_access(session)
    endpoints = {
        entry["type"]: endpoint["url"]
        for entry in access.service_catalog.catalog
        for endpoint in entry["endpoints"]
        if endpoint["interface"] == "public"
    }
    missing = sorted(set(ctx.catalog) - set(endpoints))
    assert not missing, f"the catalog has no {', '.join(missing)}"
    ctx.say(f"token for project {access.project_name}; catalog: {', '.join(sorted(endpoints))}")
    answers = {}
    for kind, service in ctx.catalog.items():
        # Some APIs answer 300 or 404 at their root; what counts is that they do.
        answers[service] = ctx.request(kind, "GET", endpoints[kind], expect=range(200, 500))
    slowest = max(answers, key=lambda service: answers[service].elapsed)
    seconds = answers[slowest].elapsed.total_seconds()
    ctx.say(f"{len(answers)} endpoints answer; the slowest is {slowest} ({seconds:.2f} s)")
