//! Offer and answer of one audio stream (RFC 3264), hold included.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
    /// Where to send RTP. The discard port of no address where the peer gave none that is one: it is found by its
    /// packets.
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
    /// What we offered last: an answer names its own numbers, we receive by ours (RFC 3264 §6.1).
    offered: Vec<AudioFormat>,
    offered_event: Option<u8>,
    /// All streams of the last exchange, ours among them: none of them ever goes away again (RFC 3264 §8).
    streams: Vec<MediaDescription>,
    /// Which of them is ours.
    place: usize,
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
            offered: Vec::new(),
            offered_event: None,
            streams: Vec::new(),
            place: 0,
        }
    }

    /// What we want from now on: in the next offer, and at most in the next answer.
    pub fn set_direction(&mut self, direction: Direction) {
        self.direction = direction;
    }

    /// We receive elsewhere from now on: said with the next offer or answer.
    pub fn move_to(&mut self, local: LocalAudio) {
        self.local = local;
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
        self.renumber(&mut formats, &mut event);
        let mut media = self.stream(&formats, event, self.direction);
        self.offered = formats;
        self.offered_event = event;
        let mut streams = self.streams.clone();
        match streams.get_mut(self.place) {
            Some(known) => {
                media.protocol.clone_from(&known.protocol);
                *known = media;
            }
            None => streams = vec![media],
        }
        self.describe(streams, "0 0")
    }

    /// A number that the peer gave to one format may be our own of another: that one gets a free one.
    fn renumber(&self, formats: &mut [AudioFormat], event: &mut Option<u8>) {
        let Some(agreed) = &self.agreed else { return };
        let kept = agreed.receive.iter().map(|format| format.payload_type);
        let mut taken: Vec<u8> = kept.chain(agreed.telephone_event_receive).collect();
        let mut free = |wished: u8| {
            let mut dynamic = std::iter::once(wished).chain(96..128);
            let chosen = dynamic.find(|one| !taken.contains(one)).unwrap_or(wished);
            taken.push(chosen);
            chosen
        };
        for format in formats {
            if !agreed.receive.iter().any(|known| known.is_same_coding(format)) {
                format.payload_type = free(format.payload_type);
            }
        }
        if agreed.telephone_event_receive.is_none() {
            *event = event.map(free);
        }
    }

    /// Takes the answer to our last offer.
    pub fn accept_answer(&mut self, answer: &[u8]) -> Result<Agreed, SdpError> {
        let answer = SessionDescription::parse(answer)?;
        let media = answer.media.get(self.place).ok_or(SdpError::BadAnswer("no stream"))?;
        if media.kind != "audio" || media.port == 0 {
            return Err(SdpError::NothingInCommon);
        }
        let mut agreed = self.agree(&answer, media)?;
        for format in &mut agreed.receive {
            if let Some(ours) = self.offered.iter().find(|ours| ours.is_same_coding(format)) {
                format.payload_type = ours.payload_type;
            }
        }
        if agreed.telephone_event_send.is_some() {
            agreed.telephone_event_receive = self.offered_event;
        }
        if self.streams.is_empty() {
            self.streams.push(refused(media));
        }
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
            if let Ok(agreed) = self.agree(&offer, media) {
                chosen = Some((place, agreed));
                break;
            }
        }
        let (place, agreed) = chosen.ok_or(SdpError::NothingInCommon)?;
        let mut streams: Vec<MediaDescription> = offer.media.iter().map(refused).collect();
        self.streams.clone_from(&streams);
        self.place = place;
        if let Some(stream) = streams.get_mut(place) {
            let event = agreed.telephone_event_receive;
            let ours = self.stream(&agreed.receive, event, agreed.direction);
            *stream = MediaDescription { protocol: stream.protocol.clone(), ..ours };
        }
        let content = self.describe(streams, &offer.time);
        self.agreed = Some(agreed.clone());
        Ok((content, agreed))
    }

    fn agree(
        &self,
        remote: &SessionDescription,
        media: &MediaDescription,
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
        let named = remote.address_of(media);
        let address = named.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let port = if named.is_some() { media.port } else { DISCARD };
        let offered = remote.direction_of(media);
        // An unspecified address is the hold of RFC 2543; a host name is none.
        let no_address = named.is_some_and(|address| address.is_unspecified());
        let direction = offered.reversed().and(self.direction);
        let direction = if no_address { direction.and(Direction::RecvOnly) } else { direction };
        Ok(Agreed {
            remote: SocketAddr::new(address, port),
            remote_rtcp: match named {
                Some(address) => rtcp_address(media, address),
                None => SocketAddr::new(address, DISCARD),
            },
            send,
            receive,
            telephone_event_send: event,
            telephone_event_receive: event,
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

/// RFC 863: what is sent there is meant for nobody.
const DISCARD: u16 = 9;

/// The same stream with port 0.
fn refused(media: &MediaDescription) -> MediaDescription {
    MediaDescription {
        kind: media.kind.clone(),
        port: 0,
        protocol: media.protocol.clone(),
        formats: media.formats.iter().take(1).cloned().collect(),
        ..MediaDescription::default()
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
    fn streams_of_an_exchange_stay_in_every_later_offer() {
        let offer = "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n\
            m=video 7000 RTP/AVP 96 97\nm=audio 6000 RTP/AVPF 0\nm=text 8000 RTP/AVP 98\n";
        let mut ours = negotiator(4000);
        ours.answer(offer.as_bytes()).unwrap();
        let again = SessionDescription::parse(&ours.offer().body).unwrap();
        let kinds: Vec<(&str, u16)> =
            again.media.iter().map(|media| (media.kind.as_str(), media.port)).collect();
        assert_eq!(kinds, [("video", 0), ("audio", 4000), ("text", 0)]);
        assert_eq!(again.media[1].protocol, "RTP/AVPF");
        let answer = "v=0\no=- 1 2 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n\
            m=video 0 RTP/AVP 96\nm=audio 6002 RTP/AVPF 0\nm=text 0 RTP/AVP 98\n";
        let agreed = ours.accept_answer(answer.as_bytes()).unwrap();
        assert_eq!(agreed.remote.port(), 6002);
    }

    #[test]
    fn an_answer_with_other_numbers_says_how_to_send_and_ours_how_to_receive() {
        let mut ours = negotiator(4000);
        ours.offer();
        let answer = "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n\
            m=audio 6000 RTP/AVP 96 97\na=rtpmap:96 opus/48000/2\na=rtpmap:97 telephone-event/8000\n";
        let agreed = ours.accept_answer(answer.as_bytes()).unwrap();
        assert_eq!((agreed.send.payload_type, agreed.receive[0].payload_type), (96, 111));
        assert_eq!(agreed.telephone_event_send, Some(97));
        assert_eq!(agreed.telephone_event_receive, Some(101));
        let text = String::from_utf8(ours.offer().body.to_vec()).unwrap();
        assert!(text.contains("a=rtpmap:111 opus/48000/2"), "{text}");
    }

    #[test]
    fn digits_keep_the_number_of_the_peers_offer_in_ours() {
        let offer = "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n\
            m=audio 6000 RTP/AVP 101 96\na=rtpmap:101 opus/48000/2\na=rtpmap:96 telephone-event/8000\n";
        let mut ours = negotiator(4000);
        ours.answer(offer.as_bytes()).unwrap();
        ours.offer();
        let answer = offer.replace("o=- 1 1", "o=- 1 2");
        let agreed = ours.accept_answer(answer.as_bytes()).unwrap();
        assert_eq!(agreed.telephone_event_receive, Some(96));
        let only = offer.replace(" 96\n", "\n").replace("a=rtpmap:96 telephone-event/8000\n", "");
        let mut ours = negotiator(4000);
        ours.answer(only.as_bytes()).unwrap();
        let again = SessionDescription::parse(&ours.offer().body).unwrap();
        let mut numbers = again.media[0].formats.clone();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), again.media[0].formats.len(), "{numbers:?}: no number twice");
    }

    #[test]
    fn a_host_name_as_address_leaves_the_peer_to_be_found_by_its_packets() {
        let offer = b"v=0\no=- 1 1 IN IP4 a.example\ns=-\nc=IN IP4 a.example\nt=0 0\nm=audio 6000 RTP/AVP 0\n";
        let (_, agreed) = negotiator(4000).answer(offer).unwrap();
        assert!(agreed.remote.ip().is_unspecified() && !agreed.held_by_peer);
        assert_eq!(agreed.direction, Direction::SendRecv);
    }

    #[test]
    fn a_description_without_end_is_read_in_part() {
        let mut offer = String::from(
            "v=0\no=- 1 1 IN IP4 1.2.3.4\ns=-\nc=IN IP4 1.2.3.4\nt=0 0\nm=audio 6000 RTP/AVP",
        );
        for number in 0..10_000 {
            offer.push_str(&format!(" {}", number % 128));
        }
        offer.push_str(&"\na=rtpmap:300 x/8000".repeat(10_000));
        let read = SessionDescription::parse(offer.as_bytes()).unwrap();
        assert_eq!((read.media[0].formats.len(), read.media[0].attributes.len()), (64, 256));
        assert!(negotiator(4000).answer(offer.as_bytes()).is_ok());
        offer.push_str(&"\nm=audio 1 RTP/AVP 0".repeat(40));
        assert!(SessionDescription::parse(offer.as_bytes()).is_err());
    }

    #[test]
    fn what_is_written_names_the_formats_that_were_given_and_no_others() {
        let text = String::from_utf8(negotiator(4000).offer().body.to_vec()).unwrap();
        let maps: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")).collect();
        assert_eq!(
            maps,
            ["111 opus/48000/2", "0 PCMU/8000", "8 PCMA/8000", "101 telephone-event/8000"]
        );
        assert!(text.contains("m=audio 4000 RTP/AVP 111 0 8 101\r\n"), "{text}");
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
