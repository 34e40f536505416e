"""Requests in files: skeletons that a script fills in, and the commands that take
them, against a demo server."""

import json
import random
import subprocess
import tempfile

import pytest
from google.protobuf import json_format

from processes import PATIENCE, Server, bare_environment, binary, run
from rpc import event_service_pb2 as pb
from rpc import scope_service_pb2 as scopes_pb

# the command, and the messages that it asks with and is answered by
COMMANDS = [
    (["lookup"], pb.LookupEventsRequest, pb.LookupEventsResponse),
    (["lookup", "--all"], pb.ExportEventsRequest, pb.ExportEventsResponse),
    (["get"], pb.GetEventRequest, pb.GetEventResponse),
    (["summary"], pb.SummarizeEventsRequest, pb.SummarizeEventsResponse),
    (["tail"], pb.SubscribeEventsRequest, pb.SubscribeEventsResponse),
    (["scopes"], scopes_pb.ListScopesRequest, scopes_pb.ListScopesResponse),
]
COMMANDS += [
    (["call", method], request, answer)
    for method, (_, request, answer) in zip(
        ["LookupEvents", "ExportEvents", "GetEvent", "SummarizeEvents", "SubscribeEvents", "ListScopes"],
        COMMANDS,
    )
]
each_command = pytest.mark.parametrize(
    ("command", "request_type", "answer_type"), COMMANDS, ids=[" ".join(c) for c, _, _ in COMMANDS]
)


@pytest.fixture(scope="module")
def demo():
    with Server("--demo") as server:
        yield server


def skeleton(command, *args):
    done = run(*command, "--generate-cli-skeleton", *args)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def run_with(text, *args):
    """Runs trailgate with this on its stdin."""
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [binary(), *map(str, args)], env=bare_environment(home), input=text,
            capture_output=True, text=True, timeout=PATIENCE,
        )


def fields(descriptor):
    """The fields of a message, by the names that JSON has for them."""
    return {field.json_name: field for field in descriptor.fields}


def has_every_field(value, descriptor, chosen=()):
    """Whether JSON has every field of a message, and of those below; `chosen`: but
    for alternatives of these."""
    known = fields(descriptor)
    oneof = {n for n, f in known.items() if f.containing_oneof and f.containing_oneof.name in chosen}
    assert set(value) | oneof == set(known), descriptor.full_name
    for name, inner in value.items():
        field = known[name]
        if field.message_type and field.message_type.file.package == "trailgate.v1":
            for each in inner if field.is_repeated else [inner]:
                has_every_field(each, field.message_type, chosen)


def fill(template, descriptor, rng):
    """A skeleton, filled in with random values that its types take."""
    filled = dict(template)
    oneofs = {}
    for name, field in fields(descriptor).items():
        if rng.random() < 0.3:
            continue
        if field.containing_oneof:
            # one of alternatives
            if oneofs.setdefault(field.containing_oneof.name, name) != name:
                continue
        count = rng.randint(1, 3) if field.is_repeated else 1
        values = [one(template[name], field, rng) for _ in range(count)]
        filled[name] = values if field.is_repeated else values[0]
    return filled


def one(template, field, rng):
    kind = field.message_type
    if kind and kind.name == "Timestamp":
        return f"202{rng.randint(0, 5)}-0{rng.randint(1, 9)}-{rng.randint(10, 28)}T0{rng.randint(0, 9)}:08:09Z"
    if kind and kind.name == "Duration":
        return f"{rng.randint(0, 1000)}.5s"
    if kind:
        return fill(template[0] if field.is_repeated else template, kind, rng)
    if field.enum_type:
        return rng.choice(field.enum_type.values[1:]).name
    if field.type == field.TYPE_BOOL:
        return True
    if field.type == field.TYPE_INT32:
        return rng.randint(1, 1000)
    assert field.type == field.TYPE_STRING, field.full_name
    return "".join(rng.choice("aZ09 .:*\"'\\#-{}é✓\n") for _ in range(rng.randint(1, 9)))


def parsed(value, request_type):
    """What protobuf's own JSON makes of a filled skeleton, without what is empty in
    it: it takes no empty text for a time, and empty objects for objects."""
    def is_empty(value):
        return not value or isinstance(value, str) and value.endswith("_UNSPECIFIED")

    def given(value):
        if isinstance(value, dict):
            kept = {name: given(inner) for name, inner in value.items()}
            return {name: inner for name, inner in kept.items() if not is_empty(inner)}
        if isinstance(value, list):
            return [inner for inner in map(given, value) if inner != {}]
        return value
    return json_format.ParseDict(given(value), request_type())


@each_command
def test_a_skeleton_has_every_field(command, request_type, answer_type):
    text = skeleton(command)
    assert text == skeleton(command, "input")
    template = json.loads(text)
    has_every_field(template, request_type.DESCRIPTOR)
    assert parsed(template, request_type) == request_type()
    yaml = skeleton(command, "yaml-input")
    assert "# " in yaml and all(f"{name}:" in yaml for name in template)
    # filled with nothing it is the same again
    for flag, filled in [("--cli-input-json", text), ("--cli-input-yaml", yaml)]:
        again = run_with(filled, *command, flag, "-", "--generate-cli-skeleton")
        assert (again.returncode, again.stdout, again.stderr) == (0, text, "")


@each_command
def test_a_sample_is_an_answer(command, request_type, answer_type):
    text, samples = skeleton(command, "output"), []
    while text.strip():
        value, end = json.JSONDecoder().raw_decode(text)
        text = text[end:].lstrip()
        has_every_field(value, answer_type.DESCRIPTOR, ["payload"])
        samples.append(json_format.ParseDict(value, answer_type()))
    payloads = {sample.WhichOneof("payload") for sample in samples} if "payload" in answer_type.DESCRIPTOR.oneofs_by_name else {None}
    assert len(payloads) == len(samples)


@each_command
def test_a_filled_skeleton_is_taken_and_comes_back(command, request_type, answer_type, tmp_path):
    rng = random.Random(f"{command}")
    template = json.loads(skeleton(command))
    for turn in range(10):
        filled = fill(template, request_type.DESCRIPTOR, rng)
        expected = parsed(filled, request_type)
        path = tmp_path / "filled.json"
        path.write_text(json.dumps(filled))
        # JSON is YAML too
        for flag, how in [("--cli-input-json", "input"), ("--cli-input-yaml", "yaml-input")]:
            again = run(*command, flag, f"file://{path}", "--generate-cli-skeleton", how)
            assert (again.returncode, again.stderr) == (0, ""), (filled, again)
            if how == "yaml-input":
                path.write_text(again.stdout)
                again = run(*command, flag, f"file://{path}", "--generate-cli-skeleton")
                assert (again.returncode, again.stderr) == (0, ""), (filled, again)
            assert parsed(json.loads(again.stdout), request_type) == expected, filled


@each_command
def test_a_request_in_a_file_is_answered(demo, command, request_type, answer_type, tmp_path):
    """Values that the server takes, in every field that it does."""
    template = json.loads(skeleton(command))
    newest = run("lookup", "--endpoint", demo.endpoint, "--limit", "1", "-o", "jsonl")
    newest = json.loads(newest.stdout)
    if "filters" in template:
        [match] = template["filters"][0]["matches"]
        match |= {"field": "eventName", "operator": "OPERATOR_EQUALS", "values": [newest["event_name"]]}
    if "eventId" in template:
        template["eventId"] = newest["event_id"]
    template["accountIds"] = [newest["account_id"]]
    template["regions"] = [newest["region"]]
    if "startTime" in template:
        template["startTime"] = newest["event_time"]
    if "topFields" in template:
        template["topFields"] = ["eventName"]
    path = tmp_path / "request.json"
    path.write_text(json.dumps(template))
    args = [*command, "--endpoint", demo.endpoint, "--cli-input-json", f"file://{path}"]
    if command[0] == "tail":
        args += ["-n", "1", "-o", "jsonl"]
    if command[0] in ("lookup", "summary", "scopes"):
        args += ["-o", "json"]
    if command[-1] == "SubscribeEvents":
        return answered_until(args, newest["event_id"])
    done = run(*args)
    assert done.returncode == 0, done
    known = newest["region"] if "scopes" in command or command[-1] == "ListScopes" else None
    words = known or (newest["event_name"] if "top_fields" in request_type.DESCRIPTOR.fields_by_name else newest["event_id"])
    assert words in done.stdout, done.stdout


def answered_until(args, words):
    """A stream without an end, until it has said this."""
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [binary(), *args], env=bare_environment(home), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True,
        )
        try:
            for line in process.stdout:
                json_format.Parse(line, pb.SubscribeEventsResponse())
                if words in line:
                    return
            raise AssertionError(f"the stream ended without {words}")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_options_come_before_the_file(demo):
    asked = {"filters": [{"matches": [{"field": "eventName", "values": ["NoSuchThing"]}]}],
             "regions": ["nowhere-1"], "pageSize": 7, "order": "ORDER_OLDEST_FIRST"}
    again = run("lookup", "--cli-input-json", json.dumps(asked), "--region", "us-east-1",
                "--event-name", "GetUser", "--order", "newest", "--generate-cli-skeleton")
    again = json.loads(again.stdout)
    assert again["regions"] == ["us-east-1"] and again["pageSize"] == 7
    assert again["order"] == "ORDER_NEWEST_FIRST"
    assert [m["values"] for f in again["filters"] for m in f["matches"]] == [["GetUser"]]
    # a command line is a file to come
    done = run("lookup", "--endpoint", demo.endpoint, "--cli-input-json", json.dumps(asked),
               "--limit", "3", "-o", "json", "--region", "us-east-1", "--read-only", "--since", "2h")
    assert done.returncode == 0, done
    events = json.loads(done.stdout)
    assert len(events) == 3 and all(e["read_only"] and e["region"] == "us-east-1" for e in events)
    times = [e["event_time"] for e in events]
    assert times == sorted(times), "the order is the file's"


@pytest.mark.parametrize(("given", "words"), [
    ("file:///no/such/file", ["No such file"]),
    ("{", ["line 1 column 1"]),
    ("[]", ["a list where an object belongs"]),
    ('{"filters": [{}, {"matches": [{"operater": "OPERATOR_PREFIX"}]}]}',
     ["filters[1].matches[0].operater", 'did you mean "operator"?']),
    ('{"pageSize": "x"}', ["pageSize", "a whole number"]),
    ('{"order": "ORDER_NEWEST"}', ["order", 'ORDER_NEWEST_FIRST']),
    ('{"startTime": "soon"}', ["startTime", "soon", "2024-05-06T07:08:09Z"]),
    # what only the server knows
    ('{"filters": [{}, {"matches": [{}, {"field": "eventName"}]}]}', ["filters[1].matches[1].values"]),
    ('{"filters": [{"matches": [{"field": "eventNmae", "values": ["x"]}]}]}',
     ["filters[0].matches[0].field", 'did you mean "eventName"']),
    ('{"pageSize": -5}', ["page_size"]),
    ('{"accountIds": ["1"]}', ["account_ids[0]"]),
])
def test_what_cannot_be_used_is_said_in_a_line(demo, given, words):
    for command in [["lookup"], ["call", "LookupEvents"]]:
        done = run(*command, "--endpoint", demo.endpoint, "--cli-input-json", given)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert done.stderr.count("\n") == 1 and "--cli-input-json" in done.stderr, done.stderr
        assert all(word in done.stderr for word in words), done.stderr


def test_what_is_asked_wrongly_is_usage(demo, tmp_path):
    for args, words in [
        (["call", "LookupEvent"], "did you mean LookupEvents?"),
        (["call", "IngestEvents"], "trailgate ingest"),
        (["call"], "METHOD"),
        (["get"], "EVENT_ID"),
        (["lookup", "--cli-input-json", "{}", "--cli-input-yaml", "{}"], "cannot be used with"),
        (["lookup", "--generate-cli-skeleton", "xml"], "yaml-input"),
    ]:
        done = run(*args)
        assert (done.returncode, done.stdout) == (64, ""), done
        assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    half = run("get", "--cli-input-json", '{"eventId": ""}')
    assert half.returncode == 2 and "eventId" in half.stderr
    path = tmp_path / "q.json"
    path.write_text("{}")
    meant = run("lookup", "--cli-input-json", path)
    assert meant.returncode == 2 and f"file://{path}" in meant.stderr
    path.write_bytes(b'{"\xff": 1}')
    meant = run("lookup", "--cli-input-json", f"file://{path}")
    assert meant.returncode == 2 and "UTF-8" in meant.stderr
    gone = run("call", "ListScopes", "--endpoint", "http://127.0.0.1:1")
    assert gone.returncode == 1 and "trailgate serve" in gone.stderr
