//! Chords only: single letters would mute people by accident.

use iced::keyboard::key::{Named, Physical};
use iced::keyboard::{Key, Modifiers};

/// A chord.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shortcut {
    /// Ctrl+Shift+A.
    Answer,
    /// Ctrl+L or Ctrl+N.
    CallBar,
    /// Escape; whether a widget used it too.
    Close {
        /// It did.
        captured: bool,
    },
    /// Ctrl+Shift+X.
    Decline,
    /// Ctrl+O.
    InsertFile,
    /// Ctrl+I.
    Invite,
    /// Ctrl+D or Ctrl+Shift+M.
    Mute,
    /// Ctrl+Q.
    Quit,
    /// Ctrl+T.
    Write,
}

impl Shortcut {
    /// Reads a key. Letters go by their place where the layout has no Latin ones; those that a text field took too are
    /// still meant for us.
    pub fn of(key: &Key, physical: Physical, modifiers: Modifiers, captured: bool) -> Option<Self> {
        if matches!(key, Key::Named(Named::Escape)) {
            return Some(Self::Close { captured });
        }
        if !modifiers.command() {
            return None;
        }
        let letter = key.to_latin(physical)?.to_ascii_lowercase();
        match (letter, modifiers.shift()) {
            ('a', true) => Some(Self::Answer),
            ('x', true) => Some(Self::Decline),
            ('l' | 'n', false) => Some(Self::CallBar),
            ('i', false) => Some(Self::Invite),
            ('d', false) | ('m', true) => Some(Self::Mute),
            ('o', false) => Some(Self::InsertFile),
            ('q', false) => Some(Self::Quit),
            ('t', false) => Some(Self::Write),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use iced::keyboard::key::Code;

    use super::*;

    fn pressed(letter: &str, code: Code, modifiers: Modifiers) -> Option<Shortcut> {
        Shortcut::of(&Key::Character(letter.into()), Physical::Code(code), modifiers, true)
    }

    #[test]
    fn a_cyrillic_layout_has_the_same_chords() {
        assert_eq!(pressed("в", Code::KeyD, Modifiers::CTRL), Some(Shortcut::Mute));
        assert_eq!(pressed("й", Code::KeyQ, Modifiers::CTRL), Some(Shortcut::Quit));
        let shifted = Modifiers::CTRL | Modifiers::SHIFT;
        assert_eq!(pressed("Ф", Code::KeyA, shifted), Some(Shortcut::Answer));
        assert_eq!(pressed("в", Code::KeyD, Modifiers::empty()), None);
    }

    #[test]
    fn a_latin_layout_goes_by_the_letter_and_not_by_its_place() {
        // AZERTY: A is where QWERTY has Q.
        assert_eq!(pressed("q", Code::KeyA, Modifiers::CTRL), Some(Shortcut::Quit));
        let shifted = Modifiers::CTRL | Modifiers::SHIFT;
        assert_eq!(pressed("A", Code::KeyQ, shifted), Some(Shortcut::Answer));
    }
}
