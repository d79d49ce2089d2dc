//! `parlour-cli`: host and participant for the terminal and for scripts.

mod journal;
mod output;
mod run;
mod trace;

use std::fs;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use engine::{
    AccountSettings, AccountTransport, AudioKind, ChatRate, Command, DriverSettings, Password,
    Retention, Settings, TlsIdentity, TlsSettings, user_of_name,
};

use crate::journal::JournalArguments;

const CONTRACT: &str = include_str!("../../../docs/parlour-cli.md");

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
    /// What was kept with `--data-folder`: list, export, search, keep, delete; contacts
    Journal(JournalArguments),
    /// Print the messages of calls, written by `--trace`, as a ladder
    Trace {
        /// The file
        file: PathBuf,
        /// Only the call with this Call-ID
        #[arg(long, value_name = "CALL-ID")]
        call: Option<String>,
        /// Print each message whole
        #[arg(long)]
        bodies: bool,
    },
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
    /// Your account, such as sip:alice@example.org: calls to it arrive here, and yours are from it
    #[arg(long, value_name = "URI", requires = "password_file")]
    account: Option<String>,
    /// Where its password is: the first line of a file; -: the first line of standard input
    #[arg(long, value_name = "FILE|-", requires = "account")]
    password_file: Option<PathBuf>,
    /// The name for the password, where that is not the account's user part
    #[arg(long, value_name = "NAME", requires = "account")]
    username: Option<String>,
    /// Where to register, where that is not the account's domain
    #[arg(long, value_name = "URI", requires = "account")]
    registrar: Option<String>,
    /// What everything of the account goes through
    #[arg(long, value_name = "URI", requires = "account")]
    outbound_proxy: Option<String>,
    /// How registrar or proxy are reached: udp, tcp or tls; otherwise as their domain says
    #[arg(long, value_name = "TRANSPORT", value_parser = transport, requires = "account")]
    transport: Option<AccountTransport>,
    /// The name server to ask, instead of the system's
    #[arg(long, value_name = "ADDR:PORT")]
    dns: Option<SocketAddr>,
    /// Authorities to believe besides the system's, as PEM
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Your certificate, as PEM: others can then connect by TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key of your certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Where to take TLS connections with your certificate; port 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 5061, requires = "tls_certificate")]
    tls_port: u16,
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
    /// Keep what is said in a file of this folder, for `parlour-cli journal`
    #[arg(long, value_name = "FOLDER")]
    data_folder: Option<PathBuf>,
    /// How long texts are kept: session (to the end, and after a crash), forever, never, or so many days
    #[arg(
        long,
        value_name = "session|forever|never|DAYS",
        value_parser = retention,
        default_value = "session",
        requires = "data_folder"
    )]
    keep: Retention,
    /// Tell levels too
    #[arg(long)]
    levels: bool,
    /// Write every SIP message into a file, for `parlour-cli trace`; secrets and texts are left out
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write texts too
    #[arg(long, requires = "trace")]
    trace_bodies: bool,
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
    /// The conference's address, a person's, or a whole invitation
    uri: String,
    /// Where the conference's password is: the first line of a file; -: the first line of standard input
    #[arg(long, value_name = "FILE|-")]
    conference_password_file: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PARLOUR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Arguments::parse().action {
        Action::Host(host) => {
            let HostArguments { common, conference, subject, invite, chat_rate } = host;
            let options = options(&common);
            start(common, conference, chat_rate, Command::Host { subject, invite }, options)
        }
        Action::Join(JoinArguments { uri, conference_password_file, common }) => {
            let options = options(&common);
            let begin = match conference_password_file.map(|file| (password(&file), file)) {
                None => Command::Call { uri },
                Some((Ok(text), _)) => Command::Join { uri, password: Password::new(text) },
                Some((Err(error), file)) => {
                    return run::refuse(&format!("{}: {error}", file.display()), &options);
                }
            };
            start(common, None, ChatRate::default(), begin, options)
        }
        Action::Journal(JournalArguments { data_folder, action }) => {
            journal::run(&data_folder, action)
        }
        Action::Trace { file, call, bodies } => trace::print(&file, call.as_deref(), bodies),
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

fn options(common: &Common) -> run::Options {
    let (file, bodies) = (common.trace.clone(), common.trace_bodies);
    let trace = file.map(|file| engine::Trace { file, bodies });
    run::Options { json: common.json, levels: common.levels, trace }
}

fn start(
    common: Common,
    conference_user: Option<String>,
    chat_rate: ChatRate,
    begin: Command,
    options: run::Options,
) -> ExitCode {
    match account(&common) {
        Ok(account) => {
            let settings = settings(common, account, conference_user, chat_rate);
            run::run(settings, begin, options)
        }
        Err(text) => run::refuse(&text, &options),
    }
}

fn settings(
    common: Common,
    account: Option<AccountSettings>,
    conference_user: Option<String>,
    chat_rate: ChatRate,
) -> Settings {
    let accounts = account.into_iter().collect();
    let identity = common.tls_certificate.zip(common.tls_key);
    let identity = identity.map(|(certificate, key)| TlsIdentity { certificate, key });
    let network = DriverSettings {
        name_server: common.dns,
        tls: TlsSettings { authorities: common.tls_ca, identity },
        tls_port: common.tls_port,
    };
    Settings {
        listen: common.listen,
        network,
        accounts,
        fall_back_to_free_port: false,
        user: user_of_name(&common.name),
        name: common.name,
        conference_user,
        audio: common.audio,
        record: common.record,
        chat_rate,
        data_folder: common.data_folder,
        retention: common.keep,
        unattended: true,
    }
}

/// The account of the command line. Its password is read here, before anything else is of standard input.
fn account(common: &Common) -> Result<Option<AccountSettings>, String> {
    let (Some(address), Some(file)) = (&common.account, &common.password_file) else {
        return Ok(None);
    };
    let password = password(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Some(AccountSettings {
        address: address.clone(),
        username: common.username.clone(),
        password: Password::new(password),
        registrar: common.registrar.clone(),
        outbound_proxy: common.outbound_proxy.clone(),
        transport: common.transport,
        instance: None,
    }))
}

/// The first line.
fn password(file: &Path) -> io::Result<String> {
    let mut line = String::new();
    if file == Path::new("-") {
        // Byte by byte: what follows is for whoever reads commands.
        let mut input = io::stdin().lock();
        input.read_line(&mut line)?;
    } else {
        warn_of_readers(file);
        io::BufReader::new(fs::File::open(file)?).read_line(&mut line)?;
    }
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the first line is empty"));
    }
    Ok(line.to_owned())
}

#[cfg(unix)]
fn warn_of_readers(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(file).is_ok_and(|data| data.permissions().mode() & 0o077 != 0) {
        eprintln!("parlour-cli: others can read {}: chmod 600 it", file.display());
    }
}

#[cfg(not(unix))]
fn warn_of_readers(_: &Path) {}

fn transport(text: &str) -> Result<AccountTransport, String> {
    match text {
        "tcp" => Ok(AccountTransport::Tcp),
        "tls" => Ok(AccountTransport::Tls),
        "udp" => Ok(AccountTransport::Udp),
        _ => Err("udp, tcp or tls".to_owned()),
    }
}

fn default_name() -> String {
    std::env::var("USER")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "Parlour".to_owned())
}

fn retention(text: &str) -> Result<Retention, String> {
    match text {
        "forever" => Ok(Retention::Forever),
        "never" => Ok(Retention::Never),
        "session" => Ok(Retention::Session),
        days => match days.parse() {
            Ok(days) if (1..=36_500).contains(&days) => Ok(Retention::Days(days)),
            _ => Err("session, forever, never, or a number of days".to_owned()),
        },
    }
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
