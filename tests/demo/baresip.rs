//! baresip as one of the four: an ordinary phone that knows nothing of Parlour. It is driven over its control port;
//! texts it receives are printed to its console port only.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

const MODULES: &str = "/usr/lib/baresip/modules";

/// A running baresip.
pub struct Baresip {
    child: Child,
    control: TcpStream,
    console: TcpStream,
    shown: Vec<u8>,
    log: PathBuf,
    folder: PathBuf,
}

impl Baresip {
    /// Starts it, with `audio` (`file:PATH` or a tone, which it does not know: then silence), and calls the conference.
    pub fn start(name: &str, conference: &str, audio: &str, out: &Path) -> Result<Self, String> {
        if !Path::new(MODULES).is_dir() {
            return Err("it is not installed".to_owned());
        }
        let folder = out.join(format!("baresip-{name}"));
        let fail = |error: std::io::Error| error.to_string();
        std::fs::create_dir_all(&folder).map_err(fail)?;
        let (sip, control, console) = (free_sip_port()?, free_port()?, free_port()?);
        let user = name.to_lowercase();
        let wav = audio.strip_prefix("file:").ok_or("it needs a voice as a file")?;
        std::fs::write(folder.join("config"), config(&folder, wav, sip, control, console))
            .map_err(fail)?;
        let account = format!("{name} <sip:{user}@127.0.0.1:{sip}>;regint=0;answermode=auto\n");
        std::fs::write(folder.join("accounts"), account).map_err(fail)?;
        let contact = format!("\"Conference\" <{conference}>\n");
        std::fs::write(folder.join("contacts"), contact).map_err(fail)?;
        let log = out.join(format!("{name}.log"));
        let file = std::fs::File::create(&log).map_err(fail)?;
        let again = file.try_clone().map_err(fail)?;
        let mut child = Command::new("baresip")
            .arg("-f")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(again)
            .spawn()
            .map_err(fail)?;
        let ports = connect(control).and_then(|control| Ok((control, connect(console)?)));
        let (control, console) = match ports {
            Ok(ports) => ports,
            Err(problem) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(problem);
            }
        };
        console.set_nonblocking(true).map_err(fail)?;
        let mut phone = Self { child, control, console, shown: Vec::new(), log, folder };
        phone.command("dial", conference)?;
        Ok(phone)
    }

    /// Where its messages are.
    pub fn log(&self) -> PathBuf {
        self.log.clone()
    }

    /// The latest file of what it heard.
    pub fn recording(&self) -> Option<PathBuf> {
        let files = std::fs::read_dir(&self.folder).ok()?;
        let files = files.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).max()
    }

    /// Reads what it showed.
    pub fn listen(&mut self) -> Result<(), String> {
        let mut buffer = [0; 4096];
        loop {
            match self.console.read(&mut buffer) {
                Ok(0) => return Err("baresip ended by itself".to_owned()),
                Ok(count) => self.shown.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("baresip's console: {error}")),
            }
        }
    }

    /// How often it showed this line: the author stands in front, on a line of his own where there are several.
    pub fn count(&self, author: &str, text: &str) -> usize {
        let shown = String::from_utf8_lossy(&self.shown).replace('\r', "");
        let lines = text.lines().count();
        let expected = if lines > 1 {
            format!("{author} ({lines} lines):\n{text}")
        } else {
            format!("{author}: {text}")
        };
        // A key is on a line of its own too, so that a copy of the line is exact.
        let alone = format!("{author} (1 line):\n{text}");
        shown.matches(&expected).count() + shown.matches(&alone).count()
    }

    /// Texts its current contact, the conference, outside of the call's dialog.
    pub fn say(&mut self, text: &str) -> Result<(), String> {
        self.command("message", text)
    }

    /// Hangs up and ends it.
    pub fn leave(&mut self) {
        let _ = self.command("hangup", "");
        let _ = self.command("quit", "");
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn command(&mut self, name: &str, params: &str) -> Result<(), String> {
        let json = json!({"command": name, "params": params, "token": "demo"}).to_string();
        write!(self.control, "{}:{json},", json.len()).map_err(|error| format!("baresip: {error}"))
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(folder: &Path, wav: &str, sip: u16, control: u16, console: u16) -> String {
    let media = sip + 1000;
    let mut text = format!(
        "sip_listen 127.0.0.1:{sip}\nnet_interface 127.0.0.1\ncall_max_calls 2\n\
         audio_source aufile,{wav}\naudio_player aubridge,sink\naudio_alert aubridge,alert\n\
         ausrc_srate 48000\nauplay_srate 48000\nausrc_channels 1\nauplay_channels 1\n\
         rtp_ports {media}-{}\nsnd_path {}\nctrl_tcp_listen 127.0.0.1:{control}\n\
         cons_listen 127.0.0.1:{console}\nmodule_path {MODULES}\n",
        media + 40,
        folder.display()
    );
    for module in ["g711", "opus", "aufile", "aubridge", "sndfile", "cons"] {
        text.push_str(&format!("module {module}.so\n"));
    }
    text.push_str("module_tmp account.so\n");
    for module in ["contact", "menu", "ctrl_tcp"] {
        text.push_str(&format!("module_app {module}.so\n"));
    }
    text
}

fn connect(port: u16) -> Result<TcpStream, String> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > end => {
                return Err(format!("it does not answer: {error}"));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// baresip takes the port above its own too (for TLS).
fn free_sip_port() -> Result<u16, String> {
    for _ in 0..50 {
        let port = free_port()?;
        let both = [port, port.wrapping_add(1)].map(|port| {
            UdpSocket::bind(("127.0.0.1", port)).is_ok()
                && TcpListener::bind(("127.0.0.1", port)).is_ok()
        });
        if port < 60_000 && both == [true, true] {
            return Ok(port);
        }
    }
    Err("no two free ports in a row".to_owned())
}
