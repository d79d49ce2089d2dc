//! The window: holds the screens, feeds them what the engine tells, does what they want. `window/events` hears the
//! engine, `window/intents` asks before something ends, `window/view` draws what stands around the screens.

mod events;
mod intents;
mod tasks;
mod transcripts;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::json::Writer;
use engine::{AudioKind, ChatRate, Command, Event, Handle, SessionKind, Settings, user_of_name};
use futures::channel::mpsc;
use iced::{Size, Subscription, Task, keyboard, window};

use crate::conference::{self, Action as ConferenceAction};
use crate::home::{self, Action as HomeAction};
use crate::notify::{Notifier, Order};
use crate::question::{self, Intent, Question, Running};
use crate::scripting::{self, Output};
use crate::sessions::{Session, Sessions};
use crate::shortcut::Shortcut;
use crate::theme::{DARK, LIGHT, Tokens};
use crate::{incoming, ui};
use tasks::{later, open, read_file, ticks, to_end};

/// Meters and the guard of a ringing call's buttons.
const TICK: Duration = Duration::from_millis(50);
/// Timers alone.
const SLOW_TICK: Duration = Duration::from_millis(250);
/// A toast is gone after this.
const TOAST: Duration = Duration::from_millis(2100);
/// The engine's last words get this long after it was shut down.
const LAST_WORDS: Duration = Duration::from_millis(500);

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
    notifier: Notifier,
    name: String,
    address: String,
    phase: home::Phase,
    audio: Option<Audio>,
    no_sound: Option<String>,
    wanted: Wanted,
    system_is_dark: bool,
    size: Size,
    focused: bool,
    home: home::State,
    data_folder: Option<PathBuf>,
    sessions: Sessions,
    incoming: incoming::Queue,
    question: Option<Question>,
    begin: Option<Command>,
    json: Option<(Writer, Output)>,
    closing: bool,
    engine_gone: bool,
    said_farewell: bool,
}

/// The names of microphone and speaker, or why there is none.
#[derive(Clone, Debug)]
struct Audio {
    microphone: Result<String, String>,
    speaker: Result<String, String>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// In the conference that is shown.
    Conference(conference::Message),
    /// A script wants the program to end.
    EndWished,
    /// An ended session is closed for good.
    EndedClosed(u32),
    /// An ended session is looked at again.
    EndedOpened(u32),
    /// The engine tells.
    Engine(Event),
    /// The engine has told everything.
    EngineGone,
    /// All hung up; whether there is nothing more to wait for.
    Farewell(bool),
    /// A text file was chosen and read.
    FileRead(Result<String, String>),
    /// On the home screen.
    Home(home::Message),
    /// On the card of a ringing call.
    Incoming(incoming::Message),
    /// A key that no widget took, or took too.
    Key(Shortcut),
    /// Mute, beside the running call on the home screen.
    MutePressed,
    /// What came of something, in words; empty: nothing.
    Told(String),
    /// The text of a link's program.
    Opened(Result<(), String>),
    /// The clipboard, after something was pasted into the call bar.
    Pasted(Option<String>),
    /// On the card that asks before something ends.
    Question(question::Message),
    /// Back to the conference.
    ReturnPressed,
    /// The desktop's theme.
    SystemTheme(bool),
    /// Levels and timers.
    Tick,
    /// The text that an ended session did not send is to be copied.
    UnsentCopied(u32),
    /// The window's size, or whether it is in front.
    Window(window::Event),
}

/// Runs it to its end.
pub fn run(options: Options) -> iced::Result {
    let output = options.json.then(|| Output::start(std::io::stdout()));
    let own = output.clone();
    let result = iced::application(
        move || {
            let (window, task) = Window::new(options.clone(), output.clone());
            let Some(output) = output.clone() else { return (window, task) };
            let input = std::io::BufReader::new(std::io::stdin());
            let wishes = scripting::commands(input, window.handle.clone(), output);
            (window, Task::batch([task, Task::run(wishes, |()| Message::EndWished)]))
        },
        Window::update,
        Window::view,
    )
    .title(Window::title)
    .theme(|window: &Window| window.tokens().base())
    .subscription(Window::subscription)
    .font(epaint_default_fonts::HACK_REGULAR)
    .default_font(ui::SANS)
    .window(window::Settings {
        size: Size::new(1080.0, 700.0),
        min_size: Some(Size::new(720.0, 480.0)),
        // Closing hangs up first, and asks where others would lose their conference.
        exit_on_close_request: false,
        ..window::Settings::default()
    })
    .run();
    if let Some(output) = own {
        output.finish();
    }
    result
}

impl Window {
    fn new(options: Options, output: Option<Output>) -> (Self, Task<Message>) {
        let settings = Settings {
            listen: options.listen,
            network: engine::DriverSettings::default(),
            accounts: Vec::new(),
            fall_back_to_free_port: true,
            user: user_of_name(&options.name),
            name: options.name.clone(),
            conference_user: options.conference,
            audio: options.audio,
            record: None,
            chat_rate: ChatRate::default(),
            data_folder: options.data_folder.clone(),
            retention: engine::Retention::default(),
            unattended: false,
        };
        let (handle, events) = engine::start(settings);
        let begin = options.host.map(|subject| Command::Host { subject, invite: options.invite });
        let window = Self {
            handle,
            notifier: Notifier::start(),
            name: options.name,
            address: String::new(),
            phase: home::Phase::Starting,
            audio: None,
            no_sound: None,
            wanted: options.theme,
            system_is_dark: false,
            size: Size::new(1080.0, 700.0),
            focused: true,
            home: home::State::with_input(&options.address.unwrap_or_default()),
            data_folder: options.data_folder,
            sessions: Sessions::default(),
            incoming: incoming::Queue::default(),
            question: None,
            begin,
            json: output.map(|output| (Writer::default(), output)),
            closing: false,
            engine_gone: false,
            said_farewell: false,
        };
        let system =
            iced::system::theme().map(|mode| Message::SystemTheme(mode == iced::theme::Mode::Dark));
        let focus = iced::widget::operation::focus(home::CALL_BAR);
        let told = Task::run(events, Message::Engine).chain(Task::done(Message::EngineGone));
        (window, Task::batch([told, system, focus]))
    }

    fn tokens(&self) -> Tokens {
        match (self.wanted, self.system_is_dark) {
            (Wanted::Dark, _) | (Wanted::System, true) => DARK,
            (Wanted::Light, _) | (Wanted::System, false) => LIGHT,
        }
    }

    fn title(&self) -> String {
        let session = self.sessions.shown().or_else(|| self.sessions.running());
        match session.map(|session| &session.screen) {
            Some(screen) if screen.unread > 0 => format!("({}) {}", screen.unread, screen.subject),
            Some(screen) => format!("{} - Parlour", screen.subject),
            None => "Parlour".to_owned(),
        }
    }

    fn subscription(&self) -> Subscription<Message> {
        let events = iced::event::listen_with(|event, status, _| match event {
            iced::Event::Keyboard(keyboard::Event::KeyPressed {
                key,
                physical_key,
                modifiers,
                ..
            }) => {
                let captured = status == iced::event::Status::Captured;
                Shortcut::of(&key, physical_key, modifiers, captured).map(Message::Key)
            }
            iced::Event::Window(event) => Some(Message::Window(event)),
            _ => None,
        });
        let system = iced::system::theme_changes()
            .map(|mode| Message::SystemTheme(mode == iced::theme::Mode::Dark));
        let mut all = vec![events, system];
        if let Some(period) = self.tick() {
            all.push(Subscription::run_with(period, |period| ticks(*period)));
        }
        Subscription::batch(all)
    }

    /// How often something moves. Nothing does where no session runs and no call rings, so nothing wakes it.
    fn tick(&self) -> Option<Duration> {
        let runs = self.sessions.running().is_some();
        if runs && self.sessions.shows_latest() {
            return Some(TICK);
        }
        (runs || self.incoming.first().is_some()).then_some(SLOW_TICK)
    }

    fn update(&mut self, message: Message) -> Task<Message> {
        match message {
            Message::Conference(message) => return self.in_conference(message),
            Message::EndWished => return self.close(),
            Message::EndedClosed(id) => self.sessions.close(id),
            Message::EndedOpened(id) => {
                self.sessions.show(id);
                self.fit();
            }
            Message::Engine(event) => return self.engine(event),
            Message::EngineGone => {
                self.engine_gone = true;
                return self.leave_program(false);
            }
            Message::Farewell(last) => {
                self.said_farewell = true;
                return self.leave_program(last);
            }
            Message::FileRead(Ok(text)) if text.is_empty() => {}
            Message::FileRead(Ok(text)) => {
                if let Some(session) = self.sessions.running_mut() {
                    session.screen.insert(&text);
                }
            }
            Message::FileRead(Err(reason)) => self.tell(reason),
            Message::Home(message) => return self.at_home(message),
            Message::Incoming(message) => return self.on_incoming(message),
            Message::Key(shortcut) => return self.key(shortcut),
            Message::MutePressed => self.mute(),
            Message::Told(words) if words.is_empty() => {}
            Message::Told(words) => self.tell(words),
            Message::Opened(Ok(())) => {}
            Message::Opened(Err(error)) => {
                self.tell(format!("The link could not be opened: {error}"))
            }
            Message::Pasted(text) => {
                self.home.pasted(&text.unwrap_or_default());
                return iced::widget::operation::move_cursor_to_end(home::CALL_BAR);
            }
            Message::Question(message) => return self.answered(message),
            Message::ReturnPressed => {
                self.show_running();
                return self.focus();
            }
            Message::SystemTheme(is_dark) => self.system_is_dark = is_dark,
            Message::Tick => self.ticked(),
            Message::UnsentCopied(id) => {
                if let Some(text) = self.sessions.find(id).and_then(Session::unsent) {
                    return iced::clipboard::write(text);
                }
            }
            Message::Window(window::Event::Resized(size)) => {
                self.size = size;
                self.fit();
            }
            Message::Window(window::Event::Focused) => {
                self.focused = true;
                self.seen();
            }
            Message::Window(window::Event::Unfocused) => self.focused = false,
            Message::Window(window::Event::CloseRequested) => return self.want(Intent::Quit),
            Message::Window(_) => {}
        }
        Task::none()
    }

    fn ticked(&mut self) {
        let levels = self.handle.levels();
        if let Some(session) = self.sessions.running_mut() {
            session.screen.tick(&levels);
        }
        if let Some(session) = self.sessions.shown_mut().filter(|one| one.screen.ended.is_some()) {
            session.screen.tick(&engine::Levels::default());
        }
    }

    /// The user looks at the session that is shown.
    fn seen(&mut self) {
        if let Some(session) = self.sessions.shown_mut().filter(|_| self.focused) {
            session.screen.seen();
            self.notifier.tell(Order::Seen { group: group(session.id) });
        }
    }

    /// The session that is shown takes the window's size; the others do when they are.
    fn fit(&mut self) {
        let size = self.size;
        if let Some(session) = self.sessions.shown_mut() {
            session.screen.resize(size);
        }
    }

    fn show_running(&mut self) {
        if let Some(id) = self.sessions.running().map(|session| session.id) {
            self.sessions.show(id);
            self.fit();
            self.seen();
        }
    }

    fn tell(&mut self, text: String) {
        match self.sessions.shown_mut() {
            Some(session) => session.screen.notice(text),
            None => self.home.tell(&text),
        }
    }

    /// Whether the engine took it; otherwise the user is told.
    fn send(&mut self, command: Command) -> bool {
        let Err(engine::Full(command)) = self.handle.try_send(command) else { return true };
        let text = "Parlour is busy. Try again in a moment.".to_owned();
        match (command, self.sessions.running_mut()) {
            (Command::Say { reference, .. }, Some(session)) => {
                session.screen.refused(&reference, text);
            }
            _ => self.tell(text),
        }
        false
    }

    fn mute(&mut self) {
        if let Some(on) = self.sessions.running().map(|session| !session.muted) {
            self.send(Command::Mute { on });
        }
    }

    fn in_conference(&mut self, message: conference::Message) -> Task<Message> {
        let closes = matches!(message, conference::Message::LeavePressed);
        let Some(session) = self.sessions.shown_mut() else { return Task::none() };
        let (id, has_ended) = (session.id, session.screen.ended.is_some());
        match session.screen.update(message) {
            ConferenceAction::Back => {
                // What was written and not sent is still offered on the home screen.
                if closes && has_ended && session.unsent().is_none() {
                    self.sessions.close(id);
                }
                self.sessions.show_home();
                iced::widget::operation::focus(home::CALL_BAR)
            }
            ConferenceAction::Copy(text) => {
                let copy = iced::clipboard::write(text);
                // Nothing ticks there, but the toast must go.
                if has_ended { Task::batch([copy, later(TOAST)]) } else { copy }
            }
            ConferenceAction::None => Task::none(),
            ConferenceAction::Open(url) => Task::perform(open(url), Message::Opened),
            ConferenceAction::Send(commands) => {
                for command in commands {
                    self.send(command);
                }
                Task::none()
            }
            ConferenceAction::Say(command) => {
                self.send(command);
                to_end()
            }
            ConferenceAction::Transcript(wish) => {
                let Some(folder) = self.data_folder.clone() else { return Task::none() };
                let (conference, subject) =
                    (session.screen.conference.clone(), session.screen.subject.clone());
                match wish {
                    conference::Transcript::Export => Task::perform(
                        transcripts::write(folder, conference, subject),
                        Message::Told,
                    ),
                    conference::Transcript::Keep => {
                        Task::perform(transcripts::keep(folder, conference, subject), Message::Told)
                    }
                }
            }
            ConferenceAction::ToEnd => to_end(),
            ConferenceAction::Write => iced::widget::operation::focus(conference::COMPOSER),
        }
    }

    fn at_home(&mut self, message: home::Message) -> Task<Message> {
        match self.home.update(message, (&self.name, &self.address)) {
            HomeAction::CallAgain(uri) => return self.want(Intent::CallAgain(uri)),
            HomeAction::Copy(text) => return iced::clipboard::write(text),
            HomeAction::Dial(targets) => return self.want(Intent::Dial(targets)),
            HomeAction::EditName => return iced::widget::operation::focus(home::NAME),
            HomeAction::None => {}
            HomeAction::ReadClipboard => return iced::clipboard::read().map(Message::Pasted),
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
        let Some(call) = self.incoming.armed(Instant::now()) else { return Task::none() };
        let (incoming, uri) = (call.id, call.uri.clone());
        match message {
            incoming::Message::Added => {
                self.send(Command::AddToConference { incoming });
            }
            incoming::Message::Answered => return self.want(Intent::Answer(incoming)),
            incoming::Message::Copied => return iced::clipboard::write(uri),
            incoming::Message::Declined => {
                self.send(Command::Decline { incoming, text: None });
            }
            incoming::Message::Replied => {
                let text = Some(crate::text::CALL_BACK.to_owned());
                self.send(Command::Decline { incoming, text });
            }
        }
        Task::none()
    }

    fn key(&mut self, shortcut: Shortcut) -> Task<Message> {
        if let (Shortcut::Close { .. }, Some(_)) = (shortcut, &self.question) {
            return self.answered(question::Message::Stayed);
        }
        let runs_here = self.sessions.shown().is_some_and(|shown| shown.screen.ended.is_none());
        match shortcut {
            Shortcut::Answer => self.on_incoming(incoming::Message::Answered),
            Shortcut::CallBar => {
                self.sessions.show_home();
                iced::widget::operation::focus(home::CALL_BAR)
            }
            Shortcut::Close { captured: false } if self.sessions.shown().is_some() => {
                if self.sessions.shown().is_some_and(|shown| shown.screen.is_floating()) {
                    return self.in_conference(conference::Message::FloatingClosed);
                }
                iced::widget::operation::focus(conference::COMPOSER)
            }
            Shortcut::Close { .. } => {
                self.home.renaming = None;
                Task::none()
            }
            Shortcut::Decline => self.on_incoming(incoming::Message::Declined),
            Shortcut::Invite if runs_here => {
                let open = self.in_conference(conference::Message::InvitePressed);
                open.chain(iced::widget::operation::focus("invite"))
            }
            Shortcut::InsertFile if runs_here => Task::perform(read_file(), Message::FileRead),
            Shortcut::Mute => {
                self.mute();
                Task::none()
            }
            Shortcut::Quit => self.want(Intent::Quit),
            Shortcut::Write if runs_here => iced::widget::operation::focus(conference::COMPOSER),
            Shortcut::InsertFile | Shortcut::Invite | Shortcut::Write => Task::none(),
        }
    }
}

/// The lines of a session, for the desktop.
fn group(session: u32) -> String {
    format!("session-{session}")
}

#[cfg(test)]
mod tests;
