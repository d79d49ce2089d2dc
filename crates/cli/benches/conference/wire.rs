//! Just enough SIP text (RFC 3261 §7) to be a phone in a bench: reads a datagram into lines and body, writes answers.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// A datagram, read.
pub struct Incoming {
    head: String,
    /// What follows the empty line.
    pub body: String,
}

/// What a datagram is, by its first line.
pub enum Start<'a> {
    /// Its method.
    Request(&'a str),
    /// Its status code.
    Response(u16),
}

impl Incoming {
    /// Cuts it at the empty line.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(datagram);
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Self { head: head.to_owned(), body: body.to_owned() })
    }

    /// What it is.
    pub fn start(&self) -> Start<'_> {
        let mut words = self.head.split([' ', '\r']);
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("SIP/2.0", status) => Start::Response(status.parse().unwrap_or(0)),
            (method, _) => Start::Request(method),
        }
    }

    /// The first line, for messages to people.
    pub fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The first header of that name; compact forms are known.
    pub fn header(&self, name: &'static str) -> Option<&str> {
        self.headers(name).next()
    }

    /// Number and method of CSeq.
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The URI of the first Contact.
    pub fn contact(&self) -> Option<&str> {
        let contact = self.header("Contact")?;
        match contact.split_once('<') {
            Some((_, rest)) => rest.split('>').next(),
            None => contact.split(';').next(),
        }
    }

    /// Where the SDP body wants its audio (RFC 4566 §5.7, §5.14).
    pub fn audio(&self) -> Option<SocketAddr> {
        let line = |start: &str| self.body.lines().find_map(|line| line.strip_prefix(start));
        let address: IpAddr = line("c=IN IP4 ")?.trim().parse().ok()?;
        let port = line("m=audio ")?.split(' ').next()?.parse().ok()?;
        Some(SocketAddr::new(address, port))
    }

    /// An answer to this request: what must be copied is copied (RFC 3261 §8.2.6.2).
    pub fn answer(&self, status: &str, more: &str, body: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in self.headers(name) {
                let _ = write!(text, "{name}: {value}\r\n");
            }
        }
        let _ = write!(text, "{more}Content-Length: {}\r\n\r\n{body}", body.len());
        text
    }

    fn headers(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let compact = match name {
            "Via" => "v",
            "From" => "f",
            "To" => "t",
            "Call-ID" => "i",
            "Contact" => "m",
            _ => name,
        };
        self.head.lines().skip(1).filter_map(move |line| {
            let (field, value) = line.split_once(':')?;
            let field = field.trim();
            let ours = field.eq_ignore_ascii_case(name) || field.eq_ignore_ascii_case(compact);
            ours.then(|| value.trim())
        })
    }
}
