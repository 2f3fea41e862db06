"""Horizon's step without a browser: a login that every instance knows of."""

import re

import requests

TOKEN = re.compile(r"""name=["']csrfmiddlewaretoken["'] value=["']([^"']+)""")


def log_in(ctx):
    """A session of the dashboard: its cookies."""
    page = f"http://{ctx.vip}/auth/login/"
    session = requests.Session()
    form = session.get(page, timeout=30)
    form.raise_for_status()
    found = TOKEN.search(form.text)
    assert found, "the login page has no form"
    auth = ctx.cloud.config.get_auth_args()
    answer = session.post(
        page,
        data={
            "csrfmiddlewaretoken": found[1],
            "username": auth["username"],
            "password": auth["password"],
            "region": "default",
            "next": "/project/",
        },
        headers={"Referer": page},
        timeout=60,
        allow_redirects=False,
    )
    assert answer.status_code == 302, f"after the login form: {answer.status_code}"
    assert "sessionid" in session.cookies, "the login was refused"
    return session.cookies.get_dict()


def run(ctx):
    """Log in through the virtual IP, and show the session to every instance."""
    cookies = ctx.until("the dashboard lets us in", lambda: log_in(ctx), seconds=60)
    known = []
    for name, address in ctx.hosts("horizon").items():
        url = f"http://{address}/identity/"
        try:
            answer = requests.get(url, cookies=cookies, timeout=60, allow_redirects=False)
        except requests.ConnectionError:
            continue
        where = answer.headers.get("Location", "")
        assert "login" not in where, f"horizon on {name} does not know the session"
        assert answer.status_code < 400, f"horizon on {name} answers {answer.status_code}"
        known.append(name)
    assert known, "no instance answers"
    ctx.say(f"logged in through {ctx.vip}; the session is known to horizon on {', '.join(known)}")
    page = ctx.fetch(f"http://{ctx.vip}/auth/login/", timeout=30).text
    sheet = re.search(r'href="(/static/[^"]+\.css)"', page)
    assert sheet, "the login page has no style sheet"
    style = ctx.fetch(f"http://{ctx.vip}{sheet[1]}", timeout=30)
    ctx.say(f"style sheet {sheet[1]}: {len(style.content)} bytes")
