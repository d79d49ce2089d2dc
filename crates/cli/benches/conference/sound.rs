//! What the participants send and how a packet is heard: G.711 u-law, a quiet noise, a steady 2 kHz tone, a loud 1 kHz
//! burst.
//!
//! Both frequencies have a whole number of periods in 5 ms, so the one does not disturb the measure of the other.

/// Samples, and bytes of u-law, in a packet of 20 ms.
pub const FRAME: usize = 160;
/// Amplitude of the steady tone.
pub const TONE: i16 = 1500;
/// A sample beyond this can only be a burst's.
const LOUD: u16 = 8000;
/// Amplitude of the burst; it begins at its crest, so that the first sample shows it.
const BURST: i16 = 16_000;
/// Samples in a block over which the tone is measured: 5 ms.
const BLOCK: usize = 40;

/// The payload of one packet.
pub type Frame = [u8; FRAME];

/// All that is ever sent, encoded once.
pub struct Frames {
    quiet: Vec<Frame>,
    tone: Frame,
    burst: Frame,
}

impl Frames {
    /// Encodes them.
    pub fn new() -> Self {
        let mut state = 0x2545_f491_u32;
        let quiet = (0..16)
            .map(|_| {
                std::array::from_fn(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    encode(i16::try_from(state >> 28).unwrap_or(0) - 8)
                })
            })
            .collect();
        // Four samples a period, and eight.
        let tone = std::array::from_fn(|i| encode([0, TONE, 0, -TONE][i % 4]));
        let side = 11_314;
        let wave = [BURST, side, 0, -side, -BURST, -side, 0, side];
        let burst = std::array::from_fn(|i| encode(wave[i % 8]));
        Self { quiet, tone, burst }
    }

    /// Low noise that differs from packet to packet.
    pub fn quiet(&self, number: usize) -> &Frame {
        &self.quiet[number % self.quiet.len()]
    }

    /// Twenty milliseconds of the steady tone.
    pub fn tone(&self) -> &Frame {
        &self.tone
    }

    /// Twenty milliseconds of the burst.
    pub fn burst(&self) -> &Frame {
        &self.burst
    }
}

/// What one received packet holds.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// The first loud sample.
    pub onset: Option<u8>,
    /// Amplitude of the steady tone in each 5 ms.
    pub tone: [u16; FRAME / BLOCK],
}

/// Decodes and measures payloads.
pub struct Ear {
    table: [i16; 256],
}

impl Ear {
    /// Fills the table.
    pub fn new() -> Self {
        let mut table = [0; 256];
        for (byte, sample) in (0..=u8::MAX).zip(table.iter_mut()) {
            *sample = decode(byte);
        }
        Self { table }
    }

    /// One sample.
    pub fn sample(&self, byte: u8) -> i16 {
        self.table[usize::from(byte)]
    }

    /// One payload; what is missing at its end counts as silence.
    pub fn hear(&self, payload: &[u8]) -> Heard {
        let mut samples = [0_i16; FRAME];
        for (sample, byte) in samples.iter_mut().zip(payload) {
            *sample = self.sample(*byte);
        }
        let onset = samples.iter().position(|s| s.unsigned_abs() > LOUD);
        let mut tone = [0; FRAME / BLOCK];
        for (amplitude, block) in tone.iter_mut().zip(samples.chunks_exact(BLOCK)) {
            *amplitude = tone_of(block);
        }
        Heard { onset: onset.and_then(|at| u8::try_from(at).ok()), tone }
    }
}

/// Amplitude of 2 kHz in a block: correlation with both phases of four samples a period.
fn tone_of(block: &[i16]) -> u16 {
    let (mut real, mut imaginary) = (0_i32, 0_i32);
    for period in block.chunks_exact(4) {
        real += i32::from(period[0]) - i32::from(period[2]);
        imaginary += i32::from(period[1]) - i32::from(period[3]);
    }
    let amplitude = f64::from(real).hypot(f64::from(imaginary)) * 2.0 / BLOCK as f64;
    amplitude as u16
}

/// One sample as u-law (ITU-T G.711): sign, three bits of exponent, four of mantissa, all inverted.
pub fn encode(sample: i16) -> u8 {
    const BIAS: u16 = 132;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(32_635) + BIAS;
    let exponent = 8 - u8::try_from(magnitude.leading_zeros()).unwrap_or(0).min(8);
    let mantissa = u8::try_from((magnitude >> (exponent + 3)) & 15).unwrap_or(0);
    !(sign | (exponent.min(7) << 4) | mantissa)
}

/// One byte of u-law as a sample.
pub fn decode(byte: u8) -> i16 {
    let bits = !byte;
    let exponent = (bits >> 4) & 7;
    let magnitude = (((i16::from(bits & 15) << 3) + 132) << exponent) - 132;
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}
