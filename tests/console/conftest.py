"""What the tests stand on: servers, a browser, and events that are known."""

import os
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

sys.path.append(str(Path(__file__).resolve().parents[1] / "clients"))

import browser as browsing  # noqa: E402
import fixtures  # noqa: E402
from processes import Server, Simulator  # noqa: E402

# nothing of this machine's settings may decide a test
for name in list(os.environ):
    if name.startswith(("AWS_", "TRAILGATE_")) and not name.startswith(("TRAILGATE_TEST_", "TRAILGATE_BIN")):
        del os.environ[name]


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright):
    chromium = browsing.launch(playwright)
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def plain():
    """The plain events, the newest first."""
    return list(reversed(fixtures.plain()))


@pytest.fixture(scope="session")
def harmful():
    return fixtures.harmful()


@pytest.fixture(scope="session")
def records(plain, harmful, tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "events.jsonl"
    return fixtures.write(path, [*plain, *harmful.values()])


@pytest.fixture(scope="session")
def simulator(records):
    with Simulator(records=records) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def server(simulator):
    """A server of both Regions."""
    with Server(
        simulator=simulator, accounts=[fixtures.ACCOUNT], regions=[fixtures.PLAIN, fixtures.HARM]
    ) as server:
        yield server


@pytest.fixture(scope="session")
def demo():
    """What people see first."""
    with Server("--demo") as server:
        yield server


@pytest.fixture
def tab(chromium, server):
    """A tab at the known events."""
    with browsing.tab(chromium, server.http) as tab:
        yield tab


@pytest.fixture
def demo_tab(chromium, demo):
    with browsing.tab(chromium, demo.http) as tab:
        yield tab
