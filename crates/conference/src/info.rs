//! Conference documents (RFC 4575): what they tell, written, read, and checked against their content model.

pub(crate) mod read;
pub(crate) mod state;
pub(crate) mod tree;
pub(crate) mod write;

mod check;

pub use check::{Breach, check};
pub use read::{Known, Seen};
pub use tree::InfoError;

const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";
