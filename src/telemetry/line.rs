//! Log lines, with the trace that they are of.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Json, Writer},
    },
    registry::LookupSpan,
};

use crate::trace;

/// Lines that end with the trace and the span that they were written in, if there is
/// one.
pub(super) struct WithTrace<F> {
    lines: F,
    /// What a line ends with.
    end: &'static str,
    /// What the ids are written in.
    ids: [&'static str; 3],
}

impl WithTrace<Format<Full>> {
    /// Lines for people.
    pub(super) fn text(lines: Format<Full>) -> Self {
        Self {
            lines,
            end: "\n",
            ids: [" trace_id=", " span_id=", "\n"],
        }
    }
}

impl WithTrace<Format<Json>> {
    /// One JSON object a line.
    pub(super) fn json(lines: Format<Json>) -> Self {
        Self {
            lines,
            end: "}\n",
            ids: [",\"trace_id\":\"", "\",\"span_id\":\"", "\"}\n"],
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace, span)) = trace::ids() else {
            return self.lines.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.lines
            .format_event(context, Writer::new(&mut line), event)?;
        match line.strip_suffix(self.end) {
            Some(line) => {
                let [before_trace, before_span, end] = self.ids;
                write!(
                    writer,
                    "{line}{before_trace}{trace}{before_span}{span}{end}"
                )
            }
            None => writer.write_str(&line),
        }
    }
}
