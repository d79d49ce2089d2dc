//! Splitting of a text into parts that a phone takes, and putting parts together again (sip-chat §0.5, §3.10).

use unicode_segmentation::UnicodeSegmentation;

use super::form::{Author, plain};
use crate::text::recognise;

/// Splits so that each part, with its author and mark, has at most `limit` bytes. One part has no mark.
pub(crate) fn split(
    author: Author<'_>,
    text: &str,
    names: Option<&[&str]>,
    limit: usize,
) -> Vec<String> {
    let whole = plain(author, text, names);
    if whole.len() <= limit {
        return vec![whole];
    }
    // What stands around a piece: the author, and " (12/34)".
    let around = plain(author, "\n", names).len() + " (64 lines)".len() + " (64/64)".len();
    let room = limit.saturating_sub(around).max(100);
    let pieces = pieces(text, room);
    let count = pieces.len();
    let marked = pieces.into_iter().enumerate().map(|(at, piece)| {
        let part = plain(author, piece, names);
        format!("{part} ({}/{count})", at + 1)
    });
    marked.collect()
}

/// Splits a text of ours to a focus: no author stands in front, the parts are marked.
pub(crate) fn split_plain(text: &str, limit: usize) -> Vec<String> {
    if text.len() <= limit {
        return vec![text.to_owned()];
    }
    let pieces = pieces(text, limit.saturating_sub(" (64/64)".len()).max(100));
    let count = pieces.len();
    pieces
        .into_iter()
        .enumerate()
        .map(|(at, piece)| format!("{piece} ({}/{count})", at + 1))
        .collect()
}

/// Pieces of at most `room` bytes that give the text back when put together.
fn pieces(text: &str, room: usize) -> Vec<&str> {
    let links = recognise(text);
    let mut pieces = Vec::new();
    let mut start = 0;
    while text.len() - start > room {
        let mut end = cut(&text[start..], room) + start;
        // A link that fits into a part is never cut.
        let within = links.iter().find(|link| link.range.start < end && end < link.range.end);
        if let Some(link) =
            within.filter(|link| link.range.start > start && link.range.len() <= room)
        {
            end = link.range.start;
        }
        pieces.push(&text[start..end]);
        start = end;
    }
    pieces.push(&text[start..]);
    pieces
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
            let parts = split(Author::Public("Alice"), &text, None, limit);
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
        let parts = split(Author::Public("Alice"), &text, None, 400);
        assert!(parts.iter().any(|part| part.contains(&link)), "{parts:?}");
    }

    #[test]
    fn a_short_text_is_one_part_without_a_mark() {
        assert_eq!(split(Author::Public("Alice"), "hi", None, 400), ["Alice: hi"]);
        assert_eq!(mark("see (1/2)"), Some(("see", 1, 2)));
        assert_eq!(mark("half (1/2) of"), None);
    }
}
