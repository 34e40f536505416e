"""Log files to Parquet by DuckDB, as somebody writes it who knows it; told as JSON.

    load_duckdb.py LOG_FILES TO THREADS records|typed

`typed`: the columns that `read_json` makes of the records, which leave out whatever has no
column. `records`: the same columns, and each record as its text, as the archive has it.
"""

import json
import sys

import duckdb

from measured import Measured

TEXTS = """eventID eventName eventSource eventVersion eventType eventCategory awsRegion recipientAccountId
    sourceIPAddress userAgent errorCode errorMessage requestID sharedEventID vpcEndpointId apiVersion""".split()
JSONS = "requestParameters responseElements additionalEventData serviceEventDetails tlsDetails".split()
FLAGS = "readOnly managementEvent".split()
USER = {
    **dict.fromkeys("type principalId arn accountId accessKeyId userName invokedBy identityProvider".split(), "VARCHAR"),
    "sessionContext": {
        "sessionIssuer": dict.fromkeys("type principalId arn accountId userName".split(), "VARCHAR"),
        "attributes": dict.fromkeys("creationDate mfaAuthenticated".split(), "VARCHAR"),
        "sourceIdentity": "VARCHAR",
        "webIdFederationData": "JSON",
    },
    "onBehalfOf": "JSON",
}
RECORD = {
    "eventTime": "TIMESTAMP",
    **dict.fromkeys(TEXTS, "VARCHAR"),
    **dict.fromkeys(JSONS, "JSON"),
    **dict.fromkeys(FLAGS, "BOOLEAN"),
    "userIdentity": USER,
    "resources": [{"type": "VARCHAR", "ARN": "VARCHAR"}],
}

# a log file is one JSON value
LARGEST = 256 << 20


def ddl(kind):
    """A type as `read_json` is told it."""
    if isinstance(kind, dict):
        return "STRUCT(" + ", ".join(f'"{name}" {ddl(member)}' for name, member in kind.items()) + ")"
    return f"{ddl(kind[0])}[]" if isinstance(kind, list) else kind


def query(files, to, variant):
    """Reads, types and writes all in one statement."""
    read = "SELECT unnest(Records) AS {name} FROM read_json('{files}', columns = {{Records: '{kind}[]'}}, " \
        "format = 'auto', compression = 'gzip', maximum_object_size = {largest})"
    if variant == "typed":
        told = read.format(name="r", files=files, kind=ddl(RECORD), largest=LARGEST)
        record = ""
    else:
        raw = read.format(name="record", files=files, kind="JSON", largest=LARGEST)
        told = f"SELECT record, json_transform(record, '{json.dumps(RECORD)}') AS r FROM ({raw})"
        record = "record::VARCHAR AS record,"
    columns = ", ".join(f"r.{name}" for name in [*TEXTS, *FLAGS, "userIdentity"])
    texts = ", ".join(f"r.{name}::VARCHAR AS {name}" for name in JSONS)
    return f"""
        COPY (
            SELECT
                r.eventTime, {columns}, {texts}, {record}
                r.userIdentity.userName AS username, r.userIdentity.accessKeyId AS accessKeyId,
                list_transform(r.resources, lambda x: {{type: x.type, name: x.ARN}}) AS resources,
                'LogFile' AS origin,
                coalesce(r.recipientAccountId, r.userIdentity.accountId) AS account_id,
                r.awsRegion AS region,
                r.eventTime::DATE AS date
            FROM ({told})
        ) TO '{to}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (account_id, region, date))"""


def main(log_files, to, threads, variant):
    connection = duckdb.connect(config={"threads": int(threads)})
    # rows are anyone's: as in the archive, whose order is that of times within a file
    connection.execute("SET preserve_insertion_order = false")
    with Measured() as took:
        connection.execute(query(f"{log_files}/**/*.json.gz", to, variant))
    pattern = f"{to}/**/*.parquet"
    rows, = connection.execute(f"SELECT count(*) FROM read_parquet('{pattern}')").fetchone()
    print(json.dumps({"rows": rows, **took.told()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
