//! What a view asks of the server.

use jiff::Timestamp;

use super::{COUNTED, PAGE, View};
use crate::proto::v1::{
    self, EventCategory, EventFilter, EventView, ExportEventsRequest, LookupEventsRequest, Match,
    Operator, Order, SubscribeEventsRequest, SummarizeEventsRequest,
};

/// Values of each field that are counted.
const TOP: i32 = 8;
/// Requests that counts may buy: the window may be long, and each of it is paid.
/// Whoever wants all of it says so.
const COUNT_CALLS: i32 = 10;

impl View {
    fn filters(&self) -> Vec<EventFilter> {
        let common = self.named_attributes().into_iter().map(|field| {
            let values = self.attributes.iter().filter(|(name, _)| *name == field);
            Match {
                field: field.to_owned(),
                operator: Operator::Equals.into(),
                values: values.map(|(_, value)| value.clone()).collect(),
                ..Match::default()
            }
        });
        let common: Vec<Match> = common.collect();
        let mut alternatives: Vec<Vec<Match>> = Vec::new();
        for condition in &self.conditions {
            match alternatives.last_mut().filter(|_| !condition.is_or) {
                Some(alternative) => alternative.push(condition.one.clone()),
                None => alternatives
                    .push([common.as_slice(), std::slice::from_ref(&condition.one)].concat()),
            }
        }
        if alternatives.is_empty() && !common.is_empty() {
            alternatives.push(common);
        }
        let filter = |matches| EventFilter { matches };
        alternatives.into_iter().map(filter).collect()
    }

    fn category(&self) -> i32 {
        match self.is_insight {
            true => EventCategory::Insight.into(),
            false => EventCategory::Unspecified.into(),
        }
    }

    fn order(&self) -> i32 {
        match self.is_oldest_first {
            true => Order::OldestFirst.into(),
            false => Order::NewestFirst.into(),
        }
    }

    /// The page of events. A page that goes on with another has the window of that.
    pub(in super::super) fn lookup(&self, view: EventView) -> LookupEventsRequest {
        LookupEventsRequest {
            filters: self.filters(),
            start_time: self.from_time.map(stamp),
            end_time: self.to_time.map(stamp),
            account_ids: self.accounts.clone(),
            regions: self.regions.clone(),
            event_category: self.category(),
            page_size: self.page_size.unwrap_or(PAGE),
            page_token: self.page.clone(),
            order: self.order(),
            view: view.into(),
            ..LookupEventsRequest::default()
        }
    }

    /// All events.
    pub(in super::super) fn export(&self, view: EventView) -> ExportEventsRequest {
        ExportEventsRequest {
            filters: self.filters(),
            start_time: self.from_time.map(stamp),
            end_time: self.to_time.map(stamp),
            account_ids: self.accounts.clone(),
            regions: self.regions.clone(),
            event_category: self.category(),
            order: self.order(),
            view: view.into(),
            ..ExportEventsRequest::default()
        }
    }

    /// Counts.
    pub(in super::super) fn summary(&self) -> SummarizeEventsRequest {
        SummarizeEventsRequest {
            filters: self.filters(),
            start_time: self.from_time.map(stamp),
            end_time: self.to_time.map(stamp),
            account_ids: self.accounts.clone(),
            regions: self.regions.clone(),
            event_category: self.category(),
            top_fields: COUNTED.map(|(field, _)| field.to_owned()).to_vec(),
            top_values: TOP,
            max_upstream_calls: if self.counts_all { 0 } else { COUNT_CALLS },
            ..SummarizeEventsRequest::default()
        }
    }

    /// Events as they come, from a token on, or from now.
    pub(in super::super) fn subscription(&self, token: Option<String>) -> SubscribeEventsRequest {
        SubscribeEventsRequest {
            filters: self.filters(),
            account_ids: self.accounts.clone(),
            regions: self.regions.clone(),
            view: EventView::Basic.into(),
            start: token.map(v1::subscribe_events_request::Start::ResumeToken),
            progress_interval: Some(prost_types::Duration {
                seconds: 2,
                nanos: 0,
            }),
            ..SubscribeEventsRequest::default()
        }
    }
}

pub(super) fn stamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: 0,
    }
}
