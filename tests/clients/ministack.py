"""MiniStack, an emulator of AWS services, as a process on loopback."""

import json
import os
import socket
import subprocess
import tempfile
import urllib.error
import uuid
from pathlib import Path

import boto3
from botocore.config import Config

from processes import PATIENCE, ROOT, bare_environment, get, wait_for

REGION = "us-east-1"
ACCOUNT = "000000000000"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}


def program():
    """Where `ministack` is installed: an environment of its own, since it wants
    other versions than the AWS CLI."""
    given = os.environ.get("TRAILGATE_TEST_MINISTACK")
    return Path(given) if given else ROOT / ".venv-ministack" / "bin" / "ministack"


class MiniStack:
    """A running MiniStack."""

    def __init__(self, **env):
        self._home = tempfile.TemporaryDirectory()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        home = self._home.name
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(program())],
            env={
                **bare_environment(home), **env, "GATEWAY_PORT": str(self.port),
                "MINISTACK_HOST": "127.0.0.1", "TMPDIR": home, "STATE_DIR": home,
                "S3_DATA_DIR": f"{home}/s3",
            },
            cwd=home, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )
        wait_for("MiniStack answers", self._is_up)

    def _is_up(self):
        assert self.process.poll() is None, self.log()
        try:
            return get(f"{self.url}/_ministack/health")[0] == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def log(self):
        """What it has said."""
        file = self._log.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")

    def client(self, service):
        """A boto3 client of one of its services."""
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION,
            aws_access_key_id="test", aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}, read_timeout=PATIENCE, proxies={}),
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if error is not None:
            print(self.log()[-4000:])
        self._log.close()
        self._home.cleanup()


class Trail:
    """Buckets that log files are put in, and a queue that all of them are
    announced on, each by another route."""

    ROUTES = ("s3-sqs", "s3-sns-sqs", "s3-eventbridge-sqs", "cloudtrail-sns-sqs", "s3-sns-raw-sqs")

    def __init__(self, stack):
        self.s3, self.sns, self.sqs, self.events = map(
            stack.client, ("s3", "sns", "sqs", "events")
        )
        # one of its own: what a server before waited for, the emulator hands it still;
        # its URL names this machine as the emulator knows it
        name = f"trail-{uuid.uuid4()}"
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        self.arn = attributes["Attributes"]["QueueArn"]
        self.topics = {}
        for route in self.ROUTES:
            self.s3.create_bucket(Bucket=route)
            if "sns" in route:
                self._topic(route)
        everything = ["s3:ObjectCreated:*"]
        self._notify("s3-sqs", QueueConfigurations=[{"QueueArn": self.arn, "Events": everything}])
        for route in ("s3-sns-sqs", "s3-sns-raw-sqs"):
            topic = {"TopicArn": self.topics[route], "Events": everything}
            self._notify(route, TopicConfigurations=[topic])
        self._notify("s3-eventbridge-sqs", EventBridgeConfiguration={})
        pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"]}
        self.events.put_rule(Name="created", EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule="created", Targets=[{"Id": "queue", "Arn": self.arn}])

    def _topic(self, route):
        topic = self.sns.create_topic(Name=route)["TopicArn"]
        raw = "true" if "raw" in route else "false"
        self.sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=self.arn,
            Attributes={"RawMessageDelivery": raw},
        )
        self.topics[route] = topic

    def _notify(self, bucket, **configuration):
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration
        )

    def put(self, route, key, body):
        """Puts a file; it is announced by the route."""
        self.s3.put_object(Bucket=route, Key=key, Body=body)
        if route == "cloudtrail-sns-sqs":
            message = {"s3Bucket": route, "s3ObjectKey": [key]}
            self.sns.publish(TopicArn=self.topics[route], Message=json.dumps(message))

    def left(self):
        """Messages that are not deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)
