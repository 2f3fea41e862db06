"""What all tests share.

``--engines fake,docker,podman`` says which engines tests run on; one that is missing is a failure.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from labctl.engine.choose import connect
from labctl.engine.port import Engine
from tests.fakes.engine import FakeEngine

KINDS = ("fake", "docker", "podman")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engines",
        default="fake",
        metavar="KIND[,KIND…]",
        help=f"engines to run the contract on, of {', '.join(KINDS)} (default: fake)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kernel: needs an engine with a kernel, so not the fake")
    unknown = set(_kinds(config)) - set(KINDS)
    if unknown:
        raise pytest.UsageError(f"--engines: there is no engine {', '.join(sorted(unknown))}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", _kinds(metafunc.config), indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs a kernel is no part of the fake's contract: not collected, rather than skipped."""
    left_out = [
        item for item in items if item.get_closest_marker("kernel") and _kind(item) == "fake"
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    """An engine of each kind that was asked for."""
    return FakeEngine() if request.param == "fake" else connect(request.param)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Each test leaves the signals' handlers as they were.

    The command line sets them for its whole process, which here is the tests' own; what was left
    ignored would be ignored by every program that a later test starts.
    """
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in ending]
    yield
    for number, handler in zip(ending, before, strict=True):
        signal.signal(number, handler)


def _kinds(config: pytest.Config) -> list[str]:
    return [kind.strip() for kind in config.getoption("--engines").split(",")]


def _kind(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("engine") if callspec else None
