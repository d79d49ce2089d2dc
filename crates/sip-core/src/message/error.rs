//! What can be wrong with a message, and which answer fits.

use thiserror::Error;

use super::{Request, StatusCode};

/// The name of a header or of another part of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeaderName(pub &'static str);

impl std::fmt::Display for HeaderName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// Why bytes are not a message, or a text not a value.
#[derive(Clone, Debug, Error)]
pub enum ParseError {
    /// A request that can be answered, but not obeyed: 400 (RFC 4475 §3.1.2).
    #[error("the request's {header} cannot be read")]
    Request {
        /// What is wrong.
        header: HeaderName,
        /// As much as could be read; its headers let it be answered.
        request: Box<Request>,
    },
    /// A response with a fault: to be dropped.
    #[error("the response's {header} cannot be read")]
    Response {
        /// What is wrong.
        header: HeaderName,
    },
    /// The first line is none of SIP.
    #[error("the first line is not one of SIP")]
    StartLine,
    /// Over the limit.
    #[error("{size} bytes are more than a message may have")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// No empty line ends the headers.
    #[error("the headers do not end")]
    Truncated,
    /// A value, not a message, that cannot be read.
    #[error("not a valid {0}")]
    Value(&'static str),
    /// Another version: 505.
    #[error("a version other than SIP/2.0")]
    Version {
        /// As much as could be read.
        request: Box<Request>,
    },
}

impl ParseError {
    /// The answer that fits and the request to build it from, where one can be given.
    pub fn answer(&self) -> Option<(StatusCode, &Request)> {
        let (status, request) = match self {
            Self::Request { request, .. } => (StatusCode::BAD_REQUEST, request),
            Self::Version { request } => (StatusCode::VERSION_NOT_SUPPORTED, request),
            Self::Response { .. }
            | Self::StartLine
            | Self::TooLarge { .. }
            | Self::Truncated
            | Self::Value(_) => return None,
        };
        let headers = &request.headers;
        let answerable = headers.top_via().is_ok() && request.method != super::Method::Ack;
        answerable.then_some((status, request.as_ref()))
    }
}
