//! `parlour-cli`: host and participant for the terminal and for scripts.

mod output;

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use engine::json::{Wish, parse};
use engine::{
    AudioKind, ChatRate, Command, Event, Full, Handle, ParticipantState, Settings, user_of_name,
};
use output::Output;

const CONTRACT: &str = include_str!("../../../docs/parlour-cli.md");
/// Ten levels a second for each participant at most.
const LEVEL_TICK: Duration = Duration::from_millis(100);

#[derive(Parser)]
#[command(
    name = "parlour-cli",
    version,
    about = "Host or join a conference call over SIP, with its chat."
)]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Host a conference
    Host(HostArguments),
    /// Join a conference, or call somebody
    Join(JoinArguments),
    /// Explain: `help json` prints the JSON contract
    Help {
        /// What to explain
        topic: Option<String>,
    },
}

#[derive(Args)]
struct Common {
    /// Where to listen for SIP, UDP and TCP; port 0 takes any free one
    #[arg(long, default_value = "0.0.0.0:5060", value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Your name, shown to people
    #[arg(long, default_value_t = default_name())]
    name: String,
    /// What you send: device, silence, tone:HZ or file:IN.wav
    #[arg(long, default_value = "device", value_name = "KIND")]
    audio: AudioKind,
    /// Write what this end hears
    #[arg(long, value_name = "OUT.wav")]
    record: Option<PathBuf>,
    /// One JSON object a line on standard output, one JSON command a line on standard input
    #[arg(long)]
    json: bool,
    /// Tell levels too
    #[arg(long)]
    levels: bool,
}

#[derive(Args)]
struct HostArguments {
    #[command(flatten)]
    common: Common,
    /// User part of the conference URI; random where it is not given
    #[arg(long, value_name = "USER")]
    conference: Option<String>,
    /// What the conference is about
    #[arg(long, default_value = "")]
    subject: String,
    /// Call these into the conference
    #[arg(long, value_name = "URI")]
    invite: Vec<String>,
    /// Texts a second that each sender may write (five at once), or unlimited
    #[arg(long, value_name = "N|unlimited", value_parser = chat_rate, default_value = "1")]
    chat_rate: ChatRate,
}

#[derive(Args)]
struct JoinArguments {
    /// The conference's address, or a person's
    uri: String,
    #[command(flatten)]
    common: Common,
}

enum Input {
    Event(Option<Event>),
    Line(String),
    Quit,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PARLOUR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Arguments::parse().action {
        Action::Host(host) => {
            let HostArguments { common, conference, subject, invite, chat_rate } = host;
            run(common, conference, chat_rate, Command::Host { subject, invite })
        }
        Action::Join(JoinArguments { uri, common }) => {
            run(common, None, ChatRate::default(), Command::Call { uri })
        }
        Action::Help { topic } => {
            match topic.as_deref() {
                Some("json") => print!("{CONTRACT}"),
                _ => println!(
                    "parlour-cli --help lists the commands; parlour-cli help json prints the JSON contract."
                ),
            }
            ExitCode::SUCCESS
        }
    }
}

fn run(
    common: Common,
    conference_user: Option<String>,
    chat_rate: ChatRate,
    begin: Command,
) -> ExitCode {
    let settings = Settings {
        listen: common.listen,
        fall_back_to_free_port: false,
        user: user_of_name(&common.name),
        name: common.name,
        conference_user,
        audio: common.audio,
        record: common.record,
        chat_rate,
        data_folder: None,
        unattended: true,
    };
    let (handle, mut events) = engine::start(settings);
    let (sender, inputs) = channel();
    let to_main = sender.clone();
    std::thread::spawn(move || {
        loop {
            let event = events.recv_blocking();
            let over = event.is_none();
            if to_main.send(Input::Event(event)).is_err() || over {
                return;
            }
        }
    });
    let on_signal = sender.clone();
    if let Err(error) = ctrlc::set_handler(move || {
        let _ = on_signal.send(Input::Quit);
    }) {
        eprintln!("parlour-cli: signals cannot be caught: {error}");
    }
    read_lines(sender);
    let mut output = Output::new(common.json);
    // A call that nobody answered is a failure to a script; one that was given up is not.
    let mut came_about = !matches!(begin, Command::Call { .. });
    let mut begin = Some(begin);
    let mut tick = Instant::now() + LEVEL_TICK;
    let code = loop {
        let wait = tick.saturating_duration_since(Instant::now());
        match inputs.recv_timeout(if common.levels { wait } else { Duration::from_secs(3600) }) {
            Ok(Input::Event(Some(event))) => {
                if matches!(event, Event::Ready { .. })
                    && let Some(command) = begin.take()
                {
                    give(&handle, command, &mut output);
                }
                let code = match &event {
                    Event::Participant(other) if !other.is_self => {
                        came_about |= other.state == ParticipantState::Connected;
                        None
                    }
                    Event::Ended { .. } if came_about => Some(ExitCode::SUCCESS),
                    Event::Ended { .. } | Event::Fatal { .. } => Some(ExitCode::FAILURE),
                    _ => None,
                };
                output.event(&event);
                if let Some(code) = code {
                    break code;
                }
            }
            Ok(Input::Event(None)) => break ExitCode::FAILURE,
            Ok(Input::Line(line)) => match output.read(&line, parse) {
                Ok(Wish::Command(command)) => give(&handle, command, &mut output),
                Ok(Wish::End) => {
                    came_about = true;
                    give(&handle, Command::Leave, &mut output);
                }
                Err(notice) => output.notice(&notice),
            },
            Ok(Input::Quit) => {
                came_about = true;
                give(&handle, Command::Leave, &mut output);
                if begin.is_some() {
                    break ExitCode::SUCCESS;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break ExitCode::FAILURE,
        }
        if common.levels && Instant::now() >= tick {
            tick = Instant::now() + LEVEL_TICK;
            output.levels(&handle.levels());
        }
    };
    handle.shutdown();
    code
}

fn give(handle: &Handle, command: Command, output: &mut Output) {
    if let Err(Full(_)) = handle.try_send(command) {
        output.notice("Too many commands at once: this one was not taken");
    }
}

/// The end of standard input does not end the call.
fn read_lines(sender: Sender<Input>) {
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            if !text.is_empty() && sender.send(Input::Line(text.to_owned())).is_err() {
                return;
            }
        }
    });
}

fn default_name() -> String {
    std::env::var("USER")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "Parlour".to_owned())
}

fn chat_rate(text: &str) -> Result<ChatRate, String> {
    if text == "unlimited" {
        return Ok(ChatRate::Unlimited);
    }
    let rate: f64 =
        text.parse().map_err(|_| "a number of texts a second, or unlimited".to_owned())?;
    if !(0.01..=1000.0).contains(&rate) {
        return Err("between 0.01 and 1000 texts a second, or unlimited".to_owned());
    }
    Ok(ChatRate::Limited { burst: 5, interval: Duration::from_secs_f64(1.0 / rate) })
}
