"""Events whose answers are known: a day of one account in two Regions. Those of
us-east-1 are plain; those of eu-central-1 try to do harm."""

import json
from dataclasses import dataclass

ACCOUNT = "111122223333"
PLAIN, HARM = "us-east-1", "eu-central-1"
START = 1_714_996_800  # 2024-05-06T12:00:00Z
# the window that they all lie in
DAY = "from=2024-05-06&to=2024-05-07"
MINUTE = 60
# how large a record of LookupEvents may be
LARGE = 256 * 1024

CALLS = [
    ("RunInstances", "ec2.amazonaws.com", "AWS::EC2::Instance", False),
    ("PutObject", "s3.amazonaws.com", "AWS::S3::Bucket", False),
    ("DescribeInstances", "ec2.amazonaws.com", "AWS::EC2::Instance", True),
    ("GetUser", "iam.amazonaws.com", "AWS::IAM::User", True),
    ("AssumeRole", "sts.amazonaws.com", "AWS::IAM::Role", True),
]
USERS = ["alice", "bob", "carol"]
COUNT = 120


@dataclass(frozen=True)
class Known:
    """An event as LookupEvents tells it."""

    api: dict

    @property
    def id(self):
        return self.api["EventId"]

    @property
    def record(self):
        return self.api["CloudTrailEvent"]

    @property
    def time(self):
        return self.api["EventTime"]

    def has(self, attribute, value):
        """Whether LookupEvents finds it so."""
        if attribute.startswith("Resource"):
            return value in [resource[attribute] for resource in self.api["Resources"]]
        return self.api[attribute] == value

    def field(self, name):
        return json.loads(self.record).get(name)


def event(number, name, source, *, region=PLAIN, user="alice", key="AKIAIOSFODNN7EXAMPLE",
          read_only=True, resources=(), time=None, layout=None, **fields):
    """An event and its record; further fields are the record's."""
    time = START + number * MINUTE if time is None else time
    identifier = f"{number:08x}-0000-4000-8000-{0x10 if region == PLAIN else 0x20:012x}"
    record = {
        "eventVersion": "1.10",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "accountId": ACCOUNT,
            "arn": f"arn:aws:iam::{ACCOUNT}:user/{user}", "accessKeyId": key, "userName": user,
        },
        "eventTime": f"2024-05-06T{time // 3600 % 24:02}:{time // 60 % 60:02}:{time % 60:02}Z",
        "eventSource": source, "eventName": name, "awsRegion": region,
        "sourceIPAddress": "192.0.2.7", "userAgent": "aws-cli/2.15.0",
        "requestParameters": {"number": number}, "responseElements": None,
        "requestID": f"request-{number}", "eventID": identifier, "readOnly": read_only,
        "eventType": "AwsApiCall", "managementEvent": True, "recipientAccountId": ACCOUNT,
        "eventCategory": "Management", **fields,
    }
    return Known({
        "EventId": identifier, "EventName": name, "ReadOnly": str(read_only).lower(),
        "AccessKeyId": key, "EventTime": time, "EventSource": source, "Username": user,
        "Resources": [{"ResourceType": kind, "ResourceName": named} for kind, named in resources],
        "CloudTrailEvent": (layout or json.dumps)(record),
    })


def plain():
    """Events of three people, the newest last; every tenth was denied."""
    events = []
    for number in range(COUNT):
        name, source, kind, read_only = CALLS[number % len(CALLS)]
        denied = {"errorCode": "AccessDenied", "errorMessage": "no"} if number % 10 == 9 else {}
        user = number % len(USERS)
        events.append(event(
            number, name, source, user=USERS[user], key=f"AKIAIOSFODNN7EXAMPL{user}",
            read_only=read_only, resources=[(kind, f"thing-{number % 7}")],
            sourceIPAddress=f"10.0.{user}.{number % 4}", **denied,
        ))
    return events


FORMULA = "=cmd|' /C calc'!A0"
SCRIPT = "<script>window.harmed = 1; alert(1)</script>"
IMAGE = "<img src=x onerror='window.harmed = 2; alert(2)'>"
BREAKOUT = "\"'></a></td></table><svg onload='window.harmed = 3'>"
# from right to left, then end of that without a begin; a bell, an escape, a tab
SIGNS = "moc\u202egpj.exe\u2066\u202c\x07\x1b[31m\tend"
NAMES = {"formula": FORMULA, "script": SCRIPT, "image": IMAGE, "breakout": BREAKOUT, "signs": SIGNS}


def with_breaks(record):
    """A text that JSON reads as the same: its space, escapes and numbers are odd."""
    text = json.dumps(record, indent=1).replace("\n", "\r\n")
    return text.replace('"number": ', '"twice": 1,\r\n\t"twice" :2, "n": 1.500e+0, "\\u006e": "\\/",\r"number": ')


def harmful():
    """One event for each way to do harm, and one as large as they come."""
    events = {
        kind: event(
            number, text, "s3.amazonaws.com", region=HARM, user=text, userAgent=IMAGE + text,
            errorCode=text, errorMessage=text, sourceIPAddress=text,
            resources=[("AWS::S3::Bucket", text)], requestParameters={text: text},
        )
        for number, (kind, text) in enumerate(NAMES.items())
    }
    number = len(events)
    small = event(number, "PutLarge", "s3.amazonaws.com", region=HARM, requestParameters={"blob": ""})
    blob = "<b>&\\" * ((LARGE - len(small.record)) // 6)
    events["large"] = event(
        number, "PutLarge", "s3.amazonaws.com", region=HARM, requestParameters={"blob": blob}
    )
    events["breaks"] = event(
        number + 1, "PutOdd", "s3.amazonaws.com", region=HARM, layout=with_breaks
    )
    return events


def write(path, events):
    """A file for the simulator."""
    path.write_text("".join(json.dumps(known.api) + "\n" for known in events))
    return path
