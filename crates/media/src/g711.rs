//! G.711: A-law and mu-law, by table (ITU-T G.711, RFC 3551 section 4.5.14).

/// Decodes mu-law into `out`; as many samples as both have room for.
pub fn decode_mu_law(bytes: &[u8], out: &mut [i16]) {
    for (sample, byte) in out.iter_mut().zip(bytes) {
        *sample = MU_LAW[usize::from(*byte)];
    }
}

/// Decodes A-law into `out`; as many samples as both have room for.
pub fn decode_a_law(bytes: &[u8], out: &mut [i16]) {
    for (sample, byte) in out.iter_mut().zip(bytes) {
        *sample = A_LAW[usize::from(*byte)];
    }
}

/// Encodes as mu-law.
pub fn encode_mu_law(samples: &[i16], out: &mut [u8]) {
    for (byte, sample) in out.iter_mut().zip(samples) {
        *byte = to_mu_law(*sample);
    }
}

/// Encodes as A-law.
pub fn encode_a_law(samples: &[i16], out: &mut [u8]) {
    for (byte, sample) in out.iter_mut().zip(samples) {
        *byte = to_a_law(*sample);
    }
}

const fn from_mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let exponent = (byte >> 4) & 7;
    let mantissa = (byte & 0x0f) as i32;
    let magnitude = (((mantissa << 3) + BIAS) << exponent) - BIAS;
    (if byte & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

const fn from_a_law(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let exponent = (byte >> 4) & 7;
    let mantissa = ((byte & 0x0f) as i32) << 4;
    let magnitude = match exponent {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (exponent - 1),
    };
    (if byte & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

fn to_mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs() + BIAS).min(32_635 + BIAS - 132) as u32;
    // The bias makes bit 7 the lowest that can lead.
    let exponent = 24 - magnitude.leading_zeros();
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

fn to_a_law(sample: i16) -> u8 {
    let (sign, magnitude) =
        if sample < 0 { (0, u32::from((!sample).unsigned_abs())) } else { (0x80, sample as u32) };
    let magnitude = magnitude >> 4;
    let code = if magnitude < 16 {
        magnitude
    } else {
        let exponent = 28 - magnitude.leading_zeros();
        (exponent << 4) | ((magnitude >> (exponent - 1)) & 0x0f)
    };
    (sign | code as u8) ^ 0x55
}

const fn table(a_law: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = if a_law { from_a_law(index as u8) } else { from_mu_law(index as u8) };
        index += 1;
    }
    table
}

const BIAS: i32 = 0x84;
static MU_LAW: [i16; 256] = table(false);
static A_LAW: [i16; 256] = table(true);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points_of_the_standard() {
        assert_eq!((to_mu_law(0), to_mu_law(i16::MAX), to_mu_law(i16::MIN)), (0xff, 0x80, 0x00));
        assert_eq!((from_mu_law(0x80), from_mu_law(0x00), from_mu_law(0xff)), (32_124, -32_124, 0));
        assert_eq!((to_a_law(0), to_a_law(i16::MAX), to_a_law(i16::MIN)), (0xd5, 0xaa, 0x2a));
        assert_eq!((from_a_law(0xaa), from_a_law(0x2a), from_a_law(0xd5)), (32_256, -32_256, 8));
    }

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        for code in 0..=255u8 {
            // 0x7f is the negative zero of mu-law.
            if code != 0x7f {
                assert_eq!(to_mu_law(from_mu_law(code)), code);
            }
            assert_eq!(to_a_law(from_a_law(code)), code);
        }
    }

    #[test]
    fn every_sample_comes_back_within_the_step_of_its_segment() {
        for sample in i16::MIN..=i16::MAX {
            let step = (i32::from(sample).abs() / 16 + 16).max(16);
            for back in [from_mu_law(to_mu_law(sample)), from_a_law(to_a_law(sample))] {
                let error = (i32::from(back) - i32::from(sample)).abs();
                assert!(error <= step, "{sample} -> {back}");
            }
        }
    }
}
