"""What the tests stand on: the records, and servers that many tests share."""

import os

import pytest

import oracle
from certificates import Authority
from processes import RECORDS, Server, Simulator
from rpc import Client

# nothing of this machine's settings may decide a test
for name in list(os.environ):
    if name.startswith(("AWS_", "TRAILGATE_")) and not name.startswith(("TRAILGATE_TEST_", "TRAILGATE_BIN")):
        del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

# the scope with most events
BIG = ("123837392027", "us-east-1")
# Regions that AWS has; others are made up and have an account each
REGIONS = ["eu-central-1", "eu-west-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"]


def pytest_collection_modifyitems(items):
    if RECORDS.exists():
        return
    print(f"\nskipped where they need records: no {RECORDS}")
    for item in items:
        if "records" in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason=f"no {RECORDS}"))


@pytest.fixture(scope="session")
def records():
    """All events of the records. What asks for it is skipped without them."""
    return oracle.events()


@pytest.fixture(scope="module")
def simulator(records):
    """A simulator of the records, without a quota."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def big_server(simulator):
    """A server of the biggest scope."""
    with Server(simulator=simulator, accounts=[BIG[0]], regions=[BIG[1]]) as server:
        yield server


@pytest.fixture(scope="session")
def all_scopes(records):
    """Every account and every Region that can be served: some thousands of
    scopes, most of them empty."""
    servable = {e.scope for e in records if oracle.is_servable(e.scope)}
    return sorted({account for account, _ in servable}), sorted({region for _, region in servable})


@pytest.fixture(scope="session")
def wide_scopes(records):
    """Every account that can be served in a Region that AWS has: few enough to
    be read again and again."""
    accounts = {e.account for e in records if e.region in REGIONS and oracle.is_servable(e.scope)}
    return sorted(accounts), REGIONS


@pytest.fixture(scope="module")
def all_server(simulator, all_scopes):
    """A server of everything that can be served."""
    accounts, regions = all_scopes
    with Server(simulator=simulator, accounts=accounts, regions=regions) as server:
        yield server


@pytest.fixture(scope="module")
def wide_server(simulator, wide_scopes):
    """A server of all of them."""
    accounts, regions = wide_scopes
    with Server(simulator=simulator, accounts=accounts, regions=regions) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of one module's files."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def authority(folder):
    """An authority, whose own certificate is in the folder."""
    authority = Authority()
    (folder / "ca.pem").write_bytes(authority.pem)
    return authority


@pytest.fixture
def as_who(server, authority, folder):
    """A client with a certificate of a name; none: without one."""
    clients = []

    def client(name):
        files = name and authority.files(folder, name)
        clients.append(Client(server, authority.credentials(files)))
        return clients[-1]

    yield client
    for client in clients:
        client.channel.close()
