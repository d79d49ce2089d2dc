//! The calls of the endpoint: their typed keys, their offers and answers, and their legs in the mix.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::prompts;
use media::io::{LegConfig, LegId, LegUpdate, Session as Sound, Sockets};
use media::{CodecKind, formats};
use rand::RngCore;
use sip_core::sdp::{Agreed, AudioFormat, Direction, LocalAudio, Negotiator, SdpError};
use sip_core::{AwaitingAck, CallKey, Confirmed, Content, Early, Incoming};

const TELEPHONE_EVENT: u8 = 101;
const PTIME_MS: u8 = 20;

/// Where a call is, with the key that phase allows.
#[derive(Debug)]
pub(crate) enum Key {
    AwaitingAck(AwaitingAck),
    Confirmed(Confirmed),
    Early(Early),
    Incoming(Incoming),
}

/// How a phone sends the keys that are pressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DigitWay {
    /// By INFO.
    Info,
    /// In its audio (RFC 4733).
    Media,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    /// `None` only while an act has it.
    pub(crate) key: Option<Key>,
    /// The offer of their INVITE; empty where it had none.
    pub(crate) offer: Vec<u8>,
    /// Our address towards the peer.
    pub(crate) local: IpAddr,
    negotiator: Option<Negotiator>,
    sockets: Option<Sockets>,
    leg: Option<LegId>,
    in_mix: bool,
    muted: bool,
    gain_db: f32,
    /// We hold the call, and whether we did before the offer that is out.
    on_hold: bool,
    before_hold: bool,
    digits: Option<DigitWay>,
    /// Payload type of the keys that we press; `None`: the other takes none.
    keys: Option<u8>,
    /// What its sound comes under.
    source: Option<u32>,
    /// The user was told that it wanted an emergency service called.
    pub(crate) warned: bool,
}

/// All calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: BTreeMap<CallKey, Call>,
}

impl Calls {
    pub(crate) fn insert(
        &mut self,
        id: CallKey,
        key: Key,
        local: IpAddr,
        offer: Vec<u8>,
    ) -> &mut Call {
        let call = Call {
            key: Some(key),
            offer,
            local,
            negotiator: None,
            sockets: None,
            leg: None,
            in_mix: false,
            muted: false,
            gain_db: 0.0,
            on_hold: false,
            before_hold: false,
            digits: None,
            keys: None,
            source: None,
            warned: false,
        };
        self.calls.entry(id).insert_entry(call).into_mut()
    }

    pub(crate) fn get_mut(&mut self, id: CallKey) -> Option<&mut Call> {
        self.calls.get_mut(&id)
    }

    pub(crate) fn confirmed(&self, id: CallKey) -> Option<&Confirmed> {
        match self.calls.get(&id)?.key.as_ref()? {
            Key::Confirmed(confirmed) => Some(confirmed),
            Key::AwaitingAck(_) | Key::Early(_) | Key::Incoming(_) => None,
        }
    }

    pub(crate) fn take_key(&mut self, id: CallKey) -> Option<Key> {
        self.calls.get_mut(&id)?.key.take()
    }

    pub(crate) fn set_key(&mut self, id: CallKey, key: Key) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.key = Some(key);
        }
    }

    /// The call is over: its leg goes with it.
    pub(crate) fn remove(&mut self, id: CallKey, sound: Option<&mut Sound>) {
        if let Some(call) = self.calls.remove(&id)
            && let (Some(leg), Some(sound)) = (call.leg, sound)
        {
            sound.remove_leg(leg);
        }
    }

    /// The leg of each call.
    pub(crate) fn legs(&self) -> impl Iterator<Item = (CallKey, LegId)> + '_ {
        self.calls.iter().filter_map(|(id, call)| call.leg.map(|leg| (*id, leg)))
    }

    /// Calls whose sound comes under an SSRC that is new.
    pub(crate) fn new_sources(&mut self, sound: &Sound) -> Vec<(CallKey, u32)> {
        let mut all = Vec::new();
        for (id, call) in &mut self.calls {
            let heard = call.leg.and_then(|leg| sound.stats(leg)).and_then(|stats| stats.ssrc);
            if let Some(ssrc) = heard.filter(|ssrc| call.source != Some(*ssrc)) {
                call.source = Some(ssrc);
                all.push((*id, ssrc));
            }
        }
        all
    }

    /// Whether a key that was pressed counts: some phones send each both ways, the first way is theirs.
    pub(crate) fn takes_digit(&mut self, id: CallKey, way: DigitWay) -> bool {
        let call = self.calls.get_mut(&id);
        call.is_some_and(|call| *call.digits.get_or_insert(way) == way)
    }

    /// Plays a recording to who is not in the mix.
    pub(crate) fn play(
        &mut self,
        id: CallKey,
        prompt: conference::Prompt,
        sound: Option<&mut Sound>,
    ) {
        let leg = self.calls.get(&id).and_then(|call| call.leg);
        if let (Some(leg), Some(sound)) = (leg, sound) {
            sound.play(leg, prompts::samples(prompt));
        }
    }

    /// Presses keys (RFC 4733).
    pub(crate) fn press(&mut self, id: CallKey, keys: &str, sound: Option<&mut Sound>) -> Pressed {
        let call = self.calls.get(&id);
        let (Some(call), Some(sound)) = (call, sound) else { return Pressed::NotYet };
        match (call.leg, call.keys) {
            (Some(leg), Some(payload_type)) => {
                sound.press(leg, keys, payload_type);
                Pressed::Yes
            }
            (Some(_), None) => Pressed::Never,
            (None, _) => Pressed::NotYet,
        }
    }

    /// Keys of all calls.
    pub(crate) fn ids(&self) -> Vec<CallKey> {
        self.calls.keys().copied().collect()
    }

    /// Part of the conference, or not any more.
    pub(crate) fn connect(&mut self, id: CallKey, connected: bool, sound: Option<&mut Sound>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.in_mix = connected;
        if let (Some(leg), Some(sound)) = (call.leg, sound) {
            sound.connect(leg, connected);
        }
    }

    /// Its voice is taken away, or given back.
    pub(crate) fn mute(&mut self, id: CallKey, on: bool, sound: Option<&mut Sound>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.muted = on;
        if let (Some(leg), Some(sound)) = (call.leg, sound) {
            sound.mute_leg(leg, on);
        }
    }

    /// It is louder or softer for everybody.
    pub(crate) fn set_volume(&mut self, id: CallKey, gain_db: f32, sound: Option<&mut Sound>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.gain_db = gain_db;
        if let (Some(leg), Some(sound)) = (call.leg, sound) {
            sound.set_volume(leg, gain_db);
        }
    }
}

/// Whether keys could be pressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pressed {
    /// The other takes none.
    Never,
    /// Nothing was agreed yet.
    NotYet,
    /// They go out.
    Yes,
}

/// Sockets on that address, and an offer made of them: for a call we make.
pub(crate) fn first_offer(
    local: IpAddr,
    rng: &mut dyn RngCore,
) -> std::io::Result<(Negotiator, Sockets, Content)> {
    let sockets = Sockets::bind(local)?;
    let mut negotiator = Negotiator::new(local_audio(local, &sockets), rng.next_u64());
    let offer = negotiator.offer();
    Ok((negotiator, sockets, offer))
}

impl Call {
    /// What [`first_offer`] made belongs to this call.
    pub(crate) fn offered(&mut self, negotiator: Negotiator, sockets: Sockets) {
        self.negotiator = Some(negotiator);
        self.sockets = Some(sockets);
    }

    /// The SDP for our 2xx: an answer, or an offer where they made none.
    pub(crate) fn answer(
        &mut self,
        rng: &mut dyn RngCore,
    ) -> Result<(Content, Option<Agreed>), SdpError> {
        let sockets = Sockets::bind(self.local).map_err(|_| SdpError::NothingInCommon)?;
        let mut negotiator = Negotiator::new(local_audio(self.local, &sockets), rng.next_u64());
        let made = if self.offer.is_empty() {
            (negotiator.offer(), None)
        } else {
            let (content, agreed) = negotiator.answer(&self.offer)?;
            (content, Some(agreed))
        };
        self.offered(negotiator, sockets);
        Ok(made)
    }

    /// Their answer to our offer.
    pub(crate) fn take_answer(&mut self, answer: &[u8]) -> Result<Agreed, SdpError> {
        let negotiator =
            self.negotiator.as_mut().ok_or(SdpError::BadAnswer("nothing was offered"))?;
        negotiator.accept_answer(answer)
    }

    /// A re-INVITE: our answer, or our offer where it has none.
    pub(crate) fn answer_again(
        &mut self,
        offer: &[u8],
    ) -> Result<(Content, Option<Agreed>), SdpError> {
        let negotiator = self.negotiator.as_mut().ok_or(SdpError::NothingInCommon)?;
        if offer.is_empty() {
            return Ok((negotiator.offer(), None));
        }
        let (content, agreed) = negotiator.answer(offer)?;
        Ok((content, Some(agreed)))
    }

    /// The session offered anew: with neither direction, or with both.
    pub(crate) fn offer_again(&mut self, on_hold: bool) -> Option<Content> {
        let negotiator = self.negotiator.as_mut()?;
        negotiator.set_direction(if on_hold { Direction::Inactive } else { Direction::SendRecv });
        self.before_hold = std::mem::replace(&mut self.on_hold, on_hold);
        Some(negotiator.offer())
    }

    /// That offer came to nothing.
    pub(crate) fn not_offered(&mut self) {
        self.on_hold = self.before_hold;
        let direction = if self.on_hold { Direction::Inactive } else { Direction::SendRecv };
        if let Some(negotiator) = &mut self.negotiator {
            negotiator.set_direction(direction);
        }
    }

    /// Our address towards the peer is another one: sockets on it, and an offer that says so. They take the place of the
    /// old ones once there is an answer; the peer may hear us from the old ones as long as they live.
    pub(crate) fn move_to(&mut self, local: IpAddr) -> std::io::Result<Option<Content>> {
        self.local = local;
        let Some(negotiator) = self.negotiator.as_mut() else { return Ok(None) };
        let sockets = Sockets::bind(local)?;
        negotiator.move_to(local_audio(local, &sockets));
        self.sockets = Some(sockets);
        Ok(Some(negotiator.offer()))
    }

    /// Starts the leg, or changes it, as agreed.
    pub(crate) fn run(&mut self, agreed: &Agreed, sound: &mut Sound, cname: &str) {
        let Some(send) = codec(&agreed.send).map(|kind| (kind, agreed.send.payload_type)) else {
            return;
        };
        let receive: Vec<(u8, CodecKind)> = agreed
            .receive
            .iter()
            .filter_map(|format| codec(format).map(|kind| (format.payload_type, kind)))
            .collect();
        self.keys = agreed.telephone_event_send;
        let (sending, receiving) = (agreed.direction.sends(), agreed.direction.receives());
        let opus = media::opus::Settings::of_fmtp(agreed.send.fmtp.as_deref());
        if let Some(leg) = self.leg.filter(|_| self.sockets.is_none()) {
            let update = LegUpdate {
                remote: agreed.remote,
                remote_rtcp: agreed.remote_rtcp,
                send,
                receive,
                telephone_event: agreed.telephone_event_receive,
                ptime_ms: agreed.ptime_ms,
                sending,
                receiving,
                opus,
            };
            sound.update_leg(leg, update);
            return;
        }
        let Some(sockets) = self.sockets.take() else { return };
        if let Some(old) = self.leg.take() {
            sound.remove_leg(old);
        }
        let config = LegConfig {
            sockets,
            remote: agreed.remote,
            remote_rtcp: agreed.remote_rtcp,
            send,
            receive,
            telephone_event: agreed.telephone_event_receive,
            ptime_ms: agreed.ptime_ms,
            sending,
            receiving,
            opus,
            cname: cname.to_owned(),
        };
        let leg = sound.add_leg(config);
        self.leg = Some(leg);
        sound.mute_leg(leg, self.muted);
        sound.set_volume(leg, self.gain_db);
        if self.in_mix {
            sound.connect(leg, true);
        }
    }
}

fn local_audio(address: IpAddr, sockets: &Sockets) -> LocalAudio {
    audio_at(address, sockets.rtp_port(), sockets.rtcp_port())
}

/// All that can be encoded and decoded.
fn audio_at(address: IpAddr, rtp_port: u16, rtcp_port: u16) -> LocalAudio {
    let formats = formats().iter().map(|format| AudioFormat {
        payload_type: format.payload_type,
        encoding: format.encoding.to_owned(),
        clock_rate_hz: format.clock_rate_hz,
        channels: format.channels,
        fmtp: format.fmtp.map(str::to_owned),
    });
    LocalAudio {
        address,
        rtp_port,
        rtcp_port,
        formats: formats.collect(),
        telephone_event: Some(TELEPHONE_EVENT),
        ptime_ms: PTIME_MS,
    }
}

fn codec(format: &AudioFormat) -> Option<CodecKind> {
    CodecKind::of_encoding(&format.encoding, format.clock_rate_hz)
}

/// Whether the peer holds us.
pub(crate) fn media_state(agreed: &Agreed) -> conference::MediaState {
    if agreed.held_by_peer || agreed.direction == Direction::Inactive {
        conference::MediaState::HeldByPeer
    } else {
        conference::MediaState::Active
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use sip_core::sdp::SessionDescription;

    use super::*;

    #[test]
    fn an_offer_names_every_codec_that_is_implemented_and_no_other() {
        let audio = audio_at(Ipv4Addr::LOCALHOST.into(), 4000, 4001);
        let offer = Negotiator::new(audio, 7).offer();
        let offer = SessionDescription::parse(&offer.body).unwrap();
        assert_eq!(offer.media.len(), 1);
        let written = offer.media[0].audio_formats();
        assert_eq!(written.len(), offer.media[0].formats.len(), "a number without a name");
        let (digits, sound): (Vec<_>, Vec<_>) =
            written.into_iter().partition(|format| format.encoding == "telephone-event");
        assert_eq!(digits.len(), 1);
        let mut kinds: Vec<CodecKind> =
            sound.iter().map(|format| codec(format).expect("nothing plays this")).collect();
        kinds.sort();
        let all = [CodecKind::Opus, CodecKind::Pcma, CodecKind::Pcmu];
        // A codec that is added fails to compile here until it stands in the list above.
        for kind in all {
            match kind {
                CodecKind::Opus | CodecKind::Pcma | CodecKind::Pcmu => {}
            }
        }
        assert_eq!(kinds, all);
    }
}
