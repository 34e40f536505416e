"""The questions, of each engine, over the same files of the archive."""

import statistics
import time
from dataclasses import dataclass, field

from engines import bare_environment, duck, in_process, same_types, spark_archive, spark_session, trailgate
from measured import cpu_of, run
from questions import KEY, questions, rows

ENGINES = ("trailgate", "DuckDB", "Spark")
# the engine alone, in a process of its own: DuckDB is in the one that asks
ALONE = "engine"


@dataclass
class Asked:
    """Seconds of one question, by engine: the middle ones."""

    rows: int = 0
    seconds: dict = field(default_factory=dict)
    # of all processors, on average: a neighbour's work on the machine is not in it. That of who asks is
    cpu: dict = field(default_factory=dict)
    # by `trailgate sql --archive`, a process for each question
    one_shot: float = 0.0


def timed(ask, text):
    begun = time.perf_counter()
    answer = ask(text)
    return time.perf_counter() - begun, answer


def agree(name, question, answer, wanted):
    """Fails unless an engine has the rows that the others have."""
    found = rows(same_types(answer))
    if found == wanted:
        return
    missing, more = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    raise SystemExit(
        f"{name} answers otherwise: {question.name}: {len(found)} rows, DuckDB has {len(wanted)};"
        f" not there: {missing[:2]}, there alone: {more[:2]}"
    )


def ask_all(binary, server, archive, threads, rounds):
    """trailgate and DuckDB, in turns; the questions, what each took, and the rows that each has."""
    asked, answers = {}, {}
    example = binary.parent / "examples/questions"
    with (
        duck(archive, threads) as of_duckdb,
        trailgate(server) as of_trailgate,
        in_process(example, archive, threads) as of_engine,
    ):
        key = of_duckdb(KEY)[0][0].as_py()
        asked_of = questions(key)
        for question in asked_of:
            one = Asked()
            first = of_duckdb(question.text)
            answers[question.name] = wanted = rows(same_types(first))
            one.rows = len(wanted)
            agree("trailgate", question, of_trailgate(question.text), wanted)
            # once that does not count, as the others had
            of_engine(question.text)
            seconds = {"trailgate": [], "DuckDB": [], ALONE: []}
            cpu = {"trailgate": 0.0, "DuckDB": 0.0}
            for _ in range(rounds):
                for name, ask in (("trailgate", of_trailgate), ("DuckDB", of_duckdb)):
                    begun = time.process_time() + cpu_of(server.process.pid)
                    took, answer = timed(ask, question.text)
                    seconds[name].append(took)
                    cpu[name] += time.process_time() + cpu_of(server.process.pid) - begun
                    if answer.num_rows != one.rows:
                        raise SystemExit(f"{name} has other rows when asked again: {question.name}")
                took, found = timed(of_engine, question.text)
                seconds[ALONE].append(took)
                if found != one.rows:
                    raise SystemExit(f"the engine alone has {found} rows: {question.name}")
            one.seconds = {name: statistics.median(taken) for name, taken in seconds.items()}
            one.cpu = {name: taken / rounds for name, taken in cpu.items()}
            asked[question.name] = one
    for question in asked_of:
        _, took = run(
            binary, "sql", "--archive", archive, "-o", "arrow", question.text, env=bare_environment(), is_text=False
        )
        asked[question.name].one_shot = took.wall
    return asked_of, asked, answers


@dataclass
class Of2015:
    """Spark over JSON as the recipe of 2015 has it: seconds to infer a schema, and those of each question."""

    inferring: float
    seconds: dict


def ask_spark(asked_of, asked, answers, archive, log_files, scratch, cores, rounds, is_small):
    """Spark over the archive, and over the log files."""
    with spark_session(scratch, cores, is_small) as spark:
        with spark_archive(spark, archive) as ask:
            for question in asked_of:
                agree("Spark", question, ask(question.text), answers[question.name])
                taken = [timed(ask, question.text)[0] for _ in range(rounds)]
                asked[question.name].seconds["Spark"] = statistics.median(taken)
        begun = time.perf_counter()
        frame = spark.read.option("recursiveFileLookup", "true").json(str(log_files / "AWSLogs"))
        inferring = time.perf_counter() - begun
        frame.selectExpr("explode(Records) AS record").select("record.*").createOrReplaceTempView("cloudtrail")
        seconds = {}
        for question in asked_of:
            if question.is_of_2015:
                took, answer = timed(lambda text: spark.sql(text).toArrow(), question.text)
                agree("Spark on JSON", question, answer, answers[question.name])
                seconds[question.name] = took
    return Of2015(inferring, seconds)


def told(asked, of_2015):
    """As a table, in milliseconds."""
    yield [
        "question", "rows", "engine ms", "trailgate ms", "DuckDB ms", "Spark ms", "engine/DuckDB",
        "trailgate/DuckDB", "by CPU ms", "Spark/trailgate",
        "Spark on JSON ms", "beside trailgate", "`trailgate sql` ms",
    ]
    for name, one in asked.items():
        own, duckdb, spark = (one.seconds[engine] for engine in ENGINES)
        alone = one.seconds[ALONE]
        json = of_2015.seconds.get(name)
        yield [
            name, f"{one.rows:,}", *(f"{seconds * 1e3:,.1f}" for seconds in (alone, own, duckdb, spark)),
            f"{alone / duckdb:.2f}", f"{own / duckdb:.2f}", " / ".join(f"{one.cpu[engine] * 1e3:.1f}" for engine in ENGINES[:2]),
            f"{spark / own:,.0f}x",
            f"{json * 1e3:,.0f}" if json else "", f"{json / own:,.0f}x" if json else "",
            f"{one.one_shot * 1e3:,.0f}",
        ]
