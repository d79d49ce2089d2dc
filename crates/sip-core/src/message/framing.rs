//! Messages out of a byte stream (RFC 3261 §7.5, §18.3; RFC 5626 §4.4.1).

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use super::headers::length_in;
use super::{MAX_MESSAGE, split_head};

/// Bytes of a connection, waiting to be whole messages.
#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    progress: Progress,
    /// A ping of ours is out: the next single line end is its pong.
    awaits_pong: bool,
}

/// How far the message in front was read: nothing is read again for each piece that a slow peer sends.
#[derive(Clone, Copy, Debug)]
enum Progress {
    /// No empty line in the first so many bytes.
    Head { searched: usize },
    /// Its headers say that it has so many bytes.
    Body { whole: usize },
}

impl Default for Progress {
    fn default() -> Self {
        Self::Head { searched: 0 }
    }
}

/// What a stream holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// The bytes of one message.
    Message(Bytes),
    /// A double line end: to be answered by one (RFC 5626 §4.4.1).
    Ping,
    /// A single line end that was waited for: see [`StreamFramer::await_pong`].
    Pong,
}

/// What a head says.
enum Head {
    Message { whole: usize },
    Ping,
    Pong,
}

/// A stream that can no longer be framed: the connection must be closed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FrameError {
    /// No Content-Length, or none that is a number (RFC 3261 §18.3).
    #[error("a message without a readable Content-Length on a stream")]
    NoLength,
    /// Over the limit.
    #[error("a message over {MAX_MESSAGE} bytes on a stream")]
    TooLarge,
}

impl StreamFramer {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a ping of ours is out. While it is, a line end with nothing behind it is its pong at once; else it may be
    /// half of the peer's ping and waits for the other half. Two line ends in one are the peer's ping in either case: no
    /// server answers a ping twice.
    pub fn await_pong(&mut self, awaits: bool) {
        self.awaits_pong = awaits;
        // What stood alone until then was never the half of anything: it is passed over (RFC 3261 §7.5).
        if awaits && self.buffer[..] == *b"\r\n" {
            self.buffer.clear();
        }
    }

    /// The next frame; `None` until more bytes come.
    pub fn next_frame(&mut self) -> Option<Result<Frame, FrameError>> {
        let whole = match self.progress {
            Progress::Body { whole } => whole,
            Progress::Head { searched } => match self.read_head(searched)? {
                Ok(Head::Ping) => return Some(Ok(Frame::Ping)),
                Ok(Head::Pong) => return Some(Ok(Frame::Pong)),
                Ok(Head::Message { whole }) => whole,
                Err(error) => return Some(Err(error)),
            },
        };
        if self.buffer.len() < whole {
            self.progress = Progress::Body { whole };
            return None;
        }
        self.progress = Progress::default();
        Some(Ok(Frame::Message(self.buffer.split_to(whole).freeze())))
    }

    fn read_head(&mut self, searched: usize) -> Option<Result<Head, FrameError>> {
        loop {
            if self.buffer.starts_with(b"\r\n\r\n") {
                self.buffer.advance(4);
                return Some(Ok(Head::Ping));
            }
            // A single line end is a pong or padding; half of a ping waits for its other half.
            if self.buffer.starts_with(b"\r\n") && (self.buffer.len() > 2 || self.awaits_pong) {
                if self.buffer.len() == 3 && self.buffer[2] == b'\r' {
                    return None;
                }
                self.buffer.advance(2);
                if std::mem::take(&mut self.awaits_pong) {
                    return Some(Ok(Head::Pong));
                }
            } else if self.buffer.starts_with(b"\n") {
                self.buffer.advance(1);
            } else {
                break;
            }
        }
        if self.buffer.is_empty() || b"\r\n".starts_with(&self.buffer[..]) {
            return None;
        }
        let Some((_, body)) = split_head(&self.buffer[searched..]) else {
            // The empty line may have begun in the last bytes.
            let searched = self.buffer.len().saturating_sub(3);
            self.progress = Progress::Head { searched };
            return (self.buffer.len() > MAX_MESSAGE).then_some(Err(FrameError::TooLarge));
        };
        let start = self.buffer.len() - body.len();
        let head = &self.buffer[..start];
        let length = match length_in(head) {
            Ok(Some(length)) => length,
            Ok(None) | Err(_) => return Some(Err(FrameError::NoLength)),
        };
        if length > MAX_MESSAGE || start + length > MAX_MESSAGE {
            return Some(Err(FrameError::TooLarge));
        }
        Some(Ok(Head::Message { whole: start + length }))
    }

    /// The headers of the message that could not be framed, with their empty line: enough to refuse it. `None` where
    /// they do not end or are over the limit themselves.
    pub fn head(&self) -> Option<&[u8]> {
        let (_, body) = split_head(&self.buffer)?;
        let start = self.buffer.len() - body.len();
        (start <= MAX_MESSAGE).then(|| &self.buffer[..start])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nl: 3\r\n\r\nabc";

    fn frames(framer: &mut StreamFramer) -> Vec<Frame> {
        std::iter::from_fn(|| framer.next_frame()).map(Result::unwrap).collect()
    }

    #[test]
    fn two_messages_in_one_piece_and_one_in_single_bytes() {
        let mut framer = StreamFramer::default();
        framer.push(&[TEXT, TEXT].concat());
        assert_eq!(frames(&mut framer).len(), 2);
        for byte in TEXT {
            assert_eq!(framer.next_frame(), None);
            framer.push(&[*byte]);
        }
        assert_eq!(frames(&mut framer), [Frame::Message(Bytes::from_static(TEXT))]);
    }

    #[test]
    fn pings_are_seen_and_single_line_ends_passed_over() {
        let mut framer = StreamFramer::default();
        framer.push(b"\r\n\r\n");
        assert_eq!(frames(&mut framer), [Frame::Ping]);
        framer.push(b"\r\n");
        assert_eq!(frames(&mut framer), []);
        framer.push(TEXT);
        assert_eq!(frames(&mut framer).len(), 1);
    }

    #[test]
    fn tp11_a_pong_is_told_from_half_a_ping_by_whether_it_is_awaited() {
        let asked = |pieces: &[&[u8]]| {
            let mut framer = StreamFramer::default();
            framer.await_pong(true);
            let mut found = Vec::new();
            for piece in pieces {
                framer.push(piece);
                found.extend(frames(&mut framer));
            }
            found
        };
        assert_eq!(asked(&[b"\r\n"]), [Frame::Pong]);
        assert_eq!(asked(&[b"\r", b"\n"]), [Frame::Pong]);
        assert_eq!(asked(&[b"\r\n\r\n"]), [Frame::Ping]);
        assert_eq!(asked(&[b"\r\n\r\n\r\n"]), [Frame::Ping, Frame::Pong]);
        let message = Frame::Message(Bytes::from_static(TEXT));
        assert_eq!(asked(&[b"\r\n", TEXT]), [Frame::Pong, message.clone()]);
        assert_eq!(asked(&[TEXT, b"\r\n"]), [message, Frame::Pong]);
        // One ping has one pong; what comes without having been asked for waits, and is not kept for the next ping.
        assert_eq!(asked(&[b"\r\n", b"\r\n"]), [Frame::Pong]);
        let mut framer = StreamFramer::default();
        framer.push(b"\r\n");
        assert_eq!(frames(&mut framer), []);
        framer.await_pong(true);
        assert_eq!(frames(&mut framer), []);
        framer.push(b"\r\n");
        assert_eq!(frames(&mut framer), [Frame::Pong]);
    }

    #[test]
    fn a_long_head_and_body_in_single_bytes_are_read_once() {
        let text =
            format!("OPTIONS sip:a@b SIP/2.0\r\n{}l: 9000\r\n\r\n", "a:b\r\n".repeat(10_000));
        let mut framer = StreamFramer::default();
        for byte in text.bytes().chain([b'x'; 9000]) {
            assert_eq!(framer.next_frame(), None);
            framer.push(&[byte]);
        }
        let Some(Ok(Frame::Message(message))) = framer.next_frame() else { panic!() };
        assert_eq!(message.len(), text.len() + 9000);
    }

    #[test]
    fn a_stream_without_length_or_beyond_the_limit_cannot_go_on() {
        let mut framer = StreamFramer::default();
        framer.push(b"OPTIONS sip:a@b SIP/2.0\r\nA: 3\r\n\r\n");
        assert_eq!(framer.next_frame(), Some(Err(FrameError::NoLength)));
        let mut framer = StreamFramer::default();
        framer.push(b"OPTIONS sip:a@b SIP/2.0\r\nl: 99999\r\n\r\n");
        assert_eq!(framer.next_frame(), Some(Err(FrameError::TooLarge)));
    }
}
