//! A piece of text that shares its memory with the message it was read from.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

/// Text that costs no memory to cut out of a message or to clone: a range of something shared. It reads as a `str`.
#[derive(Clone, Default)]
pub struct Text {
    /// `None` where it is empty: most addresses have parts that they do without.
    whole: Option<Arc<str>>,
    start: u32,
    end: u32,
}

impl Text {
    /// The part of `whole` that `part`, a slice of it, is; a copy where it is no slice of it.
    pub(super) fn within(whole: &Arc<str>, part: &str) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        let end = start.wrapping_add(part.len());
        if start <= end && end <= u32::MAX as usize && whole.get(start..end).is_some() {
            let whole = (!part.is_empty()).then(|| Arc::clone(whole));
            return Self { whole, start: start as u32, end: end as u32 };
        }
        part.into()
    }

    /// As a `str`.
    pub fn as_str(&self) -> &str {
        let whole = self.whole.as_deref().unwrap_or_default();
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// What it is a part of.
    pub(super) fn whole(&self) -> &Arc<str> {
        static EMPTY: LazyLock<Arc<str>> = LazyLock::new(Arc::default);
        self.whole.as_ref().unwrap_or(&EMPTY)
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.end = self.start;
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Text {
    /// A copy; of more than 4 GiB its first part, which no message can hold.
    fn from(text: &str) -> Self {
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self { whole: (end > 0).then(|| text.into()), start: 0, end }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_shares_and_a_stranger_is_copied() {
        let whole: Arc<str> = "sip:anna@h\u{f6}f.example".into();
        let part = Text::within(&whole, &whole[4..8]);
        assert_eq!((part.as_str(), Arc::strong_count(&whole)), ("anna", 2));
        let stranger = Text::within(&whole, "ben");
        assert_eq!((stranger.as_str(), Arc::strong_count(&whole)), ("ben", 2));
    }

    #[test]
    fn it_compares_as_its_text() {
        let whole: Arc<str> = "a,b,a".into();
        let (one, two) = (Text::within(&whole, &whole[..1]), Text::within(&whole, &whole[4..]));
        assert_eq!(one, two);
        let later: Text = "c".into();
        assert!(one < later && one == "a");
    }
}
