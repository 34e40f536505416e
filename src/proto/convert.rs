//! Events as messages: their bytes are ready, and only have to be copied.

use std::sync::Arc;

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType, encoded_len_varint, skip_field},
};

use crate::event::Event;

/// The generated code's stand-in for [`super::v1::Event`] where events are
/// told: an event that is held, with its record or without.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    event: Option<Arc<Event>>,
    with_record: bool,
    len: usize,
}

impl Encoded {
    /// An event, with its record or without.
    #[must_use]
    pub fn new(event: Arc<Event>, with_record: bool) -> Self {
        Self {
            len: len(&event, with_record),
            event: Some(event),
            with_record,
        }
    }
}

fn len(event: &Event, with_record: bool) -> usize {
    event.encoding(with_record).iter().map(|p| p.len()).sum()
}

impl Message for Encoded {
    fn encode_raw(&self, out: &mut impl BufMut) {
        if let Some(event) = &self.event {
            for piece in event.encoding(self.with_record) {
                out.put_slice(piece);
            }
        }
    }

    /// Events are told and never read here.
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
        self.len
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The bytes that an event takes in an answer with its record.
#[must_use]
pub fn full_size(event: &Event) -> usize {
    size(event, true)
}

/// The bytes that an event takes in an answer without its record.
#[must_use]
pub fn basic_size(event: &Event) -> usize {
    size(event, false)
}

fn size(event: &Event, with_record: bool) -> usize {
    // the field's number, and the length
    let len = len(event, with_record);
    1 + encoded_len_varint(u64::try_from(len).unwrap_or(u64::MAX)) + len
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
