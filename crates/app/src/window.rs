//! The window: holds the screens, feeds them what the engine tells, does what they want.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::json::{Wish, Writer, notice_line, parse};
use engine::{AudioKind, ChatRate, Command, Event, Handle, SessionKind, Settings, user_of_name};
use futures::channel::mpsc;
use iced::keyboard::key::Named;
use iced::widget::{Space, column, container, row, stack};
use iced::{Alignment, Element, Length, Size, Subscription, Task, keyboard, window};

use crate::conference::{self, Action as ConferenceAction};
use crate::home::{self, Action as HomeAction};
use crate::icon::Icon;
use crate::theme::{DARK, Kind, LIGHT, Tokens};
use crate::ui::{action, label};
use crate::{incoming, notify};

const TICK: Duration = Duration::from_millis(50);
/// The largest file that goes into the composer.
const MAX_FILE: usize = 64 * 1024;

/// Which theme the user wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// Dark.
    Dark,
    /// Light.
    Light,
    /// As the desktop.
    System,
}

/// How the window is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The user's name.
    pub name: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What is sent.
    pub audio: AudioKind,
    /// Host a conference of this subject at once.
    pub host: Option<String>,
    /// Its URI's user part.
    pub conference: Option<String>,
    /// Whom to call into it.
    pub invite: Vec<String>,
    /// An address to put into the call bar. It is never called by itself.
    pub address: Option<String>,
    /// Where the call history lives.
    pub data_folder: Option<PathBuf>,
    /// Theme.
    pub theme: Wanted,
    /// Events on standard output and commands on standard input, as parlour-cli does.
    pub json: bool,
}

/// The application.
pub struct Window {
    handle: Handle,
    name: String,
    address: String,
    hint: Option<String>,
    wanted: Wanted,
    system_is_dark: bool,
    size: Size,
    focused: bool,
    at_home: bool,
    home: home::State,
    conference: Option<conference::State>,
    incoming: Vec<incoming::State>,
    begin: Option<Command>,
    json: Option<Writer>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// In the conference.
    Conference(conference::Message),
    /// The engine tells.
    Engine(Event),
    /// On the home screen.
    Home(home::Message),
    /// On the card of a ringing call.
    Incoming(incoming::Message),
    /// A key that no widget took, or took too.
    Key(Shortcut),
    /// A text file was chosen and read.
    FileRead(Result<String, String>),
    /// Back to the conference.
    ReturnPressed,
    /// The desktop's theme.
    SystemTheme(bool),
    /// The text of a link's program.
    Opened(Result<(), String>),
    /// Levels and timers.
    Tick,
    /// The window's size, or whether it is in front.
    Window(window::Event),
}

/// A chord.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shortcut {
    /// Ctrl+Shift+A.
    Answer,
    /// Ctrl+L or Ctrl+N.
    CallBar,
    /// Escape.
    Close,
    /// Ctrl+Shift+X.
    Decline,
    /// Ctrl+O.
    InsertFile,
    /// Ctrl+I.
    Invite,
    /// Ctrl+D.
    Mute,
    /// Ctrl+Q.
    Quit,
    /// Ctrl+T.
    Write,
}

/// Runs it to its end.
pub fn run(options: Options) -> iced::Result {
    iced::application(move || Window::new(options.clone()), Window::update, Window::view)
        .title(Window::title)
        .theme(|window: &Window| window.tokens().base())
        .subscription(Window::subscription)
        .font(epaint_default_fonts::HACK_REGULAR)
        .default_font(crate::ui::SANS)
        .window(window::Settings {
            size: Size::new(1080.0, 700.0),
            min_size: Some(Size::new(720.0, 480.0)),
            exit_on_close_request: true,
            ..window::Settings::default()
        })
        .run()
}

impl Window {
    fn new(options: Options) -> (Self, Task<Message>) {
        let settings = Settings {
            listen: options.listen,
            fall_back_to_free_port: true,
            user: user_of_name(&options.name),
            name: options.name.clone(),
            conference_user: options.conference,
            audio: options.audio,
            record: None,
            chat_rate: ChatRate::default(),
            data_folder: options.data_folder,
            unattended: false,
        };
        let (handle, events) = engine::start(settings);
        if options.json {
            read_commands(handle.clone());
        }
        let begin = options.host.map(|subject| Command::Host { subject, invite: options.invite });
        let home = home::State::with_input(options.address.unwrap_or_default());
        let window = Self {
            handle,
            name: options.name,
            address: String::new(),
            hint: None,
            wanted: options.theme,
            system_is_dark: false,
            size: Size::new(1080.0, 700.0),
            focused: true,
            at_home: true,
            home,
            conference: None,
            incoming: Vec::new(),
            begin,
            json: options.json.then(Writer::default),
        };
        let system =
            iced::system::theme().map(|mode| Message::SystemTheme(mode == iced::theme::Mode::Dark));
        let focus = iced::widget::operation::focus(home::CALL_BAR);
        (window, Task::batch([Task::run(events, Message::Engine), system, focus]))
    }

    fn tokens(&self) -> Tokens {
        match (self.wanted, self.system_is_dark) {
            (Wanted::Dark, _) | (Wanted::System, true) => DARK,
            (Wanted::Light, _) | (Wanted::System, false) => LIGHT,
        }
    }

    fn title(&self) -> String {
        match &self.conference {
            Some(conference) if conference.unread > 0 => {
                format!("({}) {}", conference.unread, conference.subject)
            }
            Some(conference) => format!("{} - Parlour", conference.subject),
            None => "Parlour".to_owned(),
        }
    }

    fn subscription(&self) -> Subscription<Message> {
        let events = iced::event::listen_with(|event, status, _| match event {
            iced::Event::Keyboard(keyboard::Event::KeyPressed { key, modifiers, .. }) => {
                shortcut(&key, modifiers, status == iced::event::Status::Captured).map(Message::Key)
            }
            iced::Event::Window(event) => Some(Message::Window(event)),
            _ => None,
        });
        let system = iced::system::theme_changes()
            .map(|mode| Message::SystemTheme(mode == iced::theme::Mode::Dark));
        let mut all = vec![events, system];
        // Nothing moves on a quiet home screen, so nothing wakes it.
        if self.conference.is_some() || !self.incoming.is_empty() {
            all.push(Subscription::run(ticks));
        }
        Subscription::batch(all)
    }

    fn update(&mut self, message: Message) -> Task<Message> {
        match message {
            Message::Conference(message) => return self.in_conference(message),
            Message::Engine(event) => return self.engine(event),
            Message::Home(message) => return self.at_home(message),
            Message::Incoming(message) => return self.on_incoming(message),
            Message::Key(shortcut) => return self.key(shortcut),
            Message::Opened(Ok(())) => {}
            Message::Opened(Err(error)) => {
                self.tell(format!("The link could not be opened: {error}"))
            }
            Message::FileRead(Ok(text)) if text.is_empty() => {}
            Message::FileRead(Ok(text)) => self.with(|conference| conference.insert(&text)),
            Message::FileRead(Err(reason)) => self.tell(reason),
            Message::ReturnPressed => self.at_home = false,
            Message::SystemTheme(is_dark) => self.system_is_dark = is_dark,
            Message::Tick => {
                let levels = self.handle.levels();
                if let Some(conference) = &mut self.conference {
                    conference.tick(&levels);
                }
            }
            Message::Window(window::Event::Resized(size)) => self.size = size,
            Message::Window(window::Event::Focused) => {
                self.focused = true;
                if let Some(conference) = self.conference.as_mut().filter(|_| !self.at_home) {
                    conference.seen();
                }
            }
            Message::Window(window::Event::Unfocused) => self.focused = false,
            Message::Window(window::Event::CloseRequested) => self.handle.clone().shutdown(),
            Message::Window(_) => {}
        }
        Task::none()
    }

    fn engine(&mut self, event: Event) -> Task<Message> {
        if let Some(writer) = &mut self.json
            && let Some(line) = writer.line(&event)
        {
            print_line(&line);
        }
        match event {
            Event::Accepted { reference, .. } => {
                self.with(|conference| conference.accepted(&reference))
            }
            Event::Audio { microphone, speaker } => {
                for (what, problem) in
                    [("microphone", microphone.err()), ("speaker", speaker.err())]
                {
                    if let Some(problem) = problem {
                        self.tell(format!("No sound from the {what}: {problem}"));
                    }
                }
            }
            Event::Delivery(delivery) => self.with(|conference| conference.delivery(delivery)),
            Event::Ended { reason } => match &mut self.conference {
                Some(conference) => conference.ended = Some(reason),
                None => self.hint = Some(reason),
            },
            Event::Fatal { text } => self.hint = Some(text),
            Event::History(history) => self.home.history = history,
            Event::Incoming { incoming, name, uri } => {
                let state = incoming::State::new(incoming, name, uri);
                if !self.focused {
                    notify::show(format!("{} is calling", state.shown_name()), &state.uri, true);
                }
                self.incoming.push(state);
            }
            Event::IncomingGone { incoming, .. } => {
                self.incoming.retain(|known| known.id != incoming)
            }
            Event::Line(line) | Event::PersonalText(line) => {
                let seen = self.focused && !self.at_home;
                if !line.is_own && !seen {
                    notify::show(line.name.clone(), &line.text, false);
                }
                match &mut self.conference {
                    Some(conference) => conference.line(line, seen),
                    None => self.hint = Some(format!("{}: {}", line.name, line.text)),
                }
            }
            Event::Muted { on } => self.with(|conference| conference.muted(on)),
            Event::Notice { text } => self.tell(text),
            Event::Participant(participant) => {
                self.with(|conference| conference.participant(participant))
            }
            Event::Ready { uri, hint } => {
                self.address = uri;
                self.hint = hint;
                if let Some(command) = self.begin.take() {
                    self.send(command);
                }
            }
            Event::Refused { reference, reason } => {
                self.with(|conference| conference.refused(&reference, reason))
            }
            Event::Session { kind, subject, conference } => {
                return self.session(kind, subject, conference);
            }
        }
        Task::none()
    }

    fn session(&mut self, kind: SessionKind, subject: String, conference: String) -> Task<Message> {
        match &mut self.conference {
            // A call that turned out to be a conference, or one whose subject is known by now.
            Some(known) if known.ended.is_none() => {
                known.kind = kind;
                known.subject = subject;
                known.conference = conference;
                Task::none()
            }
            _ => {
                self.conference = Some(conference::State::new(kind, subject, conference));
                self.at_home = false;
                self.hint = None;
                iced::widget::operation::focus(conference::COMPOSER)
            }
        }
    }

    fn with(&mut self, act: impl FnOnce(&mut conference::State)) {
        if let Some(conference) = &mut self.conference {
            act(conference);
        }
    }

    fn tell(&mut self, text: String) {
        match &mut self.conference {
            Some(conference) if !self.at_home => conference.notice(text),
            _ => self.hint = Some(text),
        }
    }

    fn send(&mut self, command: Command) {
        if let Err(engine::Full(command)) = self.handle.try_send(command) {
            let text = "Parlour is busy. Try again in a moment.".to_owned();
            if let Command::Say { reference, .. } = command {
                self.with(|conference| conference.refused(&reference, text));
            } else {
                self.tell(text);
            }
        }
    }

    fn in_conference(&mut self, message: conference::Message) -> Task<Message> {
        let Some(conference) = &mut self.conference else { return Task::none() };
        match conference.update(message) {
            ConferenceAction::Back => {
                self.at_home = true;
                if self.conference.as_ref().is_some_and(|conference| conference.ended.is_some()) {
                    self.conference = None;
                }
                iced::widget::operation::focus(home::CALL_BAR)
            }
            ConferenceAction::Copy(text) => iced::clipboard::write(text),
            ConferenceAction::None => Task::none(),
            ConferenceAction::Open(url) => Task::perform(open(url), Message::Opened),
            ConferenceAction::Send(commands) => {
                commands.into_iter().for_each(|command| self.send(command));
                Task::none()
            }
            ConferenceAction::ToEnd => iced::widget::operation::snap_to(
                conference::LIST,
                iced::widget::scrollable::RelativeOffset { x: 0.0, y: 0.0 },
            ),
            ConferenceAction::Write => iced::widget::operation::focus(conference::COMPOSER),
        }
    }

    fn at_home(&mut self, message: home::Message) -> Task<Message> {
        match self.home.update(message, &self.address) {
            HomeAction::Call(uri) => self.send(Command::Call { uri }),
            HomeAction::Copy(text) => return iced::clipboard::write(text),
            HomeAction::Host(invite) => self.send(Command::Host { subject: String::new(), invite }),
            HomeAction::None => {}
            HomeAction::Rename(name) => {
                self.name.clone_from(&name);
                self.send(Command::SetName { name });
            }
            HomeAction::SwitchTheme => {
                self.wanted = if self.tokens().is_dark { Wanted::Light } else { Wanted::Dark };
            }
        }
        Task::none()
    }

    fn on_incoming(&mut self, message: incoming::Message) -> Task<Message> {
        let Some(call) = self.incoming.first().filter(|call| call.is_armed()) else {
            return Task::none();
        };
        let incoming = call.id;
        match message {
            incoming::Message::Added => self.send(Command::AddToConference { incoming }),
            incoming::Message::Answered => {
                if let Some(conference) = &mut self.conference {
                    conference.ended = Some("You answered another call".to_owned());
                }
                self.send(Command::Answer { incoming });
            }
            incoming::Message::Copied => return iced::clipboard::write(call.uri.clone()),
            incoming::Message::Declined => self.send(Command::Decline { incoming, text: None }),
            incoming::Message::Replied => {
                let text = Some(crate::text::CALL_BACK.to_owned());
                self.send(Command::Decline { incoming, text });
            }
        }
        Task::none()
    }

    fn key(&mut self, shortcut: Shortcut) -> Task<Message> {
        let in_conference = self.conference.is_some() && !self.at_home;
        match shortcut {
            Shortcut::Answer => self.on_incoming(incoming::Message::Answered),
            Shortcut::CallBar => {
                self.at_home = true;
                iced::widget::operation::focus(home::CALL_BAR)
            }
            Shortcut::Close if in_conference => {
                let floating = self.conference.as_ref().is_some_and(conference::State::is_floating);
                if floating {
                    return self.in_conference(conference::Message::FloatingClosed);
                }
                iced::widget::operation::focus(conference::COMPOSER)
            }
            Shortcut::Decline => self.on_incoming(incoming::Message::Declined),
            Shortcut::Invite if in_conference => {
                let open = self.in_conference(conference::Message::InvitePressed);
                open.chain(iced::widget::operation::focus("invite"))
            }
            Shortcut::InsertFile if in_conference => Task::perform(read_file(), Message::FileRead),
            Shortcut::Mute if self.conference.is_some() => {
                self.in_conference(conference::Message::MutePressed)
            }
            Shortcut::Quit => {
                let running =
                    self.conference.as_ref().is_some_and(|conference| conference.ended.is_none());
                if running
                    && self.conference.as_ref().is_some_and(|conference| conference.others() > 0)
                {
                    self.at_home = false;
                    return self.in_conference(conference::Message::LeavePressed);
                }
                self.handle.clone().shutdown();
                iced::exit()
            }
            Shortcut::Write if in_conference => {
                iced::widget::operation::focus(conference::COMPOSER)
            }
            Shortcut::Close
            | Shortcut::InsertFile
            | Shortcut::Invite
            | Shortcut::Mute
            | Shortcut::Write => Task::none(),
        }
    }

    fn view(&self) -> Element<'_, Message> {
        let tokens = self.tokens();
        let screen: Element<'_, Message> = match &self.conference {
            Some(conference) if !self.at_home => {
                conference.view(tokens, self.size).map(Message::Conference)
            }
            running => {
                let hint = self.hint.as_deref();
                let home =
                    self.home.view(tokens, &self.name, &self.address, hint).map(Message::Home);
                match running {
                    Some(conference) if conference.ended.is_none() => {
                        column![self.mini_bar(tokens, conference), home].into()
                    }
                    _ => home,
                }
            }
        };
        let screen = container(screen)
            .width(Length::Fill)
            .height(Length::Fill)
            .style(tokens.fill(tokens.bg));
        let Some(call) = self.incoming.first() else { return screen.into() };
        let session = self.conference.as_ref().filter(|conference| conference.ended.is_none()).map(
            |conference| {
                (
                    conference.subject.as_str(),
                    conference.others(),
                    conference.kind == SessionKind::Hosted,
                )
            },
        );
        let card = iced::widget::opaque(call.view(tokens, session).map(Message::Incoming));
        let place = container(card).align_right(Length::Fill).padding(iced::Padding {
            top: 68.0,
            right: 32.0,
            ..iced::Padding::ZERO
        });
        stack![screen, place].into()
    }

    /// The running call, while the list of calls is shown.
    fn mini_bar<'a>(
        &'a self,
        tokens: Tokens,
        conference: &'a conference::State,
    ) -> Element<'a, Message> {
        let people = crate::text::people(conference.others());
        let bar = row![
            Icon::Table.view(20.0, tokens.accent),
            label(conference.subject.as_str(), 14.0, tokens.text),
            label(people, 13.0, tokens.muted),
            Space::new().width(Length::Fill),
            action(tokens, Kind::Outline, None, "Return to call", Some(Message::ReturnPressed))
        ]
        .spacing(12)
        .align_y(Alignment::Center);
        container(bar)
            .padding([0, 32])
            .height(48)
            .align_y(Alignment::Center)
            .style(tokens.fill(tokens.accent_soft))
            .into()
    }
}

/// Chords only: single letters would mute people by accident. Those a text field took too are still meant for us.
fn shortcut(
    key: &keyboard::Key,
    modifiers: keyboard::Modifiers,
    captured: bool,
) -> Option<Shortcut> {
    match key.as_ref() {
        keyboard::Key::Named(Named::Escape) if !captured => Some(Shortcut::Close),
        keyboard::Key::Character(letter) if modifiers.command() => {
            match (letter.to_ascii_lowercase().as_str(), modifiers.shift()) {
                ("a", true) => Some(Shortcut::Answer),
                ("x", true) => Some(Shortcut::Decline),
                ("l" | "n", false) => Some(Shortcut::CallBar),
                ("i", false) => Some(Shortcut::Invite),
                ("d", false) => Some(Shortcut::Mute),
                ("o", false) => Some(Shortcut::InsertFile),
                ("q", false) => Some(Shortcut::Quit),
                ("t", false) => Some(Shortcut::Write),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The desktop's program for links; where it fails the user is told.
async fn open(url: String) -> Result<(), String> {
    open::that_detached(&url).map_err(|error| error.to_string())
}

/// A text file of the user's choice, by the desktop's own dialog; empty where he chose none.
async fn read_file() -> Result<String, String> {
    let Some(file) = rfd::AsyncFileDialog::new().set_title("Insert a text file").pick_file().await
    else {
        return Ok(String::new());
    };
    let bytes = file.read().await;
    if bytes.len() > MAX_FILE {
        return Err("This file is over 64 kB. Send a link to it instead.".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "This file is not text.".to_owned())
}

/// Twenty a second, from a thread that ends with the subscription.
fn ticks() -> impl futures::Stream<Item = Message> {
    let (mut sender, receiver) = mpsc::channel(1);
    let spawned = std::thread::Builder::new().name("ticks".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            if sender.try_send(Message::Tick).is_err_and(|error| error.is_disconnected()) {
                return;
            }
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no meters");
    }
    receiver
}

/// Commands on standard input, as parlour-cli takes them.
fn read_commands(handle: Handle) {
    let spawned = std::thread::Builder::new().name("commands".to_owned()).spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok).filter(|line| !line.is_empty()) {
            let result = match parse(&line) {
                Ok(Wish::Command(command)) => {
                    handle.try_send(command).map_err(|_| "Too many commands at once".to_owned())
                }
                Ok(Wish::End) => handle
                    .try_send(Command::Leave)
                    .map_err(|_| "Too many commands at once".to_owned()),
                Err(notice) => Err(notice),
            };
            if let Err(notice) = result {
                print_line(&notice_line(&notice));
            }
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "standard input is not read");
    }
}

fn print_line(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
