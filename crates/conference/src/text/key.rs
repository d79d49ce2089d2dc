//! Keys in a text: public ones of OpenSSH, armoured blocks (RFC 7468, RFC 4880 §6.2), fingerprints, and private ones.

use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use super::{Piece, PieceKind, SshKey, begins_word};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Longest label of an armoured block.
const LONGEST_LABEL: usize = 64;

/// Armoured blocks; a private key that does not end is one up to the end of the text.
pub(super) fn armour(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut next_end = end_mark(text, 0);
    while let Some(at) = text[from..].find(BEGIN).map(|at| from + at) {
        from = at + BEGIN.len();
        let Some(label) = label_at(text, from) else { continue };
        // Looked for once, however many blocks begin before it.
        if next_end.is_some_and(|end| end < from) {
            next_end = end_mark(text, from);
        }
        let end = next_end.and_then(|end| end_of_block(text, from + label.len(), end, label));
        let is_private = label.contains("PRIVATE KEY");
        let Some(end) = end.or(is_private.then_some(text.len())) else { continue };
        let label = label.to_owned();
        let kind =
            if is_private { PieceKind::PrivateKey { label } } else { PieceKind::Armour { label } };
        pieces.push(Piece { range: at..end, kind });
        from = end;
    }
    pieces
}

/// Behind the next mark that ends a block.
fn end_mark(text: &str, from: usize) -> Option<usize> {
    text[from..].find(END).map(|at| from + at + END.len())
}

fn label_at(text: &str, at: usize) -> Option<&str> {
    let rest = &text[at..];
    let is_label = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || " -".contains(c);
    let length = rest.find(|c| !is_label(c)).unwrap_or(rest.len());
    let label = &rest[..rest[..length].find(DASHES)?];
    (!label.is_empty() && label.len() <= LONGEST_LABEL).then_some(label)
}

/// Behind the line that ends a block, where the next one that ends anything (behind its mark) is its own.
fn end_of_block(text: &str, from: usize, next_end: usize, label: &str) -> Option<usize> {
    let is_signed = label == "PGP SIGNED MESSAGE";
    let wanted = if is_signed { "PGP SIGNATURE" } else { label };
    let rest = text[next_end..].strip_prefix(wanted)?.strip_prefix(DASHES)?;
    // Another block that begins before is not ours to swallow, but for the signature of a signed message.
    let mut begins = text[from..next_end].match_indices(BEGIN);
    let other = if is_signed { begins.nth(1) } else { begins.next() };
    other.is_none().then(|| text.len() - rest.len())
}

const KINDS: [&str; 8] = [
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "ssh-dss",
    "ssh-ed25519",
    "ssh-rsa",
];

/// Public keys of OpenSSH as they stand in `id_*.pub` and `authorized_keys`.
pub(super) fn ssh_keys(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        let mut from = 0;
        while let Some((at, end, key)) = next_key(content, from) {
            let begin = options(&content[from..at]).map_or(at, |options| from + options);
            let is_alone = content[..begin].trim_matches([' ', '\t', '>']).is_empty();
            let (end, comment) = comment(content, end, is_alone);
            let kind = PieceKind::SshKey(described(&key, comment));
            pieces.push(Piece { range: start + begin..start + end, kind });
            from = end;
        }
        start += line.len();
    }
    pieces
}

/// The next key in a line: where it begins, where its data end, and what it is.
fn next_key(line: &str, mut from: usize) -> Option<(usize, usize, PublicKey)> {
    loop {
        let at = [line[from..].find("ssh-"), line[from..].find("ecdsa-")];
        let at = from + at.into_iter().flatten().min()?;
        let at = if line[from..at].ends_with("sk-") { at - "sk-".len() } else { at };
        let kind = KINDS.into_iter().find(|kind| {
            line[at..].strip_prefix(kind).is_some_and(|rest| rest.starts_with([' ', '\t']))
        });
        let begins = begins_word(&line[..at]) && !line[..at].ends_with(['-', '@']);
        if let Some(kind) = kind.filter(|_| begins) {
            let data = line[at + kind.len()..].trim_start_matches([' ', '\t']);
            let begin = line.len() - data.len();
            let is_data = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
            let length = data.find(|c| !is_data(c)).unwrap_or(data.len());
            let data = &data[..length];
            if let Ok(key) = PublicKey::from_openssh(&format!("{kind} {data}")) {
                return Some((at, begin + length, key));
            }
        }
        from = at + "sk-ssh-".len();
        from = from.min(line.len());
        while !line.is_char_boundary(from) {
            from += 1;
        }
    }
}

/// Options of `authorized_keys` that may stand before a key.
const OPTIONS: [&str; 21] = [
    "agent-forwarding",
    "cert-authority",
    "command=",
    "environment=",
    "expiry-time=",
    "from=",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-touch-required",
    "no-user-rc",
    "no-X11-forwarding",
    "permitlisten=",
    "permitopen=",
    "port-forwarding",
    "principals=",
    "pty",
    "restrict",
    "tunnel=",
    "user-rc",
    "verify-required",
];

/// Where the options begin that stand before a key; none where it is a sentence.
fn options(before: &str) -> Option<usize> {
    let written = before.trim_start_matches([' ', '\t', '>']);
    let begin = before.len() - written.len();
    let written = written.trim_end_matches([' ', '\t']);
    if written.len() == before.len() - begin || written.is_empty() {
        return None;
    }
    let mut is_quoted = false;
    let mut escapes = false;
    let has_space = written.chars().any(|c| {
        is_quoted ^= c == '"' && !escapes;
        escapes = c == '\\';
        !is_quoted && c.is_whitespace()
    });
    let known = OPTIONS.iter().any(|option| {
        let rest = written.get(..option.len()).filter(|head| head.eq_ignore_ascii_case(option));
        let behind = written.get(option.len()..).unwrap_or_default();
        rest.is_some() && (option.ends_with('=') || behind.is_empty() || behind.starts_with(','))
    });
    (known && !has_space && !is_quoted).then_some(begin)
}

/// The comment behind a key: the rest of its line where it is alone there, else one word of the shape `user@host`.
fn comment(line: &str, end: usize, is_alone: bool) -> (usize, String) {
    let rest = &line[end..];
    let begin = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    if begin == 0 {
        return (end, String::new());
    }
    let comment = if is_alone {
        rest[begin..].trim_end()
    } else {
        let word = rest[begin..].split([' ', '\t']).next().unwrap_or_default();
        let word = word.trim_end_matches([',', '.', ';', ':', ')', '!', '?']);
        if word.contains('@') { word } else { "" }
    };
    let behind = if comment.is_empty() { end } else { end + begin + comment.len() };
    (behind, comment.to_owned())
}

fn described(key: &PublicKey, comment: String) -> SshKey {
    let bits_of = |number: Option<&[u8]>| {
        let bytes = number.unwrap_or_default();
        let zeros = bytes.first().map_or(0, |first| first.leading_zeros());
        bytes.len() as u32 * 8 - zeros
    };
    let bits = match key.key_data() {
        KeyData::Dsa(key) => bits_of(key.p.as_positive_bytes()),
        KeyData::Ecdsa(key) => match key.curve() {
            ssh_key::EcdsaCurve::NistP256 => 256,
            ssh_key::EcdsaCurve::NistP384 => 384,
            ssh_key::EcdsaCurve::NistP521 => 521,
        },
        KeyData::Ed25519(_) | KeyData::SkEcdsaSha2NistP256(_) | KeyData::SkEd25519(_) => 256,
        KeyData::Rsa(key) => bits_of(key.n.as_positive_bytes()),
        _ => 0,
    };
    SshKey {
        algorithm: key.algorithm().as_str().to_owned(),
        bits,
        comment,
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
    }
}

/// `SHA256:...` and `MD5:...` of OpenSSH, pairs with colons between them, and the 40 digits of PGP.
pub(super) fn fingerprints(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let is_word = |c: char| c.is_alphanumeric() || "+/=:_".contains(c);
    while let Some(at) = text[from..].find(is_word).map(|at| from + at) {
        let rest = &text[at..];
        let end = at + rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let word = text[at..end].trim_end_matches(':');
        let length = if is_fingerprint(word) { Some(word.len()) } else { pgp_groups(rest) };
        from = match length {
            Some(length) => {
                let range = at..at + length;
                pieces.push(Piece { range, kind: PieceKind::Fingerprint });
                at + length
            }
            None => end,
        };
    }
    pieces
}

fn is_fingerprint(word: &str) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/".contains(c);
    if let Some(digest) = word.strip_prefix("SHA256:") {
        let digest = digest.trim_end_matches('=');
        return digest.len() == 43 && digest.chars().all(is_base64);
    }
    let pairs = word.strip_prefix("MD5:").unwrap_or(word);
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    let count = pairs.split(':').count();
    if [16, 20, 32].contains(&count) {
        return pairs.split(':').all(is_pair);
    }
    let is_upper = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    word.len() == 40 && word.bytes().all(is_upper) && !is_number
}

/// Ten groups of four digits, as PGP prints them: a wider gap in the middle.
fn pgp_groups(text: &str) -> Option<usize> {
    let mut at = 0;
    for group in 0..10 {
        let gap = text[at..].len() - text[at..].trim_start_matches([' ', '\u{a0}']).len();
        if group > 0 && !(1..=4).contains(&gap) {
            return None;
        }
        at += if group > 0 { gap } else { 0 };
        let digits = text.get(at..at + 4)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
        if !digits.bytes().all(is_digit) {
            return None;
        }
        at += 4;
    }
    let has_letter = text[..at].bytes().any(|byte| byte.is_ascii_uppercase());
    (has_letter && !text[at..].starts_with(char::is_alphanumeric)).then_some(at)
}
