//! Bodies that were made shorter for the way (Content-Encoding), as some phones do with long texts.

use std::io::Read;

use flate2::read::{DeflateDecoder, ZlibDecoder};

/// The codings that are read, as a refusal says them.
pub(crate) const ACCEPT: &str = "identity, deflate";

/// What came of a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unpacked {
    /// The body as it was.
    Body(Vec<u8>),
    /// It is damaged.
    Broken,
    /// It would be longer than `most`.
    TooLong,
    /// Its coding is not known.
    Unknown,
}

/// Undoes a coding; never makes more than `most` bytes.
pub(crate) fn unpack(coding: &str, body: &[u8], most: usize) -> Unpacked {
    match coding.trim() {
        plain if plain.eq_ignore_ascii_case("identity") => Unpacked::Body(body.to_vec()),
        deflate if deflate.eq_ignore_ascii_case("deflate") => {
            // RFC 9110 §8.4.1.2 means zlib; some send the bare stream.
            match inflate(ZlibDecoder::new(body), most) {
                Unpacked::Broken => inflate(DeflateDecoder::new(body), most),
                other => other,
            }
        }
        _ => Unpacked::Unknown,
    }
}

fn inflate(from: impl Read, most: usize) -> Unpacked {
    let mut out = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    match from.take(limit).read_to_end(&mut out) {
        Ok(_) if out.len() > most => Unpacked::TooLong,
        Ok(_) => Unpacked::Body(out),
        Err(_) => Unpacked::Broken,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};

    use super::*;

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn deflate_is_undone_in_both_of_its_forms() {
        let text = "h\u{e9}llo ".repeat(200).into_bytes();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&text).unwrap();
        for packed in [zlib(&text), encoder.finish().unwrap()] {
            assert!(packed.len() < text.len() / 10);
            assert_eq!(unpack("Deflate", &packed, 10_000), Unpacked::Body(text.clone()));
        }
        assert_eq!(unpack("identity", b"x", 10), Unpacked::Body(b"x".to_vec()));
        assert_eq!(unpack("br", b"x", 10), Unpacked::Unknown);
    }

    #[test]
    fn a_bomb_makes_no_more_than_the_limit_and_damage_is_seen() {
        let bomb = zlib(&vec![b'x'; 50_000_000]);
        assert!(bomb.len() < 100_000);
        assert_eq!(unpack("deflate", &bomb, 16_384), Unpacked::TooLong);
        let good = zlib(b"a text that is damaged on its way");
        assert_eq!(unpack("deflate", &good[..good.len() / 2], 100), Unpacked::Broken);
        assert_eq!(unpack("deflate", b"no deflate at all", 100), Unpacked::Broken);
        assert_eq!(unpack("deflate", b"", 100), Unpacked::Broken);
    }
}
