//! Protobuf's wire form, as far as events need it.
//!
//! Source: "Encoding", protobuf.dev. The field numbers are those of
//! `proto/trailgate/v1/event.proto`; a test in `proto` holds both together.

/// Field numbers of `trailgate.v1.Event`.
pub(super) mod event {
    pub(in super::super) const ID: u32 = 1;
    pub(in super::super) const NAME: u32 = 2;
    pub(in super::super) const SOURCE: u32 = 3;
    pub(in super::super) const TIME: u32 = 4;
    pub(in super::super) const REGION: u32 = 5;
    pub(in super::super) const ACCOUNT_ID: u32 = 6;
    pub(in super::super) const USERNAME: u32 = 7;
    pub(in super::super) const ACCESS_KEY_ID: u32 = 8;
    pub(in super::super) const READ_ONLY: u32 = 9;
    pub(in super::super) const RESOURCES: u32 = 10;
    pub(in super::super) const CATEGORY: u32 = 11;
    pub(in super::super) const EVENT_TYPE: u32 = 12;
    pub(in super::super) const ERROR_CODE: u32 = 13;
    pub(in super::super) const ERROR_MESSAGE: u32 = 14;
    pub(in super::super) const SOURCE_IP_ADDRESS: u32 = 15;
    pub(in super::super) const USER_AGENT: u32 = 16;
    pub(in super::super) const IDENTITY: u32 = 17;
    pub(in super::super) const SHARED_EVENT_ID: u32 = 18;
    pub(in super::super) const RECORD: u32 = 19;
    pub(in super::super) const ORIGIN: u32 = 20;
    pub(in super::super) const MALFORMED: u32 = 21;
    pub(in super::super) const LOSSY: u32 = 22;
    pub(in super::super) const TIME_INFERRED: u32 = 23;
    pub(in super::super) const REDACTED: u32 = 24;
}

/// Field numbers of `trailgate.v1.Resource`.
pub(super) mod resource {
    pub(in super::super) const KIND: u32 = 1;
    pub(in super::super) const NAME: u32 = 2;
}

/// Field numbers of `trailgate.v1.Identity`.
pub(super) mod identity {
    pub(in super::super) const KIND: u32 = 1;
    pub(in super::super) const PRINCIPAL_ID: u32 = 2;
    pub(in super::super) const ARN: u32 = 3;
    pub(in super::super) const ACCOUNT_ID: u32 = 4;
    pub(in super::super) const USER_NAME: u32 = 5;
    pub(in super::super) const ROLE_NAME: u32 = 6;
    pub(in super::super) const SESSION_NAME: u32 = 7;
    pub(in super::super) const INVOKED_BY: u32 = 8;
}

/// The field number of `google.protobuf.Timestamp.seconds`.
const SECONDS: u32 = 1;

/// Wire types.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;

#[inline]
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    // nearly all that is written is small
    if let Some(byte) = u8::try_from(value).ok().filter(|byte| *byte < 0x80) {
        out.push(byte);
        return;
    }
    // the low seven bits
    while let Some(low) = u8::try_from(value & 0x7f).ok().filter(|_| value > 0x7f) {
        out.push(low | 0x80);
        value >>= 7;
    }
    out.extend(u8::try_from(value));
}

/// The bytes that a number takes.
pub(super) const fn varint_len(value: u64) -> usize {
    // one for each seven bits that count, and one for zero
    ((63 - (value | 1).leading_zeros() as usize) / 7) + 1
}

/// A number, also if it is zero.
pub(super) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3 | VARINT);
    put_varint(out, value);
}

/// A flag that is absent unless it is set.
pub(super) fn put_flag(out: &mut Vec<u8>, field: u32, flag: bool) {
    if flag {
        put_number(out, field, 1);
    }
}

/// What stands before bytes: the field, and how many they are.
#[inline]
pub(super) fn put_head(out: &mut Vec<u8>, field: u32, len: usize) {
    put_varint(out, u64::from(field) << 3 | LENGTH);
    put_varint(out, u64::try_from(len).unwrap_or(u64::MAX));
}

/// Bytes, also if there are none.
#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// A text that is absent if it is empty.
pub(super) fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

/// A text that may be absent. One that is there and empty is written: clients
/// read it as absent, and here the two can be told apart.
pub(super) fn put_given(out: &mut Vec<u8>, field: u32, text: Option<&str>) {
    if let Some(text) = text {
        put_bytes(out, field, text.as_bytes());
    }
}

/// A message of texts, each as [`put_given`] writes it.
pub(super) fn put_texts(out: &mut Vec<u8>, field: u32, texts: &[(u32, Option<&str>)]) {
    let size = |len| u64::try_from(len).unwrap_or(u64::MAX);
    let len = |(number, text): &(u32, Option<&str>)| {
        let text = text.as_ref()?;
        let head = varint_len(u64::from(*number) << 3) + varint_len(size(text.len()));
        Some(head + text.len())
    };
    put_head(out, field, texts.iter().filter_map(len).sum());
    for (number, text) in texts {
        put_given(out, *number, *text);
    }
}

/// A `google.protobuf.Timestamp`.
pub(super) fn put_time(out: &mut Vec<u8>, field: u32, seconds: i64) {
    let seconds = seconds.cast_unsigned();
    // one byte of tag
    put_head(out, field, 1 + varint_len(seconds));
    put_number(out, SECONDS, seconds);
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other; it ends where the message
/// does.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    #[inline]
    fn varint(&mut self) -> Option<u64> {
        // nearly all that is read is small
        match self.0.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.0 = rest;
                Some(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let field = u32::try_from(tag >> 3).ok()?;
        if tag & 7 == VARINT {
            return Some((field, Value::Number(self.varint()?)));
        }
        let len = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some((field, Value::Bytes(bytes)))
    }
}

/// Takes what [`put_head`] wrote off the front: its bytes, how many it says
/// there are, and the rest.
pub(super) fn split_head(bytes: &[u8]) -> Option<(&[u8], usize, &[u8])> {
    let mut fields = Fields(bytes);
    fields.varint()?;
    let len = usize::try_from(fields.varint()?).ok()?;
    let (head, rest) = bytes.split_at_checked(bytes.len() - fields.0.len())?;
    Some((head, len, rest))
}

/// Bytes that were a text when they were written.
pub(super) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

/// The first text with this number.
pub(super) fn find(message: &[u8], wanted: u32) -> Option<&str> {
    Fields(message).find_map(|(field, value)| match value {
        Value::Bytes(bytes) if field == wanted => Some(text(bytes)),
        _ => None,
    })
}

/// The first number with this number.
pub(super) fn find_number(message: &[u8], wanted: u32) -> Option<u64> {
    Fields(message).find_map(|(field, value)| match value {
        Value::Number(number) if field == wanted => Some(number),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_bytes_they_are_said_to_take() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::MAX >> 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(Fields(&out).varint(), Some(value));
        }
    }

    #[test]
    fn fields_are_read_as_written_and_a_message_cut_short_ends() {
        let mut out = Vec::new();
        put_head(&mut out, 16, 300);
        let rest = out.len();
        put_number(&mut out, 9, 0);
        put_bytes(&mut out, 1, b"ab");
        assert_eq!(split_head(&out), Some((&out[..rest], 300, &out[rest..])));
        put_head(&mut out, 16, 300);
        let fields: Vec<_> = Fields(&out[rest..]).collect();
        assert_eq!(fields, [(9, Value::Number(0)), (1, Value::Bytes(b"ab"))]);
        assert_eq!(Fields(&[0x80]).next(), None);
        assert_eq!(Fields(&[0xff; 20]).next(), None);
    }
}
