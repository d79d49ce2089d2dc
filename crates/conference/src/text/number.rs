//! Telephone numbers as people write them, and as `tel:` URIs (RFC 3966).

use std::ops::Range;

use super::{Piece, PieceKind, begins_word, is_unspaced};

/// A run of groups of digits longer than this is a table, not a number.
const MOST_GROUPS: usize = 12;
/// Characters that may stand between two groups, and some more.
const MOST_BETWEEN: usize = 6;

/// One group of digits and what stands between it and the one before.
#[derive(Clone, Debug)]
struct Group {
    range: Range<usize>,
    /// Without spaces; empty where there are only spaces.
    separator: String,
    is_spaced: bool,
}

/// Numbers without a scheme, in order.
pub(super) fn numbers(text: &str) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begins = matches!(bytes[at], b'+' | b'(' | b'0'..=b'9');
        if !begins || is_inside(text, at) {
            // A word with digits in it is passed as a whole.
            at = if begins { past_word(text, at) } else { at + 1 };
            continue;
        }
        let (groups, is_global) = groups(text, at);
        let run_end = groups.last().map_or(at + 1, |group| group.range.end);
        match longest(text, at, &groups, is_global) {
            Some(range) => {
                at = range.end;
                let number = dialled(&text[range.clone()]);
                pieces.push(Piece { range, kind: PieceKind::Phone { number } });
            }
            None => at = past_date(text, &groups).unwrap_or(run_end).max(at + 1),
        }
    }
    pieces
}

fn is_inside(text: &str, at: usize) -> bool {
    let before = &text[..at];
    if text[at..].starts_with('+') {
        return !begins_word(before) || before.ends_with(['_', '+']);
    }
    // Money, versions, names, paths, hashes and decimals.
    before.ends_with(|c: char| c.is_alphanumeric() || "_#$€£¥@=&%.,:/\\-+'".contains(c))
        && !ends_sentence(before)
        && !before.ends_with(is_unspaced)
}

/// "Tel.:030 1" and "Tel:030 1": the mark belongs to the word before it.
fn ends_sentence(before: &str) -> bool {
    let word = before.trim_end_matches(['.', ':']);
    before.ends_with([':', '.']) && word.ends_with(char::is_alphabetic)
}

fn past_word(text: &str, at: usize) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || "_+".contains(c);
    let rest = &text[at + 1..];
    at + 1 + rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())
}

/// The groups of digits that begin here, with at most one separator between two.
fn groups(text: &str, at: usize) -> (Vec<Group>, bool) {
    let is_global = text[at..].starts_with('+');
    let mut cursor = at + usize::from(is_global);
    let mut groups = Vec::new();
    while groups.len() < MOST_GROUPS + 1 {
        let rest = &text[cursor..];
        let is_between = |c: char| " \u{a0}\u{202f}-\u{2011}\u{2013}./()".contains(c);
        let length: usize = rest
            .chars()
            .take(MOST_BETWEEN)
            .take_while(|c| is_between(*c))
            .map(char::len_utf8)
            .sum();
        let between = &rest[..length];
        let start = cursor + length;
        let digits =
            text[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - start);
        let is_space = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}');
        let separator: String = between.chars().filter(|c| !is_space(*c)).collect();
        let sensible = ["", "-", "\u{2011}", "\u{2013}", ".", "/", "(", ")", ")-", ")/", "-("];
        let spaces = between.chars().filter(|c| is_space(*c)).count();
        if digits == 0 || !sensible.contains(&separator.as_str()) || spaces > 2 {
            break;
        }
        groups.push(Group { range: start..start + digits, separator, is_spaced: spaces > 0 });
        cursor = start + digits;
    }
    (groups, is_global)
}

/// The most groups that make a number together.
fn longest(text: &str, at: usize, groups: &[Group], is_global: bool) -> Option<Range<usize>> {
    let is_whole = |end: usize| {
        let rest = &text[end..];
        let glued = rest.starts_with(|c: char| c.is_alphanumeric() || "_@%€$£=".contains(c));
        let decimal = rest.starts_with([',', '.', ':', '-', '/'])
            && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        !glued && !decimal
    };
    if !is_global && past_date(text, groups).is_some() {
        return None;
    }
    (1..=groups.len().min(MOST_GROUPS)).rev().find_map(|count| {
        let chosen = &groups[..count];
        let end = chosen.last()?.range.end;
        let closes = chosen.iter().any(|group| group.separator.contains('('))
            == chosen.iter().any(|group| group.separator.contains(')'));
        let is_number =
            if is_global { is_global_number(chosen) } else { is_national(text, chosen) };
        (closes && is_number && is_whole(end)).then_some(at..end)
    })
}

fn digits(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.range.len()).sum()
}

/// `+` and 7 to 15 digits (E.164), the national 0 in brackets not counted.
fn is_global_number(groups: &[Group]) -> bool {
    let first = groups.first().is_some_and(|group| group.separator.is_empty() && !group.is_spaced);
    first && (7..=16).contains(&digits(groups))
}

/// Seven digits and more, with separators, in one of the shapes that only telephone numbers have.
fn is_national(text: &str, groups: &[Group]) -> bool {
    let count = digits(groups);
    if groups.len() < 2 || !(7..=15).contains(&count) {
        return false;
    }
    let lengths: Vec<usize> = groups.iter().map(|group| group.range.len()).collect();
    let first = &text[groups[0].range.clone()];
    let in_brackets = groups[0].separator == "(" && groups[1].separator.starts_with(')');
    let has_trunk = first.starts_with('0') && !(first == "0" && groups[1].separator == ".");
    // Decimals and thousands come in groups of three behind the first.
    let is_amount = groups[1..].iter().all(|group| group.range.len() == 3) && first.len() < 3;
    // "01.02.03" is a date or a version; nine digits in pairs are French.
    let in_pairs = lengths.iter().all(|length| *length <= 2) && count < 9;
    let singles = lengths[1..].iter().filter(|length| **length < 2).count();
    let american = match lengths.as_slice() {
        [3, 3, 4] => !first.starts_with(['0', '1']),
        [1, 3, 3, 4] => first == "1",
        [3, 4] => groups[1].separator == "-" && !groups[1].is_spaced && first != "000",
        _ => false,
    };
    in_brackets && lengths[0] >= 2
        || american
        || has_trunk && !is_amount && !in_pairs && singles <= 1
}

/// Where the date ends that the groups begin with.
fn past_date(text: &str, groups: &[Group]) -> Option<usize> {
    let [first, second, third, ..] = groups else { return None };
    let value = |group: &Group| text[group.range.clone()].parse::<u32>().unwrap_or(u32::MAX);
    let lengths = [first.range.len(), second.range.len(), third.range.len()];
    let same =
        second.separator == third.separator && ["-", ".", "/"].contains(&second.separator.as_str());
    let day = |group: &Group| (1..=31).contains(&value(group));
    let shape = match lengths {
        [4, 1 | 2, 1 | 2] => day(second) && day(third) && value(first) < 2200,
        [1 | 2, 1 | 2, 2 | 4] => {
            day(first) && day(second) && (value(first) <= 12 || value(second) <= 12)
        }
        _ => false,
    };
    // "01-02-03 ..." may be French, a date is alone or before a time.
    let alone =
        lengths[2] == 4 || lengths[0] == 4 || groups.get(3).is_none_or(|next| next.is_spaced);
    (same && shape && alone).then_some(third.range.end)
}

/// Only what is dialled.
fn dialled(written: &str) -> String {
    let number: String = written.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    match (number.starts_with('+'), written.contains("(0)")) {
        // "+49 (0)30 1": the 0 is for callers from inside of the country.
        (true, true) => {
            written.replace("(0)", "").chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
        }
        (true, false) | (false, _) => number,
    }
}

/// The number of a `tel:` URI without its scheme; none where it is no such URI.
pub(super) fn of_tel(body: &str) -> Option<String> {
    let number = body.split(';').next().unwrap_or_default();
    let is_global = number.starts_with('+');
    let digits = &number[usize::from(is_global)..];
    let is_dialled = |c: char| {
        c.is_ascii_digit() || !is_global && (c == '*' || c == '#' || matches!(c, 'A'..='D'))
    };
    let dialled: String = digits.chars().filter(|c| is_dialled(*c)).collect();
    let is_number = digits.chars().all(|c| is_dialled(c) || "-.()".contains(c))
        && dialled.bytes().any(|byte| byte.is_ascii_digit())
        && (2..=32).contains(&dialled.len());
    is_number.then(|| if is_global { format!("+{dialled}") } else { dialled })
}
