//! Status codes and their classes as types (RFC 3261 §21).

/// A status of 100 to 699 (RFC 3261 §21).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StatusCode(u16);

impl StatusCode {
    /// 100 Trying.
    pub const TRYING: Self = Self(100);
    /// 183 Session Progress.
    pub const SESSION_PROGRESS: Self = Self(183);
    /// 180 Ringing.
    pub const RINGING: Self = Self(180);
    /// 200 OK.
    pub const OK: Self = Self(200);
    /// 202 Accepted.
    pub const ACCEPTED: Self = Self(202);
    /// 400 Bad Request.
    pub const BAD_REQUEST: Self = Self(400);
    /// 403 Forbidden.
    pub const FORBIDDEN: Self = Self(403);
    /// 401 Unauthorized.
    pub const UNAUTHORIZED: Self = Self(401);
    /// 404 Not Found.
    pub const NOT_FOUND: Self = Self(404);
    /// 405 Method Not Allowed.
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// 408 Request Timeout.
    pub const REQUEST_TIMEOUT: Self = Self(408);
    /// 406 Not Acceptable.
    pub const NOT_ACCEPTABLE: Self = Self(406);
    /// 413 Request Entity Too Large.
    pub const REQUEST_ENTITY_TOO_LARGE: Self = Self(413);
    /// 415 Unsupported Media Type.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self(415);
    /// 416 Unsupported URI Scheme.
    pub const UNSUPPORTED_URI_SCHEME: Self = Self(416);
    /// 420 Bad Extension.
    pub const BAD_EXTENSION: Self = Self(420);
    /// 422 Session Interval Too Small.
    pub const SESSION_INTERVAL_TOO_SMALL: Self = Self(422);
    /// 423 Interval Too Brief.
    pub const INTERVAL_TOO_BRIEF: Self = Self(423);
    /// 481 Call/Transaction Does Not Exist.
    pub const NO_SUCH_CALL: Self = Self(481);
    /// 469 (RFC 6086 §4.2.2)
    pub const BAD_INFO_PACKAGE: Self = Self(469);
    /// 482 Loop Detected.
    pub const LOOP_DETECTED: Self = Self(482);
    /// 483 Too Many Hops.
    pub const TOO_MANY_HOPS: Self = Self(483);
    /// 486 Busy Here.
    pub const BUSY_HERE: Self = Self(486);
    /// 487 Request Terminated.
    pub const REQUEST_TERMINATED: Self = Self(487);
    /// 488 Not Acceptable Here.
    pub const NOT_ACCEPTABLE_HERE: Self = Self(488);
    /// 489 Bad Event.
    pub const BAD_EVENT: Self = Self(489);
    /// 491 Request Pending.
    pub const REQUEST_PENDING: Self = Self(491);
    /// 500 Server Internal Error.
    pub const SERVER_INTERNAL_ERROR: Self = Self(500);
    /// 501 Not Implemented.
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// 503 Service Unavailable.
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
    /// 505 Version Not Supported.
    pub const VERSION_NOT_SUPPORTED: Self = Self(505);
    /// 513 Message Too Large.
    pub const MESSAGE_TOO_LARGE: Self = Self(513);

    /// 603 Decline.
    pub const DECLINE: Self = Self(603);

    /// Any code of 100 to 699.
    pub const fn new(code: u16) -> Option<Self> {
        if code >= 100 && code <= 699 { Some(Self(code)) } else { None }
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// 1 to 6.
    pub const fn class(self) -> u16 {
        self.0 / 100
    }

    /// Whether more responses follow.
    pub const fn is_provisional(self) -> bool {
        self.class() == 1
    }

    /// Whether it is 2xx.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// What it has to be taken for: itself where it is known, else 183 for a 1xx and x00 for those of a final class
    /// (RFC 3261 §8.1.3.2). Whoever decides by a code asks for this one; a person is told the code that came.
    pub const fn understood(self) -> Self {
        match self.0 {
            100 | 180..=183 | 199 => self,
            200 | 202 | 204 => self,
            300..=302 | 305 | 380 => self,
            400..=410 | 412..=417 | 420..=425 | 428..=430 | 433 | 436..=440 | 469 | 470 => self,
            480..=489 | 491 | 493 | 494 => self,
            500..=505 | 513 | 555 | 580 => self,
            600 | 603 | 604 | 606..=608 => self,
            code if code < 200 => Self::SESSION_PROGRESS,
            code => Self(code / 100 * 100),
        }
    }

    /// Whether a phone rings, or as good as that: 180 or 183.
    pub const fn is_ringing(self) -> bool {
        matches!(self.understood().0, 180 | 183)
    }

    /// The phrase of the RFC; for codes without one, that of the class (RFC 3261 §8.1.3.2).
    pub fn reason_phrase(self) -> &'static str {
        match self.0 {
            202 => "Accepted",
            422 => "Session Interval Too Small",
            423 => "Interval Too Brief",
            481 => "Call/Transaction Does Not Exist",
            489 => "Bad Event",
            _ => phrase(self.0),
        }
    }
}

impl std::fmt::Display for StatusCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! class {
    ($(#[$doc:meta])* $name:ident, $range:pat) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub struct $name(StatusCode);

        impl $name {
            /// `None` where the code is of another class.
            pub const fn new(code: u16) -> Option<Self> {
                match code {
                    $range => Some(Self(StatusCode(code))),
                    _ => None,
                }
            }

            /// The number.
            pub const fn code(self) -> u16 {
                self.0.0
            }
        }

        impl From<$name> for StatusCode {
            fn from(status: $name) -> Self {
                status.0
            }
        }
    };
}

class! {
    /// 100 to 199.
    Provisional, 100..=199
}
class! {
    /// 200 to 299.
    Success, 200..=299
}
class! {
    /// 300 to 699.
    Failure, 300..=699
}

impl Failure {
    /// 400 Bad Request.
    pub const BAD_REQUEST: Self = Self(StatusCode(400));
    /// 403 Forbidden.
    pub const FORBIDDEN: Self = Self(StatusCode(403));
    /// 404 Not Found.
    pub const NOT_FOUND: Self = Self(StatusCode(404));
    /// 406 Not Acceptable.
    pub const NOT_ACCEPTABLE: Self = Self(StatusCode(406));
    /// 480 Temporarily Unavailable.
    pub const TEMPORARILY_UNAVAILABLE: Self = Self(StatusCode(480));
    /// 486 Busy Here.
    pub const BUSY_HERE: Self = Self(StatusCode(486));
    /// 488 Not Acceptable Here.
    pub const NOT_ACCEPTABLE_HERE: Self = Self(StatusCode(488));
    /// 500 Server Internal Error.
    pub const SERVER_INTERNAL_ERROR: Self = Self(StatusCode(500));
    /// 603 Decline.
    pub const DECLINE: Self = Self(StatusCode(603));
}

fn phrase(code: u16) -> &'static str {
    let known = TEXTS.iter().find(|(number, _)| *number == code);
    known.map_or(
        match code / 100 {
            1 => "Progress",
            2 => "OK",
            3 => "Moved",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
        |(_, text)| text,
    )
}

/// Phrases that people see often; the others are the class's.
const TEXTS: [(u16, &str); 33] = [
    (100, "Trying"),
    (180, "Ringing"),
    (183, "Session Progress"),
    (200, "OK"),
    (302, "Moved Temporarily"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (410, "Gone"),
    (413, "Request Entity Too Large"),
    (415, "Unsupported Media Type"),
    (416, "Unsupported URI Scheme"),
    (420, "Bad Extension"),
    (480, "Temporarily Unavailable"),
    (482, "Loop Detected"),
    (483, "Too Many Hops"),
    (484, "Address Incomplete"),
    (486, "Busy Here"),
    (487, "Request Terminated"),
    (488, "Not Acceptable Here"),
    (491, "Request Pending"),
    (500, "Server Internal Error"),
    (501, "Not Implemented"),
    (503, "Service Unavailable"),
    (505, "Version Not Supported"),
    (513, "Message Too Large"),
    (600, "Busy Everywhere"),
    (603, "Decline"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_takes_its_own_codes_only() {
        assert!(Failure::new(200).is_none());
        assert!(Failure::new(700).is_none());
        assert_eq!(Failure::new(603), Some(Failure::DECLINE));
        assert!(Success::new(202).is_some());
        assert!(Provisional::new(200).is_none());
    }

    #[test]
    fn tx22_what_is_not_known_is_taken_for_its_class() {
        let taken = |code| StatusCode::new(code).unwrap().understood().code();
        for known in [100, 180, 181, 183, 202, 302, 408, 421, 486, 494, 503, 580, 603, 606] {
            assert_eq!(taken(known), known);
        }
        for (code, expected) in [
            (101, 183),
            (184, 183),
            (198, 183),
            (201, 200),
            (299, 200),
            (399, 300),
            (411, 400),
            (431, 400),
            (499, 400),
            (506, 500),
            (599, 500),
            (601, 600),
            (699, 600),
        ] {
            assert_eq!(taken(code), expected, "{code}");
        }
        let rings = |code: &u16| StatusCode::new(*code).unwrap().is_ringing();
        let ringing: Vec<u16> = (100..700).filter(rings).collect();
        assert!(!ringing.iter().any(|code| matches!(code, 100 | 181 | 182 | 199 | 200..)));
        assert_eq!(ringing.len(), 96);
    }

    #[test]
    fn every_code_has_a_phrase() {
        assert_eq!(StatusCode::NO_SUCH_CALL.reason_phrase(), "Call/Transaction Does Not Exist");
        for code in 100..=699 {
            assert!(!StatusCode::new(code).unwrap().reason_phrase().is_empty());
        }
    }
}
