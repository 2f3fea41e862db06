"""The dashboard as a person meets it: a login form, a list of servers, and what it looks like."""


def run(ctx):
    """Log in with a real browser, look for the server among the instances, take its picture."""
    account = ctx.cloud.config.get_auth_args()
    name = ctx.state["server_name"]
    page = ctx.browser()
    page.open(f"http://{ctx.vip}/auth/login/")
    page.fill("#id_username", account["username"])
    page.fill("#id_password", account["password"])
    page.submit("#loginBtn, button[type=submit]")
    assert "/auth/login" not in page.url(), f"the login was refused: {page.text()[:200]}"
    page.open(f"http://{ctx.vip}/project/instances/")
    text = ctx.until(f"the page shows {name}", lambda: name in page.text() and page.text(), 30)
    row = next(line for line in text.splitlines() if name in line)
    ctx.save("instances.png", page.screenshot())
    ctx.say(f"{page.evaluate('document.title')}: {' '.join(row.split())}")
