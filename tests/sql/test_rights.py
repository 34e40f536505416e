"""What callers see, by certificate and by token, whatever they write."""

import json
import time

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ed25519

from conftest import OTHER, OWN, RECORDS, server_of
from flight import ask, connection, refusal

ISSUER, AUDIENCE = "https://issuer.example.org", "trailgate"

POLICY = f"""
rules:
  - {{callers: [all.example.org], methods: ['*']}}
  - {{callers: [one.example.org], methods: [Sql], accounts: ['{OWN}'], regions: [eu-west-1]}}
  - {{callers: [parts.example.org], methods: ['*'], redact: [requestParameters.n]}}
  - {{callers: [bare.example.org], methods: ['*'], record: false}}
  - {{callers: [some.example.org], methods: ['*'], event_sources: [s3.amazonaws.com]}}
  - {{callers: [none.example.org], methods: [LookupEvents]}}
  - {{callers: [reports.example.org], methods: [RunReport], accounts: ['{OTHER}']}}
  - {{subjects: [analyst], methods: [Sql], accounts: ['{OTHER}']}}
"""


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rights")


def files(authority, folder, name):
    """A certificate and its key."""
    issued = authority.issue_cert(name)
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return cert, key


@pytest.fixture(scope="module")
def key():
    return ed25519.Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def secured(archive, authority, folder, key):
    cert, private = files(authority, folder, "127.0.0.1")
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (folder / "policy.yaml").write_text(POLICY)
    public = json.loads(jwt.get_algorithm_by_name("EdDSA").to_jwk(key.public_key()))
    (folder / "keys.json").write_text(json.dumps({"keys": [{**public, "kid": "k", "use": "sig"}]}))
    with server_of(
        archive, "--tls-cert", cert, "--tls-key", private, "--tls-client-ca", folder / "ca.pem",
        "--policy", folder / "policy.yaml", "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE,
        "--jwt-keys", folder / "keys.json", "--audit-log", folder / "audit.jsonl",
    ) as server:
        yield server


@pytest.fixture
def called(secured, authority, folder):
    def called(name, **more):
        return connection(secured, authority, files(authority, folder, name), **more)

    return called


def token(key, subject="analyst"):
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600}
    return jwt.encode(claims, key, "EdDSA", headers={"kid": "k"})


def test_a_caller_sees_its_accounts_and_regions_alone_whatever_it_writes(called):
    mine = [one for one in RECORDS
            if (one["recipientAccountId"], one["awsRegion"]) == (OWN, "eu-west-1")]
    with called("one.example.org") as adbc:
        assert ask(adbc, "select count(*) n from cloudtrail").to_pylist() == [{"n": len(mine)}]
        for query in [
            "select * from cloudtrail",
            f"select * from cloudtrail where account_id = '{OTHER}' or 1 = 1",
            "select distinct account_id, region from principal_activity",
            "select max(account_id), max(region), count(*) from trailgate.archive.cloudtrail",
            "explain analyze verbose select * from cloudtrail",
            f"explain select * from cloudtrail where region = 'us' and account_id <> '{OWN}'",
            "select * from information_schema.views",
            "select * from information_schema.tables",
        ]:
            told = str(ask(adbc, query).to_pylist())
            assert OTHER not in told.replace(f"'{OTHER}'", ""), query
            assert "us-east-1" not in told, query
        said = refusal(adbc, "select cast(region as int) from cloudtrail")
        assert "us-east-1" not in said and "eu-west-1" in said
    with called("all.example.org") as adbc:
        assert ask(adbc, "select count(*) n from cloudtrail").to_pylist() == [{"n": len(RECORDS)}]


@pytest.mark.parametrize("name", ["parts", "bare", "some"])
def test_who_may_see_parts_alone_has_no_sql(called, name):
    with called(f"{name}.example.org") as adbc:
        for query in ["select 1", "select count(*) from cloudtrail", "show tables"]:
            said = refusal(adbc, query)
            assert "LookupEvents" in said and "SQL would tell" in said, said
        with pytest.raises(Exception, match="SQL would tell"):
            adbc.adbc_get_objects().read_all()


def test_who_has_no_right_has_none(called, secured, authority):
    with called("none.example.org") as adbc:
        assert "no right to this method" in refusal(adbc, "select 1")
    with connection(secured, authority) as adbc:
        assert "who calls is not known" in refusal(adbc, "select 1")


def test_a_token_is_who_calls(secured, authority, key):
    with connection(secured, authority, token=token(key)) as adbc:
        found = ask(adbc, "select distinct account_id a from cloudtrail").to_pylist()
    assert found == [{"a": OTHER}]
    with connection(secured, authority, token=token(key, "nobody")) as adbc:
        assert "no right" in refusal(adbc, "select 1")


def test_a_ticket_has_no_right_in_it(called, secured):
    """Who shows the ticket of another gets what it may see itself."""
    query = "select count(*) n from cloudtrail"
    with called("all.example.org") as all_, called("one.example.org") as one:
        with all_.cursor() as cursor:
            partitions, _ = cursor.adbc_execute_partitions(query)
        with one.cursor() as cursor:
            cursor.adbc_read_partition(partitions[0])
            assert cursor.fetch_arrow_table().to_pylist() == [{"n": len(RECORDS) // 4}]


def test_queries_are_audited(called, folder):
    with called("all.example.org") as adbc:
        ask(adbc, "select eventID from cloudtrail where 'audited' = 'audited'")
    end = time.monotonic() + 60
    while True:
        lines = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
        found = [line for line in lines
                 if line["method"].endswith("/DoGet") and line["phase"] == "end"
                 and "audited" in line.get("asked", {}).get("query", "")]
        if found:
            break
        assert time.monotonic() < end, lines
        time.sleep(0.01)
    [line] = found
    assert line["caller"] == "all.example.org" and line["events"] == len(RECORDS)
    assert line["code"] == "OK" and line["seconds"] > 0
