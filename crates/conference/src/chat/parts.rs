//! Splitting of a text into parts that a phone takes, and putting parts together again (sip-chat §0.5, §3.10).

use unicode_segmentation::UnicodeSegmentation;

use super::form::{Author, plain};
use crate::text::{Piece, links};

/// The most parts of one text.
pub(crate) const MAX_PARTS: usize = 64;
/// What a mark needs at most: " (64/64)".
const MARK: usize = 8;

/// A part as it goes out, and where its piece begins in the text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    pub(crate) formed: String,
    pub(crate) start: usize,
}

/// Splits so that each part as it goes out, with its author and mark, has at most `limit` bytes. One part has no mark.
/// The first `from` bytes went out already, in `sent` parts.
pub(crate) fn split(
    author: Author<'_>,
    text: &str,
    names: Option<&[&str]>,
    limit: usize,
    (from, sent): (usize, usize),
) -> Vec<Part> {
    let text = text.get(from..).unwrap_or_default();
    let whole = plain(author, text, names);
    if whole.len() <= limit && sent == 0 {
        return vec![Part { formed: whole, start: 0 }];
    }
    // Who takes authors off again needs the whole name; for others a long one is cut, so that there is room for text.
    let (name, limit) = match (author, names) {
        (Author::Public(name) | Author::Private(name), Some(_)) => {
            (shorten(name, limit / 4), limit)
        }
        (Author::Public(name) | Author::Private(name), None) => {
            (name, limit.max(2 * name.len() + 100))
        }
        (Author::Conference | Author::Other, _) => ("", limit),
    };
    let author = match author {
        Author::Conference => Author::Conference,
        Author::Other => Author::Other,
        Author::Public(_) => Author::Public(name),
        Author::Private(_) => Author::Private(name),
    };
    let fits = |piece: &str| plain(author, piece, names).len() + MARK <= limit;
    let pieces = pieces(text, limit.saturating_sub(MARK), fits);
    let count = pieces.len() + sent;
    let mut start = from;
    let marked = pieces.into_iter().enumerate().map(|(at, piece)| {
        let formed = format!("{} ({}/{count})", plain(author, piece, names), at + 1 + sent);
        start += piece.len();
        Part { formed, start: start - piece.len() }
    });
    marked.collect()
}

/// Splits for envelopes: the pieces as they are, what is around them says the rest. As in [`split`] the first `from`
/// bytes went out already.
pub(crate) fn split_bare(text: &str, limit: usize, (from, _): (usize, usize)) -> Vec<Part> {
    let mut start = from;
    let rest = text.get(from..).unwrap_or_default();
    let made = pieces(rest, limit.max(100), |_| true).into_iter().map(|piece| {
        start += piece.len();
        Part { formed: piece.to_owned(), start: start - piece.len() }
    });
    made.collect()
}

/// The beginning of a name, between graphemes.
fn shorten(name: &str, limit: usize) -> &str {
    let ends = name.grapheme_indices(true).map(|(at, one)| at + one.len());
    &name[..ends.take_while(|end| *end <= limit).last().unwrap_or(0)]
}

/// Splits a text of ours to a focus: no author stands in front, the parts are marked.
pub(crate) fn split_plain(text: &str, limit: usize) -> Vec<String> {
    if text.len() <= limit {
        return vec![text.to_owned()];
    }
    let pieces = pieces(text, limit.saturating_sub(MARK).max(100), |_| true);
    let count = pieces.len();
    pieces
        .into_iter()
        .enumerate()
        .map(|(at, piece)| format!("{piece} ({}/{count})", at + 1))
        .collect()
}

/// Pieces of at most `most` bytes that fit, and give the text back when put together.
fn pieces(text: &str, most: usize, fits: impl Fn(&str) -> bool) -> Vec<&str> {
    let links = links(text);
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let mut room = most.min(text.len() - start);
        let end = loop {
            let end = end_of_piece(text, start, room, &links);
            if room <= 16 || fits(&text[start..end]) {
                break end;
            }
            room = room * 7 / 8;
        };
        pieces.push(&text[start..end]);
        start = end;
    }
    pieces
}

fn end_of_piece(text: &str, start: usize, room: usize, links: &[Piece]) -> usize {
    if text.len() - start <= room {
        return text.len();
    }
    let end = cut(&text[start..], room) + start;
    // A link that fits into a part is never cut.
    let within = links.iter().find(|link| link.range.start < end && end < link.range.end);
    let whole = within.filter(|link| link.range.start > start && link.range.len() <= room);
    whole.map_or(end, |link| link.range.start)
}

/// Behind the last line end, else the last space, in the later half; else between graphemes; else between characters.
fn cut(text: &str, room: usize) -> usize {
    let mut end = room.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = &text[..end];
    for mark in ['\n', ' '] {
        if let Some(at) = head.rfind(mark).filter(|at| *at >= room / 2) {
            return at + 1;
        }
    }
    let boundary = text.grapheme_indices(true).map(|(at, _)| at).take_while(|at| *at <= end).last();
    boundary.filter(|at| *at > 0).unwrap_or(end.max(1))
}

/// The mark of a part: the text before it, its place, and how many there are.
pub(crate) fn mark(text: &str) -> Option<(&str, usize, usize)> {
    let inner = text.strip_suffix(')')?;
    let at = inner.rfind(" (")?;
    let (place, count) = inner[at + 2..].split_once('/')?;
    let (place, count) = (place.parse().ok()?, count.parse().ok()?);
    let sensible = 1 <= place && place <= count && (2..=99).contains(&count);
    sensible.then_some((&text[..at], place, count))
}

#[cfg(test)]
mod tests {
    use super::super::form::split_author;
    use super::*;

    fn formed(parts: Vec<Part>) -> Vec<String> {
        parts.into_iter().map(|part| part.formed).collect()
    }

    #[test]
    fn marks_of_quotations_and_long_names_are_within_the_limit() {
        let text = "Bob: x\n".repeat(200);
        let long = "\u{1f468}\u{200d}\u{1f469}".repeat(64);
        for name in ["Alice", &long] {
            let parts = split(Author::Private(name), &text, Some(&["Bob"]), 400, (0, 0));
            assert!(parts.iter().all(|part| part.formed.len() <= 400), "{parts:?}");
            assert!(parts.len() < MAX_PARTS);
        }
    }

    #[test]
    fn only_what_is_unsent_is_split_again() {
        let text = "word ".repeat(200);
        let first = split(Author::Public("Alice"), &text, None, 400, (0, 0));
        let rest = split(Author::Public("Alice"), &text, None, 200, (first[1].start, 1));
        assert_eq!(rest[0].start, first[1].start);
        assert!(rest[0].formed.ends_with(&format!(" (2/{})", rest.len() + 1)));
        assert!(rest.iter().all(|part| part.formed.len() <= 200));
    }

    fn back(parts: &[String]) -> String {
        let names = ["Alice".to_owned()];
        let body = |part: &String| {
            let (rest, _, _) = mark(part).unwrap();
            split_author(rest, &names).unwrap().2.to_owned()
        };
        parts.iter().map(body).collect()
    }

    #[test]
    fn parts_keep_the_limit_and_give_the_text_back() {
        let text = "word ".repeat(300) + "\n" + &"line\n".repeat(100) + &"€".repeat(700);
        for limit in [400, 1000] {
            let parts = formed(split(Author::Public("Alice"), &text, None, limit, (0, 0)));
            assert!(
                parts.iter().all(|part| part.len() <= limit),
                "{:?}",
                parts.iter().map(String::len).max()
            );
            assert_eq!(back(&parts), text);
        }
    }

    #[test]
    fn a_link_that_fits_is_not_cut() {
        let link = format!("https://example.org/{}", "x".repeat(150));
        let text = format!("{} {link} end", "y".repeat(300));
        let parts = formed(split(Author::Public("Alice"), &text, None, 400, (0, 0)));
        assert!(parts.iter().any(|part| part.contains(&link)), "{parts:?}");
    }

    #[test]
    fn a_short_text_is_one_part_without_a_mark() {
        let parts = split(Author::Public("Alice"), "hi", None, 400, (0, 0));
        assert_eq!(formed(parts), ["Alice: hi"]);
        assert_eq!(mark("see (1/2)"), Some(("see", 1, 2)));
        assert_eq!(mark("half (1/2) of"), None);
    }
}
