//! Metrics in the text that was there before OpenMetrics.

use std::fmt::Write;

/// OpenMetrics as Prometheus's text format 0.0.4: what is said of a counter is said by
/// the name that its samples have.
pub(super) fn classic(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some("#"), what) = (words.next(), words.next()) else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let (name, rest) = (words.next().unwrap_or_default(), words.next());
        let rest = rest.unwrap_or_default();
        match what {
            // its name is that of the type, which comes next
            Some("HELP") => help = Some(rest),
            Some("TYPE") => {
                let end = if rest == "counter" { "_total" } else { "" };
                // a String takes whatever is written
                if let Some(help) = help.take() {
                    let _ = writeln!(text, "# HELP {name}{end} {help}");
                }
                let _ = writeln!(text, "# TYPE {name}{end} {rest}");
            }
            // units, and the end
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_their_samples() {
        let openmetrics = "# HELP a calls, by code.\n# TYPE a counter\na_total{code=\"# OK\"} 1\n\
                           # HELP b_seconds b.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\n\
                           b_seconds 2.0\n# EOF\n";
        let text = "# HELP a_total calls, by code.\n# TYPE a_total counter\n\
                    a_total{code=\"# OK\"} 1\n\
                    # HELP b_seconds b.\n# TYPE b_seconds gauge\nb_seconds 2.0\n";
        assert_eq!(classic(openmetrics), text);
    }
}
