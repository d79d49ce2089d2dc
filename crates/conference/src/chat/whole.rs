//! Long texts between two ends of our own kind: parts with marks, and whole again without guessing. A text that ends like
//! a mark gets one more, so that what arrives is always what was written.

use super::{MAX_TEXT, parts};

/// Of a text that only looks like a part.
const ONLY: &str = " (1/1)";

/// The texts that go out, each of at most `limit` bytes.
pub(crate) fn split(text: &str, limit: usize) -> Vec<String> {
    let mut split = parts::split_plain(text, limit.saturating_sub(ONLY.len()));
    if let [one] = split.as_mut_slice()
        && mark(one).is_some()
    {
        one.push_str(ONLY);
    }
    split
}

/// What a text that came is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Joined {
    /// Longer than a text may be, or a part without those before it: not taken.
    Broken,
    /// A part; more are to come.
    More,
    /// All of a text.
    Whole(String),
}

/// Puts the texts of one sender together. What never becomes whole is not shown: its sender knows that it did not arrive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joiner {
    /// The id of the text, where its parts have one.
    id: Option<String>,
    text: String,
    have: usize,
    count: usize,
}

impl Joiner {
    /// Takes the next text of the sender.
    pub(crate) fn take(&mut self, text: String) -> Joined {
        let Some((piece, place, count)) = mark(&text) else {
            *self = Self::default();
            return Joined::Whole(text);
        };
        self.add(None, (place, count), piece)
    }

    /// Takes a part of the text with this id.
    pub(crate) fn take_part(&mut self, id: &str, part: (usize, usize), piece: String) -> Joined {
        self.add(Some(id), part, &piece)
    }

    /// What has come of a text that is not whole, which then is forgotten.
    pub(crate) fn give_up(&mut self) -> Option<String> {
        Some(std::mem::take(self).text).filter(|text| !text.is_empty())
    }

    fn add(&mut self, id: Option<&str>, (place, count): (usize, usize), piece: &str) -> Joined {
        if place == 1 {
            *self = Self { id: id.map(str::to_owned), text: String::new(), have: 0, count };
        }
        let continues = self.have + 1 == place && self.count == count && self.id.as_deref() == id;
        if !continues || self.text.len() + piece.len() > MAX_TEXT {
            *self = Self::default();
            return Joined::Broken;
        }
        self.text.push_str(piece);
        self.have = place;
        if place < count {
            return Joined::More;
        }
        Joined::Whole(std::mem::take(self).text)
    }
}

/// The text before its mark, its place, and how many there are.
fn mark(text: &str) -> Option<(&str, usize, usize)> {
    let inner = text.strip_suffix(')')?;
    let at = inner.rfind(" (")?;
    let (place, count) = inner[at + 2..].split_once('/')?;
    let number = |digits: &str| {
        let plain = (1..=4).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
        plain.then(|| digits.parse::<usize>().ok()).flatten()
    };
    let (place, count) = (number(place)?, number(count)?);
    (1 <= place && place <= count).then_some((&text[..at], place, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(text: &str, limit: usize) -> String {
        let mut joiner = Joiner::default();
        let parts = split(text, limit);
        assert!(parts.iter().all(|part| part.len() <= limit), "{parts:?}");
        let last = parts.len() - 1;
        for (at, part) in parts.into_iter().enumerate() {
            match joiner.take(part) {
                Joined::Whole(text) if at == last => return text,
                Joined::More if at < last => {}
                other => panic!("{other:?} at {at}"),
            }
        }
        unreachable!("a text has a last part")
    }

    #[test]
    fn whatever_is_split_comes_back() {
        let link = format!("a https://example.org/{} ", "x".repeat(500));
        let texts = [
            "hi",
            "we won (1/2)",
            "so (1/1)",
            "x (1/1) (2/2)",
            " (1/2)",
            &"word (1/2) ".repeat(1400),
            &"x".repeat(MAX_TEXT),
            &link.repeat(31),
        ];
        for text in texts {
            for limit in [600, MAX_TEXT] {
                assert_eq!(through(text, limit), text);
            }
        }
    }

    #[test]
    fn lost_parts_and_endless_texts_are_not_taken() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.take("b (2/2)".into()), Joined::Broken);
        assert_eq!(joiner.take("a (1/3)".into()), Joined::More);
        assert_eq!(joiner.take("c (3/3)".into()), Joined::Broken);
        assert_eq!(joiner.take("a (1/2)".into()), Joined::More);
        assert_eq!(joiner.take("plain".into()), Joined::Whole("plain".into()));
        assert_eq!(joiner.take("b (2/2)".into()), Joined::Broken);
        let long = "x".repeat(MAX_TEXT);
        assert_eq!(joiner.take(format!("{long} (1/2)")), Joined::More);
        assert_eq!(joiner.take("y (2/2)".into()), Joined::Broken);
    }
}
