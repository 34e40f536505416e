//! What a filter as a whole is asked: whether it passes everything, its
//! pushdowns, its canonical form.

use std::{collections::BTreeSet, slice};

use super::{
    tests::{compile, one, question, record},
    *,
};

#[test]
fn everything_is_known_as_such() {
    assert!(Filter::everything().is_everything());
    assert!(Filter::compile(&[], &()).unwrap().is_everything());
    let either = [
        question(&[one("EventName", Operator::Exists, &[])]),
        question(&[]),
    ]
    .concat();
    let filter = Filter::compile(&either, &()).unwrap();
    assert!(filter.is_everything() && filter.matches(&record("{}")));
    assert!(filter.pushdowns(Category::Management).is_empty());
    assert!(!compile(&[one("EventName", Operator::Exists, &[])]).is_everything());
}

#[test]
fn alternatives_are_asked_for_one_by_one() {
    use Operator::*;
    let sets = |filters: &[EventFilter]| -> Vec<Vec<Vec<String>>> {
        let filter = Filter::compile(filters, &()).unwrap();
        let text = |set: Vec<Attribute>| set.iter().map(ToString::to_string).collect();
        let sets = filter.pushdown_sets(Category::Management).into_iter();
        sets.map(|choices| choices.into_iter().map(text).collect())
            .collect()
    };
    let either = [
        question(&[
            one("EventName", Equals, &["B", "A"]),
            one("ReadOnly", Equals, &["false"]),
            one("errorCode", Exists, &[]),
        ]),
        question(&[one("Username", Equals, &["u"])]),
    ]
    .concat();
    assert_eq!(
        sets(&either),
        [
            vec![vec!["EventName=A", "EventName=B"], vec!["ReadOnly=false"]],
            vec![vec!["Username=u"]],
        ]
    );
    let with_any = [either, question(&[one("errorCode", Exists, &[])])].concat();
    assert!(
        sets(&with_any).is_empty(),
        "one alternative has no attribute"
    );
    // one value that AWS would refuse spoils the set
    let long = "x".repeat(1_500) + &"_".repeat(300);
    assert!(sets(&question(&[one("EventName", Equals, &["A", &long])])).is_empty());
    assert!(sets(&[]).is_empty());
}

#[test]
fn pushdowns_are_what_all_events_that_pass_have() {
    use Operator::*;
    let names = |filters: &[EventFilter], category| -> Vec<String> {
        Filter::compile(filters, &())
            .unwrap()
            .pushdowns(category)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let all = [
        one("ReadOnly", Equals, &["true"]),
        one("record.eventName", Equals, &["A", "A"]),
        one("EventSource", Equals, &["s"]),
        one("Username", Equals, &["u"]),
        one("ResourceType", Equals, &["t"]),
        one("ResourceName", Equals, &["r"]),
        one("AccessKeyId", Equals, &["k"]),
        one("eventID", Equals, &["i"]),
    ];
    assert_eq!(
        names(&question(&all), Category::Management),
        [
            "EventId=i",
            "ResourceName=r",
            "AccessKeyId=k",
            "Username=u",
            "EventName=A",
            "ResourceType=t",
            "EventSource=s",
            "ReadOnly=true"
        ]
    );
    assert_eq!(
        names(&question(&all), Category::Insight),
        ["EventId=i", "EventName=A", "EventSource=s"]
    );
    let either = [question(&all), question(&all[1..3])].concat();
    assert_eq!(
        names(&either, Category::Management),
        ["EventName=A", "EventSource=s"]
    );
    let long = "_".repeat(1001);
    for one in [
        one("EventName", Equals, &["A", "B"]),
        one("EventName", Equals, &[""]),
        one("EventName", Equals, &[&long]),
        one("EventName", Prefix, &["A"]),
        one("ReadOnly", Equals, &["TRUE"]),
        one("readOnly", Equals, &["true"]),
        one("errorCode", Equals, &["A"]),
        one("eventName.a", Equals, &["A"]),
        Match {
            negate: true,
            ..all[1].clone()
        },
        Match {
            ignore_case: true,
            ..all[1].clone()
        },
    ] {
        assert_eq!(names(&question(&[one]), Category::Management), [""; 0]);
    }
}

#[test]
fn the_same_question_has_the_same_form_and_another_has_another() {
    use Operator::*;
    let form =
        |filters: &[EventFilter]| Filter::compile(filters, &()).unwrap().canonical().to_vec();
    let base = one("eventName", Equals, &["a", "b"]);
    let same = one("record.eventName", Operator::default(), &["b", "a", "b"]);
    assert_eq!(
        form(&question(slice::from_ref(&base))),
        form(&question(&[same]))
    );
    let cidr = one("sourceIPAddress", Cidr, &["::1"]);
    let idle = Match {
        ignore_case: true,
        ..cidr.clone()
    };
    assert_eq!(
        form(&question(slice::from_ref(&cidr))),
        form(&question(&[idle]))
    );
    let forms = [
        vec![],
        question(&[]),
        [question(&[]), question(&[])].concat(),
        question(slice::from_ref(&base)),
        question(&[cidr.clone(), base.clone()]),
        [
            question(slice::from_ref(&cidr)),
            question(slice::from_ref(&base)),
        ]
        .concat(),
        question(&[one("EventName", Equals, &["a", "b"])]),
        question(&[one("eventName", Equals, &["ab"])]),
        question(&[one("eventName", Prefix, &["a", "b"])]),
        question(&[one("eventName.a", Equals, &["a", "b"])]),
        question(&[one(r"record.eventName\.a", Equals, &["a", "b"])]),
        question(&[Match {
            negate: true,
            ..base.clone()
        }]),
        question(&[Match {
            ignore_case: true,
            ..base
        }]),
    ]
    .map(|filters| form(&filters));
    let distinct: BTreeSet<_> = forms.iter().collect();
    assert_eq!(distinct.len(), forms.len());
}
