use jiff::SignedDuration;

use super::{requests::stamp, *};
use crate::proto::v1::{EventFilter, EventView};

fn now() -> Timestamp {
    "2024-05-06T07:08:09Z".parse().unwrap()
}

#[test]
fn a_view_reads_back_from_its_own_query() {
    let query = "Username=alice&Username=bob&where=eventName+%5E%3D+Run&or=errorCode+exists&account=111122223333\
                 &region=us-east-1&category=insight&from=-7d&to=2024-05-06T07%3A00%3A00Z&order=oldest&size=20\
                 &column=time&column=event&page=abc";
    let view = View::parse(query, now());
    assert_eq!(view.unread, Vec::<String>::new());
    assert_eq!(View::parse(&view.query(), now()), view);
    let request = view.lookup(EventView::Basic);
    assert_eq!(request.filters.len(), 2);
    assert_eq!(request.filters[1].matches[0].values, ["alice", "bob"]);
    assert_eq!(
        request.start_time.unwrap().seconds,
        1_714_979_289 - 7 * 86_400
    );
    assert_eq!((request.page_size, &*request.page_token), (20, "abc"));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_applies() {
    let query = "Username=alice&where=&from=soon&size=999&where=a+%3D%3D+b&colour=red&column=odd";
    let view = View::parse(query, now());
    assert_eq!(view.attributes, [("Username", "alice".to_owned())]);
    let named: Vec<_> = view
        .unread
        .iter()
        .map(|it| it.split('=').next().unwrap())
        .collect();
    assert_eq!(named, ["from", "size", "where", "colour", "column"]);
    assert_eq!((view.from.as_str(), view.page_size), ("soon", None));
    assert_eq!(view.from_time, time(SINCE, now(), false).ok());
    assert_eq!(view.untold, ["a == b"]);
    // an alternative that begins with what could not be read is one still
    let view = View::parse("where=a+%3D+1&or=b&where=c+%3D+3", now());
    let read: Vec<_> = view
        .conditions
        .iter()
        .map(|one| (one.is_or, &*one.text))
        .collect();
    assert_eq!(read, [(false, "a = 1"), (true, "c = 3")]);
    // and what the server does not know is gone without
    let mut view = View::parse(
        "Username=x&Username=y&where=a+%3D+1&where=b+%3D+2&or=c+%3D+3&where=d+%3D+4",
        now(),
    );
    assert!(view.drop_filter(
        "filters[1].matches[1].field",
        "filters[1].matches[1].field: what"
    ));
    assert!(view.drop_filter("filters[0].matches[2].values[0]", "no number"));
    assert!(!view.drop_filter("filters[7].matches[9]", "x") && !view.drop_filter("page_size", "x"));
    let left: Vec<_> = view
        .conditions
        .iter()
        .map(|one| (one.is_or, &*one.text))
        .collect();
    assert_eq!(left, [(false, "a = 1"), (true, "d = 4")]);
    assert_eq!(view.unread, ["c = 3: what", "b = 2: no number"]);
    assert!(view.drop_filter("filters[0].matches[0].values[1]", "none"));
    assert_eq!(view.attributes, []);
    // the usual columns are no choice
    let usual = Column::USUAL.map(Column::name).join(",");
    assert_eq!(View::parse(&format!("column={usual}"), now()).columns, []);
    // of several lines, or several words, each by itself
    let view = View::parse(
        "where=a+%3D+1%0D%0Ab%0D%0Ac+exists&column=time,odd,id",
        now(),
    );
    let texts: Vec<_> = view.conditions.iter().map(|one| &*one.text).collect();
    assert_eq!(texts, ["a = 1", "c exists"]);
    // a line of a text field begins an alternative
    let lines = View::parse("where=a+%3D+1%0Aor+b+%3D+2%0Aor+%3D+3", now());
    let texts: Vec<_> = lines
        .conditions
        .iter()
        .map(|one| (one.is_or, &*one.text))
        .collect();
    assert_eq!(
        texts,
        [(false, "a = 1"), (true, "b = 2"), (false, "or = 3")]
    );
    let long = "where=a+%3D+1&".repeat(MAX_PARTS + 2);
    let long = View::parse(&long, now());
    assert_eq!(long.conditions.len(), MAX_PARTS);
    assert!(long.unread[0].starts_with("2 parts"), "{:?}", long.unread);
    // what is compared is compared as it is
    let view_of_spaces = View::parse("Username=+alice+&from=+-7d+", now());
    assert_eq!(
        view_of_spaces.attributes,
        [("Username", " alice ".to_owned())]
    );
    assert_eq!(view_of_spaces.from, "-7d");
    assert_eq!(view.columns, [Column::Time, Column::Id]);
    let named: Vec<_> = view
        .unread
        .iter()
        .map(|it| it.split(':').next().unwrap())
        .collect();
    assert_eq!(named, ["where=b", "column=odd"]);
}

#[test]
fn the_next_page_has_the_window_of_the_first_whenever_it_is_asked_for() {
    let later = now().checked_add(SignedDuration::from_mins(5)).unwrap();
    for query in ["", "from=-7d&to=-1h", "to=now", "from=2024-05-01&to=-30m"] {
        let view = View::parse(query, now());
        let next = view.next("token");
        let next = View::parse(next.split_once('?').unwrap().1, later);
        let (first, next) = (view.lookup(EventView::Basic), next.lookup(EventView::Basic));
        assert_eq!(next.page_token, "token");
        assert_eq!(
            (next.start_time, next.end_time),
            (first.start_time, first.end_time),
            "{query}"
        );
    }
    // and so has a file of the page that is shown, without what has come since
    for query in ["", "from=-7d&to=-1h", "from=2024-05-01&page=token"] {
        let view = View::parse(query, now());
        let file = View::parse(&view.same_page().query(), later);
        let (page, file) = (view.lookup(EventView::Full), file.lookup(EventView::Full));
        assert_eq!(page.start_time, file.start_time, "{query}");
        assert_eq!(page.page_token, file.page_token);
        let end = match (page.end_time, page.page_token.is_empty()) {
            (None, true) => Some(stamp(now())),
            (end, _) => end,
        };
        assert_eq!(file.end_time, end, "{query}");
    }
    let view = View::parse("from=2024-05-01", now());
    assert_eq!(view.next("t"), "/events?from=2024-05-01&page=t");
}

#[test]
fn what_is_clicked_is_asked_as_it_was_shown() {
    for value in ["alice", "a\"b\\c", " ", "(a, b)", "a = b", "é"] {
        let mut view = View::parse("", now());
        view.narrow("errorCode", value);
        let again = View::parse(&view.query(), now());
        assert_eq!(again.unread, Vec::<String>::new(), "{value:?}");
        let [filter] = &again.lookup(EventView::Basic).filters[..] else {
            panic!("{value:?}: {again:?}");
        };
        assert_eq!(
            (&*filter.matches[0].field, &*filter.matches[0].values[0]),
            ("errorCode", value)
        );
    }
    // a click narrows every alternative
    let mut view = View::parse("where=a+%3D+1&or=b+%3D+2&where=c+%3D+3&or=d+%3D+4", now());
    view.narrow("errorCode", "X");
    let filters = view.lookup(EventView::Basic).filters;
    let fields = |filter: &EventFilter| -> Vec<String> {
        let fields = filter.matches.iter().map(|one| one.field.clone());
        fields.collect()
    };
    assert_eq!(
        filters.iter().map(fields).collect::<Vec<_>>(),
        [
            vec!["a", "errorCode"],
            vec!["b", "c", "errorCode"],
            vec!["d", "errorCode"]
        ]
    );
    let mut view = View::parse("EventName=A", now());
    view.narrow("EventName", "B");
    assert_eq!(view.attributes, [("EventName", "B".to_owned())]);
}

#[test]
fn times_are_read_as_they_are_typed() {
    for (text, second) in [
        ("now", 1_714_979_289),
        ("-2h", 1_714_979_289 - 7200),
        ("-1d12h", 1_714_979_289 - 129_600),
        ("2024-05-06T07:08:09Z", 1_714_979_289),
        ("2024-05-06 09:08:09+02:00", 1_714_979_289),
        ("2024-05-06T07:08", 1_714_979_280),
        ("2024-05-06", 1_714_953_600),
    ] {
        assert_eq!(
            time(text, now(), false).map(Timestamp::as_second),
            Ok(second),
            "{text}"
        );
    }
    for text in ["", "yesterday", "-", "-2", "7:08"] {
        assert!(time(text, now(), false).is_err(), "{text}");
    }
    // both ends are included
    for (text, second) in [
        ("2024-05-06", 1_715_039_999),
        ("2024-05-06 07:08", 1_714_979_339),
        ("2h", 1_714_979_289 - 7200),
    ] {
        assert_eq!(
            time(text, now(), true).map(Timestamp::as_second),
            Ok(second)
        );
    }
    assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
    assert_eq!(
        (number(0).as_str(), number(-1000).as_str()),
        ("0", "-1\u{202f}000")
    );
}
