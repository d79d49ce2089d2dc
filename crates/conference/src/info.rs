//! Conference documents (RFC 4575): written, read, and checked against their content model.

pub(crate) mod read;
pub(crate) mod write;

mod check;

pub use check::{Breach, check};
pub use read::{InfoError, Known, Seen};
