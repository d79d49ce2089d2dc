//! Conferences that take part in each other (sip-chat §3.6): what came from another focus, or went to it, does not go round.
//! Between focuses texts are plain, so that it is the words that are known again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use sip_core::CallKey;

use super::Focus;
use crate::{Event, Now};

/// Words are known again so long, and so many of them.
const REMEMBER: Duration = Duration::from_secs(30);
const MAX_WORDS: usize = 256;
/// More texts than this in that time are a loop that nothing else has stopped.
const BURST: usize = 20;
const BURST_TIME: Duration = Duration::from_secs(10);
/// Then nothing goes that way for so long.
const PAUSE: Duration = Duration::from_secs(60);
/// The longest name in front of a text.
const NAME: usize = 160;

/// Whether a text goes to a leg.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pass {
    Goes,
    /// It is known there, or is not for a conference.
    Known,
    /// Too much went there.
    Paused,
}

/// What is remembered of the way to another focus.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Words that came or went, and when.
    words: Vec<(u64, Instant)>,
    /// When texts went.
    relayed: Vec<Instant>,
    paused: Option<Instant>,
}

impl Passed {
    /// Whether the words are new here; from now on they are not.
    fn is_new(&mut self, text: &str, now: Instant) -> bool {
        self.words.retain(|(_, at)| *at + REMEMBER > now);
        let words = words(text);
        let is_new = self.words.iter().all(|(known, _)| *known != words);
        if self.words.len() >= MAX_WORDS {
            self.words.remove(0);
        }
        self.words.push((words, now));
        is_new
    }

    /// Whether one more text may go; `None`: from now on none does.
    fn may_go(&mut self, now: Instant) -> Option<bool> {
        if self.paused.is_some_and(|until| until > now) {
            return Some(false);
        }
        self.relayed.retain(|at| *at + BURST_TIME > now);
        self.relayed.push(now);
        if self.relayed.len() <= BURST {
            return Some(true);
        }
        self.paused = Some(now + PAUSE);
        None
    }
}

impl Focus {
    /// Whether a text from another focus is to be taken and to go nowhere: it was here, or is nobody's.
    pub(super) fn goes_round(&mut self, call: CallKey, text: &str) -> bool {
        let now = self.now.monotonic;
        let Some(leg) = self.legs.get_mut(&call).filter(|leg| leg.is_focus) else { return false };
        text.starts_with("[Conference]") || !leg.passed.is_new(text, now)
    }

    /// Whether a text may go to a leg: to another focus only lines of people, each once, and not too many.
    pub(super) fn may_pass(&mut self, call: CallKey, text: Option<&str>, now: Now) -> Pass {
        let Some(leg) = self.legs.get_mut(&call).filter(|leg| leg.is_focus) else {
            return Pass::Goes;
        };
        if !text.is_some_and(|text| leg.passed.is_new(text, now.monotonic)) {
            return Pass::Known;
        }
        let may_go = leg.passed.may_go(now.monotonic);
        let person = leg.person;
        if may_go.is_none() {
            let text = format!(
                "Texts go round between this conference and {}: for a minute none goes there.",
                self.name_of(person)
            );
            self.tell(Event::Notice { text });
        }
        if may_go == Some(true) { Pass::Goes } else { Pass::Paused }
    }
}

/// What is left of a text without the names that focuses put in front of it.
fn words(text: &str) -> u64 {
    let mut rest = text;
    loop {
        let end =
            |mark: &str| rest.find(mark).filter(|at| *at <= NAME && !rest[..*at].contains('\n'));
        let colon = end(": ").map(|at| at + 2);
        let lines = end("):\n").map(|at| at + 3);
        match colon.into_iter().chain(lines).min() {
            Some(at) if at < rest.len() => rest = &rest[at..],
            Some(_) | None => break,
        }
    }
    let mut hash = DefaultHasher::new();
    rest.hash(&mut hash);
    hash.finish()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test's clock must begin somewhere")]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_whoever_passed_them_on() {
        for passed in ["Bob: hi", "Alice (Q3): Bob: hi", "Bob (2): hi", "Bob (1 line):\nhi"] {
            assert_eq!(words(passed), words("hi"), "{passed}");
        }
        assert_ne!(words("Bob: hi there"), words("hi"));
    }

    #[test]
    fn the_same_words_pass_once_in_half_a_minute_and_a_storm_is_stopped() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut passed = Passed::default();
        assert!(passed.is_new("Bob: hi", at(0)));
        assert!(!passed.is_new("Carol: Bob: hi", at(29)));
        assert!(passed.is_new("hi", at(60)));
        let went: Vec<_> = (0..25).map(|_| passed.may_go(at(61))).collect();
        assert_eq!(went.iter().filter(|one| **one == Some(true)).count(), BURST);
        assert_eq!(went.iter().filter(|one| one.is_none()).count(), 1, "it is told once");
        assert_eq!(passed.may_go(at(120)), Some(false));
        assert_eq!(passed.may_go(at(122)), Some(true));
    }
}
