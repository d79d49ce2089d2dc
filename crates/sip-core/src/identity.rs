//! Who sent a request, and what proves it (RFC 3261 §22, RFC 3325).

use crate::{AnyUri, NameAddr, Request, Uri};

/// What is known of the sender of a request. What its From says is proven by nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Identity {
    /// A next hop that we trust says so: P-Asserted-Identity (RFC 3325). From anybody else that header counts for nothing.
    Asserted(Uri),
    /// The digest of a person with a password of his own.
    Authenticated {
        /// The name.
        username: String,
        /// Whose name it is.
        realm: String,
    },
    /// There is From, and nothing that proves it.
    #[default]
    Unverified,
}

impl Identity {
    /// What a trusted hop asserts.
    pub(crate) fn asserted(request: &Request) -> Self {
        let values = request.headers.list("P-Asserted-Identity");
        let mut sip =
            values.into_iter().filter_map(|value| match NameAddr::parse(value).ok()?.uri {
                AnyUri::Sip(uri) => Some(uri.bare()),
                AnyUri::Other(_) => None,
            });
        sip.next().map_or(Self::Unverified, Self::Asserted)
    }
}
