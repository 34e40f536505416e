//! Pictures, as SVG: pure functions of what they show. Who has it, and where it comes
//! from, they do not know.
//!
//! Each is drawn on the server, whole, and needs no script. Colours are classes, which
//! a style sheet gives values in light and in dark; nothing is told by colour alone. The
//! marks of a picture are bounded, however much there is: what is left out is counted,
//! and said in the picture. The same picture comes of the same data, byte for byte.

mod axis;
mod bars;
mod columns;
mod frame;
#[cfg(test)]
mod tests;
mod text;
mod timeline;

pub use self::{
    bars::{Bar, Bars, MAX_BARS},
    columns::{Columns, Counted, MAX_COLUMNS},
    frame::{MAX_PARTS, Part, Words},
    timeline::{MAX_LANES, Moment, Timeline},
};
