//! Addresses of the Internet in a text: IPv4 and IPv6, with brackets, zone, port and prefix.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::{Piece, PieceKind, begins_word};

/// Longest that an address can be: eight groups, or six and an IPv4 address.
const LONGEST: usize = 45;

/// All of them, in order.
pub(super) fn addresses(text: &str) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let found = match bytes[at] {
            b'[' => bracketed(text, at),
            b':' if bytes.get(at + 1) != Some(&b':') => {
                at += 1;
                continue;
            }
            byte if is_part(byte) => bare(text, at),
            _ => None,
        };
        if let Some(piece) = found {
            at = piece.range.end;
            pieces.push(piece);
        } else if is_part(bytes[at]) {
            at = end_of(bytes, at, is_part);
        } else {
            at += 1;
        }
    }
    pieces
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b':' || byte == b'.'
}

fn end_of(bytes: &[u8], from: usize, is: impl Fn(u8) -> bool) -> usize {
    bytes[from..].iter().position(|byte| !is(*byte)).map_or(bytes.len(), |length| from + length)
}

/// An address without brackets that begins here.
fn bare(text: &str, at: usize) -> Option<Piece> {
    let bytes = text.as_bytes();
    if !begins_word(&text[..at]) || text[..at].ends_with(['_', '-']) && is_glued(text, at) {
        return None;
    }
    let run = at..end_of(bytes, at, is_part);
    let colons = text[run.clone()].bytes().filter(|byte| *byte == b':').count();
    let dots = text[run.clone()].bytes().filter(|byte| *byte == b'.').count();
    if colons < 2 && dots >= 3 { ipv4(text, run) } else { ipv6(text, run) }
}

/// A hyphen or underscore belongs to a name where a letter or digit stands before it.
fn is_glued(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches(['_', '-']);
    before.ends_with(char::is_alphabetic)
}

fn ipv4(text: &str, run: Range<usize>) -> Option<Piece> {
    let bytes = text.as_bytes();
    let digits = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let mut end = end_of(bytes, run.start, digits).min(run.end);
    while text[run.start..end].ends_with('.') {
        end -= 1;
    }
    let address: Ipv4Addr = text[run.start..end].parse().ok()?;
    if is_version(&text[..run.start]) || text[end..].starts_with('.') && glues(text, end + 1) {
        return None;
    }
    let (end, port, prefix) = suffix(text, end, 32);
    let piece = Piece {
        range: run.start..end,
        kind: PieceKind::Ip { address: IpAddr::V4(address), port, prefix },
    };
    (!glues(text, end)).then_some(piece)
}

/// "version 1.2.3.4" is no address.
fn is_version(before: &str) -> bool {
    let word = before.trim_end_matches([' ', ':']);
    let word = word.rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    ["version", "release", "ver"].iter().any(|other| other.eq_ignore_ascii_case(word))
        && before.ends_with([' ', ':'])
}

fn ipv6(text: &str, run: Range<usize>) -> Option<Piece> {
    let mut end = run.end;
    if end - run.start > LONGEST + 2 {
        return None;
    }
    // The sentence's own colon or full stop.
    while text[run.start..end].ends_with('.')
        || text[run.start..end].ends_with(':') && !text[run.start..end].ends_with("::")
        || text[run.start..end].ends_with(":::")
    {
        end -= 1;
    }
    let written = &text[run.start..end];
    let address: Ipv6Addr = written.parse().ok()?;
    let (zoned, prefix) = (zone(text, end), suffix(text, end, 128));
    let (end, prefix) = match prefix {
        (after, None, Some(prefix)) => (after, Some(prefix)),
        _ => (zoned, None),
    };
    let is_sure = written.bytes().any(|byte| byte.is_ascii_digit()) || prefix.is_some();
    let kind = PieceKind::Ip { address: IpAddr::V6(address), port: None, prefix };
    let piece = Piece { range: run.start..end, kind };
    (is_sure && !is_hardware(written) && !glues(text, end)).then_some(piece)
}

/// Eight groups of two digits are the address of a device, not of a machine in the Internet.
fn is_hardware(written: &str) -> bool {
    written.split(':').all(|group| group.len() == 2)
}

/// `[2001:db8::1]`, also with a port behind it.
fn bracketed(text: &str, at: usize) -> Option<Piece> {
    let bytes = text.as_bytes();
    let inner = at + 1;
    let close = end_of(bytes, inner, is_part).min(inner + LONGEST);
    let address: Ipv6Addr = text.get(inner..close)?.parse().ok()?;
    let end = zone(text, close);
    if !text[end..].starts_with(']') || !begins_word(&text[..at]) {
        return None;
    }
    let (after, port, prefix) = suffix(text, end + 1, 128);
    let kind = PieceKind::Ip { address: IpAddr::V6(address), port, prefix };
    (!glues(text, after)).then_some(Piece { range: at..after, kind })
}

/// Behind the zone (`%eth0`) that stands here.
fn zone(text: &str, at: usize) -> usize {
    let Some(name) = text[at..].strip_prefix('%') else { return at };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._~-".contains(c);
    let length = name.find(|c| !is_name(c)).unwrap_or(name.len());
    let length = name[..length].trim_end_matches(['.', '-']).len();
    if length == 0 { at } else { at + 1 + length }
}

/// A port or a prefix that stands here, and where it ends.
fn suffix(text: &str, at: usize, longest_prefix: u8) -> (usize, Option<u16>, Option<u8>) {
    let mark = text[at..].chars().next();
    let digits = text.get(at + 1..).unwrap_or_default();
    let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let end = at + 1 + length;
    let behind = &digits[length..];
    // "/24" is a prefix, "/24/x" a path.
    let goes_on = behind.starts_with(|c: char| c.is_alphanumeric() || c == '/')
        || behind.starts_with(['.', ':']) && behind[1..].starts_with(char::is_alphanumeric);
    match mark {
        Some(':') if !goes_on || behind.starts_with('/') => match digits[..length].parse() {
            Ok(port) if port > 0 => (end, Some(port), None),
            _ => (at, None, None),
        },
        Some('/') if !goes_on => match digits[..length].parse() {
            Ok(prefix) if prefix <= longest_prefix => (end, None, Some(prefix)),
            _ => (at, None, None),
        },
        _ => (at, None, None),
    }
}

/// Whether what stands here belongs to the same word.
fn glues(text: &str, at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '%';
    rest.starts_with(word)
        || rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(char::is_alphabetic))
}
