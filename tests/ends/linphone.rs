//! Debian's linphonec as a participant: files instead of a sound card, told on its standard input, read on its output.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::phone::{Phone, Way};
use super::process::{Program, free_port, within};

/// One running linphonec.
pub struct Linphone {
    user: String,
    uri: String,
    conference: String,
    program: Program,
}

impl Linphone {
    /// Starts one that answers every call and whose user writes to `conference`.
    pub fn start(folder: &Path, user: &str, ip: IpAddr, way: Way<'_>, conference: &str) -> Self {
        let folder = folder.join(user);
        // It keeps its lists of calls and texts there, and does not make the folders.
        let home = folder.join("home");
        for place in [".local/share/linphone", ".config/linphone"] {
            fs::create_dir_all(home.join(place)).unwrap();
        }
        let address = SocketAddr::new(ip, free_port(ip));
        let uri = match way.server {
            Some(server) => format!("sip:{user}@{}", server.domain),
            None => format!("sip:{user}@{address}"),
        };
        fs::write(folder.join("rc"), config(user, address, way)).unwrap();
        let mut command = Command::new("linphonec");
        command.arg("-c").arg(folder.join("rc")).arg("-a").current_dir(&folder);
        command.env("HOME", &home).env("XDG_DATA_HOME", home.join(".local/share"));
        command.env("XDG_CONFIG_HOME", home.join(".config"));
        let mut program = Program::start(user, &mut command);
        program.write_line("soundcard use files");
        let is_up = || program.lines().iter().any(|line| line.contains("Using wav files"));
        assert!(within(Duration::from_secs(20), is_up), "{}", program.tail());
        Self { user: user.to_owned(), uri, conference: conference.to_owned(), program }
    }
}

impl Phone for Linphone {
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
        self.program.write_line(&format!("chat {} {text}", self.conference));
    }

    /// It prints a text behind its sender's address; further lines of the text follow as they are.
    fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> = Vec::new();
        let mut within_one = false;
        for line in self.program.lines() {
            let said = line.strip_prefix("linphonec> ").unwrap_or(&line);
            if let Some(rest) = said.strip_prefix("Message received from sip:") {
                shown.push(rest.split_once(": ").map_or("", |(_, text)| text).to_owned());
                within_one = true;
            } else if said.len() < line.len() || is_its_own(&line) {
                within_one = false;
            } else if within_one && let Some(last) = shown.last_mut() {
                last.push('\n');
                last.push_str(&line);
            }
        }
        // It ends a text that is a notice for itself by an empty line.
        for text in &mut shown {
            text.truncate(text.trim_end_matches('\n').len());
        }
        shown
    }

    fn hang_up(&mut self) {
        self.program.write_line("terminate all");
    }
}

/// A line that linphonec wrote about itself, or that was written to it.
fn is_its_own(line: &str) -> bool {
    [
        "chat ",
        "call ",
        "terminate ",
        "Call ",
        "Media ",
        "Receiving ",
        "-----",
        "! ",
        "Registration ",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

fn config(user: &str, address: SocketAddr, way: Way<'_>) -> String {
    let (ip, port) = (address.ip(), address.port());
    let rtp = free_port(ip);
    let (udp, tcp) = if way.transport == "udp" {
        (port.to_string(), "-1".into())
    } else {
        ("-1".into(), port.to_string())
    };
    let account = way.server.map_or_else(String::new, |server| {
        let proxy = format!("<sip:{};transport={};lr>", server.address, way.transport);
        format!(
            "default_proxy=0\n[proxy_0]\nreg_proxy={proxy}\nreg_route={proxy}\n\
             reg_identity=sip:{user}@{}\nreg_expires=600\nreg_sendregister=1\npublish=0\n\
             [auth_info_0]\nusername={user}\npasswd={user}\nrealm=*\n",
            server.domain
        )
    });
    format!(
        "[net]\nfirewall_policy=0\nmtu=1300\n[rtp]\naudio_rtp_port={rtp}\n[sound]\nechocancellation=0\n\
         [misc]\nenable_basic_to_client_group_chat_room_migration=0\n\
         [sip]\nsip_port={udp}\nsip_tcp_port={tcp}\nsip_tls_port=-1\nbind_address={ip}\nuse_ipv6=0\n\
         contact=<sip:{user}@{address}>\n{account}"
    )
}
