//! Offer and answer of one audio stream (RFC 3264), hold included.

use std::net::{IpAddr, SocketAddr};

use super::{AudioFormat, Direction, MediaDescription, SdpError, SessionDescription};
use crate::Content;

/// What we have to offer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalAudio {
    /// Where we receive.
    pub address: IpAddr,
    /// RTP.
    pub rtp_port: u16,
    /// RTCP.
    pub rtcp_port: u16,
    /// In order of preference.
    pub formats: Vec<AudioFormat>,
    /// Payload type of telephone-event/8000 in our offers (RFC 4733).
    pub telephone_event: Option<u8>,
    /// Milliseconds of audio in one packet.
    pub ptime_ms: u8,
}

/// What both sides agreed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Agreed {
    /// Where to send RTP.
    pub remote: SocketAddr,
    /// Where to send RTCP.
    pub remote_rtcp: SocketAddr,
    /// How to send.
    pub send: AudioFormat,
    /// What may come.
    pub receive: Vec<AudioFormat>,
    /// Payload type of digits that we send.
    pub telephone_event_send: Option<u8>,
    /// Payload type of digits that we may get.
    pub telephone_event_receive: Option<u8>,
    /// From our side.
    pub direction: Direction,
    /// Whether the peer put us on hold (RFC 3264 §8.4, or `c=0.0.0.0`).
    pub held_by_peer: bool,
    /// Milliseconds of audio in the packets that the peer wants.
    pub ptime_ms: u8,
}

/// Our side of one stream through all of its exchanges.
#[derive(Clone, Debug)]
pub struct Negotiator {
    local: LocalAudio,
    session_id: u64,
    version: u64,
    direction: Direction,
    last: Option<String>,
    agreed: Option<Agreed>,
}

impl Negotiator {
    /// Nothing exchanged yet. `session_id` is random and below 2^63.
    pub fn new(local: LocalAudio, session_id: u64) -> Self {
        let session_id = session_id & (u64::MAX >> 1);
        Self {
            local,
            session_id,
            version: session_id,
            direction: Direction::SendRecv,
            last: None,
            agreed: None,
        }
    }

    /// What we want from now on: in the next offer, and at most in the next answer.
    pub fn set_direction(&mut self, direction: Direction) {
        self.direction = direction;
    }

    /// What is agreed on at present.
    pub fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// An offer with all we have. Payload types that were agreed on stay (RFC 3264 §8.3.2).
    pub fn offer(&mut self) -> Content {
        let mut formats = self.local.formats.clone();
        let mut event = self.local.telephone_event;
        if let Some(agreed) = &self.agreed {
            for format in &mut formats {
                let known = agreed.receive.iter().find(|known| known.is_same_coding(format));
                if let Some(known) = known {
                    format.payload_type = known.payload_type;
                }
            }
            event = agreed.telephone_event_receive.or(event);
        }
        let media = self.stream(&formats, event, self.direction);
        self.describe(vec![media], "0 0")
    }

    /// Takes the answer to our last offer.
    pub fn accept_answer(&mut self, answer: &[u8]) -> Result<Agreed, SdpError> {
        let answer = SessionDescription::parse(answer)?;
        let media = answer.media.first().ok_or(SdpError::BadAnswer("no stream"))?;
        if media.kind != "audio" || media.port == 0 {
            return Err(SdpError::NothingInCommon);
        }
        let agreed = self.agree(&answer, media, self.local.telephone_event)?;
        self.agreed = Some(agreed.clone());
        Ok(agreed)
    }

    /// Answers an offer: the first audio stream we can use, all others refused with port 0 (RFC 3264 §6).
    pub fn answer(&mut self, offer: &[u8]) -> Result<(Content, Agreed), SdpError> {
        let offer = SessionDescription::parse(offer)?;
        let usable = |media: &MediaDescription| {
            let plain = matches!(media.protocol.as_str(), "RTP/AVP" | "RTP/AVPF");
            media.kind == "audio" && media.port != 0 && plain
        };
        let mut chosen = None;
        for (place, media) in offer.media.iter().enumerate().filter(|(_, media)| usable(media)) {
            if let Ok(agreed) = self.agree(&offer, media, None) {
                chosen = Some((place, agreed));
                break;
            }
        }
        let (place, agreed) = chosen.ok_or(SdpError::NothingInCommon)?;
        let streams = offer.media.iter().enumerate().map(|(at, media)| {
            if at == place {
                let mut stream =
                    self.stream(&agreed.receive, agreed.telephone_event_receive, agreed.direction);
                stream.protocol.clone_from(&media.protocol);
                stream
            } else {
                MediaDescription {
                    kind: media.kind.clone(),
                    port: 0,
                    protocol: media.protocol.clone(),
                    formats: media.formats.iter().take(1).cloned().collect(),
                    ..MediaDescription::default()
                }
            }
        });
        let streams = streams.collect();
        let content = self.describe(streams, &offer.time);
        self.agreed = Some(agreed.clone());
        Ok((content, agreed))
    }

    fn agree(
        &self,
        remote: &SessionDescription,
        media: &MediaDescription,
        own_event: Option<u8>,
    ) -> Result<Agreed, SdpError> {
        let theirs = media.audio_formats();
        let mut receive = Vec::new();
        // Their order: the first both know is what they want most.
        for format in &theirs {
            if let Some(ours) = self.local.formats.iter().find(|ours| ours.is_same_coding(format)) {
                receive.push(AudioFormat { fmtp: ours.fmtp.clone(), ..format.clone() });
            }
        }
        let wanted = receive.first().ok_or(SdpError::NothingInCommon)?;
        let send = theirs.iter().find(|format| format.payload_type == wanted.payload_type);
        let send = send.cloned().ok_or(SdpError::NothingInCommon)?;
        let event = theirs.iter().find(|format| {
            format.encoding.eq_ignore_ascii_case("telephone-event") && format.clock_rate_hz == 8000
        });
        let event = event.map(|format| format.payload_type);
        let event = event.filter(|_| self.local.telephone_event.is_some());
        let address = remote.address_of(media).ok_or(SdpError::Syntax("c="))?;
        let offered = remote.direction_of(media);
        let no_address = address.is_unspecified();
        let direction = offered.reversed().and(self.direction);
        let direction = if no_address { direction.and(Direction::RecvOnly) } else { direction };
        Ok(Agreed {
            remote: SocketAddr::new(address, media.port),
            remote_rtcp: rtcp_address(media, address),
            send,
            receive,
            telephone_event_send: event,
            telephone_event_receive: event.and(own_event.or(event)),
            direction,
            held_by_peer: no_address || !offered.receives(),
            ptime_ms: media.attribute("ptime").and_then(ptime).unwrap_or(self.local.ptime_ms),
        })
    }

    fn stream(
        &self,
        formats: &[AudioFormat],
        event: Option<u8>,
        direction: Direction,
    ) -> MediaDescription {
        let mut media = MediaDescription {
            kind: "audio".to_owned(),
            port: self.local.rtp_port,
            protocol: "RTP/AVP".to_owned(),
            formats: formats.iter().map(|format| format.payload_type.to_string()).collect(),
            ..MediaDescription::default()
        };
        let mut push =
            |name: &str, value: String| media.attributes.push((name.to_owned(), Some(value)));
        for format in formats {
            let channels =
                if format.channels > 1 { format!("/{}", format.channels) } else { String::new() };
            let (number, name) = (format.payload_type, &format.encoding);
            push("rtpmap", format!("{number} {name}/{}{channels}", format.clock_rate_hz));
            if let Some(fmtp) = &format.fmtp {
                push("fmtp", format!("{number} {fmtp}"));
            }
        }
        if let Some(number) = event {
            push("rtpmap", format!("{number} telephone-event/8000"));
            push("fmtp", format!("{number} 0-15"));
        }
        push("ptime", self.local.ptime_ms.to_string());
        if self.local.rtcp_port != self.local.rtp_port.wrapping_add(1) {
            push("rtcp", self.local.rtcp_port.to_string());
        }
        if let Some(number) = event {
            media.formats.push(number.to_string());
        }
        media.attributes.push((direction.as_str().to_owned(), None));
        media
    }

    /// The version grows by one when anything changed, and only then (RFC 3264 §8).
    fn describe(&mut self, media: Vec<MediaDescription>, time: &str) -> Content {
        let mut description = SessionDescription {
            origin: String::new(),
            connection: Some(self.local.address),
            time: time.to_owned(),
            attributes: Vec::new(),
            media,
        };
        let body = description.to_string();
        if self.last.as_ref().is_some_and(|last| *last != body) {
            self.version += 1;
        }
        self.last = Some(body);
        let address = self.local.address;
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        description.origin =
            format!("- {} {} IN {family} {address}", self.session_id, self.version);
        Content::sdp(description.to_string())
    }
}

/// `a=rtcp:port [IN IP4 address]` (RFC 3605), else the port above.
fn rtcp_address(media: &MediaDescription, address: IpAddr) -> SocketAddr {
    let above = SocketAddr::new(address, media.port.saturating_add(1));
    let Some(value) = media.attribute("rtcp") else { return above };
    let mut parts = value.split_whitespace();
    let Some(port) = parts.next().and_then(|port| port.parse().ok()) else { return above };
    let own = parts.nth(2).and_then(|address| address.parse().ok());
    SocketAddr::new(own.unwrap_or(address), port)
}

fn ptime(value: &str) -> Option<u8> {
    value.trim().parse().ok().filter(|ms| (10..=60).contains(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(payload_type: u8, encoding: &str, clock_rate_hz: u32, channels: u8) -> AudioFormat {
        AudioFormat { payload_type, encoding: encoding.into(), clock_rate_hz, channels, fmtp: None }
    }

    fn negotiator(port: u16) -> Negotiator {
        let formats = vec![
            format(111, "opus", 48_000, 2),
            format(0, "PCMU", 8000, 1),
            format(8, "PCMA", 8000, 1),
        ];
        let local = LocalAudio {
            address: "192.0.2.1".parse().unwrap(),
            rtp_port: port,
            rtcp_port: port + 1,
            formats,
            telephone_event: Some(101),
            ptime_ms: 20,
        };
        Negotiator::new(local, 7)
    }

    #[test]
    fn two_of_us_agree_on_the_first_format_and_both_directions() {
        let (mut one, mut two) = (negotiator(4000), negotiator(5000));
        let (answer, theirs) = two.answer(&one.offer().body).unwrap();
        let ours = one.accept_answer(&answer.body).unwrap();
        assert_eq!((ours.send.encoding.as_str(), ours.remote.port()), ("opus", 5000));
        assert_eq!((theirs.send.payload_type, theirs.remote.port()), (111, 4000));
        assert_eq!(ours.direction, Direction::SendRecv);
        assert_eq!(theirs.telephone_event_send, Some(101));
    }

    #[test]
    fn a_phone_with_media_level_address_static_types_and_other_streams_is_answered() {
        let offer = "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nt=5 6\nm=video 7000 RTP/AVP 96\n\
            m=audio 6000 RTP/AVP 18 8 96\nc=IN IP4 192.0.2.9\na=rtpmap:96 telephone-event/8000\na=rtcp:6005\n";
        let (answer, agreed) = negotiator(4000).answer(offer.as_bytes()).unwrap();
        assert_eq!(agreed.send.encoding, "PCMA");
        assert_eq!(agreed.remote, "192.0.2.9:6000".parse().unwrap());
        assert_eq!(agreed.remote_rtcp.port(), 6005);
        let answer = SessionDescription::parse(&answer.body).unwrap();
        assert_eq!((answer.media[0].port, answer.media[1].port), (0, 4000));
        assert_eq!(answer.media[1].formats, ["8", "96"]);
        assert_eq!(answer.time, "5 6");
    }

    #[test]
    fn hold_is_seen_in_each_of_its_forms_and_answered_as_the_table_says() {
        for (line, ours, held) in [
            ("a=sendonly", Direction::RecvOnly, true),
            ("a=inactive", Direction::Inactive, true),
            ("a=recvonly", Direction::SendOnly, false),
            ("a=sendrecv", Direction::SendRecv, false),
        ] {
            let offer = format!(
                "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n{line}\r\n"
            );
            let (answer, agreed) = negotiator(4000).answer(offer.as_bytes()).unwrap();
            assert_eq!((agreed.direction, agreed.held_by_peer), (ours, held), "{line}");
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(text.contains(&format!("a={}\r\n", ours.as_str())));
        }
        let old = b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n";
        let (_, agreed) = negotiator(4000).answer(old).unwrap();
        assert!(agreed.held_by_peer && !agreed.direction.sends());
    }

    #[test]
    fn the_version_grows_only_when_something_changed() {
        let mut one = negotiator(4000);
        let first = one.offer();
        assert_eq!(one.offer(), first);
        one.set_direction(Direction::SendOnly);
        let held = String::from_utf8(one.offer().body.to_vec()).unwrap();
        assert!(held.contains("o=- 7 8 IN"), "{held}");
    }

    #[test]
    fn nothing_in_common_is_an_error_of_its_own() {
        let offer = b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=audio 6000 RTP/AVP 18\r\n";
        assert_eq!(negotiator(1).answer(offer).unwrap_err(), SdpError::NothingInCommon);
        assert!(matches!(negotiator(1).answer(b"hello"), Err(SdpError::Syntax(_))));
    }

    #[test]
    fn ipv6_is_written_without_brackets() {
        let mut one = negotiator(4000);
        one.local.address = "2001:db8::1".parse().unwrap();
        let offer = one.offer();
        assert!(String::from_utf8_lossy(&offer.body).contains("c=IN IP6 2001:db8::1\r\n"));
        let (_, agreed) = negotiator(2).answer(&offer.body).unwrap();
        assert_eq!(agreed.remote, "[2001:db8::1]:4000".parse().unwrap());
    }
}
