//! What is recognised in a text: links, addresses, numbers, keys, code, quotes, what is hidden in it, what must not leave.
//! The text itself is never changed: all that is told are ranges of its bytes.

mod address;
mod code;
mod hidden;
mod host;
mod key;
mod link;
mod number;
mod punycode;
mod secret;

use std::net::IpAddr;
use std::ops::Range;

pub use code::{Region, RegionKind, regions};
pub use hidden::{Direction, Hidden, HiddenKind, direction, hidden};
pub use host::{Doubt, Host, host_of};
pub use link::links;
pub use secret::{Secret, SecretKind, secrets};

/// A recognised piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// What it is.
    pub kind: PieceKind,
}

/// What a piece is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PieceKind {
    /// A block between `-----BEGIN LABEL-----` and its end: PGP, certificates, public keys.
    Armour {
        /// Its label, as `PGP PUBLIC KEY BLOCK`; of a signed message that of the message.
        label: String,
    },
    /// An e-mail address.
    Email {
        /// The address.
        address: String,
    },
    /// The fingerprint of a key, of OpenSSH or of PGP.
    Fingerprint,
    /// An address of the Internet.
    Ip {
        /// The address, without brackets and zone.
        address: IpAddr,
        /// The port behind it.
        port: Option<u16>,
        /// The length of the network's prefix behind it.
        prefix: Option<u8>,
    },
    /// A link; http and https only.
    Link {
        /// The whole URL.
        url: String,
    },
    /// A telephone number, as `tel:` URI (RFC 3966) or as people write it.
    Phone {
        /// Only what is dialled: digits, and `+` in front of a global number.
        number: String,
    },
    /// A private key. It should not be in a text at all.
    PrivateKey {
        /// Its label, as `OPENSSH PRIVATE KEY`.
        label: String,
    },
    /// A `sip:` or `sips:` address.
    Sip {
        /// The URI.
        uri: String,
    },
    /// A public key of OpenSSH, with the options before it and the comment behind it.
    SshKey(SshKey),
}

/// A public key of OpenSSH.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SshKey {
    /// As `ssh-ed25519`.
    pub algorithm: String,
    /// How many bits it has; 0 where its kind does not say it.
    pub bits: u32,
    /// What stands behind it; often its owner.
    pub comment: String,
    /// `SHA256:` and the rest, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

/// All pieces, in order, without overlap. What is recognised first keeps its bytes: keys before links, links before
/// addresses, addresses before numbers.
pub fn recognise(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    claim(&mut pieces, key::armour(text));
    claim(&mut pieces, key::ssh_keys(text));
    claim(&mut pieces, link::links(text));
    claim(&mut pieces, link::calls(text));
    claim(&mut pieces, link::emails(text));
    claim(&mut pieces, key::fingerprints(text));
    claim(&mut pieces, address::addresses(text));
    let code = regions(text);
    let numbers = number::numbers(text);
    // Digits in code are of a program, not of a telephone.
    claim(&mut pieces, numbers.into_iter().filter(|number| !code::is_code(&code, &number.range)));
    pieces
}

/// Adds what lies in nothing that was found before. Both are in order, without overlap.
fn claim(pieces: &mut Vec<Piece>, found: impl IntoIterator<Item = Piece>) {
    let known = pieces.len();
    for piece in found {
        let at = pieces[..known].partition_point(|known| known.range.end <= piece.range.start);
        let is_free =
            pieces[..known].get(at).is_none_or(|next| piece.range.end <= next.range.start);
        if is_free && !piece.range.is_empty() {
            pieces.push(piece);
        }
    }
    pieces.sort_by_key(|piece| piece.range.start);
}

/// A text taken apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recognised {
    /// What can be opened, called or copied.
    pub pieces: Vec<Piece>,
    /// Code and quotes; pieces and hidden characters may lie within them.
    pub regions: Vec<Region>,
    /// Characters that do not show.
    pub hidden: Vec<Hidden>,
}

/// A stretch of a text in which nothing changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// The piece it belongs to, by place.
    pub piece: Option<usize>,
    /// The region it belongs to, by place.
    pub region: Option<usize>,
    /// The hidden character it is, by place.
    pub hidden: Option<usize>,
}

impl Recognised {
    /// Takes a text apart.
    pub fn new(text: &str) -> Self {
        Self { pieces: recognise(text), regions: regions(text), hidden: hidden(text) }
    }

    /// The text as stretches, one behind the other: put together they are the text, byte for byte.
    pub fn spans(&self, text: &str) -> Vec<Span> {
        let mut cuts: Vec<usize> = vec![0, text.len()];
        cuts.extend(self.pieces.iter().flat_map(|piece| [piece.range.start, piece.range.end]));
        cuts.extend(self.regions.iter().flat_map(|region| [region.range.start, region.range.end]));
        cuts.extend(self.hidden.iter().flat_map(|hidden| [hidden.range.start, hidden.range.end]));
        cuts.sort_unstable();
        cuts.dedup();
        let (mut pieces, mut regions, mut hidden) = (0, 0, 0);
        let spans = cuts.windows(2).map(|cut| {
            let range = cut[0]..cut[1];
            Span {
                piece: place(&self.pieces, &mut pieces, &range, |piece| &piece.range),
                region: place(&self.regions, &mut regions, &range, |region| &region.range),
                hidden: place(&self.hidden, &mut hidden, &range, |hidden| &hidden.range),
                range,
            }
        });
        spans.collect()
    }
}

/// The place of the one that covers a range; they are in order, and `next` only goes forward.
fn place<T>(
    all: &[T],
    next: &mut usize,
    range: &Range<usize>,
    of: impl Fn(&T) -> &Range<usize>,
) -> Option<usize> {
    while all.get(*next).is_some_and(|one| of(one).end <= range.start) {
        *next += 1;
    }
    all.get(*next).filter(|one| of(one).start <= range.start).map(|_| *next)
}

/// What is never within a link or an address: spaces, quotes of all kinds, the punctuation of scripts without spaces.
fn ends(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || "<>\"`|{}\\^".contains(c)
        || matches!(c, '«' | '»' | '\u{2018}'..='\u{201f}' | '‹' | '›')
        || matches!(c, '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}')
        || matches!(
            c,
            '！' | '（' | '）' | '，' | '．' | '：' | '；' | '？' | '［' | '］' | '\u{ff5b}'
                ..='\u{ff65}'
        )
}

/// Letters of scripts that write no spaces between words: Chinese, Japanese, Thai and their like.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
        || matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{a000}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7af}')
        || matches!(c, '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9d}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether a word begins behind this text.
fn begins_word(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric() && !is_unspaced(c))
}

/// Length without the punctuation that belongs to the sentence, and without brackets that were opened outside.
fn trimmed(text: &str) -> usize {
    let count = |bracket: char| text.matches(bracket).count();
    let (round, square) = (count('('), count('['));
    let (mut closed_round, mut closed_square) = (count(')'), count(']'));
    let mut end = text.len();
    for last in text.chars().rev() {
        match last {
            '.' | ',' | ':' | ';' | '!' | '?' | '\'' | '*' | '_' | '~' | '…' => {}
            ')' if closed_round > round => closed_round -= 1,
            ']' if closed_square > square => closed_square -= 1,
            _ => return end,
        }
        end -= last.len_utf8();
    }
    end
}
