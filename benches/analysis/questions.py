"""What is asked, and what of the answers is compared."""

import datetime
import json
from dataclasses import dataclass

# the role whose events are looked for: one of two dozen
ROLE = "orders-worker"
DAY = "2024-05-06"


@dataclass(frozen=True)
class Question:
    """A query that every engine here reads alike, over the table `cloudtrail`."""

    name: str
    text: str
    # of the two of 2015, this one is asked of Spark over JSON too
    is_of_2015: bool = False


def questions(key):
    """The questions; `key` is an access key that made calls."""
    return [
        Question(
            "calls by key, address and principal",
            """SELECT userIdentity.accessKeyId AS access_key, sourceIPAddress AS address,
                   userIdentity.principalId AS principal, count(*) AS calls
               FROM cloudtrail
               GROUP BY userIdentity.accessKeyId, sourceIPAddress, userIdentity.principalId""",
            is_of_2015=True,
        ),
        Question(
            "failed calls by principal",
            """SELECT userIdentity.principalId AS principal, errorCode AS error, count(*) AS calls
               FROM cloudtrail
               WHERE errorCode IS NOT NULL
               GROUP BY userIdentity.principalId, errorCode
               ORDER BY calls DESC, principal""",
            is_of_2015=True,
        ),
        Question(
            "calls of one key",
            f"""SELECT DISTINCT eventSource AS source, eventName AS name, sourceIPAddress AS address,
                   userIdentity.principalId AS principal
               FROM cloudtrail
               WHERE userIdentity.accessKeyId = '{key}'""",
        ),
        Question(
            "top names",
            """SELECT eventSource AS source, eventName AS name, count(*) AS events
               FROM cloudtrail
               GROUP BY eventSource, eventName
               ORDER BY events DESC, source, name
               LIMIT 10""",
        ),
        Question(
            "a principal's time line",
            f"""SELECT eventTime AS time, eventID AS id, eventSource AS source, eventName AS name,
                   sourceIPAddress AS address, errorCode AS error
               FROM cloudtrail
               WHERE userIdentity.sessionContext.sessionIssuer.userName = '{ROLE}'
               ORDER BY time, id""",
        ),
        Question(
            "a day",
            f"""SELECT eventTime AS time, eventID AS id, eventSource AS source, eventName AS name,
                   userIdentity.arn AS arn, sourceIPAddress AS address, userAgent AS agent, errorCode AS error,
                   requestParameters AS request
               FROM cloudtrail
               WHERE date = DATE '{DAY}'""",
        ),
        Question(
            "text in requestParameters",
            f"""SELECT eventTime AS time, eventID AS id, eventName AS name, requestParameters AS request
               FROM cloudtrail
               WHERE requestParameters LIKE '%table/{ROLE}%' OR requestParameters LIKE '%"{ROLE}-table"%'""",
        ),
    ]


# the most common key with a name; of several the first
KEY = """SELECT userIdentity.accessKeyId FROM cloudtrail WHERE userIdentity.accessKeyId IS NOT NULL
    GROUP BY userIdentity.accessKeyId ORDER BY count(*) DESC, 1 LIMIT 1"""


def rows(table):
    """An answer's rows, in an order that is its own: what engines must agree on."""
    return sorted(json.dumps(row, default=plain, sort_keys=True) for row in table.to_pylist())


def plain(value):
    """A time is one whether an engine tells its zone or not: all are in UTC here."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat() if value.tzinfo else value.isoformat() + "+00:00"
    if isinstance(value, datetime.date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is in no answer")
