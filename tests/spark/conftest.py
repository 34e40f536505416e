"""One archive, one session of each engine, for the whole run."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
SHARED = PROJECT.parents[0] / "shared" / "data" / "AWSLogs"
if not SHARED.is_dir():
    SHARED = PROJECT.parents[1] / "shared" / "data" / "AWSLogs"
sys.path.insert(0, str(PROJECT / "spark"))

import archives  # noqa: E402
import engines  # noqa: E402
import gazetteer  # noqa: E402
import oracle  # noqa: E402
import reading  # noqa: E402
import sessions  # noqa: E402
import trailgate_spark  # noqa: E402
import world  # noqa: E402
from trailgate_spark import sql  # noqa: E402

# functions of these tests run in Spark's own Python processes, too
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.resolve()), os.environ.get("PYTHONPATH")]))


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="ask everything of every engine")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="--long runs it"))


@pytest.fixture(scope="session")
def own():
    """The rows of the tests' own world."""
    return [reading.row(text) for text in world.records()]


@pytest.fixture(scope="session")
def others():
    """The rows of the log files that lie beside the project, if they do."""
    return reading.rows(reading.log_files(SHARED)) if SHARED.is_dir() else []


@pytest.fixture(scope="session")
def rows(own, others):
    return own + others


@pytest.fixture(scope="session")
def events(rows):
    return [oracle.activity(row) for row in rows]


@pytest.fixture(scope="session")
def archive(own, others, tmp_path_factory):
    """The rows as an archive with a past: see archives.py."""
    return archives.with_a_past(tmp_path_factory.mktemp("archive"), own, others)


@pytest.fixture(scope="session")
def fusion(archive):
    return engines.datafusion(engines.arrow_of(archive.root, archive.files))


@pytest.fixture(scope="session")
def reports():
    return sql.reports()


@pytest.fixture(scope="session")
def log_directory(tmp_path_factory):
    """Log files of the tests' own world, as a trail writes them."""
    root = tmp_path_factory.mktemp("logs")
    texts = world.records()
    archives.write_log_file(root, "111122223333", "eu-central-1", "20260315T0005Z", texts[:150])
    archives.write_log_file(root, "111122223333", "eu-central-1", "20260315T0010Z", texts[100:])
    archives.write_digest(root, "111122223333", "eu-central-1", "20260315T0010Z")
    return root


@pytest.fixture(scope="session")
def _classic(request, tmp_path_factory, archive, log_directory):
    is_wanted = any("connected" in item.fixturenames for item in request.session.items)
    with sessions.classic(tmp_path_factory.mktemp("spark")) as (spark, url):
        # from the start: it asks while others do
        client = sessions.Client(url, archive.root, log_directory) if is_wanted else None
        try:
            yield spark, client
        finally:
            if client is not None:
                client.stop()


@pytest.fixture(scope="session")
def spark(_classic):
    return _classic[0]


@pytest.fixture(scope="session")
def connected(_classic):
    """What a Connect client got to everything that it asked."""
    return _classic[1].wait()


@pytest.fixture(scope="module")
def table(spark, archive):
    """The archive, registered in the classic session."""
    spark.udf.register("country", gazetteer.country, "string")
    spark.udf.register("city", gazetteer.city, "string")
    return trailgate_spark.table(spark, archive.root)
