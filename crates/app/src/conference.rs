//! The conference window: people left, words right, the call at the bottom.

mod chat;
mod composer;
mod people;

pub use chat::LIST;
pub use composer::TEXT as COMPOSER;

use std::collections::BTreeMap;
use std::time::Instant;

use engine::{
    Command, Delivery, Levels, Line, MessageId, Participant, ParticipantId, ParticipantState,
    Recipient, SessionKind,
};
use iced::widget::{
    Column, Row, Space, button, column, container, opaque, row, stack, text_editor, text_input,
};
use iced::{Alignment, Color, Element, Length, Size};

use crate::home::hash;
use crate::icon::Icon;
use crate::selectable::Source;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, big_action, count, icon_action, label, line, mono, upright};

/// Below this width people and chat are tabs.
const NARROW: f32 = 900.0;
/// Louder than this is speaking.
const SPEAKS_DBOV: f32 = -45.0;

/// One row of the chat.
#[derive(Debug)]
pub enum Entry {
    /// People who came or went, in words.
    Event {
        /// The time and the words.
        words: String,
    },
    /// A line.
    Line {
        /// The line.
        line: Line,
        /// Its text, taken apart for showing.
        source: Source,
    },
}

/// What floats over the window.
#[derive(Clone, Debug, PartialEq)]
pub enum Floating {
    /// Add somebody.
    Invite {
        /// What is typed.
        typed: String,
    },
    /// Leaving ends the conference for all.
    Leaving,
    /// Open this?
    Link {
        /// Its address.
        url: String,
    },
    /// Whom to write to.
    Target,
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
    people: Vec<Participant>,
    colors: BTreeMap<String, usize>,
    levels: BTreeMap<ParticipantId, f32>,
    entries: Vec<Entry>,
    deliveries: BTreeMap<MessageId, Vec<Delivery>>,
    /// What is being written.
    pub draft: text_editor::Content,
    sent: BTreeMap<String, String>,
    next_reference: u32,
    target: Recipient,
    muted: bool,
    floating: Option<Floating>,
    toast: Option<(String, Instant)>,
    notice: Option<String>,
    shows_chat: bool,
    chat_tab: bool,
    at_end: bool,
    /// Lines that came while they could not be seen.
    pub unread: usize,
    shown_entries: usize,
    /// Why it ended; the texts stay readable.
    pub ended: Option<String>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// Back to the list of calls.
    BackPressed,
    /// The chat was shown or hidden.
    ChatToggled,
    /// The conference's address is to be copied.
    ConferenceCopied,
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
    /// A link in a text was clicked.
    LinkPressed(String),
    /// Copy a whole message.
    MessageCopied(MessageId),
    /// The microphone button.
    MutePressed,
    /// The notice was read.
    NoticeClosed,
    /// Give up or remove a person.
    RemovePressed(ParticipantId),
    /// Send a line again.
    ResendPressed(MessageId, Vec<String>),
    /// Scrolled; whether the end is seen.
    Scrolled(bool),
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
    /// To the engine.
    Send(Vec<Command>),
    /// Scroll the chat to its end.
    ToEnd,
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
            people: Vec::new(),
            colors: BTreeMap::new(),
            levels: BTreeMap::new(),
            entries: Vec::new(),
            deliveries: BTreeMap::new(),
            draft: text_editor::Content::new(),
            sent: BTreeMap::new(),
            next_reference: 0,
            target: Recipient::Everyone,
            muted: false,
            floating: None,
            toast: None,
            notice: None,
            shows_chat: true,
            chat_tab: true,
            at_end: true,
            unread: 0,
            shown_entries: chat::PAGE,
            ended: None,
        }
    }

    /// A participant came, changed or went.
    pub fn participant(&mut self, person: Participant) {
        let known = self.people.iter_mut().find(|known| known.id == person.id);
        let before = known.as_ref().map(|known| known.state);
        let (is_self, name, state) = (person.is_self, person.name.clone(), person.state);
        // In one conference each person has the next free colour, starting at the hash.
        if !self.colors.contains_key(&person.entity) {
            let start = hash(&person.entity);
            let used: Vec<usize> = self.colors.values().copied().collect();
            let free = (0..8).map(|n| (start + n) % 8).find(|color| !used.contains(color));
            self.colors.insert(person.entity.clone(), free.unwrap_or(start % 8));
        }
        match known {
            Some(known) => *known = person,
            None => self.people.push(person),
        }
        let came = state == ParticipantState::Connected
            && before != Some(state)
            && before != Some(ParticipantState::OnHold);
        let went = state == ParticipantState::Disconnected
            && matches!(before, Some(ParticipantState::Connected | ParticipantState::OnHold));
        if !is_self && (came || went) {
            self.note(&name, came);
        }
    }

    /// Comings and goings in a row are one row of the chat.
    fn note(&mut self, name: &str, came: bool) {
        let verb = if came { "joined" } else { "left" };
        if let Some(Entry::Event { words }) = self.entries.last_mut()
            && let Some(names) = words.strip_suffix(&format!(" {verb}"))
        {
            *words = format!("{}, {name} {verb}", names.replace(" and ", ", "));
            if let Some((start, end)) = words.clone().rsplit_once(", ") {
                *words = format!("{start} and {end}");
            }
            return;
        }
        let clock = chat::clock(time::OffsetDateTime::now_utc());
        self.entries.push(Entry::Event { words: format!("{clock}  {name} {verb}") });
    }

    /// A line, received or our own.
    pub fn line(&mut self, line: Line, is_seen: bool) {
        let is_visible = is_seen && self.at_end && self.shows_chat;
        if !line.is_own && !is_visible {
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

    /// A line of ours was refused: its text goes back into the composer.
    pub fn refused(&mut self, reference: &str, reason: String) {
        if let Some(text) = self.sent.remove(reference)
            && self.draft.text().trim().is_empty()
        {
            self.draft = text_editor::Content::with_text(&text);
        }
        self.notice = Some(reason);
    }

    /// A word from the engine.
    pub fn notice(&mut self, text: String) {
        self.notice = Some(text);
    }

    /// The microphone is muted or not.
    pub fn muted(&mut self, on: bool) {
        self.muted = on;
    }

    /// The window is looked at again.
    pub fn seen(&mut self) {
        if self.at_end && self.shows_chat {
            self.unread = 0;
        }
    }

    /// The latest levels; the meters fall slowly so that the eye can follow.
    pub fn tick(&mut self, levels: &Levels) {
        for (id, dbov) in &levels.levels_dbov {
            let shown = self.levels.entry(*id).or_insert(-127.0);
            *shown = if *dbov > *shown { *dbov } else { (*shown - 3.0).max(*dbov) };
        }
        if self.toast.as_ref().is_some_and(|(_, since)| since.elapsed().as_secs() >= 2) {
            self.toast = None;
        }
    }

    /// How many are in it beside us.
    pub fn others(&self) -> usize {
        self.people.iter().filter(|person| !person.is_self && is_here(person)).count()
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
            Message::DraftEdited(edit) => self.draft.perform(edit),
            Message::EarlierPressed => self.shown_entries += chat::PAGE,
            Message::FloatingClosed => self.floating = None,
            Message::InvitePressed => {
                self.floating = Some(Floating::Invite { typed: String::new() })
            }
            Message::InviteEdited(typed) => self.floating = Some(Floating::Invite { typed }),
            Message::InviteSubmitted => return self.invite(),
            Message::LeavePressed if self.kind == SessionKind::Hosted && self.others() > 0 => {
                self.floating = Some(Floating::Leaving);
            }
            Message::LeavePressed | Message::LeaveConfirmed => {
                self.floating = None;
                if self.ended.is_some() {
                    return Action::Back;
                }
                return Action::Send(vec![Command::Leave]);
            }
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
            Message::LinkPressed(url) => match url.strip_prefix("mailto:") {
                Some(address) => {
                    self.say(format!("Copied {address}"));
                    return Action::Copy(address.to_owned());
                }
                None => self.floating = Some(Floating::Link { url }),
            },
            Message::MessageCopied(id) => return self.copy(id),
            Message::MutePressed => return Action::Send(vec![Command::Mute { on: !self.muted }]),
            Message::NoticeClosed => self.notice = None,
            Message::RemovePressed(participant) => {
                return Action::Send(vec![Command::Remove { participant }]);
            }
            Message::ResendPressed(message, recipients) => {
                let again = |recipient| Command::Resend { message, recipient };
                return Action::Send(recipients.into_iter().map(again).collect());
            }
            Message::Scrolled(at_end) => {
                self.at_end = at_end;
                self.seen();
            }
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
                self.at_end = true;
                self.unread = 0;
                return Action::ToEnd;
            }
        }
        Action::None
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

    fn copy(&mut self, id: MessageId) -> Action {
        let found = self.entries.iter().find_map(|entry| match entry {
            Entry::Line { line, source } if line.id == id => {
                Some((line.text.clone(), source.hidden()))
            }
            Entry::Line { .. } | Entry::Event { .. } => None,
        });
        let Some((text, hidden)) = found else { return Action::None };
        let mut words = format!("Copied {} characters", text.chars().count());
        if hidden > 0 {
            words.push_str(&format!(". Contains {hidden} hidden"));
        }
        self.say(words);
        Action::Copy(text)
    }

    fn send(&mut self) -> Action {
        let text = self.draft_text();
        if text.trim().is_empty() || !self.can_send() {
            return Action::None;
        }
        self.next_reference += 1;
        let reference = format!("window-{}", self.next_reference);
        self.sent.insert(reference.clone(), text.clone());
        self.draft = text_editor::Content::new();
        self.at_end = true;
        self.unread = 0;
        Action::Send(vec![Command::Say { reference, text, to: self.target.clone() }])
    }

    /// What is written, without the line end that the editor adds.
    fn draft_text(&self) -> String {
        let text = self.draft.text();
        text.strip_suffix('\n').map_or(text.clone(), str::to_owned)
    }

    /// Over the limit, after the end, or with its recipient gone, nothing is sent and nothing lost.
    fn can_send(&self) -> bool {
        self.ended.is_none()
            && self.draft_text().len() <= conference::MAX_TEXT
            && self.target_is_here()
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
        let known = self.people.iter().find(|person| person.entity == entity);
        known.map_or_else(|| entity.to_owned(), |person| person.name.clone())
    }

    fn color(&self, tokens: Tokens, entity: &str) -> Color {
        let color = self.colors.get(entity).copied().unwrap_or_else(|| hash(entity) % 8);
        tokens.senders[color % 8]
    }

    /// The screen.
    pub fn view<'a>(&'a self, tokens: Tokens, size: Size) -> Element<'a, Message> {
        let narrow = size.width < NARROW;
        let body: Element<'a, Message> = match (narrow, self.shows_chat) {
            (true, _) if self.chat_tab => self.chat_panel(tokens, true),
            (true, _) => self.people_panel(tokens, Length::Fill),
            (false, true) => row![
                self.people_panel(tokens, Length::Fixed(304.0)),
                upright(tokens),
                self.chat_panel(tokens, false)
            ]
            .into(),
            (false, false) => self.people_panel(tokens, Length::Fill),
        };
        let body = container(body).height(Length::Fill);
        let mut page = column![self.top_bar(tokens, narrow), line(tokens)];
        if let Some(notice) = &self.notice {
            page = page.push(self.banner(tokens, notice));
        }
        if let Some(reason) = &self.ended {
            page = page.push(ended_banner(tokens, reason));
        }
        let page = page.push(body).push(line(tokens)).push(self.controls(tokens, narrow));
        let mut layers = stack![page];
        if let Some(floating) = &self.floating {
            let veil = button(Space::new().width(Length::Fill).height(Length::Fill))
                .style(|_, _| button::Style { background: None, ..button::Style::default() })
                .on_press(Message::FloatingClosed);
            layers = layers.push(veil).push(self.float(tokens, floating));
        }
        if let Some((words, _)) = &self.toast {
            let toast = container(label(words.as_str(), 14.0, tokens.text))
                .padding([9, 16])
                .style(tokens.floating(8.0));
            layers = layers.push(
                container(toast)
                    .align_right(Length::Fill)
                    .align_bottom(Length::Fill)
                    .padding(iced::Padding { bottom: 180.0, right: 32.0, ..iced::Padding::ZERO }),
            );
        }
        layers.into()
    }

    fn top_bar<'a>(&'a self, tokens: Tokens, narrow: bool) -> Element<'a, Message> {
        let seconds = self.started.elapsed().as_secs();
        let timer = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let all = self.people.iter().filter(|person| is_here(person) || is_coming(person)).count();
        let here = self.people.iter().filter(|person| is_here(person)).count();
        let whose = match self.kind {
            SessionKind::Call => "call".to_owned(),
            SessionKind::Hosted => "hosted by you".to_owned(),
            SessionKind::Joined => {
                let host = self.people.iter().find(|person| person.is_host);
                host.map_or_else(
                    || "conference".to_owned(),
                    |host| format!("hosted by {}", host.name),
                )
            }
        };
        let mut bar =
            Row::new().push(icon_action(tokens, Icon::ArrowLeft, "Back", Message::BackPressed));
        if narrow {
            let tab = |words: &'static str, chat: bool| {
                let kind = if self.chat_tab == chat { Kind::Normal } else { Kind::Quiet };
                action(tokens, kind, None, words, Some(Message::TabPressed(chat)))
            };
            bar = bar.push(tab("People", false)).push(tab("Chat", true));
        } else {
            bar = bar.push(label(self.subject.as_str(), 18.0, tokens.text));
            bar = bar.push(container(upright(tokens)).height(20));
        }
        bar = bar.push(mono(timer, 12.0, tokens.text));
        if !narrow {
            bar =
                bar.push(label(format!("{whose} · {here} of {all} connected"), 13.0, tokens.muted));
        }
        bar = bar.push(Space::new().width(Length::Fill));
        if self.kind == SessionKind::Hosted && self.ended.is_none() {
            let words = if narrow { "" } else { "Invite" };
            bar = bar.push(action(
                tokens,
                Kind::Normal,
                Some(Icon::Invite),
                words,
                Some(Message::InvitePressed),
            ));
        }
        let bar = bar.spacing(12).align_y(Alignment::Center);
        container(bar).padding([0, 16]).height(56).align_y(Alignment::Center).into()
    }

    fn banner<'a>(&'a self, tokens: Tokens, words: &'a str) -> Element<'a, Message> {
        let content = row![
            Icon::Alert.view(20.0, tokens.warn),
            container(label(words, 14.0, tokens.text)).width(Length::Fill),
            icon_action(tokens, Icon::Close, "Close", Message::NoticeClosed)
        ]
        .spacing(12)
        .align_y(Alignment::Center);
        container(content)
            .padding([8, 16])
            .width(Length::Fill)
            .style(tokens.fill(tokens.warn_soft))
            .into()
    }

    fn controls<'a>(&'a self, tokens: Tokens, narrow: bool) -> Element<'a, Message> {
        let mut bar = Row::new();
        if self.ended.is_none() {
            let (kind, icon, words) = if self.muted {
                (Kind::Danger, Icon::MicOff, "Unmute")
            } else {
                (Kind::Normal, Icon::Mic, "Mute")
            };
            let ink = crate::ui::ink(tokens, kind);
            let mut content = row![icon.view(18.0, ink), label(words, 14.0, ink)];
            if !narrow {
                content = content.push(label(
                    "Ctrl+D",
                    12.0,
                    if self.muted { ink } else { tokens.muted },
                ));
            }
            bar = bar.push(big_action(tokens, kind, content, Some(Message::MutePressed)));
        }
        if !narrow {
            let kind = if self.shows_chat { Kind::Soft } else { Kind::Normal };
            let ink = crate::ui::ink(tokens, kind);
            let mut content = row![Icon::Chat.view(18.0, ink), label("Chat", 14.0, ink)];
            if self.unread > 0 {
                content = content.push(count(tokens, self.unread, tokens.accent, tokens.on_accent));
            }
            bar = bar.push(big_action(tokens, kind, content, Some(Message::ChatToggled)));
        }
        let words = if self.ended.is_some() { "Close" } else { "Leave" };
        let leave = row![Icon::Leave.view(18.0, tokens.err), label(words, 14.0, tokens.err)];
        let bar = bar
            .push(Space::new().width(Length::Fill))
            .push(big_action(tokens, Kind::Danger, leave, Some(Message::LeavePressed)))
            .spacing(8)
            .align_y(Alignment::Center);
        container(bar)
            .padding([0, 16])
            .height(if narrow { 52 } else { 64 })
            .align_y(Alignment::Center)
            .into()
    }

    fn float<'a>(&'a self, tokens: Tokens, floating: &'a Floating) -> Element<'a, Message> {
        let (content, bottom): (Element<'a, Message>, bool) = match floating {
            Floating::Invite { typed } => (self.invite_card(tokens, typed), false),
            Floating::Leaving => (self.leave_card(tokens), false),
            Floating::Link { url } => (link_card(tokens, url), false),
            Floating::Target => (self.target_menu(tokens), true),
        };
        let card = opaque(container(content).style(tokens.floating(12.0)));
        if bottom {
            let padding = iced::Padding { left: 336.0, bottom: 170.0, ..iced::Padding::ZERO };
            let narrow = iced::Padding { left: 24.0, bottom: 150.0, ..iced::Padding::ZERO };
            let padding = if self.shows_chat { padding } else { narrow };
            return container(card)
                .align_left(Length::Fill)
                .align_bottom(Length::Fill)
                .padding(padding)
                .into();
        }
        container(card).center(Length::Fill).into()
    }

    fn invite_card<'a>(&'a self, tokens: Tokens, typed: &'a str) -> Element<'a, Message> {
        let field = text_input("Address of somebody to call", typed)
            .id("invite")
            .on_input(Message::InviteEdited)
            .on_submit(Message::InviteSubmitted)
            .padding([8, 12])
            .size(15)
            .style(tokens.field(6.0));
        let ready = (!typed.trim().is_empty()).then_some(Message::InviteSubmitted);
        let call =
            row![field, action(tokens, Kind::Primary, Some(Icon::Phone), "Call", ready)].spacing(8);
        let own = row![
            mono(crate::ui::middle(&self.conference, 44), 12.0, tokens.text),
            Space::new().width(Length::Fill),
            action(tokens, Kind::Normal, Some(Icon::Copy), "Copy", Some(Message::ConferenceCopied))
        ]
        .align_y(Alignment::Center);
        column![
            label("Invite", 18.0, tokens.text),
            call,
            label(
                "Or give them this address. It works for people who can reach your computer.",
                13.0,
                tokens.muted
            ),
            own
        ]
        .spacing(12)
        .padding(16)
        .width(492)
        .into()
    }

    fn leave_card<'a>(&'a self, tokens: Tokens) -> Element<'a, Message> {
        let people = crate::text::people(self.others());
        let words = format!("You host this conference. Leaving ends it for {people}.");
        let buttons = row![
            Space::new().width(Length::Fill),
            action(tokens, Kind::Normal, None, "Stay", Some(Message::FloatingClosed)),
            action(
                tokens,
                Kind::Danger,
                Some(Icon::Leave),
                "End for all",
                Some(Message::LeaveConfirmed)
            )
        ]
        .spacing(8);
        column![label(words, 15.0, tokens.text), buttons].spacing(16).padding(16).width(420).into()
    }
}

/// A host as people read it, and what stands around it.
fn link_card<'a>(tokens: Tokens, url: &'a str) -> Element<'a, Message> {
    let (before, host, behind) = url_parts(url);
    let span = |text: &'a str, color: Color| {
        iced::widget::span::<std::convert::Infallible, iced::Font>(text)
            .color(color)
            .font(crate::ui::MONO)
    };
    let address = iced::widget::rich_text![
        span(before, tokens.muted),
        span(host, tokens.text),
        span(behind, tokens.muted)
    ]
    .on_link_click(iced::never)
    .size(13);
    let boxed = container(address).padding(12).width(Length::Fill).style(tokens.card(
        tokens.raised,
        Color::TRANSPARENT,
        8.0,
        0.0,
    ));
    let mut card = Column::new().push(label("Open this link?", 18.0, tokens.text)).push(boxed);
    if !host.is_ascii() || host.contains("xn--") || before.contains('@') {
        let words = "Look closely: this address has letters of another alphabet, or a name in front of its host.";
        card = card.push(label(words, 13.0, tokens.warn));
    }
    let buttons = row![
        action(tokens, Kind::Normal, Some(Icon::Copy), "Copy", Some(Message::LinkCopied)),
        Space::new().width(Length::Fill),
        action(tokens, Kind::Quiet, None, "Cancel", Some(Message::FloatingClosed)),
        action(
            tokens,
            Kind::Primary,
            Some(Icon::External),
            "Open in browser",
            Some(Message::LinkOpened)
        )
    ]
    .spacing(8);
    card.push(buttons).spacing(14).padding(16).width(492).into()
}

/// Scheme (with user part), host, and the rest.
fn url_parts(url: &str) -> (&str, &str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let host = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    (&url[..host], &url[host..end], &url[end..])
}

fn ended_banner<'a>(tokens: Tokens, reason: &'a str) -> Element<'a, Message> {
    let content =
        row![Icon::Leave.view(20.0, tokens.muted), label(reason, 14.0, tokens.text)].spacing(12);
    container(content)
        .padding([12, 16])
        .width(Length::Fill)
        .style(tokens.fill(tokens.raised))
        .into()
}

fn is_here(person: &Participant) -> bool {
    matches!(person.state, ParticipantState::Connected | ParticipantState::OnHold)
}

fn is_coming(person: &Participant) -> bool {
    matches!(person.state, ParticipantState::DialingOut | ParticipantState::Alerting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(id: u32, name: &str, state: ParticipantState) -> Participant {
        Participant {
            id: ParticipantId(id),
            entity: format!("sip:{name}@x"),
            name: name.into(),
            is_self: id == 1,
            is_host: id == 1,
            state,
            reason: String::new(),
            muted: false,
            chat: engine::ChatAbility::Yes,
            agent: None,
        }
    }

    fn state() -> State {
        let mut state = State::new(SessionKind::Hosted, "Weekly ops".into(), "sip:conf@x".into());
        for (id, name) in [(1, "Anna"), (2, "Bob"), (3, "Carol")] {
            state.participant(person(id, name, ParticipantState::Connected));
        }
        state
    }

    fn write(state: &mut State, text: &str) {
        let paste = text_editor::Edit::Paste(std::sync::Arc::new(text.to_owned()));
        state.update(Message::DraftEdited(text_editor::Action::Edit(paste)));
    }

    #[test]
    fn what_is_written_is_sent_as_it_stands_and_comes_back_when_refused() {
        let mut state = state();
        let text = "a\tb  c\n\n  key";
        write(&mut state, text);
        let Action::Send(commands) = state.update(Message::SendPressed) else { panic!() };
        let [Command::Say { reference, text: sent, to }] = commands.as_slice() else { panic!() };
        assert_eq!((sent.as_str(), to), (text, &Recipient::Everyone));
        assert!(state.draft_text().is_empty());
        state.refused(reference, "Too much at once".into());
        assert_eq!(state.draft_text(), text);
    }

    #[test]
    fn a_private_target_that_left_blocks_sending_and_never_becomes_everyone() {
        let mut state = state();
        state.update(Message::TargetChosen(Recipient::Participant("sip:Bob@x".into())));
        write(&mut state, "secret");
        state.participant(person(2, "Bob", ParticipantState::Disconnected));
        assert!(matches!(state.update(Message::SendPressed), Action::None));
        assert_eq!(state.draft_text(), "secret");
    }

    #[test]
    fn comings_in_a_row_are_one_row() {
        let state = state();
        let words: Vec<&str> = state
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Event { words } => words.as_str(),
                Entry::Line { .. } => "line",
            })
            .collect();
        assert_eq!(words.len(), 1);
        assert!(words[0].ends_with("Bob and Carol joined"), "{words:?}");
    }

    #[test]
    fn a_host_asks_before_ending_for_all() {
        let mut state = state();
        assert!(matches!(state.update(Message::LeavePressed), Action::None));
        assert!(state.is_floating());
        let Action::Send(commands) = state.update(Message::LeaveConfirmed) else { panic!() };
        assert!(matches!(commands.as_slice(), [Command::Leave]));
    }

    #[test]
    fn a_copy_gives_the_exact_bytes() {
        let mut state = state();
        let text = "ssh-ed25519 AAAA\u{202e} x\r\n";
        state.line(
            Line {
                id: MessageId(7),
                seq: Some(1),
                from: "sip:Bob@x".into(),
                name: "Bob".into(),
                is_own: false,
                to: Recipient::Everyone,
                text: text.into(),
                verified: true,
                at: time::OffsetDateTime::UNIX_EPOCH,
            },
            true,
        );
        let Action::Copy(copied) = state.update(Message::MessageCopied(MessageId(7))) else {
            panic!()
        };
        assert_eq!(copied, text);
    }

    #[test]
    fn the_host_of_a_link_is_found_behind_what_poses_as_it() {
        assert_eq!(url_parts("https://a.b/c?d"), ("https://", "a.b", "/c?d"));
        assert_eq!(url_parts("http://bank.com@evil.x:8/"), ("http://bank.com@", "evil.x:8", "/"));
        assert_eq!(url_parts("http://[::1]"), ("http://", "[::1]", ""));
    }
}
