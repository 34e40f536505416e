//! The form of a report's parameters, and what was given in it.

use form_urlencoded::Serializer;
use maud::{Markup, html};

use super::HERE;
use crate::{
    grpc::Refusal,
    proto::v1::{Report, ReportParameter, ReportType, RunReportRequest},
    typed::usual,
};

/// The most parts of a query that are read: more than a form has.
const MAX_PARTS: usize = 50;

/// What was given.
pub(super) struct Given {
    /// By parameters' names, as it was typed. What is empty has its default.
    values: Vec<(String, String)>,
    /// Whether anything was said, be it nothing.
    is_asked: bool,
    /// What is of no parameter.
    pub(super) unread: Vec<String>,
}

impl Given {
    /// What a query says; without a report all of it is kept.
    pub(super) fn parse(report: Option<&Report>, query: &str) -> Self {
        let mut given = Self {
            values: Vec::new(),
            is_asked: false,
            unread: Vec::new(),
        };
        let mut parts = form_urlencoded::parse(query.as_bytes());
        for (name, value) in parts.by_ref().take(MAX_PARTS) {
            let mut known = report.into_iter().flat_map(|report| &report.parameters);
            given.is_asked = true;
            if report.is_some() && !known.any(|parameter| parameter.name == name) {
                let part = format!("{name}={value}: the report has no such parameter");
                given.unread.push(part);
            } else if !value.trim().is_empty() {
                // the last counts
                given.values.retain(|(known, _)| *known != name);
                given.values.push((name.into_owned(), value.into_owned()));
            }
        }
        let more = parts.count();
        if more > 0 {
            given.unread.push(format!(
                "{more} parts of the address behind the first {MAX_PARTS}: that is more than is read"
            ));
        }
        given
    }

    /// Whether the report can be run, or it is to be said why not: a form that was not
    /// sent yet is not wrong.
    pub(super) fn is_enough(&self, report: &Report) -> bool {
        self.is_asked || !report.parameters.iter().any(|it| it.is_required)
    }

    /// What the server is asked.
    pub(super) fn request(&self, name: &str) -> RunReportRequest {
        RunReportRequest {
            name: name.to_owned(),
            parameters: self.values.iter().cloned().collect(),
        }
    }

    /// Where the same is, on another page of the report.
    pub(super) fn link(&self, report: &Report, page: &str) -> String {
        let query = Serializer::new(String::new())
            .extend_pairs(&self.values)
            .finish();
        let sign = if query.is_empty() { "" } else { "?" };
        format!("{HERE}/{}{page}{sign}{query}", report.name)
    }

    fn value(&self, name: &str) -> &str {
        let mut values = self.values.iter();
        let found = values.find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether all that is wrong is said beside a field.
    pub(super) fn says(&self, report: &Report, refusal: &Refusal) -> bool {
        let is_field = |field: &str| {
            let name = parameter(field);
            report
                .parameters
                .iter()
                .any(|it| Some(it.name.as_str()) == name)
        };
        let mut fields = refusal.violations.iter();
        !refusal.violations.is_empty() && fields.all(|(field, _)| is_field(field))
    }

    /// The form, with what was typed, and what is wrong with it beside each field.
    pub(super) fn form(&self, report: &Report, wrong: Option<&Refusal>) -> Markup {
        let violations = wrong.map_or(&[][..], |wrong| &wrong.violations);
        let wrong_with = |name: &str| {
            let mut violations = violations.iter();
            let found = violations.find(|(field, _)| parameter(field) == Some(name));
            found.map(|(_, what)| what.as_str())
        };
        html! {
            form class="filter" method="get" action=(format!("{HERE}/{}", report.name)) {
                div class="fields report" {
                    @for it in &report.parameters { (self.field(it, wrong_with(&it.name))) }
                }
                p class="buttons" {
                    button type="submit" { "Run" }
                    a href=(format!("{HERE}/{}", report.name)) { "Clear" }
                }
            }
        }
    }

    fn field(&self, it: &ReportParameter, wrong: Option<&str>) -> Markup {
        let about = format!("about-{}", it.name);
        html! {
            div {
                label {
                    span { (it.name) @if it.is_required { " (required)" } }
                    @if it.allowed_values.is_empty() {
                        input name=(it.name) value=(self.value(&it.name))
                            placeholder=(usual(&it.default_value))
                            inputmode=[(it.r#type() == ReportType::Integer).then_some("numeric")]
                            required[it.is_required] aria-describedby=(about)
                            aria-invalid=[wrong.map(|_| "true")] autocomplete="off" spellcheck="false";
                    } @else {
                        select name=(it.name) required[it.is_required] aria-describedby=(about)
                            aria-invalid=[wrong.map(|_| "true")] {
                            (self.choices(it))
                        }
                    }
                }
                p id=(about) class=(if wrong.is_some() { "wrong" } else { "faint" }) {
                    @if let Some(wrong) = wrong { strong { "Not taken: " } (wrong) } @else { (it.meaning) }
                }
            }
        }
    }

    /// What a list has, its default as what is not said, and what was typed if that is none
    /// of them.
    fn choices(&self, it: &ReportParameter) -> Markup {
        let (typed, usual) = (self.value(&it.name), usual(&it.default_value));
        let is_usual = typed.is_empty() || typed == usual;
        let is_other = !is_usual && !it.allowed_values.iter().any(|value| value == typed);
        html! {
            @if usual.is_empty() { option value="" selected[is_usual] {} }
            @for value in &it.allowed_values {
                @if *value == usual {
                    option value="" selected[is_usual] { (value) }
                } @else {
                    option value=(value) selected[value == typed] { (value) }
                }
            }
            @if is_other { option value=(typed) selected { (typed) } }
        }
    }
}

/// The parameter that a field of a request is.
fn parameter(field: &str) -> Option<&str> {
    field.strip_prefix("parameters[")?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let parameter = |name: &str, is_required| ReportParameter {
            name: name.to_owned(),
            is_required,
            meaning: format!("about <{name}>"),
            ..ReportParameter::default()
        };
        Report {
            name: "timeline".to_owned(),
            parameters: vec![parameter("principal", true), parameter("since", false)],
            ..Report::default()
        }
    }

    #[test]
    fn what_was_typed_stays() {
        let report = report();
        let query = "principal=a%26b%22%3E&since=&since=soon&colour=red";
        let given = Given::parse(Some(&report), query);
        assert_eq!(
            given.unread,
            ["colour=red: the report has no such parameter"]
        );
        let request = given.request("timeline");
        assert_eq!(request.parameters.len(), 2);
        assert_eq!(request.parameters["principal"], "a&b\">");
        assert_eq!(
            given.link(&report, "/rows.csv"),
            "/reports/timeline/rows.csv?principal=a%26b%22%3E&since=soon"
        );
        let refusal = Refusal {
            code: "INVALID_ARGUMENT",
            reason: "REPORT_PARAMETER_INVALID".to_owned(),
            message: String::new(),
            field: None,
            violations: vec![(
                "parameters[since]".to_owned(),
                "\"soon\" is no <time>".to_owned(),
            )],
        };
        assert!(given.says(&report, &refusal));
        let form = given.form(&report, Some(&refusal)).0;
        assert!(form.contains("value=\"a&amp;b&quot;&gt;\""), "{form}");
        assert!(
            form.contains("is no &lt;time&gt;") && form.contains("aria-invalid"),
            "{form}"
        );
        assert!(form.contains("about &lt;principal&gt;") && !form.contains("about &lt;since"));
        let other = Refusal {
            violations: vec![("query".to_owned(), String::new())],
            ..refusal
        };
        assert!(!given.says(&report, &other));
    }

    #[test]
    fn values_of_a_list_are_chosen() {
        let report = Report {
            name: "history".to_owned(),
            parameters: vec![ReportParameter {
                name: "only".to_owned(),
                default_value: "'no'".to_owned(),
                allowed_values: vec!["no".to_owned(), "yes".to_owned()],
                ..ReportParameter::default()
            }],
            ..Report::default()
        };
        let form = |query: &str| Given::parse(Some(&report), query).form(&report, None).0;
        let no = "<option value=\"\">no</option>";
        let yes = "<option value=\"yes\">yes</option>";
        let chosen = |option: &str| option.replacen("\">", "\" selected>", 1);
        assert!(
            form("").contains(&format!(">{}{yes}</select>", chosen(no))),
            "{}",
            form("")
        );
        assert!(form("only=no").contains(&chosen(no)));
        let told = form("only=yes");
        assert!(
            told.contains(&format!(">{no}{}</select>", chosen(yes))),
            "{told}"
        );
        // what is none of them stays, to be seen beside what is wrong
        let told = form("only=Y%3Cs");
        let other = "<option value=\"Y&lt;s\" selected>Y&lt;s</option>";
        assert!(
            told.contains(&format!(">{no}{yes}{other}</select>")),
            "{told}"
        );
    }

    #[test]
    fn a_form_that_was_not_sent_is_not_wrong() {
        let report = report();
        let is_enough = |query: &str| Given::parse(Some(&report), query).is_enough(&report);
        assert!(!is_enough(""));
        assert!(is_enough("principal=") && is_enough("principal=x"));
        let free = Report {
            parameters: Vec::new(),
            ..report.clone()
        };
        assert!(Given::parse(Some(&free), "").is_enough(&free));
    }
}
