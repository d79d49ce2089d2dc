//! What should not leave unasked: private keys, passwords and tokens. A question before sending, never a refusal.

use std::ops::Range;

use super::{PieceKind, ends, key, links};

/// Something that looks secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Secret {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// What it looks like.
    pub kind: SecretKind,
}

/// What a secret looks like.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SecretKind {
    /// A password in the user part of a link.
    LinkPassword,
    /// What stands behind a word like "password".
    Password,
    /// A private key.
    PrivateKey,
    /// A token of a service, known by its shape, or behind a word like "token".
    Token,
}

/// All of them, in order, without overlap.
pub fn secrets(text: &str) -> Vec<Secret> {
    let mut found: Vec<Secret> = Vec::new();
    for piece in key::armour(text) {
        if let PieceKind::PrivateKey { .. } = piece.kind {
            found.push(Secret { range: piece.range, kind: SecretKind::PrivateKey });
        }
    }
    if let Some(at) = text.find("PuTTY-User-Key-File-") {
        found.push(Secret { range: at..text.len(), kind: SecretKind::PrivateKey });
    }
    for link in links(text) {
        let url = &text[link.range.clone()];
        let authority = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
        let user = authority.and_then(|authority| authority.rsplit_once('@'));
        let password = user.and_then(|(user, _)| user.split_once(':'));
        if password.is_some_and(|(_, password)| !password.is_empty()) {
            found.push(Secret { range: link.range, kind: SecretKind::LinkPassword });
        }
    }
    found.extend(words(text));
    found.sort_by_key(|secret| secret.range.start);
    let mut end = 0;
    found.retain(|secret| {
        let is_free = secret.range.start >= end;
        if is_free {
            end = secret.range.end;
        }
        is_free
    });
    found
}

/// Words that announce a secret.
const NAMES: [(&str, SecretKind); 17] = [
    ("access_key", SecretKind::Token),
    ("access_token", SecretKind::Token),
    ("api_key", SecretKind::Token),
    ("api-key", SecretKind::Token),
    ("apikey", SecretKind::Token),
    ("auth_token", SecretKind::Token),
    ("bearer", SecretKind::Token),
    ("client_secret", SecretKind::Token),
    ("kennwort", SecretKind::Password),
    ("passphrase", SecretKind::Password),
    ("passwd", SecretKind::Password),
    ("password", SecretKind::Password),
    ("passwort", SecretKind::Password),
    ("pwd", SecretKind::Password),
    ("secret", SecretKind::Token),
    ("secret_key", SecretKind::Token),
    ("token", SecretKind::Token),
];

/// Beginnings of tokens, and how long those are at least.
const SHAPES: [(&str, usize); 16] = [
    ("AKIA", 20),
    ("AIza", 39),
    ("ASIA", 20),
    ("eyJ", 60),
    ("ghp_", 40),
    ("gho_", 40),
    ("ghs_", 40),
    ("github_pat_", 60),
    ("glpat-", 26),
    ("hf_", 34),
    ("npm_", 40),
    ("sk-", 40),
    ("sk_live_", 24),
    ("xoxa-", 24),
    ("xoxb-", 24),
    ("xoxp-", 24),
];

/// Tokens by their shape, and what stands behind a word that announces a secret.
fn words(text: &str) -> Vec<Secret> {
    let mut found = Vec::new();
    let mut announced: Option<(SecretKind, bool)> = None;
    for (range, word) in split(text) {
        if let Some(kind) = shape(word) {
            found.push(Secret { range, kind });
            announced = None;
            continue;
        }
        // "password=x" and "password:x" in one word.
        if let Some((name, value)) = word.split_once(['=', ':'])
            && let Some(kind) = name_of(name)
        {
            let at = range.end - value.len();
            let trimmed = value.trim_matches(['"', '\'', ',', ';']);
            if value.is_empty() {
                announced = Some((kind, true));
            } else if is_value(trimmed, true) {
                let at = at + value.find(trimmed).unwrap_or(0);
                found.push(Secret { range: at..at + trimmed.len(), kind });
                announced = None;
            }
            continue;
        }
        announced = match announced {
            Some((kind, _)) if ["=", ":", "is", "ist", "->", "=>"].contains(&word) => {
                Some((kind, true))
            }
            Some((kind, is_given)) => {
                let value = word.trim_matches(['"', '\'', ',', ';']);
                let value =
                    if value.len() > 6 { value.trim_end_matches(['.', '!']) } else { value };
                if is_value(value, is_given) {
                    let at = range.start + word.find(value).unwrap_or(0);
                    found.push(Secret { range: at..at + value.len(), kind });
                }
                None
            }
            None => name_of(word).map(|kind| (kind, word.eq_ignore_ascii_case("bearer"))),
        };
    }
    found
}

fn split(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    // What ends a link may well be in a password.
    let parts = text.split(|c: char| c.is_whitespace() || c.is_control() || c == '`' && ends(c));
    parts.filter(|word| !word.is_empty()).map(move |word| {
        let at = word.as_ptr().addr() - text.as_ptr().addr();
        (at..at + word.len(), word)
    })
}

fn name_of(word: &str) -> Option<SecretKind> {
    let word = word.trim_matches(['"', '\'', '-', '(', ',', '*', '_', '$', '{']);
    let lower = word.to_ascii_lowercase();
    let known = NAMES.iter().find(|(name, _)| {
        // Also DB_PASSWORD and github.token.
        lower.strip_suffix(name).is_some_and(|before| {
            before.is_empty() || lower.len() < 40 && before.ends_with(['_', '-', '.'])
        })
    });
    known.map(|(_, kind)| *kind)
}

fn shape(word: &str) -> Option<SecretKind> {
    let word = word.rsplit(['=', ':', '"', '\'']).find(|part| part.len() >= 20)?;
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let length = word.find(|c| !is_token(c)).unwrap_or(word.len());
    let known = SHAPES.iter().find(|(start, least)| {
        let is_jwt = *start != "eyJ" || word[..length].matches('.').count() == 2;
        word.starts_with(start) && length >= *least && is_jwt
    });
    known.map(|_| SecretKind::Token)
}

/// Whether a word can be a secret: behind "is" or "=" six characters of two kinds, else twelve of three.
fn is_value(word: &str, is_given: bool) -> bool {
    let has = |is: fn(&char) -> bool| usize::from(word.chars().any(|c| is(&c)));
    let kinds = has(|c| c.is_lowercase())
        + has(|c| c.is_uppercase())
        + has(|c| c.is_ascii_digit())
        + has(|c| c.is_ascii_punctuation());
    let is_variable = word.starts_with(['$', '<', '{', '%']) || word.starts_with("http");
    let long = word.chars().count();
    let hides = word.chars().all(|c| "*x.•_-".contains(c));
    !is_variable
        && !hides
        && if is_given { long >= 6 && kinds >= 2 } else { long >= 12 && kinds >= 3 }
}
