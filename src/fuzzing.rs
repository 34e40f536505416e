//! What fuzz targets call (see `fuzz/`): bytes that anybody may send, and what must
//! be true whatever they are. Each is told what it has by its first byte or line,
//! so that one corpus serves all that a target looks at. All panic where it is not.

mod redact;

use std::{cell::LazyCell, io::Write as _};

use flate2::{Compression, write::GzEncoder};

use crate::{
    awsjson::{LookupRequest, Several, event_from_json},
    bearer::{self, Bearer},
    cli,
    collect::{digest, envelope, log_file},
    event::{self, Event, LookupEvent, Origin, Scope},
    feed,
    filter::{self, EventFilter},
    grpc, lookup,
    policy::{Method, Policy, Who},
    proto, upstream,
};

/// The digest of no request.
const DIGEST: [u8; 16] = [7; 16];

thread_local! {
    static WORLD: LazyCell<grpc::oracle::World> = LazyCell::new(grpc::oracle::World::new);
    static AWS: LazyCell<upstream::oracle::Answering> =
        LazyCell::new(upstream::oracle::Answering::new);
}

fn scope() -> Scope {
    Scope::new("111122223333", "eu-west-1")
}

/// The first line, and the rest.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let end = end.unwrap_or(data.len());
    (
        data.get(..end).unwrap_or_default(),
        data.get(end + 1..).unwrap_or_default(),
    )
}

/// A record: it is an event with the record as it came, whatever is in it, the index
/// is as the oracle has it, and clients read what is held.
pub fn records(data: &[u8]) {
    event::oracle::check(data);
    for origin in [Origin::LogFile, Origin::EventBridge] {
        let event = Event::from_record(&scope(), data, origin, 77);
        assert_eq!(event.record(), String::from_utf8_lossy(data));
        assert_eq!(event.is_lossy(), str::from_utf8(data).is_err());
        proto::oracle::check(&event.parts());
    }
    if let Ok(text) = str::from_utf8(data) {
        // an `Event` object, as the simulator reads it
        let _ = event_from_json(text);
    }
}

/// Conditions as `--where` takes them, one a line, `or` between alternatives and `i`
/// for either case, up to an empty line, and then a record: the filter says what the
/// oracle says, of the record alone and as `LookupEvents` tells it.
pub fn filter(data: &[u8]) {
    let mut rest = data;
    let mut filters = vec![EventFilter::default()];
    let mut ignore_case = false;
    loop {
        let (head, after) = line(rest);
        rest = after;
        match str::from_utf8(head).unwrap_or_default() {
            "" => break,
            "or" => filters.push(EventFilter::default()),
            "i" => ignore_case = !ignore_case,
            text => {
                let one = cli::condition(text).and_then(grpc::oracle::read);
                let one = one.map(|one| filter::Match { ignore_case, ..one });
                if let (Some(one), Some(last)) = (one, filters.last_mut()) {
                    last.matches.push(one);
                }
            }
        }
    }
    let bare = Event::from_record(&scope(), rest, Origin::LogFile, 0);
    let parts = bare.parts();
    let api = LookupEvent {
        event_name: Some(parts.name),
        username: parts.username,
        resources: parts.resources,
        record: Some(parts.record),
        ..LookupEvent::default()
    };
    let told = Event::from_lookup(&scope(), api, 0);
    for event in [bare, told] {
        if filter::oracle::can_tell(&filters, &event) {
            let _ = filter::oracle::check(&filters, &event);
        } else if let Ok(filter) = filter::Filter::compile(&filters, &()) {
            let _ = filter.matches(&event);
        }
    }
}

/// Fields, one a line, that a policy takes out, and behind `?` those that are asked by,
/// up to an empty line, and then a record: what is left of it is what the oracle
/// leaves, and what is told does not depend on what is taken out.
pub fn redaction(data: &[u8]) {
    let (mut taken, mut asked) = (Vec::new(), Vec::new());
    let mut rest = data;
    loop {
        let (head, after) = line(rest);
        rest = after;
        let text = str::from_utf8(head).unwrap_or_default();
        match text.strip_prefix('?') {
            _ if text.is_empty() => break,
            Some(field) => asked.push(field.to_owned()),
            None => taken.push(text.to_owned()),
        }
    }
    redact::check(&taken, asked, &String::from_utf8_lossy(rest));
}

/// A request in its protobuf form, behind a byte that says which.
pub fn requests(data: &[u8]) {
    if let Some((method, message)) = data.split_first() {
        WORLD.with(|world| world.check_request(*method, message));
    }
}

/// A page token: as a text, or the bytes in one, with which a page is asked for.
pub fn page_tokens(data: &[u8]) {
    match data.split_first() {
        Some((b'0', text)) => {
            lookup::oracle::check(&String::from_utf8_lossy(text), &DIGEST);
        }
        Some((kind, body)) => {
            WORLD.with(|world| world.check_page_token(kind % 2 == 1, body));
        }
        None => {}
    }
}

/// A resume token: as a text, or the bytes in one, with which a stream begins.
pub fn resume_tokens(data: &[u8]) {
    match data.split_first() {
        Some((b'0', text)) => feed::oracle::check(&String::from_utf8_lossy(text), &DIGEST),
        Some((_, body)) => WORLD.with(|world| world.check_resume_token(body)),
        None => {}
    }
}

/// A bearer token that nobody signed; a header and, on the next line, claims, which
/// the issuer signs; or an issuer's keys.
pub fn bearer_tokens(data: &[u8]) {
    match data.split_first() {
        Some((b'0', token)) => {
            bearer::oracle::check_unsigned(&String::from_utf8_lossy(token));
        }
        Some((b'1', rest)) => {
            let (header, claims) = line(rest);
            bearer::oracle::check_signed(header, claims);
        }
        Some((_, keys)) => bearer::oracle::check_keys(&String::from_utf8_lossy(keys)),
        None => {}
    }
}

/// A message of a queue.
pub fn envelopes(data: &[u8]) {
    envelope::oracle::check(&String::from_utf8_lossy(data));
}

/// A `LookupEvents` answer, behind a byte that says with which status it comes; and
/// a request, as the simulator reads it.
pub fn aws_json(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    let status = match kind {
        b'4' => 400,
        b'5' => 503,
        b'r' => {
            if let Ok(request) = LookupRequest::parse(body, Several::FirstOnly) {
                assert!(request.check().is_ok(), "{request:?}");
            }
            return;
        }
        _ => 200,
    };
    AWS.with(|aws| aws.check(status, body));
}

/// A log file: as it lies in S3, or what it packs. The first bytes say how it is cut.
pub fn log_files(data: &[u8]) {
    let Some((cuts, file)) = data.split_first_chunk::<4>() else {
        return;
    };
    let small = log_file::Limits {
        packed: 1 << 16,
        unpacked: 1 << 18,
        record: 200,
    };
    let lengths = cuts.map(usize::from);
    log_file::oracle::check_cuts(small, file, &lengths);
    let large = log_file::Limits::default();
    log_file::oracle::check_records(large, file, file);
    // the same in members
    let mut packed = Vec::new();
    let [first, ..] = lengths;
    for piece in file.chunks(file.len() / 3 + first + 1) {
        let mut member = GzEncoder::new(&mut packed, Compression::fast());
        // memory takes all
        let _ = member.write_all(piece);
        let _ = member.finish();
    }
    log_file::oracle::check_records(large, &packed, file);
    log_file::oracle::check_cuts(small, &packed, &lengths);
}

/// Digests, told to one tracker, with a line of `-` between them; and keys, one a
/// line.
pub fn digests(data: &[u8]) {
    let mut texts = vec![Vec::new()];
    let mut rest = data;
    while !rest.is_empty() {
        let (text, after) = line(rest);
        rest = after;
        digest::oracle::check_key(&String::from_utf8_lossy(text));
        match (text, texts.last_mut()) {
            (b"-", _) => texts.push(Vec::new()),
            (text, Some(last)) => last.extend_from_slice(text),
            _ => {}
        }
    }
    digest::oracle::check(texts.iter().map(Vec::as_slice));
}

/// A policy: nobody has a right that it does not speak of.
pub fn policies(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let policy = match Policy::parse(&text) {
        Ok(policy) => policy,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            return;
        }
    };
    // escapes, which hide what is said
    if text.contains('\\') {
        return;
    }
    let has = |word: &str| text.contains(word);
    let token = Bearer::new("alerts", &[("groups", &["security"])]);
    for (who, is_named) in [
        (Who::Anonymous, has("anonymous")),
        (Who::Certificate("reports".into()), has("callers")),
        (Who::Key("reports".into()), has("keys")),
        (Who::Token(token), has("subjects") || has("claims")),
        (Who::User("alice".into()), has("users")),
    ] {
        let Some(rights) = policy.rights(&who) else {
            continue;
        };
        assert!(is_named, "{who:?}");
        for method in Method::ALL {
            if rights.has(method) {
                assert!(has(method.name()) || has("*"), "{method:?}");
            }
        }
        assert!(rights.sees_record() || has("record"));
        assert!(rights.sees_all_scopes() || has("accounts") || has("regions"));
    }
}

#[cfg(test)]
mod tests;
