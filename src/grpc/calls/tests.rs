use std::sync::Mutex;

use http_body_util::{BodyExt, Full};

use super::*;
use crate::{
    bearer::Bearer,
    policy::{Denied, Policy},
};

#[test]
fn methods_are_those_of_the_contract() {
    let methods = methods();
    for (name, is_stream) in [
        ("trailgate.v1.EventService/LookupEvents", false),
        ("trailgate.v1.EventService/ExportEvents", true),
        ("trailgate.v1.ScopeService/ListScopes", false),
        ("grpc.health.v1.Health/Check", false),
        (
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            true,
        ),
    ] {
        assert_eq!(methods.get(name), Some(&is_stream), "{name}");
    }
}

#[test]
fn every_method_but_health_needs_a_right_of_its_own() {
    let mut rights = Vec::new();
    for (name, _) in methods() {
        let right = Right::of(&name);
        assert_eq!(right.is_none(), name.starts_with(HEALTH), "{name}");
        // all that belongs together has one
        let is_shared =
            |right: &Right| matches!(right, Right::Reflection | Right::RunReport | Right::Sql);
        rights.extend(right.filter(|right| !is_shared(right)));
    }
    let count = rights.len();
    rights.sort();
    rights.dedup();
    assert_eq!(rights.len(), count, "two methods have one right");
}

#[test]
fn who_has_one_right_may_call_that_method_alone() {
    for right in Right::ALL {
        let rule = format!("{{callers: [one], methods: [{}]}}", right.name());
        let policy = Policy::parse(&format!("rules: [{rule}]")).unwrap();
        let access = Access::new(true, None, Some(policy));
        for (name, _) in methods() {
            let of = Right::of(&name);
            let named = |who: Who| access.rights(&who, of).map(|_| ());
            let may = |who: Option<&str>| {
                named(who.map_or(Who::Anonymous, |name| Who::Certificate(name.into())))
            };
            // whoever may ask SQL may run reports
            let is_within = right == Right::Sql && of == Some(Right::RunReport);
            let expected = match of == Some(right) || is_within {
                true => Ok(()),
                false => Err(Denied::NotAllowed),
            };
            assert_eq!(may(Some("one")), expected, "{name} by {right:?}");
            assert_eq!(may(Some("other")), Err(Denied::NotAllowed), "{name}");
            // whose token has a certificate's name is another
            let token = Who::Token(Bearer::new("one", &[]));
            assert_eq!(named(token), Err(Denied::NotAllowed), "{name}");
            assert_eq!(may(None), Err(Denied::Unknown), "{name}");
        }
    }
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<&'static str>>>);

impl MethodObserver for Heard {
    fn ended(&self, code: &'static str, _: Duration) {
        self.0.lock().unwrap().push(code);
    }
}

fn ending(heard: &Heard, is_stream: bool) -> Ending<Heard> {
    Ending {
        method: Arc::new(Method {
            name: "trailgate.v1.EventService/Any".to_owned(),
            is_stream,
            observer: heard.clone(),
        }),
        start: Instant::now(),
        trail: None,
        is_told: false,
        span: Span::none(),
        leaving: None,
    }
}

fn answer() -> Response {
    let body = Full::new(Bytes::from_static(b"a"));
    let trailers = std::future::ready(Some(Ok(Status::unavailable("")
        .into_http::<()>()
        .into_parts()
        .0
        .headers)));
    let body = body.map_err(|never| match never {});
    http::Response::new(Body::new(body.with_trailers(trailers)))
}

#[tokio::test]
async fn every_call_is_told_of_once_with_how_it_ended() {
    let heard = Heard::default();
    drop(ending(&heard, false).with(answer(), None));
    drop(ending(&heard, false));
    // a stream ends with its trailers, or with who reads it
    let stream = ending(&heard, true).with(answer(), None).into_body();
    drop(stream);
    let stream = ending(&heard, true).with(answer(), None).into_body();
    assert_eq!(heard.0.lock().unwrap().len(), 3);
    assert!(stream.collect().await.is_ok());
    let refused = Status::internal("no").into_http();
    let refused = ending(&heard, true).with(refused, None);
    let status = Status::from_header_map(refused.headers()).unwrap();
    assert!(!status.details().is_empty());
    let told = ["OK", "CANCELLED", "CANCELLED", "UNAVAILABLE", "INTERNAL"];
    assert_eq!(*heard.0.lock().unwrap(), told);
}
