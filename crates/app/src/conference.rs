//! The conference window: people left, words right, the call at the bottom.

mod chat;
mod composer;
mod doors;
mod floating;
mod frame;
mod moderation;
mod people;

pub use chat::LIST;
pub use composer::TEXT as COMPOSER;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use engine::{
    Command, Delivery, Levels, Line, MessageId, Moderation, Participant, ParticipantId,
    ParticipantState, Recipient, ReferId, SessionKind, Standing, Waiting, WaitingState,
};
use iced::widget::text_editor;
use iced::{Color, Size};

use self::floating::Floating;
use crate::home::hash;
use crate::selectable::{Press, Source};
use crate::text;
use crate::theme::Tokens;

/// Below this width people and chat are tabs.
const NARROW: f32 = 900.0;
/// Louder than this is speaking.
const SPEAKS_DBOV: f32 = -45.0;
/// The ring around a speaker outlasts a short pause.
const SPEAKS_ON: Duration = Duration::from_millis(400);
/// How far a meter falls in one tick: the whole scale in about 300 ms.
const RELEASE_DB: f32 = 8.0;
/// Who left, or could not be reached, stays in the list so long.
const GONE_STAYS: Duration = Duration::from_secs(30);
const TOAST_STAYS: Duration = Duration::from_secs(2);

/// One row of the chat.
#[derive(Debug)]
enum Entry {
    /// People who came or went.
    Event {
        /// When the first of them did, HH:MM.
        clock: String,
        /// Their names.
        names: Vec<String>,
        /// What they did: "joined".
        verb: &'static str,
        /// All of it in words.
        words: String,
    },
    /// A line.
    Line {
        /// The line.
        line: Line,
        /// Its text, taken apart for showing.
        source: Source,
    },
    /// A text of ours that was refused while another was already being written.
    Unsent {
        /// Its text.
        source: Source,
        /// To whom it was to go.
        to: Recipient,
        /// Why it did not.
        reason: String,
    },
}

/// What the window holds for one session.
#[derive(Debug)]
pub struct State {
    /// What it is.
    pub kind: SessionKind,
    /// What it is about.
    pub subject: String,
    /// The conference's address.
    pub conference: String,
    started: Instant,
    lasted: Option<Duration>,
    people: Vec<Participant>,
    /// Who waits to be let in.
    lobby: Vec<Waiting>,
    locked: bool,
    has_lobby: bool,
    has_pin: bool,
    /// Names outlive their people: lines and deliveries still speak of them.
    names: BTreeMap<String, String>,
    colors: BTreeMap<String, usize>,
    since: BTreeMap<ParticipantId, Instant>,
    levels: BTreeMap<ParticipantId, f32>,
    spoke: BTreeMap<ParticipantId, Instant>,
    entries: Vec<Entry>,
    opened: BTreeSet<usize>,
    deliveries: BTreeMap<MessageId, Vec<Delivery>>,
    /// What is being written.
    pub draft: text_editor::Content,
    sent: BTreeMap<String, (String, Recipient)>,
    next_reference: u32,
    target: Recipient,
    muted: bool,
    /// Entity and name of those who write.
    writers: Vec<(String, String)>,
    floating: Option<Floating>,
    toast: Option<(String, Instant)>,
    notice: Option<String>,
    /// What others want of us, in words.
    wishes: Vec<(ReferId, String)>,
    shows_chat: bool,
    chat_tab: bool,
    is_narrow: bool,
    at_end: bool,
    /// While somebody reads further up, what comes waits below this row, so that nothing moves under his eyes.
    held_at: Option<usize>,
    /// Lines that came while they could not be seen.
    pub unread: usize,
    shown_entries: usize,
    /// Set by the composer's text when it is drawn, read by its frame, which is drawn after it.
    composer_has_keyboard: Cell<bool>,
    /// Why it ended; the texts stay readable.
    pub ended: Option<String>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// Let in who waits.
    AdmitPressed(ParticipantId),
    /// Back to the list of calls.
    BackPressed,
    /// The chat was shown or hidden.
    ChatToggled,
    /// The conference's address is to be copied.
    ConferenceCopied,
    /// Who got a line.
    DeliveriesPressed(MessageId),
    /// Something about who may come in, or about keys.
    Door(doors::Press),
    /// Who may come in.
    DoorsPressed,
    /// The composer's text is to be copied; the conference is over.
    DraftCopied,
    /// The composer changed.
    DraftEdited(text_editor::Action),
    /// Show more of what was before.
    EarlierPressed,
    /// Close what floats.
    FloatingClosed,
    /// The invite popover.
    InvitePressed,
    /// Typed into it.
    InviteEdited(String),
    /// Enter in it.
    InviteSubmitted,
    /// Leave was pressed.
    LeavePressed,
    /// And confirmed.
    LeaveConfirmed,
    /// The link's address is to be copied.
    LinkCopied,
    /// Open the link.
    LinkOpened,
    /// A piece of a text was clicked.
    LinkPressed(Press),
    /// Copy a whole message.
    MessageCopied(MessageId),
    /// Show the whole of a long message, or cut it again.
    MessageOpened(usize),
    /// A call of two becomes part of the conference.
    MergePressed(ParticipantId),
    /// Something is to be done about a person.
    ModerationPressed(ParticipantId, Moderation),
    /// The lobby is opened or closed.
    LobbyPressed,
    /// The conference is locked or unlocked.
    LockPressed,
    /// The microphone button.
    MutePressed,
    /// The notice was read.
    NoticeClosed,
    /// What can be done about a person.
    PersonPressed(ParticipantId),
    /// Send away who waits.
    RefusePressed(ParticipantId),
    /// Give up or remove a person.
    RemovePressed(ParticipantId),
    /// And confirmed.
    RemoveConfirmed(ParticipantId),
    /// Send a line again.
    ResendPressed(MessageId, Vec<String>),
    /// Call somebody again who could not be reached.
    RetryPressed(ParticipantId),
    /// Scrolled; whether the end is seen.
    Scrolled(bool),
    /// What looks secret is to be sent all the same.
    SecretConfirmed,
    /// Send what is written.
    SendPressed,
    /// A tab of the narrow window: chat.
    TabPressed(bool),
    /// Whom to write to.
    TargetChosen(Recipient),
    /// The target menu.
    TargetPressed,
    /// To the newest line.
    ToEndPressed,
    /// Keep or Export, after the end.
    TranscriptPressed(Transcript),
    /// A refused text is to be copied.
    UnsentCopied(usize),
    /// Somebody's call becomes one of two.
    SplitPressed(ParticipantId),
    /// What somebody else wants is done, or not.
    WishDecided(ReferId, bool),
}

/// What is done with the texts of a conference that ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transcript {
    /// They are written into a file.
    Export,
    /// They stay.
    Keep,
}

/// What should happen.
#[derive(Clone, Debug)]
pub enum Action {
    /// Show the list of calls.
    Back,
    /// Put a text into the clipboard.
    Copy(String),
    /// Nothing.
    None,
    /// Open with the desktop's program.
    Open(String),
    /// To the engine; then show the end of the chat.
    Say(Command),
    /// To the engine.
    Send(Vec<Command>),
    /// Scroll the chat to its end.
    ToEnd,
    /// Something with what was kept of it.
    Transcript(Transcript),
    /// Write: the keyboard goes to the composer.
    Write,
}

impl State {
    /// A session begins.
    pub fn new(kind: SessionKind, subject: String, conference: String) -> Self {
        Self {
            kind,
            subject,
            conference,
            started: Instant::now(),
            lasted: None,
            people: Vec::new(),
            lobby: Vec::new(),
            locked: false,
            has_lobby: false,
            has_pin: false,
            names: BTreeMap::new(),
            colors: BTreeMap::new(),
            since: BTreeMap::new(),
            levels: BTreeMap::new(),
            spoke: BTreeMap::new(),
            entries: Vec::new(),
            opened: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            draft: text_editor::Content::new(),
            sent: BTreeMap::new(),
            next_reference: 0,
            target: Recipient::Everyone,
            muted: false,
            writers: Vec::new(),
            floating: None,
            toast: None,
            notice: None,
            wishes: Vec::new(),
            shows_chat: true,
            chat_tab: true,
            is_narrow: false,
            at_end: true,
            held_at: None,
            unread: 0,
            shown_entries: chat::PAGE,
            composer_has_keyboard: Cell::new(false),
            ended: None,
        }
    }

    /// The window has another size.
    pub fn resize(&mut self, size: Size) {
        self.is_narrow = size.width < NARROW;
        self.seen();
    }

    /// A participant came, changed or went.
    pub fn participant(&mut self, person: Participant) {
        let known = self.people.iter_mut().find(|known| known.id == person.id);
        let before = known.as_ref().map(|known| known.state);
        let (is_self, state, reason) = (person.is_self, person.state, person.reason.clone());
        let (name, entity, id) = (person.name.clone(), person.entity.clone(), person.id);
        self.names.insert(entity.clone(), name.clone());
        // In one conference each person has the next free colour, starting at the hash.
        if !self.colors.contains_key(&entity) {
            let start = hash(&entity);
            let used: Vec<usize> = self.colors.values().copied().collect();
            let free = (0..8).map(|n| (start + n) % 8).find(|color| !used.contains(color));
            self.colors.insert(entity, free.unwrap_or(start % 8));
        }
        match known {
            Some(known) => *known = person,
            // Who was gone before we came is no news.
            None if state == ParticipantState::Disconnected => return,
            None => self.people.push(person),
        }
        if before != Some(state) {
            self.since.insert(id, Instant::now());
        }
        if is_self || self.kind == SessionKind::Call {
            return;
        }
        let was_here =
            matches!(before, Some(ParticipantState::Connected | ParticipantState::OnHold));
        match state {
            ParticipantState::Connected if !was_here => self.note(name, "joined"),
            ParticipantState::Disconnected if was_here => self.note(name, "left"),
            ParticipantState::Disconnected if before.is_some_and(|before| before != state) => {
                let words = if reason.is_empty() { format!("{name} did not come") } else { reason };
                self.note(words, "");
            }
            _ => {}
        }
    }

    /// Comings and goings in a row are one row of the chat.
    fn note(&mut self, name: String, verb: &'static str) {
        if let Some(Entry::Event { clock, names, verb: known, words }) = self.entries.last_mut()
            && *known == verb
            && !verb.is_empty()
        {
            names.push(name);
            *words = format!("{clock}  {} {verb}", text::listed(names));
            return;
        }
        let clock = chat::clock(time::OffsetDateTime::now_utc());
        let words = format!("{clock}  {name} {verb}").trim_end().to_owned();
        self.entries.push(Entry::Event { clock, names: vec![name], verb, words });
    }

    /// A line, received or our own.
    pub fn line(&mut self, line: Line, is_seen: bool) {
        let is_read = is_seen && self.at_end && self.chat_is_shown();
        if !line.is_own && !is_read {
            self.unread += 1;
        }
        let source = Source::new(&line.text);
        self.entries.push(Entry::Line { line, source });
    }

    /// A delivery changed.
    pub fn delivery(&mut self, delivery: Delivery) {
        let all = self.deliveries.entry(delivery.id).or_default();
        match all.iter_mut().find(|known| known.recipient == delivery.recipient) {
            Some(known) => *known = delivery,
            None => all.push(delivery),
        }
    }

    /// A line of ours was taken: its text need not be kept.
    pub fn accepted(&mut self, reference: &str) {
        self.sent.remove(reference);
    }

    /// A line of ours was refused: its text goes back into the composer, with whom it was for. Where something else is
    /// being written by now it stays in the chat, to be copied.
    pub fn refused(&mut self, reference: &str, reason: String) {
        self.notice = Some(reason.clone());
        let Some((text, to)) = self.sent.remove(reference) else { return };
        if self.draft_text().is_empty() {
            self.draft = text_editor::Content::with_text(&text);
            self.target = to;
        } else {
            self.entries.push(Entry::Unsent { source: Source::new(&text), to, reason });
        }
    }

    /// How the hosted conference stands.
    pub fn standing(&mut self, standing: &Standing) {
        (self.locked, self.has_lobby) = (standing.locked, standing.lobby);
        self.has_pin = standing.pin;
    }

    /// Somebody waits to be let in, or does so no more.
    pub fn waits(&mut self, waiting: Waiting) {
        self.lobby.retain(|known| known.id != waiting.id);
        match waiting.state {
            WaitingState::Waiting => self.lobby.push(waiting),
            WaitingState::Admitted | WaitingState::Left | WaitingState::Refused => {}
        }
    }

    /// A word from the engine.
    pub fn notice(&mut self, text: String) {
        self.notice = Some(text);
    }

    /// The microphone is muted or not.
    pub fn muted(&mut self, on: bool) {
        self.muted = on;
    }

    /// Somebody writes, or does not any more.
    pub fn typing(&mut self, entity: &str, name: &str, on: bool) {
        self.writers.retain(|(known, _)| known != entity);
        if on {
            self.writers.push((entity.to_owned(), name.to_owned()));
        }
    }

    /// It is over. What was said and what was being written stays.
    pub fn end(&mut self, reason: String) {
        self.lasted.get_or_insert(self.started.elapsed());
        self.levels.clear();
        self.spoke.clear();
        self.floating = None;
        self.lobby.clear();
        self.ended = Some(reason);
    }

    /// The window is looked at again.
    pub fn seen(&mut self) {
        if self.at_end && self.chat_is_shown() {
            self.unread = 0;
        }
    }

    /// The latest levels; the meters fall slowly enough for the eye to follow.
    pub fn tick(&mut self, levels: &Levels) {
        if self.ended.is_none() {
            for (id, dbov) in &levels.levels_dbov {
                let shown = self.levels.entry(*id).or_insert(-127.0);
                *shown = if *dbov > *shown { *dbov } else { (*shown - RELEASE_DB).max(*dbov) };
                if *dbov >= SPEAKS_DBOV {
                    self.spoke.insert(*id, Instant::now());
                }
            }
        }
        if self.toast.as_ref().is_some_and(|(_, since)| since.elapsed() >= TOAST_STAYS) {
            self.toast = None;
        }
        let since = &self.since;
        let is_fresh =
            |id: ParticipantId| since.get(&id).is_none_or(|since| since.elapsed() < GONE_STAYS);
        self.people
            .retain(|person| person.state != ParticipantState::Disconnected || is_fresh(person.id));
    }

    /// How many are in it beside us.
    pub fn others(&self) -> usize {
        self.people.iter().filter(|person| !person.is_self && is_here(person)).count()
    }

    /// How long it lasts, or lasted: HH:MM:SS.
    pub fn timer(&self) -> String {
        let seconds = self.lasted.unwrap_or_else(|| self.started.elapsed()).as_secs();
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// Text of a file, at the caret.
    pub fn insert(&mut self, text: &str) {
        let paste = text_editor::Edit::Paste(std::sync::Arc::new(text.to_owned()));
        self.draft.perform(text_editor::Action::Edit(paste));
    }

    /// Whether something floats over the window; Escape closes it.
    pub fn is_floating(&self) -> bool {
        self.floating.is_some()
    }

    /// Says something for two seconds.
    pub fn say(&mut self, words: String) {
        self.toast = Some((words, Instant::now()));
    }

    /// Handles one message.
    pub fn update(&mut self, message: Message) -> Action {
        match message {
            Message::AdmitPressed(waiting) => {
                return Action::Send(vec![Command::Admit { waiting }]);
            }
            Message::BackPressed => return Action::Back,
            Message::ChatToggled => {
                self.shows_chat = !self.shows_chat;
                self.seen();
            }
            Message::ConferenceCopied => {
                self.floating = None;
                self.say("Copied the address of the conference".to_owned());
                return Action::Copy(self.conference.clone());
            }
            Message::DeliveriesPressed(id) => self.floating = Some(Floating::Deliveries { id }),
            Message::Door(press) => return self.door(press),
            Message::DoorsPressed => self.floating = Some(Floating::Doors(doors::Typed::default())),
            Message::DraftCopied => return self.copy_text(self.draft_text(), 0),
            Message::DraftEdited(edit) if self.ended.is_none() || !edit.is_edit() => {
                let writes = edit.is_edit() && self.target == Recipient::Everyone;
                self.draft.perform(edit);
                if writes {
                    return Action::Send(vec![Command::Typing]);
                }
            }
            Message::DraftEdited(_) => {}
            Message::EarlierPressed => self.shown_entries += chat::PAGE,
            Message::FloatingClosed => self.floating = None,
            Message::InvitePressed => {
                self.floating = Some(Floating::Invite { typed: String::new() });
            }
            Message::InviteEdited(typed) => self.floating = Some(Floating::Invite { typed }),
            Message::InviteSubmitted => return self.invite(),
            Message::LeavePressed if self.asks_before_leaving() => {
                self.floating = Some(Floating::Leaving);
            }
            Message::LeavePressed | Message::LeaveConfirmed => return self.leave(),
            Message::LinkCopied => {
                if let Some(Floating::Link { url }) = self.floating.take() {
                    self.say("Copied the link".to_owned());
                    return Action::Copy(url);
                }
            }
            Message::LinkOpened => {
                if let Some(Floating::Link { url }) = self.floating.take() {
                    return Action::Open(url);
                }
            }
            Message::LinkPressed(press) => return self.press(press),
            Message::MessageCopied(id) => return self.copy_line(id),
            Message::MessageOpened(place) => {
                if !self.opened.remove(&place) {
                    self.opened.insert(place);
                }
            }
            Message::MergePressed(id) => return self.merge(id),
            Message::SplitPressed(id) => return self.split(id),
            Message::ModerationPressed(id, act) => return self.moderate(id, act),
            Message::MutePressed => return Action::Send(vec![Command::Mute { on: !self.muted }]),
            Message::NoticeClosed => self.notice = None,
            Message::PersonPressed(id) => self.floating = Some(Floating::Person { id }),
            Message::LobbyPressed => {
                return Action::Send(vec![Command::Lobby { on: !self.has_lobby }]);
            }
            Message::LockPressed => return Action::Send(vec![Command::Lock { on: !self.locked }]),
            Message::RefusePressed(waiting) => {
                return Action::Send(vec![Command::Refuse { waiting }]);
            }
            Message::RemovePressed(id) => return self.remove(id),
            Message::RemoveConfirmed(participant) => {
                self.floating = None;
                return Action::Send(vec![Command::Remove { participant }]);
            }
            Message::ResendPressed(message, recipients) => {
                let again = |recipient| Command::Resend { message, recipient: Some(recipient) };
                return Action::Send(recipients.into_iter().map(again).collect());
            }
            Message::RetryPressed(id) => return self.retry(id),
            Message::Scrolled(at_end) => self.scrolled(at_end),
            Message::SecretConfirmed => {
                self.floating = None;
                return self.send();
            }
            Message::SendPressed if self.asks_about_secret() => {}
            Message::SendPressed => return self.send(),
            Message::TabPressed(chat) => {
                self.chat_tab = chat;
                self.seen();
            }
            Message::TargetChosen(target) => {
                self.target = target;
                self.floating = None;
                return Action::Write;
            }
            Message::TargetPressed => self.floating = Some(Floating::Target),
            Message::ToEndPressed => {
                self.scrolled(true);
                return Action::ToEnd;
            }
            Message::WishDecided(refer, accepted) => return self.decide_wish(refer, accepted),
            Message::TranscriptPressed(wish) => return Action::Transcript(wish),
            Message::UnsentCopied(place) => {
                if let Some(Entry::Unsent { source, .. }) = self.entries.get(place) {
                    return self.copy_text(source.text().to_owned(), source.hidden());
                }
            }
        }
        Action::None
    }

    /// Whether somebody else is thrown out by our leaving.
    pub fn asks_before_leaving(&self) -> bool {
        self.kind == SessionKind::Hosted && self.others() > 0 && self.ended.is_none()
    }

    fn leave(&mut self) -> Action {
        self.floating = None;
        match self.ended {
            Some(_) => Action::Back,
            None => Action::Send(vec![Command::Leave]),
        }
    }

    fn press(&mut self, press: Press) -> Action {
        match press {
            Press::Call(address) if self.ended.is_none() => {
                self.floating = Some(Floating::Invite { typed: address });
                Action::None
            }
            Press::Call(text) | Press::Copy(text) => {
                self.say(text::copied_piece(&text));
                Action::Copy(text)
            }
            Press::Link(url) => {
                self.floating = Some(Floating::Link { url });
                Action::None
            }
        }
    }

    /// Whether what is written looks secret; then it is asked about before it leaves.
    fn asks_about_secret(&mut self) -> bool {
        let secrets = conference::text::secrets(&self.draft_text());
        let kind = secrets.iter().map(|secret| secret.kind).max_by_key(|kind| {
            // Of several the worst is named.
            *kind == conference::text::SecretKind::PrivateKey
        });
        if let Some(kind) = kind.filter(|_| self.can_send()) {
            self.floating = Some(Floating::Secret { kind });
            return true;
        }
        false
    }

    /// Who is in the conference is asked about, who is still being called is not.
    fn remove(&mut self, id: ParticipantId) -> Action {
        match self.people.iter().find(|person| person.id == id) {
            Some(person) if is_here(person) => {
                self.floating = Some(Floating::Removing { id });
                Action::None
            }
            _ => Action::Send(vec![Command::Remove { participant: id }]),
        }
    }

    fn retry(&mut self, id: ParticipantId) -> Action {
        let Some(place) = self.people.iter().position(|person| person.id == id) else {
            return Action::None;
        };
        let person = self.people.remove(place);
        Action::Send(vec![Command::Invite { uri: person.entity }])
    }

    fn scrolled(&mut self, at_end: bool) {
        self.at_end = at_end;
        self.held_at = match (at_end, self.held_at) {
            (true, _) => None,
            (false, held) => held.or(Some(self.entries.len())),
        };
        self.seen();
    }

    fn invite(&mut self) -> Action {
        let Some(Floating::Invite { typed }) = &self.floating else { return Action::None };
        let tokens: Vec<String> = typed
            .split([',', ';', '\n'])
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty())
            .collect();
        if let Some(fault) = tokens.iter().find_map(|token| engine::parse_target(token).err()) {
            self.notice = Some(format!("This address {fault}."));
            return Action::None;
        }
        self.floating = None;
        Action::Send(tokens.into_iter().map(|uri| Command::Invite { uri }).collect())
    }

    fn copy_line(&mut self, id: MessageId) -> Action {
        let found = self.entries.iter().find_map(|entry| match entry {
            Entry::Line { line, source } if line.id == id => {
                Some((source.text().to_owned(), source.hidden()))
            }
            _ => None,
        });
        found.map_or(Action::None, |(text, hidden)| self.copy_text(text, hidden))
    }

    fn copy_text(&mut self, text: String, hidden: usize) -> Action {
        self.say(text::copied(text.chars().count(), hidden));
        Action::Copy(text)
    }

    fn send(&mut self) -> Action {
        let text = self.draft_text();
        if text.trim().is_empty() || !self.can_send() {
            return Action::None;
        }
        self.next_reference += 1;
        let reference = format!("window-{}", self.next_reference);
        self.sent.insert(reference.clone(), (text.clone(), self.target.clone()));
        self.draft = text_editor::Content::new();
        self.scrolled(true);
        Action::Say(Command::Say { reference, text, to: self.target.clone() })
    }

    /// What is written, byte for byte, with the line ends that were typed or pasted.
    fn draft_text(&self) -> String {
        self.draft.text()
    }

    /// Over the limit, after the end, or with its recipient gone, nothing is sent and nothing lost.
    fn can_send(&self) -> bool {
        self.ended.is_none()
            && self.draft_text().len() <= conference::MAX_TEXT
            && self.target_is_here()
    }

    fn chat_is_shown(&self) -> bool {
        if self.is_narrow { self.chat_tab } else { self.shows_chat }
    }

    fn target_is_here(&self) -> bool {
        match &self.target {
            Recipient::Everyone | Recipient::Me => true,
            Recipient::Participant(entity) => {
                self.people.iter().any(|person| person.entity == *entity && is_here(person))
            }
        }
    }

    fn name_of(&self, entity: &str) -> String {
        self.names.get(entity).cloned().unwrap_or_else(|| entity.to_owned())
    }

    fn color(&self, tokens: Tokens, entity: &str) -> Color {
        let color = self.colors.get(entity).copied().unwrap_or_else(|| hash(entity) % 8);
        tokens.senders[color % 8]
    }
}

fn is_here(person: &Participant) -> bool {
    matches!(person.state, ParticipantState::Connected | ParticipantState::OnHold)
}

fn is_coming(person: &Participant) -> bool {
    matches!(person.state, ParticipantState::DialingOut | ParticipantState::Alerting)
}

#[cfg(test)]
mod tests;
