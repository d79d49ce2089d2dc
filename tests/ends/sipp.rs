//! sipp as a caller: a scenario of our own that plays a PCMU tone, takes texts in its dialog, and writes one when told.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::tones;

use super::process::{Program, free_port, free_ports};

/// One running sipp.
pub struct Sipp {
    messages: PathBuf,
    program: Program,
}

/// The words in a text upon which it writes its own.
pub const CUE: &str = "your turn, Erin";

impl Sipp {
    /// Calls `user` at `host` as Erin, plays a tone, and writes `text` when it is cued.
    pub fn call(
        folder: &Path,
        ip: IpAddr,
        host: SocketAddr,
        user: &str,
        tone_hz: f64,
        text: &str,
    ) -> Self {
        let folder = folder.join("sipp");
        fs::create_dir_all(&folder).unwrap();
        // A whole number of turns in a second, so that the loop has no seam.
        let tone: Vec<u8> =
            tones::sine(tone_hz, -20.0, 8_000, 8_000).into_iter().map(tones::mu_law).collect();
        let tone_file = folder.join("tone.ul");
        fs::write(&tone_file, tone).unwrap();
        let scenario = folder.join("caller.xml");
        fs::write(&scenario, scenario_of(&tone_file, text)).unwrap();
        let messages = folder.join("messages.log");
        let (port, rtp) = (free_port(ip), free_ports(ip, 4));
        let mut command = Command::new("sipp");
        command.arg(host.to_string()).args(["-s", user, "-m", "1", "-nostdin"]);
        command.args(["-i", &ip.to_string(), "-p", &port.to_string()]);
        command.args(["-mi", &ip.to_string(), "-mp", &rtp.to_string()]);
        command.arg("-sf").arg(&scenario);
        command.arg("-trace_msg").arg("-message_file").arg(&messages);
        command.arg("-trace_err").arg("-error_file").arg(folder.join("errors.log"));
        command.current_dir(&folder);
        Self { messages, program: Program::start("sipp", &mut command) }
    }

    /// The bodies of the MESSAGEs that it received, in order.
    pub fn received(&self) -> Vec<String> {
        received_in(&self.messages).into_iter().map(|(_, body)| body).collect()
    }

    /// Waits until it was hung up upon and ended; tells whether its scenario went as written.
    pub fn succeeded(&mut self) -> bool {
        self.program.wait(Duration::from_secs(5)).is_some_and(|status| status.success())
    }

    /// Its last lines.
    pub fn tail(&self) -> String {
        self.program.tail()
    }
}

/// Head and body of the MESSAGEs that a sipp received, by its log, in order.
pub fn received_in(log: &Path) -> Vec<(String, String)> {
    let log = fs::read(log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    log.split("-----------------------------------------------")
        .filter(|entry| entry.contains("message received"))
        .filter_map(|entry| {
            let message = &entry[entry.find("MESSAGE sip:")?..];
            let (head, body) = message.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = ["content-length", "l"].contains(&name.to_lowercase().trim());
                is_length.then(|| value.trim().parse::<usize>().ok())?
            })?;
            Some((head.to_owned(), body.get(..length)?.to_owned()))
        })
        .collect()
}

/// The scenario. Every request in the dialog differs in its first line, CSeq and body only. No step stands between two
/// receiving ones that takes a turn of its own: what came meanwhile would be unexpected to sipp.
fn scenario_of(tone: &Path, text: &str) -> String {
    let request = |method: &str, target: &str, to: &str, number: u32, rest: &str| {
        format!(
            "{method} {target} SIP/2.0\n\
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
             From: \"Erin\" <sip:erin@[local_ip]:[local_port]>;tag=[pid]e[call_number]\n\
             To: <sip:[service]@[remote_ip]:[remote_port]>{to}\n\
             Call-ID: [call_id]\nCSeq: {number} {method}\nMax-Forwards: 70\n\
             Contact: <sip:erin@[local_ip]:[local_port]>\n\
             Allow: INVITE, ACK, BYE, CANCEL, MESSAGE, OPTIONS\n{rest}"
        )
    };
    let offer = "Content-Type: application/sdp\nContent-Length: [len]\n\n\
         v=0\no=erin 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n\
         m=audio [rtpstream_audio_port] RTP/AVP 0\na=rtpmap:0 PCMU/8000\n";
    let empty = "Content-Length: 0\n\n";
    let body = format!("Content-Type: text/plain;charset=UTF-8\nContent-Length: [len]\n\n{text}");
    let invite = request("INVITE", "sip:[service]@[remote_ip]:[remote_port]", "", 1, offer);
    let ack = request("ACK", "[next_url]", "[peer_tag_param]", 1, empty);
    let message = request("MESSAGE", "[next_url]", "[peer_tag_param]", 2, &body);
    let ok = "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n\
         Content-Length: 0\n\n";
    let tone = tone.display();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<scenario name="caller">
  <send retrans="500"><![CDATA[
{invite}]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200" rrs="true">
    <action><exec rtp_stream="{tone},-1,0"/></action>
  </recv>
  <send><![CDATA[
{ack}]]></send>
  <label id="1"/>
  <recv request="BYE" optional="true" next="3"/>
  <recv request="OPTIONS" optional="true" next="4"/>
  <recv request="MESSAGE" next="2" test="cue">
    <action><ereg regexp="{CUE}" search_in="body" check_it="false" assign_to="cue"/></action>
  </recv>
  <send next="1"><![CDATA[
{ok}]]></send>
  <label id="2"/>
  <send><![CDATA[
{ok}]]></send>
  <send retrans="500"><![CDATA[
{message}]]></send>
  <recv response="202"/>
  <label id="5"/>
  <recv request="BYE" optional="true" next="3"/>
  <recv request="OPTIONS" optional="true" next="6"/>
  <recv request="MESSAGE"/>
  <send next="5"><![CDATA[
{ok}]]></send>
  <label id="6"/>
  <send next="5"><![CDATA[
{ok}]]></send>
  <label id="4"/>
  <send next="1"><![CDATA[
{ok}]]></send>
  <label id="3"/>
  <send><![CDATA[
{ok}]]></send>
</scenario>
"#
    )
}
