//! Debian's baresip as a participant: a file as its microphone, sndfile as its ear, controlled by its own JSON.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hound::{SampleFormat, WavSpec, WavWriter};
use serde_json::json;
use testkit::tones;

use super::phone::{Phone, Way};
use super::process::{Program, free_port, free_ports, within};

/// One running baresip.
pub struct Baresip {
    /// Its own address.
    pub uri: String,
    folder: PathBuf,
    control: TcpStream,
    console: Arc<Mutex<Vec<u8>>>,
    program: Program,
}

impl Baresip {
    /// Starts one that answers every call, plays a tone, and texts to `conference`; by TCP where that URI says so.
    pub fn start(
        folder: &Path,
        user: &str,
        ip: IpAddr,
        codec: &str,
        tone_hz: f64,
        conference: &str,
    ) -> Self {
        let address = SocketAddr::new(ip, free_port(ip));
        let uri = format!("sip:{user}@{address}");
        let transport = if conference.ends_with(";transport=tcp") { ";transport=tcp" } else { "" };
        let account = format!("<{uri}{transport}>;regint=0;answermode=auto;audio_codecs={codec}\n");
        Self::launch(folder, user, address, uri, &account, tone_hz, conference)
    }

    /// Starts one that gets to its peers this way, with PCMU.
    pub fn start_by(folder: &Path, user: &str, ip: IpAddr, way: Way<'_>, conference: &str) -> Self {
        let address = SocketAddr::new(ip, free_port(ip));
        let by = if way.transport == "tcp" { ";transport=tcp" } else { "" };
        let (uri, rest) = match way.server {
            Some(server) => (
                format!("sip:{user}@{}", server.domain),
                format!(
                    ";regint=600;auth_user={user};auth_pass={user};outbound=\"sip:{}{by}\"",
                    server.address
                ),
            ),
            None => (format!("sip:{user}@{address}"), ";regint=0".to_owned()),
        };
        let account = format!("<{uri}{by}>{rest};answermode=auto;audio_codecs=pcmu\n");
        Self::launch(folder, user, address, uri, &account, 440.0, conference)
    }

    /// As [`Self::start`], with an account at a server that everything goes through.
    pub fn start_registered(
        folder: &Path,
        (user, password): (&str, &str),
        domain: &str,
        server: SocketAddr,
        conference: &str,
    ) -> Self {
        let address = SocketAddr::new(server.ip(), free_port(server.ip()));
        let uri = format!("sip:{user}@{domain}");
        let account = format!(
            "<{uri}>;regint=600;answermode=auto;audio_codecs=pcmu;auth_user={user};auth_pass={password};\
             outbound=\"sip:{server}\"\n"
        );
        Self::launch(folder, user, address, uri, &account, 440.0, conference)
    }

    fn launch(
        folder: &Path,
        user: &str,
        address: SocketAddr,
        uri: String,
        account: &str,
        tone_hz: f64,
        conference: &str,
    ) -> Self {
        let folder = folder.join(user);
        fs::create_dir_all(&folder).unwrap();
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let control = SocketAddr::new(loopback, free_port(loopback));
        let console = SocketAddr::new(loopback, free_port(loopback));
        write_tone(&folder.join("tone.wav"), tone_hz);
        fs::write(folder.join("accounts"), account).unwrap();
        fs::write(folder.join("contacts"), format!("\"Conference\" <{conference}>\n")).unwrap();
        fs::write(folder.join("config"), config(&folder, address, control, console)).unwrap();
        let mut command = Command::new("baresip");
        let program = Program::start(user, command.arg("-f").arg(&folder).arg("-v"));
        let control = connect(control).unwrap_or_else(|| panic!("{}", program.tail()));
        let console = listen(connect(console).unwrap_or_else(|| panic!("{}", program.tail())));
        // What it reports is not needed, but must be read: it stops when nobody does.
        listen(control.try_clone().unwrap());
        Self { uri, folder, control, console, program }
    }

    /// Calls somebody.
    pub fn dial(&mut self, uri: &str) {
        self.control("dial", uri);
    }

    /// Puts its call on hold.
    pub fn hold(&mut self) {
        self.control("hold", "");
    }

    /// Takes its call back.
    pub fn resume(&mut self) {
        self.control("resume", "");
    }

    /// Texts the conference, outside of the call's dialog as baresip always does.
    pub fn text(&mut self, text: &str) {
        self.control("message", text);
    }

    /// Hangs up.
    pub fn hang_up(&mut self) {
        self.control("hangup", "");
    }

    /// Every text it showed, without the sender's address and the quotes.
    pub fn shown(&self) -> Vec<String> {
        let console = String::from_utf8_lossy(&self.console.lock().unwrap()).into_owned();
        console
            // A text may have carriage returns too.
            .split("\rsip:")
            .skip(1)
            .filter_map(|line| {
                // Its log goes to the same console: what follows the closing quote is not the text's.
                let (_, text) = line.split_once(": \"")?;
                Some(text[..text.rfind("\"\n")?].to_owned())
            })
            .collect()
    }

    /// What it hears, as it is written.
    pub fn recording(&self) -> PathBuf {
        let files = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let mut heard: Vec<PathBuf> =
            files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).collect();
        heard.sort();
        heard.pop().unwrap_or_else(|| panic!("it records nothing\n{}", self.program.tail()))
    }

    fn control(&mut self, command: &str, parameters: &str) {
        let request = json!({"command": command, "params": parameters, "token": "t"}).to_string();
        let request = format!("{}:{request},", request.len());
        self.control.write_all(request.as_bytes()).expect("baresip reads");
    }
}

impl Phone for Baresip {
    fn user(&self) -> &str {
        let address = self.uri.trim_start_matches("sip:");
        address.split_once('@').map_or(address, |(user, _)| user)
    }

    fn uri(&self) -> &str {
        &self.uri
    }

    fn dial(&mut self, uri: &str) {
        Self::dial(self, uri);
    }

    fn text(&mut self, text: &str) {
        Self::text(self, text);
    }

    fn shown(&self) -> Vec<String> {
        Self::shown(self)
    }

    fn hang_up(&mut self) {
        Self::hang_up(self);
    }
}

fn config(folder: &Path, sip: SocketAddr, control: SocketAddr, console: SocketAddr) -> String {
    let folder = folder.display();
    let ip = sip.ip();
    let rtp = free_ports(ip, 12);
    let last_rtp = rtp + 11;
    let modules = ["g711", "opus", "aufile", "aubridge", "sndfile", "cons"];
    let applications = ["contact", "menu", "ctrl_tcp"];
    let mut text = format!(
        "sip_listen {sip}\nnet_interface {ip}\nrtp_ports {rtp}-{last_rtp}\n\
         audio_source aufile,{folder}/tone.wav\nausrc_srate 48000\nausrc_channels 1\n\
         audio_player aubridge,ear\nauplay_srate 48000\nauplay_channels 1\naudio_alert aubridge,bell\n\
         snd_path {folder}\nstatmode_default off\nctrl_tcp_listen {control}\ncons_listen {console}\n\
         module_path /usr/lib/baresip/modules\nmodule_tmp account.so\n"
    );
    text.extend(modules.map(|module| format!("module {module}.so\n")));
    text.extend(applications.map(|module| format!("module_app {module}.so\n")));
    text
}

/// Three minutes of a tone: longer than any call here.
fn write_tone(path: &Path, tone_hz: f64) {
    let spec = WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut writer = WavWriter::create(path, spec).unwrap();
    for sample in tones::sine(tone_hz, -20.0, 48_000, 48_000 * 180) {
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().unwrap();
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = None;
    within(Duration::from_secs(5), || {
        stream = TcpStream::connect(address).ok();
        stream.is_some()
    });
    stream
}

/// Keeps everything that a stream says.
fn listen(mut stream: TcpStream) -> Arc<Mutex<Vec<u8>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = stream.read(&mut buffer) {
            if length == 0 {
                return;
            }
            kept.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    });
    heard
}
