//! Session descriptions and the offer/answer exchange of one audio stream (RFC 4566, RFC 3264).
//!
//! Liberal in what is read: LF line ends, unknown lines and attributes, `c=` at media level only, static payload types
//! without rtpmap, no telephone-event, RTCP anywhere.

mod negotiation;

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

pub use negotiation::{Agreed, LocalAudio, Negotiator};

/// The most streams of a description.
const MAX_MEDIA: usize = 32;
/// The most formats of a stream that are read; those that the sender likes best come first.
const MAX_FORMATS: usize = 64;
/// The most attributes of a stream, and of the session, that are read.
const MAX_ATTRIBUTES: usize = 256;

/// Why a description cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SdpError {
    /// The answer does not fit the offer.
    #[error("the answer does not fit the offer: {0}")]
    BadAnswer(&'static str),
    /// No format that both have, or no audio at all: 488.
    #[error("no audio format in common")]
    NothingInCommon,
    /// A line that cannot be read.
    #[error("the {0} line cannot be read")]
    Syntax(&'static str),
}

/// Direction of a stream (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Neither way.
    Inactive,
    /// Receive only.
    RecvOnly,
    /// Send only.
    SendOnly,
    /// Both ways.
    SendRecv,
}

impl Direction {
    /// The attribute's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::RecvOnly => "recvonly",
            Self::SendOnly => "sendonly",
            Self::SendRecv => "sendrecv",
        }
    }

    /// Whether the one who says so sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendOnly | Self::SendRecv)
    }

    /// Whether the one who says so receives.
    pub const fn receives(self) -> bool {
        matches!(self, Self::RecvOnly | Self::SendRecv)
    }

    const fn from_ways(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// What the other side may answer at most (RFC 3264 §6.1).
    pub const fn reversed(self) -> Self {
        Self::from_ways(self.receives(), self.sends())
    }

    fn and(self, other: Self) -> Self {
        Self::from_ways(self.sends() && other.sends(), self.receives() && other.receives())
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Inactive, Self::RecvOnly, Self::SendOnly, Self::SendRecv]
            .into_iter()
            .find(|direction| direction.as_str() == name)
    }
}

/// One format of audio.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AudioFormat {
    /// 0 to 127.
    pub payload_type: u8,
    /// `opus`, `PCMU`, `PCMA`, ...
    pub encoding: String,
    /// Of the RTP timestamp.
    pub clock_rate_hz: u32,
    /// Of the rtpmap line: 2 for opus always.
    pub channels: u8,
    /// Parameters, where given.
    pub fmtp: Option<String>,
}

impl AudioFormat {
    /// Whether both name the same coding, whatever the payload type.
    pub fn is_same_coding(&self, other: &Self) -> bool {
        self.encoding.eq_ignore_ascii_case(&other.encoding)
            && self.clock_rate_hz == other.clock_rate_hz
            && self.channels == other.channels
    }
}

/// One `m=` section.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MediaDescription {
    /// `audio`, `video`, ...
    pub kind: String,
    /// 0: refused.
    pub port: u16,
    /// `RTP/AVP`, ...
    pub protocol: String,
    /// What stands behind it, in order of preference.
    pub formats: Vec<String>,
    /// Its own `c=` address; `None` where it has none or one that is no address.
    pub connection: Option<IpAddr>,
    /// Attribute names and values, in order.
    pub attributes: Vec<(String, Option<String>)>,
}

impl MediaDescription {
    /// The first value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter().filter(|(key, _)| key == name);
        all.find_map(|(_, value)| value.as_deref())
    }

    /// Its direction, where it says one.
    pub fn direction(&self) -> Option<Direction> {
        self.attributes.iter().find_map(|(name, _)| Direction::parse(name))
    }

    /// Its audio formats; static payload types are known without rtpmap (RFC 3551 §6).
    pub fn audio_formats(&self) -> Vec<AudioFormat> {
        self.formats.iter().filter_map(|format| self.audio_format(format)).collect()
    }

    fn audio_format(&self, format: &str) -> Option<AudioFormat> {
        let payload_type: u8 = format.parse().ok().filter(|number| *number < 128)?;
        let of = |name: &str| {
            self.attributes.iter().filter(move |(key, _)| key == name).find_map(|(_, value)| {
                let (number, rest) = value.as_deref()?.split_once(' ')?;
                (number.trim() == format).then(|| rest.trim())
            })
        };
        let fmtp = of("fmtp").map(str::to_owned);
        if let Some(map) = of("rtpmap") {
            let mut parts = map.split('/');
            let encoding = parts.next()?.to_owned();
            let clock_rate_hz = parts.next()?.trim().parse().ok()?;
            let channels = parts.next().and_then(|count| count.trim().parse().ok()).unwrap_or(1);
            return Some(AudioFormat { payload_type, encoding, clock_rate_hz, channels, fmtp });
        }
        let encoding = match payload_type {
            0 => "PCMU",
            3 => "GSM",
            4 => "G723",
            8 => "PCMA",
            9 => "G722",
            13 => "CN",
            18 => "G729",
            _ => return None,
        };
        let encoding = encoding.to_owned();
        Some(AudioFormat { payload_type, encoding, clock_rate_hz: 8000, channels: 1, fmtp })
    }
}

/// A whole description, as far as calls need it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionDescription {
    /// The `o=` line's value.
    pub origin: String,
    /// The session's `c=` address.
    pub connection: Option<IpAddr>,
    /// The `t=` line's value.
    pub time: String,
    /// Session attributes.
    pub attributes: Vec<(String, Option<String>)>,
    /// The streams, in order.
    pub media: Vec<MediaDescription>,
}

impl SessionDescription {
    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        let text = String::from_utf8_lossy(bytes);
        let mut session = Self {
            origin: String::new(),
            connection: None,
            time: "0 0".to_owned(),
            attributes: Vec::new(),
            media: Vec::new(),
        };
        let mut version_seen = false;
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let Some((kind, value)) = line.split_once('=') else {
                return Err(SdpError::Syntax("type"));
            };
            let streams = session.media.len();
            match (kind, session.media.last_mut()) {
                ("v", _) if value.trim() == "0" => version_seen = true,
                ("v", _) => return Err(SdpError::Syntax("v=")),
                ("o", None) => value.clone_into(&mut session.origin),
                ("t", None) => value.clone_into(&mut session.time),
                ("c", None) => session.connection = parse_connection(value)?,
                ("c", Some(media)) => {
                    media.connection = media.connection.or(parse_connection(value)?)
                }
                ("a", media) => {
                    let attributes = match media {
                        Some(media) => &mut media.attributes,
                        None => &mut session.attributes,
                    };
                    if attributes.len() < MAX_ATTRIBUTES {
                        attributes.push(parse_attribute(value));
                    }
                }
                // Each has to be answered, so none can be passed over.
                ("m", _) if streams >= MAX_MEDIA => return Err(SdpError::Syntax("m=")),
                ("m", _) => session.media.push(parse_media(value)?),
                _ => {}
            }
        }
        if !version_seen || session.origin.split_whitespace().count() < 6 {
            return Err(SdpError::Syntax("v= or o="));
        }
        Ok(session)
    }

    /// The direction of a stream: its own, else the session's, else both ways.
    pub fn direction_of(&self, media: &MediaDescription) -> Direction {
        let session = || self.attributes.iter().find_map(|(name, _)| Direction::parse(name));
        media.direction().or_else(session).unwrap_or(Direction::SendRecv)
    }

    /// The address of a stream: its own, else the session's.
    pub fn address_of(&self, media: &MediaDescription) -> Option<IpAddr> {
        media.connection.or(self.connection)
    }
}

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v=0\r\no={}\r\ns=-\r\n", self.origin)?;
        if let Some(address) = self.connection {
            write!(f, "c=IN {} {address}\r\n", family(address))?;
        }
        write!(f, "t={}\r\n", self.time)?;
        write_attributes(f, &self.attributes)?;
        for media in &self.media {
            let formats = media.formats.join(" ");
            write!(f, "m={} {} {} {formats}\r\n", media.kind, media.port, media.protocol)?;
            if let Some(address) = media.connection {
                write!(f, "c=IN {} {address}\r\n", family(address))?;
            }
            write_attributes(f, &media.attributes)?;
        }
        Ok(())
    }
}

fn write_attributes(
    f: &mut fmt::Formatter<'_>,
    attributes: &[(String, Option<String>)],
) -> fmt::Result {
    for (name, value) in attributes {
        match value {
            Some(value) => write!(f, "a={name}:{value}\r\n")?,
            None => write!(f, "a={name}\r\n")?,
        }
    }
    Ok(())
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IP4" } else { "IP6" }
}

/// `IN IP4 address[/ttl]`; a host name gives none: the peer is then found by its packets.
fn parse_connection(value: &str) -> Result<Option<IpAddr>, SdpError> {
    let mut parts = value.split_whitespace();
    let (Some("IN"), Some("IP4" | "IP6"), Some(address)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err(SdpError::Syntax("c="));
    };
    Ok(address.split('/').next().and_then(|address| address.trim_matches(['[', ']']).parse().ok()))
}

fn parse_attribute(value: &str) -> (String, Option<String>) {
    match value.split_once(':') {
        Some((name, value)) => (name.trim().to_owned(), Some(value.trim().to_owned())),
        None => (value.trim().to_owned(), None),
    }
}

fn parse_media(value: &str) -> Result<MediaDescription, SdpError> {
    let mut parts = value.split_whitespace();
    let (Some(kind), Some(port), Some(protocol)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(SdpError::Syntax("m="));
    };
    let port = port.split('/').next().and_then(|port| port.parse().ok());
    Ok(MediaDescription {
        kind: kind.to_owned(),
        port: port.ok_or(SdpError::Syntax("m="))?,
        protocol: protocol.to_owned(),
        formats: parts.take(MAX_FORMATS).map(str::to_owned).collect(),
        ..MediaDescription::default()
    })
}
