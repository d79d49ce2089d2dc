//! The loop between engine, standard input and output. Nothing that is slow holds it up: a reader of the output that
//! stands still does not keep a signal from hanging up, and an engine that is busy makes standard input wait.

use std::collections::VecDeque;
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use engine::json::{Wish, parse};
use engine::{AccountState, Command, Event, Events, Full, Handle, ParticipantState, Settings};

use crate::output::Output;

/// Ten levels a second for each participant at most.
const LEVEL_TICK: Duration = Duration::from_millis(100);
/// A command that found the engine's queue full is tried again after this.
const RETRY: Duration = Duration::from_millis(10);

enum Input {
    Event(Option<Event>),
    Line(Vec<u8>),
    Quit,
}

struct Run {
    handle: Handle,
    output: Output,
    /// What it was started for; handed over when the engine is ready.
    begin: Option<Command>,
    /// What it was started for waits for the account then.
    has_account: bool,
    /// What the engine has not taken yet, in order.
    held: VecDeque<Command>,
    /// Lets standard input be read on.
    read_on: SyncSender<()>,
    /// Whether a line waits for that.
    line_waits: bool,
    /// A call that nobody answered is a failure to a script; one that was given up is not.
    came_about: bool,
    quits: u32,
}

/// How it is run, beside the engine's settings.
pub struct Options {
    /// JSON lines instead of words.
    pub json: bool,
    /// Levels too.
    pub levels: bool,
    /// Where messages are written.
    pub trace: Option<engine::Trace>,
}

/// Ends before anything began, with the reason.
pub fn refuse(text: &str, options: &Options) -> ExitCode {
    let mut output = Output::new(options.json);
    output.event(&Event::Fatal { text: text.to_owned() });
    output.finish();
    ExitCode::FAILURE
}

/// Runs until the session is over.
pub fn run(settings: Settings, begin: Command, options: Options) -> ExitCode {
    let Options { json, levels, trace } = options;
    let mut output = Output::new(json);
    if let Err(text) = engine::check_sound(&settings) {
        output.event(&Event::Fatal { text });
        output.finish();
        return ExitCode::FAILURE;
    }
    let has_account = !settings.accounts.is_empty();
    let (handle, events) = engine::start_traced(settings, trace);
    let (sender, inputs) = channel();
    let (read_on, may_read) = sync_channel(1);
    hear(events, sender.clone());
    let on_signal = sender.clone();
    if let Err(error) = ctrlc::set_handler(move || {
        let _ = on_signal.send(Input::Quit);
    }) {
        eprintln!("parlour-cli: signals cannot be caught: {error}");
    }
    read_lines(sender, may_read);
    let came_about = !matches!(begin, Command::Call { .. } | Command::Join { .. });
    let mut run = Run {
        handle,
        output,
        begin: Some(begin),
        has_account,
        held: VecDeque::new(),
        read_on,
        line_waits: false,
        came_about,
        quits: 0,
    };
    let code = run.until_over(&inputs, levels);
    run.handle.shutdown();
    run.output.finish();
    code
}

impl Run {
    fn until_over(&mut self, inputs: &Receiver<Input>, levels: bool) -> ExitCode {
        let mut tick = Instant::now() + LEVEL_TICK;
        loop {
            let wait = match (self.held.is_empty(), levels) {
                (false, _) if self.begin.is_none() => RETRY,
                (_, true) => tick.saturating_duration_since(Instant::now()),
                (_, false) => Duration::from_secs(3600),
            };
            let over = match inputs.recv_timeout(wait) {
                Ok(Input::Event(Some(event))) => self.event(&event),
                Ok(Input::Line(line)) => {
                    self.line(&line);
                    None
                }
                Ok(Input::Quit) => self.quit(),
                Err(RecvTimeoutError::Timeout) => None,
                Ok(Input::Event(None)) | Err(RecvTimeoutError::Disconnected) => {
                    Some(ExitCode::FAILURE)
                }
            };
            if let Some(code) = over {
                return code;
            }
            self.hand_over();
            if levels && Instant::now() >= tick {
                tick = Instant::now() + LEVEL_TICK;
                self.output.levels(&self.handle.levels());
            }
        }
    }

    fn event(&mut self, event: &Event) -> Option<ExitCode> {
        self.output.event(event);
        match event {
            Event::Ready { .. } if self.has_account => None,
            Event::Ready { .. } => {
                self.start();
                None
            }
            // A call of the account goes where the account is known, or not by it at all: either is known now.
            Event::Registration {
                state: AccountState::Registered | AccountState::Failed, ..
            } => {
                self.start();
                None
            }
            Event::Participant(other) if !other.is_self => {
                self.came_about |= other.state == ParticipantState::Connected;
                None
            }
            Event::Ended { .. } if self.came_about => Some(ExitCode::SUCCESS),
            Event::Ended { .. } | Event::Fatal { .. } => Some(ExitCode::FAILURE),
            _ => None,
        }
    }

    fn start(&mut self) {
        if let Some(begin) = self.begin.take() {
            self.held.push_front(begin);
        }
    }

    fn line(&mut self, line: &[u8]) {
        self.line_waits = true;
        let read = match std::str::from_utf8(line) {
            Ok(text) => self.output.read(text.trim_end_matches(['\n', '\r']), parse),
            Err(_) => Err("This line is not UTF-8: it was not read".to_owned()),
        };
        match read {
            Ok(Some(Wish::Command(command))) => self.held.push_back(command),
            Ok(Some(Wish::End)) => {
                self.came_about = true;
                self.held.push_back(Command::Leave);
            }
            Ok(None) => {}
            Err(notice) => self.output.notice(&notice),
        }
    }

    /// A signal: hangs up before anything else is done, and ends at once where it comes again.
    fn quit(&mut self) -> Option<ExitCode> {
        self.came_about = true;
        self.quits += 1;
        if self.begin.is_some() || self.quits > 1 {
            self.output.event(&Event::Ended { reason: "You left".to_owned() });
            return Some(ExitCode::SUCCESS);
        }
        self.held.push_front(Command::Leave);
        None
    }

    /// Gives the engine what it takes; the next line is read when it has taken all.
    fn hand_over(&mut self) {
        if self.begin.is_some() {
            return;
        }
        while let Some(command) = self.held.pop_front() {
            if let Err(Full(command)) = self.handle.try_send(command) {
                self.held.push_front(command);
                return;
            }
        }
        if std::mem::take(&mut self.line_waits) {
            let _ = self.read_on.try_send(());
        }
    }
}

fn hear(mut events: Events, to_main: Sender<Input>) {
    std::thread::spawn(move || {
        loop {
            let event = events.recv_blocking();
            let over = event.is_none();
            if to_main.send(Input::Event(event)).is_err() || over {
                return;
            }
        }
    });
}

/// Reads line by line, each when the one before was taken. The end of standard input does not end the call.
fn read_lines(to_main: Sender<Input>, may_read: Receiver<()>) {
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if to_main.send(Input::Line(line)).is_err() || may_read.recv().is_err() {
                return;
            }
        }
    });
}
