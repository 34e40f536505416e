"""What views and reports answer, said once more in plain Python.

Rows are those of reading.py. Nothing here is read from the SQL files.
"""

import json
import re
from collections import defaultdict

SERVICE = ".amazonaws.com"


def pointer(text, *keys):
    """get_json_object: a string without its quotes, nothing for null or what is not there."""
    try:
        value = json.loads(text) if text is not None else None
    except ValueError:
        return None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def part(text, mark, number):
    """split_part, with an empty text for what is not there."""
    parts = text.split(mark)
    if number < 0:
        return parts[number] if len(parts) >= -number else ""
    return parts[number - 1] if len(parts) >= number else ""


def first(*values):
    return next((value for value in values if value is not None), None)


def full(text):
    return text if text else None


# principal_activity

_ASSUMED = re.compile(r"arn:.*:sts::.*:assumed-role/.*", re.DOTALL)
_ASSUMED_BY = re.compile(r"arn:.*:sts::.*:assumed-role/.*/.*", re.DOTALL)

DENIED_NAMES = {
    "authorizationerror",
    "authorizationerrorexception",
    "forbidden",
    "forbiddenexception",
    "notauthorized",
    "notauthorizedexception",
    "unauthorized",
    "unauthorizedexception",
}


def principal_of(row):
    user = row["userIdentity"] or {}
    kind, arn = user.get("type"), user.get("arn")
    issuer = ((user.get("sessionContext") or {}).get("sessionIssuer") or {}).get("arn")
    said = None
    if kind == "AWSService":
        said = first(full(user.get("invokedBy")), row["eventSource"])
    elif kind == "AssumedRole" and full(issuer):
        said = issuer
    elif arn and _ASSUMED.fullmatch(arn):
        said = f"arn:{part(arn, ':', 2)}:iam::{part(arn, ':', 5)}:role/{part(arn, '/', 2)}"
    elif kind == "Root" and not arn:
        said = f"arn:aws:iam::{user['accountId']}:root" if user.get("accountId") else None
    elif kind == "IdentityCenterUser":
        said = pointer(user.get("onBehalfOf"), "userId")
    unique = user.get("principalId")
    if unique is not None and kind not in ("SAMLUser", "WebIdentityUser"):
        unique = unique.split(":")[0]
    return first(
        said,
        full(arn),
        full(unique),
        full(user.get("userName")),
        full(user.get("invokedBy")),
        full(row["eventSource"]) if row["eventType"] == "AwsServiceEvent" else None,
        full(user.get("accountId")),
    )


def is_denied(row):
    code = (row["errorCode"] or "").lower()
    words = ("accessdenied", "unauthorizedoperation", "unauthorizedaccess")
    return (
        any(word in code for word in words)
        or code in DENIED_NAMES
        or "not authorized to perform" in (row["errorMessage"] or "").lower()
    )


def is_failed(row):
    refused = row["eventType"] == "AwsConsoleSignIn" and '"Failure"' in (row["responseElements"] or "")
    return bool(row["errorCode"]) or bool(row["errorMessage"]) or refused


def activity(row):
    user = row["userIdentity"] or {}
    session = user.get("sessionContext") or {}
    issuer = session.get("sessionIssuer") or {}
    arn, unique = user.get("arn"), user.get("principalId")
    principal = principal_of(row)
    kind = full(user.get("type"))
    if kind is None and (row["eventType"] == "AwsServiceEvent" or (user.get("invokedBy") or "").endswith(SERVICE)):
        kind = "AWSService"
    last = None if principal is None else principal.split("/")[-1]
    if kind == "Root":
        name = "root"
    elif kind == "AssumedRole":
        name = first(full(issuer.get("userName")), last)
    else:
        name = first(full(user.get("userName")), last)
    session_name = None
    if arn and _ASSUMED_BY.fullmatch(arn):
        session_name = part(arn, "/", 3)
    elif kind == "AssumedRole" and unique is not None:
        session_name = full(part(unique, ":", 2))
    mfa = ((session.get("attributes") or {}).get("mfaAuthenticated") or "").lower()
    told = {
        name: row[name]
        for name in (
            "eventTime eventID eventSource eventName eventType eventCategory sourceIPAddress userAgent readOnly "
            "managementEvent errorMessage resources requestParameters responseElements additionalEventData "
            "serviceEventDetails requestID vpcEndpointId origin account_id region date"
        ).split()
    }
    return told | {
        "principal": principal,
        "principal_type": kind,
        "principal_name": name,
        "principal_account": user.get("accountId"),
        "session_name": session_name,
        "principal_id": unique,
        "accessKeyId": full(row["accessKeyId"]),
        "invoked_by": full(user.get("invokedBy")),
        "mfa": {"true": True, "false": False}.get(mfa),
        "errorCode": full(row["errorCode"]),
        "denied": is_denied(row),
        "failed": is_failed(row),
    }


def _only(event, names):
    return {name: event[name] for name in names.split()}


# views

def principal_activity(events):
    return events


def console_logins(events):
    rows = []
    for event in events:
        if (event["eventSource"], event["eventName"]) != ("signin.amazonaws.com", "ConsoleLogin"):
            continue
        outcome = (pointer(event["responseElements"], "ConsoleLogin") or "").lower()
        used = (pointer(event["additionalEventData"], "MFAUsed") or "").lower()
        rows.append(
            _only(
                event,
                "eventTime account_id region principal principal_type principal_name session_name errorMessage "
                "sourceIPAddress userAgent principal_account eventID date",
            )
            | {
                "succeeded": False if event["failed"] else True if outcome == "success" else None,
                "mfa_used": {"yes": True, "no": False}.get(used),
                "login_to": pointer(event["additionalEventData"], "LoginTo"),
            }
        )
    return rows


CONSOLE = {"signin.amazonaws.com", "AWS Internal"}


def root_usage(events):
    names = (
        "eventTime account_id region principal eventSource eventName eventType readOnly failed denied errorCode "
        "errorMessage accessKeyId mfa sourceIPAddress userAgent requestParameters principal_account eventID date"
    )
    return [
        _only(event, names)
        for event in events
        if event["principal_type"] == "Root"
        and event["eventType"] != "AwsServiceEvent"
        and (event["invoked_by"] is None or event["invoked_by"] in CONSOLE)
    ]


POLICIES = (
    "service control policy",
    "resource control policy",
    "permissions boundary",
    "session policy",
    "VPC endpoint policy",
    "resource-based policy",
    "identity-based policy",
    "role trust policy",
)


def denied_calls(events):
    names = (
        "eventTime account_id region principal principal_type principal_name session_name accessKeyId invoked_by "
        "sourceIPAddress userAgent eventSource eventName readOnly errorCode errorMessage requestParameters "
        "principal_account vpcEndpointId eventID date"
    )
    rows = []
    for event in events:
        if not event["denied"]:
            continue
        said = event["errorMessage"] or ""
        how = "explicit deny" if "explicit deny" in said else "nothing allows it" if "because no " in said else None
        by = next((policy for policy in POLICIES if policy in said), None)
        rows.append(_only(event, names) | {"denied_how": how, "denied_by": by})
    return rows


IDENTITY_SOURCES = {
    name + SERVICE for name in ("iam", "organizations", "sso", "sso-directory", "identitystore", "rolesanywhere")
}
SIGN_INS = set(
    "Authenticate Federate Logout CreateToken GetRoleCredentials UserAuthentication CredentialChallenge "
    "CredentialVerification StartDeviceAuthorization RegisterClient".split()
)
OWN_PASSWORD = {"PasswordUpdated", "PasswordRecoveryRequested", "PasswordRecoveryCompleted", "EmailUpdated"}
READS = ("Get", "List", "Describe", "Simulate", "Generate")


def iam_changes(events):
    names = (
        "eventTime account_id region principal principal_type principal_name session_name eventSource eventName "
        "errorCode errorMessage accessKeyId mfa invoked_by sourceIPAddress userAgent requestParameters "
        "responseElements principal_account eventID date"
    )
    rows = []
    for event in events:
        name = event["eventName"]
        if event["eventSource"] in IDENTITY_SOURCES:
            reads = event["readOnly"]
            if reads is None:
                reads = True if name is None else name.startswith(READS)
            if reads or name in SIGN_INS:
                continue
        elif event["eventSource"] != "signin.amazonaws.com" or name not in OWN_PASSWORD:
            continue
        asked, told = event["requestParameters"], event["responseElements"]
        targets = "userName roleName groupName instanceProfileName principalId targetId accountId".split()
        rows.append(
            _only(event, names)
            | {
                "target": first(
                    *(pointer(asked, key) for key in targets), pointer(told, "accessKey", "userName")
                ),
                "policy": first(
                    *(pointer(asked, key) for key in "policyArn policyName policyId permissionSetArn".split())
                ),
                "access_key": first(pointer(asked, "accessKeyId"), pointer(told, "accessKey", "accessKeyId")),
                "succeeded": not event["failed"],
            }
        )
    return rows


VIEWS = {
    "principal_activity": principal_activity,
    "console_logins": console_logins,
    "root_usage": root_usage,
    "denied_calls": denied_calls,
    "iam_changes": iam_changes,
}


# reports: rows in order

def _low(value):
    """Sorts by bytes, nothing at the end."""
    if isinstance(value, str):
        value = value.encode()
    return (value is None, value if value is not None else b"")


def _high(number):
    return -number


def _micros(time):
    return round(time.timestamp() * 1_000_000)


def _period(events, since, until):
    return [event for event in events if since <= event["eventTime"] < until]


def _groups(events, key):
    groups = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    return groups


def _times(group):
    times = [event["eventTime"] for event in group]
    return {"first_time": min(times), "last_time": max(times)}


def report_root_usage(events, since, until):
    names = "date account_id invoked_by sourceIPAddress accessKeyId eventSource eventName".split()
    of_root = [
        event
        for event in _period(events, since, until)
        if event["principal_type"] == "Root" and event["eventType"] != "AwsServiceEvent"
    ]
    rows = []
    for key, group in _groups(of_root, lambda event: tuple(event[name] for name in names)).items():
        counts = {
            "calls": len(group),
            "failed_calls": sum(event["failed"] for event in group),
            "calls_with_mfa": sum(event["mfa"] is True for event in group),
        }
        rows.append(dict(zip(names, key)) | counts | _times(group))

    def order(row):
        by = (row["invoked_by"] is not None, (row["invoked_by"] or "").encode())
        others = [_low(row[name]) for name in ("sourceIPAddress", "accessKeyId", "eventSource", "eventName")]
        return (by, _low(row["account_id"]), _high(_micros(row["last_time"])), *others)

    return sorted(rows, key=order)


def calls_by_key_address_principal(events, since, until):
    rows = []
    key_of = lambda event: (event["accessKeyId"], event["sourceIPAddress"], event["principal_id"])
    for key, group in _groups(_period(events, since, until), key_of).items():
        principals = [event["principal"].encode() for event in group if event["principal"] is not None]
        rows.append(
            dict(zip(("accessKeyId", "sourceIPAddress", "principalId"), key))
            | {
                "principal": max(principals).decode() if principals else None,
                "calls": len(group),
                "failed_calls": sum(event["failed"] for event in group),
            }
            | _times(group)
        )
    return sorted(rows, key=lambda row: [_low(row[name]) for name in ("accessKeyId", "sourceIPAddress", "principalId")])


def failed_calls_by_principal(events, since, until):
    of_whom = ("principal", "principal_type", "account_id")
    period = _period(events, since, until)
    whose = _groups(period, lambda event: tuple(event[name] for name in of_whom))
    rows = []
    for owner, theirs in whose.items():
        failures = [event for event in theirs if event["failed"]]
        for (code, denied), group in _groups(failures, lambda event: (event["errorCode"], event["denied"])).items():
            rows.append(
                dict(zip(of_whom, owner))
                | {
                    "errorCode": code,
                    "denied": denied,
                    "failed_calls": len(group),
                    "calls_of_principal": len(theirs),
                    "failed_calls_of_principal": len(failures),
                    "actions": len({f"{event['eventSource'] or ''}/{event['eventName'] or ''}" for event in group}),
                    "addresses": len({event["sourceIPAddress"] for event in group} - {None}),
                }
                | _times(group)
            )
    return sorted(
        rows,
        key=lambda row: (
            _high(row["failed_calls"]),
            *(_low(row[name]) for name in (*of_whom, "errorCode")),
            row["denied"],
        ),
    )


def _in_time(event):
    names = "account_id region eventSource eventName eventID requestID requestParameters".split()
    return (event["eventTime"], *(_low(event[name]) for name in names))


def json_of(resources):
    """to_json: what is not there is left out."""
    if resources is None:
        return None
    told = [{name: value for name, value in each.items() if value is not None} for each in resources]
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


def principal_timeline(events, principal, since, until, rows):
    names = (
        "eventTime account_id region eventSource eventName readOnly failed errorCode errorMessage principal "
        "session_name accessKeyId mfa invoked_by sourceIPAddress userAgent requestParameters eventID"
    )
    known_by = ("principal", "principal_name", "session_name", "accessKeyId", "principal_id")
    theirs = [
        event for event in _period(events, since, until) if principal in (event[name] for name in known_by)
    ]
    return [
        _only(event, names) | {"resources": json_of(event["resources"])} for event in sorted(theirs, key=_in_time)
    ][:rows]


def resource_history(events, resource, since, until, changes_only, rows):
    names = (
        "eventTime account_id region eventSource eventName readOnly failed errorCode principal principal_type "
        "session_name accessKeyId invoked_by sourceIPAddress userAgent requestParameters eventID"
    )

    def named(text, end='"'):
        return text is not None and any(start + resource + end in text for start in ('"', "/", ":"))

    found = []
    for event in sorted(_period(events, since, until), key=_in_time):
        if changes_only == "yes" and event["readOnly"]:
            continue
        told = {
            "named_in_resources": named(json_of(event["resources"]), '"}'),
            "named_in_request": named(event["requestParameters"]),
            "named_in_response": named(event["responseElements"]) or named(event["serviceEventDetails"]),
        }
        if any(told.values()):
            found.append(_only(event, names) | told)
    return found[:rows]


def _own(text):
    """Not what AWS does by itself."""
    return text if text and not text.endswith(SERVICE) and text != "AWS Internal" else None


def _agent(text):
    if _own(text) is None:
        return None
    return full(re.sub(r"[0-9]", "", re.sub(r" (md/)?command[/#].*$", "", text, count=1)))


def _sights(events, kinds, compare_from, since, until, new_to, per_actor):
    """First sights. `kinds`: of each kind, the value of an event and what it is known by."""
    seen = defaultdict(list)
    total = defaultdict(int)
    for event in _period(events, compare_from, until):
        for kind, of_event in kinds.items():
            value, folded = of_event(event)
            if event["eventTime"] < since:
                total[kind, event["principal"]] += 1
            if folded is not None:
                seen[kind, folded].append((event["principal"], value, event))
    found = []
    for (kind, folded), sights in seen.items():
        actors = defaultdict(lambda: ([], []))
        for actor, value, event in sights:
            actors[actor][event["eventTime"] >= since].append((value, event))
        before = sum(len(old) for old, _ in actors.values())
        new = []
        for actor, (old, now) in actors.items():
            if now:
                new.append((min(event["eventTime"] for _, event in now), _low(actor), actor, old, now))
        new.sort(key=lambda each: each[:2])
        for turn, (_, _, actor, old, now) in enumerate(new):
            if old or (new_to != "actor" and (before or turn)):
                continue
            events_now = [event for _, event in now]
            found.append(
                {
                    "kind": kind,
                    "value": min(value.encode() for value, _ in now).decode(),
                    "folded": folded,
                    "actor": actor,
                    "calls": len(now),
                    "days": len({event["date"] for event in events_now}),
                    "actors": len(new),
                    "actor_calls_before": total[kind, actor],
                    "value_calls_before": before,
                    "events": events_now,
                }
                | _times(events_now)
            )
    shown = []
    for group in _groups(found, lambda row: (row["kind"], row["actor"])).values():
        group.sort(key=lambda row: (row["first_time"], row["value"].encode(), row["folded"].encode()))
        shown += [row | {"actor_values": len(group)} for row in group[:per_actor]]
    shown.sort(
        key=lambda row: (_high(_micros(row["first_time"])), row["kind"], row["value"].encode(), _low(row["actor"]))
    )
    return shown


def first_seen(events, **asked):
    def key(event):
        value = event["accessKeyId"]
        return value, value if value and not value.startswith("ASIA") else None

    def principal(event):
        value = event["principal"]
        return value, None if value is None or value.endswith(SERVICE) else value

    kinds = {
        "key": key,
        "principal": principal,
        "address": lambda event: (event["sourceIPAddress"], _own(event["sourceIPAddress"])),
        "user agent": lambda event: (event["userAgent"], _agent(event["userAgent"])),
    }
    rows = _sights(events, kinds, **asked)
    return [{name: value for name, value in row.items() if name not in ("folded", "events")} for row in rows]


def first_seen_places(events, country, city, **asked):
    def in_country(event):
        value = full(country(event["sourceIPAddress"]))
        return value, value

    def in_city(event):
        value = full(city(event["sourceIPAddress"]))
        land = full(country(event["sourceIPAddress"]))
        value = value if value is None or land is None else f"{value}, {land}"
        return value, value

    rows = []
    for row in _sights(events, {"country": in_country, "city": in_city}, **asked):
        address = min(event["sourceIPAddress"].encode() for event in row["events"]).decode()
        rows.append({name: value for name, value in row.items() if name not in ("folded", "events")} | {"address": address})
    return rows


def unused_keys_and_roles(events, unused_since, known_since):
    lives = defaultdict(lambda: {"owners": [], "used": [], "created": [], "deleted": [], "inactive": [], "active": []})

    def saw(kind, account, name, what, event, owner=None):
        if name is None or (kind == "role" and name.startswith("AWSServiceRoleFor")):
            return
        life = lives[kind, account, name]
        if owner is not None:
            life["owners"].append(owner)
        if what in life:
            life[what].append(event["eventTime"])

    role = re.compile(r"arn:.*:iam::.*:role/.*", re.DOTALL)
    for event in events:
        if event["eventTime"] < known_since:
            continue
        key, principal = event["accessKeyId"], event["principal"]
        asked, told, name = event["requestParameters"], event["responseElements"], event["eventName"]
        if key and key.startswith("AKIA"):
            saw("key", first(event["principal_account"], event["account_id"]), key, "used", event, event["principal_name"])
        if principal and role.fullmatch(principal):
            saw("role", part(principal, ":", 5), principal.split("/")[-1], "used", event)
        if event["failed"]:
            continue
        if event["eventSource"] == "sts.amazonaws.com" and (name or "").startswith("AssumeRole"):
            target = pointer(asked, "roleArn")
            if target and role.fullmatch(target):
                saw("role", part(target, ":", 5), target.split("/")[-1], "used", event)
        if event["eventSource"] == "iam.amazonaws.com":
            owner = first(pointer(told, "accessKey", "userName"), pointer(asked, "userName"))
            account = event["account_id"]
            if name == "CreateAccessKey":
                saw("key", account, pointer(told, "accessKey", "accessKeyId"), "created", event, owner)
            elif name == "DeleteAccessKey":
                saw("key", account, pointer(asked, "accessKeyId"), "deleted", event, owner)
            elif name == "UpdateAccessKey":
                what = (pointer(asked, "status") or "?").lower()
                saw("key", account, pointer(asked, "accessKeyId"), what, event, owner)
            elif name in ("CreateRole", "DeleteRole"):
                what = "created" if name == "CreateRole" else "deleted"
                saw("role", account, pointer(asked, "roleName"), what, event, owner)
    rows = []
    for (kind, account, name), life in lives.items():
        last = {what: max(times, default=None) for what, times in life.items() if what != "owners"}
        used, created, deleted, off = last["used"], last["created"], last["deleted"], last["inactive"]
        if (used and used >= unused_since) or (created and created >= unused_since):
            continue
        if deleted and not ((created and created > deleted) or (used and used > deleted)):
            continue
        on = first(last["active"], created)
        rows.append(
            {
                "kind": kind,
                "account_id": account,
                "name": name,
                "owner": max((owner.encode() for owner in life["owners"]), default=None),
                "created_time": created,
                "last_used_time": used,
                "uses": len(life["used"]),
                "inactive": off is not None and (on is None or off > on),
            }
        )
    for row in rows:
        row["owner"] = row["owner"].decode() if row["owner"] is not None else None

    def order(row):
        used = row["last_used_time"]
        return (row["kind"], used is not None, _micros(used) if used else 0, _low(row["account_id"]), _low(row["name"]))

    return sorted(rows, key=order)


GATEWAY_VERBS = {"Get": "GET", "Update": "PATCH", "Delete": "DELETE", "Untag": "DELETE", "Flush": "DELETE", "Put": "PUT", "Tag": "PUT"}


def action_of(source, name, known, prefixes):
    if source in ("lambda.amazonaws.com", "cloudfront.amazonaws.com"):
        name = re.sub(r"[0-9]{4}_?[0-9]{2}_?[0-9]{2}(v[0-9]+)?$", "", name, count=1)
    if (source, name) in known:
        return known[source, name]
    if source == "apigateway.amazonaws.com":
        name = next((verb for start, verb in GATEWAY_VERBS.items() if name.startswith(start)), "POST")
    return f"{prefixes.get(source, source.split('.')[0])}:{name}"


def least_privilege(events, role, since, until, known, prefixes):
    used = defaultdict(list)
    for event in _period(events, since, until):
        source, name = event["eventSource"], event["eventName"]
        if (
            role in (event["principal"], event["principal_name"])
            and not event["denied"]
            and event["eventType"] in ("AwsApiCall", "AwsConsoleAction")
            and source is not None
            and name is not None
            and (source, name) != ("sts.amazonaws.com", "GetCallerIdentity")
        ):
            used[action_of(source, name, known, prefixes)].append(event)
    return [
        {
            "action": action,
            "eventSource": min(event["eventSource"] for event in group),
            "calls": len(group),
            "failed_calls": sum(event["failed"] for event in group),
            "event_names": len({event["eventName"] for event in group}),
            "eventName": min(event["eventName"] for event in group),
            "regions": len({event["region"] for event in group} - {None}),
            "sessions": len({event["session_name"] for event in group} - {None}),
        }
        | _times(group)
        for action, group in sorted(used.items(), key=lambda each: each[0].encode())
    ]
