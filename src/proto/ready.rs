//! Responses whose bytes are made once, and told to many.

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut, Bytes, BytesMut},
    encoding::{self, DecodeContext, WireType, skip_field},
};

use super::{server::EventBatch, v1::SubscribeEventsResponse};

/// Field numbers of `trailgate.v1.SubscribeEventsResponse`; a test holds both
/// together.
const BATCH: u32 = 1;
const RESUME_TOKEN: u32 = 4;
const MAY_REPEAT: u32 = 5;

/// The generated code's stand-in for [`SubscribeEventsResponse`] where it is
/// told. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ready(Bytes);

impl Ready {
    /// A response with events.
    #[must_use]
    pub fn batch(batch: &EventBatch, resume_token: &str, may_repeat: bool) -> Self {
        let token = resume_token.to_owned();
        let len = encoding::message::encoded_len(BATCH, batch)
            + encoding::string::encoded_len(RESUME_TOKEN, &token)
            + encoding::bool::encoded_len(MAY_REPEAT, &may_repeat);
        let mut out = BytesMut::with_capacity(len);
        encoding::message::encode(BATCH, batch, &mut out);
        encoding::string::encode(RESUME_TOKEN, &token, &mut out);
        if may_repeat {
            encoding::bool::encode(MAY_REPEAT, &may_repeat, &mut out);
        }
        Self(out.freeze())
    }

    /// Any other response.
    #[must_use]
    pub fn of(response: &SubscribeEventsResponse) -> Self {
        Self(response.encode_to_vec().into())
    }
}

impl Message for Ready {
    fn encode_raw(&self, out: &mut impl BufMut) {
        out.put_slice(&self.0);
    }

    /// Responses are told and never read here.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buf, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        event::{Event, Origin, Scope},
        proto::{Encoded, v1::subscribe_events_response::Payload},
    };

    #[test]
    fn what_is_made_once_reads_as_the_message() {
        let scope = Scope::new("111122223333", "us-east-1");
        let event = Event::from_record(&scope, b"{\"eventID\":\"x\"}", Origin::LogFile, 5);
        let events = vec![Encoded::new(Arc::new(event), true)];
        for may_repeat in [true, false] {
            let batch = EventBatch {
                events: events.clone(),
            };
            let ready = Ready::batch(&batch, "token", may_repeat);
            let bytes = ready.encode_to_vec();
            assert_eq!(bytes.len(), ready.encoded_len());
            let read = SubscribeEventsResponse::decode(&*bytes).unwrap();
            assert_eq!(read.resume_token, "token");
            assert_eq!(read.may_repeat, may_repeat);
            let Some(Payload::Batch(batch)) = &read.payload else {
                panic!("{read:?}");
            };
            assert_eq!(batch.events[0].event_id, "x");
            assert_eq!(Ready::of(&read).encode_to_vec(), read.encode_to_vec());
        }
    }
}
