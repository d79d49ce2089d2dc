//! Home: what I am reachable at, whom to call, whom I called, who wrote to me.

mod calls;
mod texts;
mod view;

pub use calls::sender_color;
pub use view::{CALL_BAR, NAME, Phase};

use engine::{AddressError, CallRecord, Line, parse_target};

use crate::clean::one_line;
use crate::selectable::Press;
use texts::Texts;

/// The longest hint, in characters.
const MAX_HINT: usize = 200;
/// The longest text that goes into the call bar.
const MAX_INPUT: usize = 16 * 1024;

/// What the screen holds.
#[derive(Debug, Default)]
pub struct State {
    /// What is typed into the call bar.
    pub input: String,
    filter: String,
    /// The call history, newest first.
    pub history: Vec<CallRecord>,
    /// The name being edited, where it is.
    pub renaming: Option<String>,
    hint: Option<String>,
    hovered: Option<i64>,
    texts: Texts,
    shows_texts: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// The address was copied.
    AddressCopied,
    /// A row's Call was pressed.
    CallAgain(i64),
    /// A chip's cross was pressed.
    ChipRemoved(usize),
    /// Typed into the filter.
    FilterEdited(String),
    /// The hint was read.
    HintClosed,
    /// The pointer came to a row, or left it.
    Hovered(i64, bool),
    /// Typed into the call bar.
    InputEdited(String),
    /// Pasted into the call bar, which takes no line ends.
    InputPasted(String),
    /// Enter, or the main button.
    InputSubmitted,
    /// A piece of a text was clicked.
    LinkPressed(Press),
    /// The name was pressed.
    NamePressed,
    /// Typed into the name.
    NameEdited(String),
    /// Enter in the name.
    NameSubmitted,
    /// A tab: texts, or calls.
    TabPressed(bool),
    /// A text is to be copied.
    TextCopied(u64),
    /// A text was read.
    TextClosed(u64),
    /// The whole of a text, or its beginning.
    TextUnfolded(u64),
    /// The theme button.
    ThemePressed,
}

/// What should happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Call one address again.
    CallAgain(String),
    /// Put a text into the clipboard.
    Copy(String),
    /// Call these; the call bar is emptied once that happens.
    Dial(Vec<String>),
    /// The keyboard goes to the name.
    EditName,
    /// Nothing.
    None,
    /// Read the clipboard: what was pasted had line ends, perhaps.
    ReadClipboard,
    /// Take another name.
    Rename(String),
    /// Next theme.
    SwitchTheme,
}

/// One token of the call bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Chip {
    /// As typed.
    pub text: String,
    /// Why it cannot be called.
    pub fault: Option<AddressError>,
}

impl State {
    /// With an address in the call bar.
    pub fn with_input(input: &str) -> Self {
        let input = input.chars().filter(|c| !c.is_control()).take(MAX_INPUT).collect();
        Self { input, ..Self::default() }
    }

    /// What is typed, token by token.
    pub fn chips(&self) -> Vec<Chip> {
        // A whole invitation is one address, whatever else stands in it.
        if let Some(address) = engine::invitation_address(&self.input) {
            return vec![Chip { text: address.to_owned(), fault: parse_target(address).err() }];
        }
        let tokens =
            self.input.split([',', ';', '\n']).map(str::trim).filter(|token| !token.is_empty());
        tokens
            .map(|token| Chip { text: token.to_owned(), fault: parse_target(token).err() })
            .collect()
    }

    /// Says something above the call bar: one line, without what could pose as something else.
    pub fn tell(&mut self, text: &str) {
        self.hint = Some(one_line(text, MAX_HINT));
    }

    /// A text from outside of any session.
    pub fn text(&mut self, line: Line) {
        self.texts.add(line);
    }

    /// Whether the texts are in front.
    pub fn shows_texts(&self) -> bool {
        self.shows_texts && !self.texts.is_empty()
    }

    /// What was typed was called.
    pub fn dialled(&mut self) {
        self.input.clear();
        self.hint = None;
    }

    /// The clipboard, after a paste that had lost its line ends: they separate addresses.
    pub fn pasted(&mut self, clipboard: &str) {
        let lines: Vec<&str> =
            clipboard.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.len() < 2 || clipboard.len() > MAX_INPUT {
            return;
        }
        let glued: String = clipboard.chars().filter(|c| !c.is_control()).collect();
        let list: String = lines.join(", ").chars().filter(|c| !c.is_control()).collect();
        if let Some(at) = self.input.rfind(&glued) {
            self.input.replace_range(at..at + glued.len(), &list);
        }
    }

    /// Handles one message.
    pub fn update(&mut self, message: Message, own: (&str, &str)) -> Action {
        let (name, address) = own;
        match message {
            Message::AddressCopied => return Action::Copy(address.to_owned()),
            Message::CallAgain(id) => {
                if let Some(record) = self.history.iter().find(|record| record.id == id) {
                    return Action::CallAgain(record.uri.clone());
                }
            }
            Message::ChipRemoved(place) => {
                let mut chips = self.chips();
                if place < chips.len() {
                    chips.remove(place);
                }
                self.input = chips.into_iter().map(|chip| chip.text).collect::<Vec<_>>().join(", ");
            }
            Message::FilterEdited(filter) => self.filter = filter,
            Message::HintClosed => self.hint = None,
            Message::Hovered(id, true) => self.hovered = Some(id),
            Message::Hovered(id, false) => self.hovered = self.hovered.filter(|over| *over != id),
            Message::InputEdited(input) => self.input = input,
            Message::InputPasted(input) => {
                self.input = input;
                return Action::ReadClipboard;
            }
            Message::InputSubmitted => return self.submit(),
            // Whom a text names is never called by a press alone.
            Message::LinkPressed(Press::Call(address)) => self.input = address,
            Message::LinkPressed(Press::Copy(text) | Press::Link(text)) => {
                self.tell(&crate::text::copied_piece(&text));
                return Action::Copy(text);
            }
            Message::NamePressed => {
                self.renaming = Some(name.to_owned());
                return Action::EditName;
            }
            Message::NameEdited(name) => self.renaming = Some(name),
            Message::NameSubmitted => {
                if let Some(name) = self.renaming.take().filter(|name| !name.trim().is_empty()) {
                    return Action::Rename(name.trim().to_owned());
                }
            }
            Message::TabPressed(texts) => {
                self.shows_texts = texts;
                if texts {
                    self.texts.seen();
                }
            }
            Message::TextCopied(id) => {
                if let Some(text) = self.texts.exact(id) {
                    return Action::Copy(text.to_owned());
                }
            }
            Message::TextClosed(id) => self.texts.close(id),
            Message::TextUnfolded(id) => self.texts.unfold(id),
            Message::ThemePressed => return Action::SwitchTheme,
        }
        Action::None
    }

    /// A wrong token stays for its owner to mend; nothing is called behind his back. Nothing typed calls nobody.
    fn submit(&mut self) -> Action {
        let chips = self.chips();
        if chips.is_empty() || chips.iter().any(|chip| chip.fault.is_some()) {
            return Action::None;
        }
        Action::Dial(chips.into_iter().map(|chip| chip.text).collect())
    }
}

/// A number that stays the same for an address.
pub fn hash(text: &str) -> usize {
    text.bytes().fold(5381_usize, |sum, byte| sum.wrapping_mul(33) ^ usize::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_that_is_pasted_as_it_is_is_one_address() {
        let text =
            "Weekly, and more\nJoin: <sip:conf-1@192.0.2.7:5062>\nPIN: 4711\nIt works for all.";
        for typed in [text.to_owned(), text.replace('\n', ""), text.replace('\n', ", ")] {
            let mut state = State::with_input("");
            state.input = typed;
            let action = state.update(Message::InputSubmitted, ("", ""));
            let Action::Dial(targets) = action else { panic!("{action:?}") };
            assert_eq!(targets, ["sip:conf-1@192.0.2.7:5062"]);
        }
    }

    const OWN: (&str, &str) = ("Anna", "sip:anna@x.y");

    fn typed(state: &mut State, input: &str) -> Action {
        state.update(Message::InputEdited(input.into()), OWN);
        state.update(Message::InputSubmitted, OWN)
    }

    #[test]
    fn what_is_typed_is_called_and_a_wrong_one_stays() {
        let mut state = State::default();
        assert_eq!(typed(&mut state, "bob@x.y"), Action::Dial(vec!["bob@x.y".into()]));
        assert_eq!(state.input, "bob@x.y", "it stays until it is called");
        let Action::Dial(people) = typed(&mut state, "bob@x.y, carol@x.y\nsip:d@[::1]") else {
            panic!()
        };
        assert_eq!(people, ["bob@x.y", "carol@x.y", "sip:d@[::1]"]);
        assert_eq!(typed(&mut state, "bob@x.y, dave@@x.y"), Action::None);
        assert_eq!(state.chips()[1].fault, Some(AddressError::TwoAts));
        state.update(Message::ChipRemoved(1), OWN);
        assert_eq!(state.input, "bob@x.y");
    }

    #[test]
    fn enter_on_an_empty_call_bar_does_nothing() {
        let mut state = State::default();
        assert_eq!(typed(&mut state, ""), Action::None);
        assert_eq!(typed(&mut state, " , ;"), Action::None);
    }

    #[test]
    fn a_pasted_list_of_lines_is_a_list_of_addresses() {
        let mut state = State::default();
        // What the field makes of the clipboard when it is pasted behind "eve@x.y, ".
        let pasted = Message::InputPasted("eve@x.y, bob@x.ycarol@x.y dave@x.y".into());
        assert_eq!(state.update(pasted, OWN), Action::ReadClipboard);
        state.pasted("bob@x.y\r\ncarol@x.y \n\ndave@x.y\n");
        let chips: Vec<String> = state.chips().into_iter().map(|chip| chip.text).collect();
        assert_eq!(chips, ["eve@x.y", "bob@x.y", "carol@x.y", "dave@x.y"]);
        // One line is left as the field has it.
        state.update(Message::InputPasted("bob@x.y".into()), OWN);
        state.pasted("bob@x.y\n");
        assert_eq!(state.input, "bob@x.y");
    }

    #[test]
    fn a_hint_is_one_line_whatever_it_says() {
        let mut state = State::default();
        state.tell(&"\u{202e}line\n".repeat(200));
        let hint = state.hint.clone().unwrap();
        assert!(hint.starts_with("[U+202E]line [U+202E]line"), "{hint}");
        assert_eq!((hint.chars().count(), hint.contains('\n')), (MAX_HINT, false));
        state.update(Message::HintClosed, OWN);
        assert_eq!(state.hint, None);
    }

    #[test]
    fn texts_of_strangers_are_kept_newest_first_and_copied_byte_for_byte() {
        let mut state = State::default();
        let long = "\u{202e}key\r\n".repeat(200);
        for (n, text) in [(1, "first"), (2, long.as_str())] {
            state.text(texts::tests::line(n, text));
        }
        let copied = state.update(Message::TextCopied(2), OWN);
        assert_eq!(copied, Action::Copy(long));
        assert_eq!(state.update(Message::TextCopied(1), OWN), Action::Copy("first".into()));
        state.update(Message::TabPressed(true), OWN);
        assert!(state.shows_texts());
        state.update(Message::TextClosed(1), OWN);
        state.update(Message::TextClosed(2), OWN);
        assert!(!state.shows_texts(), "the tab goes with its last text");
    }
}
