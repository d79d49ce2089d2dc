//! What a message/cpim holds, as far as it is for all: its text (RFC 3862 §2). Who wrote it the request says, never the
//! envelope; one that is for somebody else than the request is not opened.

use sip_core::message::MediaType;
use sip_core::{AnyUri, NameAddr, Request};

/// What was found.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Opened<'a> {
    /// The type and the bytes of the content.
    Content(Option<MediaType>, &'a [u8]),
    /// It is for others, or for several.
    ForOthers,
    /// It cannot be read, or asks for what we do not know.
    Unknown,
}

/// Opens the body of a request. Line ends may be LF only, and the blank line before the MIME headers may be missing.
pub(super) fn open(request: &Request) -> Opened<'_> {
    let mut rest: &[u8] = &request.body;
    let mut kind = None;
    let mut recipients = 0;
    let mut blocks = 0;
    while blocks < 2 {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Opened::Unknown };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            blocks += if kind.is_some() { 2 } else { 1 };
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else { return Opened::Unknown };
        match name {
            "Require" => return Opened::Unknown,
            "To" | "cc" => {
                recipients += 1;
                if name == "cc" || recipients > 1 || !is_for(request, value) {
                    return Opened::ForOthers;
                }
            }
            name if name.eq_ignore_ascii_case("Content-Type") => {
                kind = Some(MediaType::parse(value.trim()));
            }
            _ => {}
        }
    }
    match kind {
        Some(None) => Opened::Unknown,
        Some(kind) => Opened::Content(kind, rest),
        None => Opened::Content(None, rest),
    }
}

/// Whether an address of the envelope is the one that the request went to.
fn is_for(request: &Request, value: &str) -> bool {
    let Ok(to) = NameAddr::parse(value) else { return false };
    let AnyUri::Sip(to) = to.uri else { return false };
    let header = request.headers.to_header().ok().and_then(|to| to.uri.as_sip().cloned());
    let known = request.uri.as_sip().into_iter().chain(&header);
    known.into_iter().any(|uri| uri.same_address(&to))
}
