//! The parts of the chat that decide nothing about who gets what: reading bodies, the form of a text on a plain phone,
//! splitting, limits, and what an answer means. The focus puts them together.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod composing;
pub(crate) mod cpim;
pub(crate) mod date;
pub(crate) mod expiry;
pub(crate) mod form;
mod html;
pub(crate) mod ids;
pub(crate) mod imdn;
pub(crate) mod limits;
mod packed;
pub(crate) mod parts;
pub(crate) mod quirks;
pub(crate) mod reads;
pub(crate) mod whole;

/// The longest text, in bytes of UTF-8 (sip-chat §3.10).
pub const MAX_TEXT: usize = 16 * 1024;
