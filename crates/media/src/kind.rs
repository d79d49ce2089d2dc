//! What the local user sends, and which codecs a leg may use (RFC 3551 section 6, RFC 7587).

use std::{fmt, path::PathBuf, str::FromStr};

/// Where the sound of the local user comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum AudioKind {
    /// The default microphone and loudspeaker.
    Device,
    /// A WAV file, played once from the moment the first leg is connected, then silence.
    File(PathBuf),
    /// Nothing at all: a headless host.
    Silence,
    /// A sine at -20 dBov.
    Tone {
        /// Its frequency.
        hz: f32,
    },
}

/// A text that is not an [`AudioKind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("audio is \"device\", \"silence\", \"tone:HZ\" (20 to 20000) or \"file:PATH\", not {0:?}")]
pub struct UnknownAudio(pub String);

impl FromStr for AudioKind {
    type Err = UnknownAudio;

    fn from_str(text: &str) -> Result<Self, UnknownAudio> {
        let unknown = || UnknownAudio(text.to_owned());
        match text.split_once(':') {
            None if text == "device" => Ok(Self::Device),
            None if text == "silence" => Ok(Self::Silence),
            Some(("tone", hz)) => match hz.parse::<f32>() {
                Ok(hz) if (20.0..=20_000.0).contains(&hz) => Ok(Self::Tone { hz }),
                _ => Err(unknown()),
            },
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for AudioKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => f.write_str("device"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Silence => f.write_str("silence"),
            Self::Tone { hz } => write!(f, "tone:{hz}"),
        }
    }
}

/// A codec this crate can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CodecKind {
    /// RFC 6716, RFC 7587: 48 kHz, wide and robust.
    Opus,
    /// G.711 A-law, 8 kHz.
    Pcma,
    /// G.711 mu-law, 8 kHz.
    Pcmu,
}

impl CodecKind {
    /// The codec of an SDP encoding name and clock rate, any case.
    pub fn of_encoding(name: &str, clock_rate_hz: u32) -> Option<Self> {
        formats()
            .iter()
            .find(|format| {
                format.clock_rate_hz == clock_rate_hz && format.encoding.eq_ignore_ascii_case(name)
            })
            .map(|format| format.kind)
    }

    /// The rate of its RTP clock, which is also the rate of the samples here.
    pub const fn clock_rate_hz(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcma | Self::Pcmu => 8_000,
        }
    }

    /// Samples in 20 ms.
    pub const fn frame_samples(self) -> usize {
        (self.clock_rate_hz() / 50) as usize
    }
}

/// One row of what is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The codec.
    pub kind: CodecKind,
    /// SDP encoding name.
    pub encoding: &'static str,
    /// Payload type in our own offers.
    pub payload_type: u8,
    /// RTP clock.
    pub clock_rate_hz: u32,
    /// Channels as SDP writes them (Opus is always written with 2, RFC 7587 section 7).
    pub channels: u8,
    /// Parameters for `a=fmtp`.
    pub fmtp: Option<&'static str>,
}

/// What is offered, in order of preference.
pub fn formats() -> &'static [Format] {
    &FORMATS
}

static FORMATS: [Format; 3] = [
    Format {
        kind: CodecKind::Opus,
        encoding: "opus",
        payload_type: 111,
        clock_rate_hz: 48_000,
        channels: 2,
        fmtp: Some("useinbandfec=1"),
    },
    Format {
        kind: CodecKind::Pcmu,
        encoding: "PCMU",
        payload_type: 0,
        clock_rate_hz: 8_000,
        channels: 1,
        fmtp: None,
    },
    Format {
        kind: CodecKind::Pcma,
        encoding: "PCMA",
        payload_type: 8,
        clock_rate_hz: 8_000,
        channels: 1,
        fmtp: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_audio_survives_being_written_and_read() {
        for text in ["device", "silence", "tone:440", "file:x.wav", "file:a:b.wav"] {
            assert_eq!(text.parse::<AudioKind>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_audio_is_refused() {
        for text in ["", "tone", "tone:", "tone:nan", "tone:-5", "tone:99999", "file:", "mic"] {
            assert_eq!(text.parse::<AudioKind>(), Err(UnknownAudio(text.to_owned())));
        }
    }

    #[test]
    fn encodings_are_found_in_any_case_and_only_at_their_own_clock() {
        assert_eq!(CodecKind::of_encoding("OPUS", 48_000), Some(CodecKind::Opus));
        assert_eq!(CodecKind::of_encoding("pcma", 8_000), Some(CodecKind::Pcma));
        assert_eq!(CodecKind::of_encoding("PCMU", 16_000), None);
    }
}
