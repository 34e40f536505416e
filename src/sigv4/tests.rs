//! Signatures of AWS's own test suite, and of its own signer.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn headers(given: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// From "aws-signing-test-suite/v4" of AWS's C and Rust SDKs.
#[test]
fn the_suite_of_aws_is_signed_alike() {
    let mine = ("my-header1", "value1");
    for (method, query, more, signature) in [
        (
            "GET",
            "",
            &[][..],
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "POST",
            "",
            &[],
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "GET",
            "Param2=value2&Param1=value1",
            &[],
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "GET",
            "%E1%88%B4=bar",
            &[],
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "GET",
            "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            &[],
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        (
            "GET",
            "",
            &[mine, ("my-header2", "\"a   b   c\"")],
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "GET",
            "",
            &[("my-header1", "value2"), ("my-header1", "value2"), mine],
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
    ] {
        let date = "20150830T123600Z";
        let mut given = vec![("host", "example.amazonaws.com"), ("x-amz-date", date)];
        given.extend(more);
        let headers = headers(&given);
        let mut names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        let signed = names.join(";");
        let request = Request {
            method,
            path: "/",
            query,
            headers: &headers,
            body: b"",
        };
        let authorization = Authorization {
            access_key_id: "AKIDEXAMPLE",
            date: "20150830",
            region: "us-east-1",
            service: "service",
            signed_headers: Some(&signed),
            signature: Some(signature),
        };
        let canonical = canonical::request(&request, &names, &signed).unwrap();
        let text = canonical::to_sign(&authorization, date, &canonical);
        let is_signed = |secret: &str, signature: &str| {
            canonical::is_signed_by(secret.as_bytes(), &authorization, &text, signature)
        };
        assert!(is_signed(SECRET, signature), "{canonical}");
        assert!(!is_signed("another", signature));
        for garbage in [
            "",
            "0",
            "zz",
            signature.get(2..).unwrap(),
            &format!("{signature}00"),
        ] {
            assert!(!is_signed(SECRET, garbage), "{garbage}");
        }
    }
}

/// A request that AWS's own signer signed.
struct Signed {
    headers: HeaderMap,
    body: Vec<u8>,
}

fn signed(service: &str, at: Timestamp, body: &[u8], more: &[(String, String)]) -> Signed {
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET, None, None, "test");
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name(service)
        .time(SystemTime::from(at))
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let mut given = vec![
        ("host".to_owned(), "127.0.0.1:8080".to_owned()),
        (
            "x-amz-target".to_owned(),
            "CloudTrail_20131101.LookupEvents".to_owned(),
        ),
    ];
    given.extend(more.iter().cloned());
    let request = SignableRequest::new(
        "POST",
        "http://127.0.0.1:8080/",
        given.iter().map(|(name, value)| (&**name, &**value)),
        SignableBody::Bytes(body),
    );
    let (instructions, _) = sign(request.unwrap(), &params).unwrap().into_parts();
    let added = instructions.headers();
    given.extend(added.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let given: Vec<_> = given
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    Signed {
        headers: headers(&given),
        body: body.to_vec(),
    }
}

impl Signed {
    fn verify(&self, secret: &str, now: Timestamp) -> Result<(), Error> {
        let header = self.headers.get("authorization");
        let header = header.map(|header| header.to_str().unwrap());
        let given = Authorization::parse(header)?;
        let request = Request {
            method: "POST",
            path: "/",
            query: "",
            headers: &self.headers,
            body: &self.body,
        };
        verify(&given, &request, secret.as_bytes(), now)
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn what_is_wrong_has_its_name() {
    let now = at(1_780_000_000);
    let good = signed("cloudtrail", now, b"{}", &[]);
    assert_eq!(good.verify(SECRET, now), Ok(()));
    let code = |signed: &Signed, secret: &str, now| signed.verify(secret, now).unwrap_err().code;
    assert_eq!(code(&good, "another", now), Code::InvalidSignature);
    // its time
    for (off, is_taken) in [(900, true), (901, false), (-900, true), (-901, false)] {
        let taken = good.verify(SECRET, at(now.as_second() + off));
        assert_eq!(taken.is_ok(), is_taken, "{off}: {taken:?}");
    }
    let later = good.verify(SECRET, at(now.as_second() + 3600)).unwrap_err();
    assert!(later.message.starts_with("Signature expired"), "{later}");
    // another service's
    let other = signed("sts", now, b"{}", &[]);
    assert_eq!(code(&other, SECRET, now), Code::InvalidSignature);
    let change = |change: &dyn Fn(&mut Signed)| {
        let mut changed = signed("cloudtrail", now, b"{}", &[]);
        change(&mut changed);
        changed.verify(SECRET, now).unwrap_err().code
    };
    // moved, or to do something else
    let value = HeaderValue::from_static;
    for name in ["host", "x-amz-target"] {
        let code = change(&|it| drop(it.headers.insert(name, value("x"))));
        assert_eq!(code, Code::InvalidSignature, "{name}");
        let code = change(&|it| drop(it.headers.remove(name)));
        assert_eq!(code, Code::InvalidSignature, "{name}");
    }
    assert_eq!(change(&|it| it.body.push(b' ')), Code::InvalidSignature);
    let code = change(&|it| drop(it.headers.remove("x-amz-date")));
    assert_eq!(code, Code::IncompleteSignature);
    let code = change(&|it| drop(it.headers.insert("x-amz-date", value("noon"))));
    assert_eq!(code, Code::IncompleteSignature);
    let code = change(&|it| drop(it.headers.insert("x-amz-date", value("20200101T000000Z"))));
    assert_eq!(code, Code::InvalidSignature);
    let code = change(&|it| drop(it.headers.remove("authorization")));
    assert_eq!(code, Code::MissingAuthenticationToken);
    // a header that has to be signed was not
    let cut = |from: &str, to: &str| {
        change(&|it| {
            let header = it.headers["authorization"].to_str().unwrap();
            assert!(header.contains(from), "{header}");
            let header = header.replace(from, to);
            it.headers.insert("authorization", header.parse().unwrap());
        })
    };
    assert_eq!(cut("host;", ""), Code::InvalidSignature);
    assert_eq!(cut(";x-amz-target", ""), Code::InvalidSignature);
    assert_eq!(cut("Signature=", "Sign="), Code::IncompleteSignature);
}

proptest! {
    #[test]
    fn what_awss_signer_signs_is_taken_and_nothing_else(
        body in prop::collection::vec(any::<u8>(), 0..200),
        values in prop::collection::vec("[ -~]{0,20}", 0..4),
        second in 0_i64..4_000_000_000,
        bit in any::<prop::sample::Index>(),
    ) {
        let names = ["x-trailgate-a", "content-type", "x-amz-b", "x-amz-meta"];
        let more: Vec<_> = names
            .iter()
            .zip(&values)
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let now = at(second);
        let mut signed = signed("cloudtrail", now, &body, &more);
        prop_assert_eq!(signed.verify(SECRET, now), Ok(()));
        if !body.is_empty() {
            let at = bit.index(body.len() * 8);
            signed.body[at / 8] ^= 1 << (at % 8);
            prop_assert!(signed.verify(SECRET, now).is_err());
        }
    }
}
