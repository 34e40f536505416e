//! Where a JSON value ends, by its strings and brackets alone. What is between
//! them is not looked at.

/// How far into a value a text has come. Goes on where the last piece ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nesting {
    /// Brackets that are open. Which they are is not told apart: a record with
    /// a wrong one is not JSON, and to say so is not this one's work.
    depth: u64,
    in_string: bool,
    /// The byte before was a backslash that counts.
    is_escaped: bool,
}

/// The bits of a block that matter.
struct Block {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Nesting {
    /// Passes what belongs to the value: how many bytes that is, and the byte
    /// that ends it, a comma or a closing bracket that it did not open. `None`:
    /// all of it does.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> (usize, Option<u8>) {
        let mut at = 0;
        loop {
            if self.depth > 0 {
                at += self.pass_nested(bytes.get(at..).unwrap_or_default());
            }
            let Some(byte) = bytes.get(at).copied() else {
                return (at, None);
            };
            if self.is_escaped {
                self.is_escaped = false;
            } else if self.in_string {
                self.is_escaped = byte == b'\\';
                self.in_string = byte != b'"';
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth = 1,
                    b',' | b'}' | b']' => return (at, Some(byte)),
                    _ => {}
                }
            }
            at += 1;
        }
    }

    /// Passes bytes until no bracket is open: how many. Block by block, all of
    /// a block's bytes at once.
    fn pass_nested(&mut self, bytes: &[u8]) -> usize {
        let (blocks, rest) = bytes.as_chunks::<64>();
        for (i, block) in blocks.iter().enumerate() {
            if !self.is_escaped
                && let Some(is_odd) = odd_quotes(block)
            {
                self.in_string ^= is_odd;
            } else if let Some(len) = self.pass_block(&Block::of(block), 64) {
                return i * 64 + len;
            }
        }
        if rest.is_empty() {
            return bytes.len();
        }
        let mut last = [0; 64];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let len = self.pass_block(&Block::of(&last), rest.len());
        len.map_or(bytes.len(), |len| blocks.len() * 64 + len)
    }

    /// Passes the first `len` bytes of a block. `Some`: no bracket is open
    /// after so many of them.
    fn pass_block(&mut self, block: &Block, len: usize) -> Option<usize> {
        let mut escaped = u64::from(self.is_escaped);
        self.is_escaped = false;
        let mut backslashes = block.backslashes & !escaped;
        while backslashes != 0 {
            let at = backslashes.trailing_zeros() as usize;
            if at + 1 == len {
                self.is_escaped = true;
                break;
            }
            escaped |= 2 << at;
            backslashes &= !(3 << at);
        }
        // the parity of the quotes before and at each byte
        let mut strings = block.quotes & !escaped;
        for shift in [1, 2, 4, 8, 16, 32] {
            strings ^= strings << shift;
        }
        if self.in_string {
            strings = !strings;
        }
        let opening = block.opening & !strings;
        let mut closing = block.closing & !strings;
        let opened = u64::from(opening.count_ones());
        if u64::from(closing.count_ones()) >= self.depth {
            // one of them may be the last
            let mut closed = 0;
            while closing != 0 {
                let at = closing.trailing_zeros();
                closing &= closing - 1;
                closed += 1;
                let before = (1_u64 << at) - 1;
                if self.depth + u64::from((opening & before).count_ones()) == closed {
                    *self = Self::default();
                    return Some(at as usize + 1);
                }
            }
            self.depth = self.depth + opened - closed;
        } else {
            self.depth = self.depth + opened - u64::from(closing.count_ones());
        }
        self.in_string = strings >> (len - 1) & 1 == 1;
        None
    }
}

/// Whether there is an odd number of quotes in a block, if it has neither
/// brackets nor backslashes: half of them have none. Written so that it
/// becomes vector instructions.
fn odd_quotes(block: &[u8; 64]) -> Option<bool> {
    let (mut quotes, mut others) = (0_u8, 0_u8);
    for byte in block {
        // `{` and `[`, `}` and `]` differ in one bit, `\\` and `|` too
        let lower = *byte | 0x20;
        quotes ^= u8::from(*byte == b'"');
        others |= u8::from(lower == b'{') | u8::from(lower == b'}') | u8::from(lower == b'|');
    }
    (others == 0).then_some(quotes == 1)
}

impl Block {
    /// Written so that it becomes vector instructions.
    fn of(block: &[u8; 64]) -> Self {
        // `{` and `[`, `}` and `]` differ in one bit
        let lower = block.map(|byte| byte | 0x20);
        // a look that nearly always saves the rest
        let escapes = block
            .iter()
            .fold(0, |any, byte| any | u8::from(*byte == b'\\'));
        Self {
            quotes: places(block, b'"'),
            backslashes: if escapes == 0 {
                0
            } else {
                places(block, b'\\')
            },
            opening: places(&lower, b'{'),
            closing: places(&lower, b'}'),
        }
    }
}

/// Where a byte stands in a block: a bit for each. A byte that is one where it
/// does, then eight of them at once moved together by a product.
fn places(block: &[u8; 64], wanted: u8) -> u64 {
    let mut marks = [0_u8; 64];
    for (mark, byte) in marks.iter_mut().zip(block) {
        *mark = u8::from(*byte == wanted);
    }
    let (words, _) = marks.as_chunks::<8>();
    words.iter().rev().fold(0, |bits, word| {
        let word = u64::from_le_bytes(*word);
        bits << 8 | word.wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}
