"""The engines that answer the same SQL, and what they answer as plain Python values."""

import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
from datafusion import SessionConfig, SessionContext, udf

import gazetteer
from archives import ARROW, PARTITIONS
from trailgate_spark import sql

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def micros(time):
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - EPOCH) // datetime.timedelta(microseconds=1)


def plain(value):
    """A value as every engine's is compared: times as microseconds, bytes as hexadecimal digits."""
    if isinstance(value, datetime.datetime):
        return micros(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value


def plain_rows(rows):
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def key(row):
    return json.dumps(row, sort_keys=True)


# DataFusion


def _get_json_object(texts, paths):
    def get(text, path):
        try:
            value = json.loads(text) if text is not None else None
        except ValueError:
            return None
        for name in path.removeprefix("$.").split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    return pa.array(map(get, texts.to_pylist(), paths.to_pylist()), pa.string())


def _to_json(lists):
    def told(resources):
        if resources is None:
            return None
        shown = [{name: value for name, value in each.items() if value is not None} for each in resources]
        return json.dumps(shown, separators=(",", ":"), ensure_ascii=False)

    return pa.array([told(each) for each in lists.to_pylist()], pa.string())


def _each(function):
    return lambda values: pa.array([function(value) for value in values.to_pylist()], pa.string())


def arrow_of(root, files):
    """The rows of an archive's files, by Arrow's own reading of Parquet."""
    tables = []
    for path, values in files.items():
        table = pq.read_table(root / path, partitioning=None)
        for name in PARTITIONS:
            kind = ARROW.field(name).type
            column = pa.array([values[name]] * table.num_rows, pa.string()).cast(kind)
            table = table.append_column(ARROW.field(name), column)
        tables.append(table)
    return pa.concat_tables(tables) if tables else ARROW.empty_table()


def datafusion(table):
    """A DataFusion session with the table, the views and the functions that trailgate registers."""
    # names as they are written, as in Spark; by default what is not quoted is made small
    context = SessionContext(SessionConfig().set("datafusion.sql_parser.enable_ident_normalization", "false"))
    text = pa.string()
    resources = ARROW.field("resources").type
    for name, function, types in (
        ("get_json_object", _get_json_object, [text, text]),
        ("to_json", _to_json, [resources]),
        ("country", _each(gazetteer.country), [text]),
        ("city", _each(gazetteer.city), [text]),
    ):
        context.register_udf(udf(function, types, text, "immutable", name))
    context.register_record_batches("cloudtrail", [table.to_batches()])
    for name in sql.VIEWS:
        context.sql(f"CREATE VIEW {name} AS {sql.view(name)}")
    return context


def ask_datafusion(context, query, values=None):
    bound = {
        name: pa.scalar(value, pa.timestamp("us", "UTC")) if isinstance(value, datetime.datetime) else value
        for name, value in (values or {}).items()
    }
    frame = context.sql(query, param_values=bound) if bound else context.sql(query)
    return plain_rows(frame.to_arrow_table().to_pylist())


# Spark


def ask_spark(frame):
    """A DataFrame's rows: times as numbers, as Python's would be of this machine's zone."""
    columns = []
    for field in frame.schema:
        kind = field.dataType.simpleString()
        if kind == "timestamp":
            columns.append(f"unix_micros(`{field.name}`) AS `{field.name}`")
        else:
            columns.append(f"`{field.name}`")
    return [plain(row.asDict(recursive=True)) for row in frame.selectExpr(*columns).collect()]
