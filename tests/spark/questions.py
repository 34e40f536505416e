"""What is asked of every engine, and what the oracle says to it."""

from datetime import datetime, timezone

import engines
import gazetteer
import oracle
import world


def _time(*parts):
    return datetime(*parts, tzinfo=timezone.utc)


EVER = {"since": _time(2010, 1, 1), "until": _time(2030, 1, 1)}
LATELY = {"since": world.at(8), "until": world.at(15, 12)}
ANY = EVER | {"rows": 100_000}

# actions that CloudTrail calls otherwise, of those that are called in the tests
KNOWN = {
    (f"{source}.amazonaws.com", name): action
    for source, name, action in (
        ("s3", "HeadObject", "s3:GetObject"),
        ("s3", "ListObjects", "s3:ListBucket"),
        ("s3", "ListBuckets", "s3:ListAllMyBuckets"),
        ("s3", "HeadBucket", "s3:ListBucket"),
        ("s3", "UploadPart", "s3:PutObject"),
        ("s3", "CopyObject", "s3:PutObject"),
        ("s3", "ListObjectVersions", "s3:ListBucketVersions"),
        ("s3", "GetBucketCors", "s3:GetBucketCORS"),
        ("s3", "DeleteBucketCors", "s3:PutBucketCORS"),
        ("s3", "GetBucketEncryption", "s3:GetEncryptionConfiguration"),
        ("s3", "GetBucketLifecycle", "s3:GetLifecycleConfiguration"),
        ("s3", "PutBucketLifecycle", "s3:PutLifecycleConfiguration"),
        ("s3", "PutBucketEncryption", "s3:PutEncryptionConfiguration"),
        ("s3", "GetBucketReplication", "s3:GetReplicationConfiguration"),
        ("s3", "PutBucketReplication", "s3:PutReplicationConfiguration"),
        ("s3", "DeleteBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
        ("s3", "DeleteAccountPublicAccessBlock", "s3:PutAccountPublicAccessBlock"),
        ("s3", "DeleteBucketLifecycle", "s3:PutLifecycleConfiguration"),
        ("s3", "DeleteObjects", "s3:DeleteObject"),
        ("s3", "GetBucketAccelerate", "s3:GetAccelerateConfiguration"),
        ("lambda", "Invoke", "lambda:InvokeFunction"),
        ("autoscaling", "RegisterScalableTarget", "application-autoscaling:RegisterScalableTarget"),
        ("kms", "ReEncrypt", "kms:ReEncrypt*"),
        ("sqs", "SendMessageBatch", "sqs:SendMessage"),
        ("bedrock", "Converse", "bedrock:InvokeModel"),
    )
}
PREFIXES = {"monitoring.amazonaws.com": "cloudwatch", "tagging.amazonaws.com": "tag", "rdsdata.amazonaws.com": "rds-data"}

_ORACLES = {
    "root_usage": oracle.report_root_usage,
    "calls_by_key_address_principal": oracle.calls_by_key_address_principal,
    "failed_calls_by_principal": oracle.failed_calls_by_principal,
    "first_seen": oracle.first_seen,
    "first_seen_places": lambda events, **asked: oracle.first_seen_places(
        events, gazetteer.country, gazetteer.city, **asked
    ),
    "unused_keys_and_roles": oracle.unused_keys_and_roles,
    "principal_timeline": oracle.principal_timeline,
    "resource_history": oracle.resource_history,
    "least_privilege": lambda events, **asked: oracle.least_privilege(events, known=KNOWN, prefixes=PREFIXES, **asked),
}

_FIRST = LATELY | {"compare_from": _time(2010, 1, 1), "new_to": "all", "per_actor": 5}
_USED = {"unused_since": world.at(-80), "known_since": _time(2000, 1, 1)}

# of each report what it is asked: the first by Spark too, all of them with --long
QUESTIONS = {
    "root_usage": [EVER, LATELY],
    "calls_by_key_address_principal": [EVER, LATELY],
    "failed_calls_by_principal": [EVER, LATELY],
    "first_seen": [
        _FIRST | {"until": world.at(16)},
        _FIRST | {"until": world.at(16), "new_to": "actor", "per_actor": 3},
        _FIRST | {"since": _time(2023, 7, 10, 12), "until": _time(2024, 1, 1)},
        _FIRST | {"compare_from": world.at(7)},
        _FIRST | EVER | {"compare_from": _time(2009, 1, 1)},
        _FIRST | {"per_actor": 0},
    ],
    "first_seen_places": [
        _FIRST | {"until": world.at(16)},
        _FIRST | {"until": world.at(16), "new_to": "actor"},
        _FIRST | EVER | {"compare_from": _time(2009, 1, 1)},
    ],
    "unused_keys_and_roles": [_USED, _USED | {"known_since": world.at(-130)}, _USED | {"unused_since": world.at(30)}],
    "principal_timeline": [
        ANY | {"principal": "alice"},
        ANY | {"principal": f"arn:aws:iam::{world.ACCOUNT}:role/teams/build/deploy", "rows": 2},
        ANY | {"principal": "AKIAIVAN000000000001"} | LATELY,
        ANY | {"principal": "i-1"},
        ANY | {"principal": "AROAAPP:i-2"},
        ANY | {"principal": "bert-jan"},
        ANY | {"principal": "it's nobody \\ \" % _"},
        ANY | {"principal": "alice", "rows": 0},
    ],
    "resource_history": [
        ANY | {"resource": "data_lake", "changes_only": "no"},
        ANY | {"resource": "data_lake", "changes_only": "yes"},
        ANY | {"resource": "arn:aws:s3:::data_lake", "changes_only": "no", "rows": 2},
        ANY | {"resource": "data", "changes_only": "no"},
        ANY | {"resource": "ü b%_'c", "changes_only": "no"},
        ANY | {"resource": "newbie", "changes_only": "no"},
    ],
    "least_privilege": [
        EVER | {"role": "app"},
        EVER | {"role": f"arn:aws:iam::{world.ACCOUNT}:role/app"},
        EVER | {"role": "bert-jan"},
        EVER | {"role": "ivan"},
    ],
}


def expected(name, events, asked):
    return engines.plain_rows(_ORACLES[name](events, **asked))


