//! Debian's twinkle-console as a participant: ALSA's null device, told on its standard input, read on its output.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::phone::{Phone, Way};
use super::process::{Program, free_port, within};

/// One running Twinkle.
pub struct Twinkle {
    user: String,
    uri: String,
    conference: String,
    program: Program,
}

impl Twinkle {
    /// Starts one that answers every call and whose user writes to `conference`.
    pub fn start(folder: &Path, user: &str, ip: IpAddr, way: Way<'_>, conference: &str) -> Self {
        let folder = folder.join(user);
        fs::create_dir_all(folder.join(".twinkle")).unwrap();
        let address = SocketAddr::new(ip, free_port(ip));
        let uri = match way.server {
            Some(server) => format!("sip:{user}@{}", server.domain),
            None => format!("sip:{user}@{address}"),
        };
        let profile = folder.join(format!(".twinkle/{user}.cfg"));
        fs::write(profile, profile_of(user, address, way)).unwrap();
        let rtp = free_port(ip);
        let system = format!(
            "dev_ringtone=alsa:null\ndev_speaker=alsa:null\ndev_mic=alsa:null\n\
             sip_port={}\nrtp_port={rtp}\ngui_use_systray=no\n",
            address.port()
        );
        fs::write(folder.join(".twinkle/twinkle.sys"), system).unwrap();
        let mut command = Command::new("twinkle-console");
        command.arg(format!("{user}.cfg")).env("HOME", &folder).current_dir(&folder);
        let mut program = Program::start(user, &mut command);
        program.write_line("auto_answer -a on");
        let is_up = || program.lines().iter().any(|line| line.contains("Auto answer enabled"));
        assert!(within(Duration::from_secs(20), is_up), "{}", program.tail());
        Self { user: user.to_owned(), uri, conference: conference.to_owned(), program }
    }
}

impl Phone for Twinkle {
    fn user(&self) -> &str {
        &self.user
    }

    fn uri(&self) -> &str {
        &self.uri
    }

    fn dial(&mut self, uri: &str) {
        self.program.write_line(&format!("call {uri}"));
    }

    fn text(&mut self, text: &str) {
        self.program.write_line(&format!("message {} \"{text}\"", self.conference));
    }

    /// It prints a head of names and values, an empty line, the text, and empty lines.
    fn shown(&self) -> Vec<String> {
        let lines = self.program.lines();
        let mut shown = Vec::new();
        let mut rest = lines.as_slice();
        while let Some(begin) = rest.iter().position(|line| line == "Received message") {
            rest = &rest[begin + 1..];
            let Some(head) = rest.iter().position(String::is_empty) else { break };
            let body = &rest[head + 1..];
            let end = body.iter().position(|line| is_its_own(line)).unwrap_or(body.len());
            let text = body[..end].join("\n");
            shown.push(text.trim_end_matches('\n').to_owned());
            rest = &body[end..];
        }
        shown
    }

    fn hang_up(&mut self) {
        self.program.write_line("bye");
    }
}

/// A line that Twinkle wrote about itself, or that was written to it.
fn is_its_own(line: &str) -> bool {
    ["Received message", "Line ", "Twinkle>", "message ", "bye", "! ", "registration "]
        .iter()
        .any(|start| line.starts_with(start))
}

fn profile_of(user: &str, address: SocketAddr, way: Way<'_>) -> String {
    let account = match way.server {
        Some(server) => format!(
            "user_domain={}\nauth_name={user}\nauth_pass={user}\nregister_at_startup=yes\n\
             registration_time=600\noutbound_proxy={}\nall_requests_to_proxy=yes\n",
            server.domain, server.address
        ),
        None => format!("user_domain={address}\nregister_at_startup=no\n"),
    };
    // Asked whether to follow a REFER, its console would wait for a person and answer nothing any more.
    format!(
        "user_name={user}\n{account}sip_transport={}\nask_user_to_refer=no\nap_vad=no\n\
         codecs=g711u,g711a\ncompact_headers=no\n",
        way.transport
    )
}
