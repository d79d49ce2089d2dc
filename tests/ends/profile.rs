//! Phones that are not here, played by sipp: what each was seen to do with texts, and what it calls itself.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Program, free_port, free_ports};
use super::sipp::{CUE, received_in};

/// How a phone behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// What it calls itself.
    pub agent: &'static str,
    /// How it answers a text inside of its call.
    pub inside: &'static str,
    /// How it answers a text outside of its call.
    pub outside: &'static str,
    /// How it answers OPTIONS inside of its call.
    pub options: &'static str,
    /// When its user writes.
    pub writes: Writes,
    /// Whether it says first that its user is typing.
    pub says_typing: bool,
}

/// When the user of such a phone writes; always inside of the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Writes {
    /// It has no place for that.
    Never,
    /// Soon after he is in.
    Soon,
    /// Upon [`CUE`].
    Cued,
}

/// Takes a text outside of the call, and shows it. One inside gets 500, and is shown too.
pub const JAMI: Habits = Habits {
    agent: "Jami Daemon 13.7.0",
    inside: "500 Unhandled by dialog usages",
    outside: "200 OK",
    options: "200 OK",
    writes: Writes::Soon,
    says_typing: false,
};

/// Says that its user is typing, refuses OPTIONS, and hangs up when a text of his is answered 481.
pub const PJSUA: Habits = Habits {
    agent: "PJSUA v2.17-dev Linux-6.1/x86_64/glibc-2.36",
    inside: "200 OK",
    outside: "200 OK",
    options: "500 Internal Server Error",
    writes: Writes::Cued,
    says_typing: true,
};

/// Takes every text and shows none.
pub const CALLS: Habits = Habits {
    agent: "gnome-calls 44~alpha.1",
    inside: "200 OK",
    outside: "200 OK",
    options: "200 OK",
    writes: Writes::Never,
    says_typing: false,
};

/// One running sipp that plays a phone.
pub struct Profile {
    messages: PathBuf,
    program: Program,
}

impl Profile {
    /// Calls `conference` at `server` as Erin; `text` is what its user writes.
    pub fn call(
        folder: &Path,
        ip: IpAddr,
        (server, transport): (SocketAddr, &str),
        conference: &str,
        habits: Habits,
        text: &str,
    ) -> Self {
        let folder = folder.join("erin");
        fs::create_dir_all(&folder).unwrap();
        let (scenario, outside) = (folder.join("call.xml"), folder.join("outside.xml"));
        fs::write(&scenario, scenario_of(conference, transport, habits, text)).unwrap();
        fs::write(&outside, outside_of(habits)).unwrap();
        let messages = folder.join("messages.log");
        let (port, rtp) = (free_port(ip), free_ports(ip, 4));
        let mut command = Command::new("sipp");
        command.arg(server.to_string()).args(["-m", "1", "-nostdin"]);
        command.args(["-t", if transport == "tcp" { "t1" } else { "u1" }]);
        command.args(["-i", &ip.to_string(), "-p", &port.to_string()]);
        command.args(["-mi", &ip.to_string(), "-mp", &rtp.to_string()]);
        command.arg("-sf").arg(&scenario).arg("-oocsf").arg(&outside);
        command.arg("-trace_msg").arg("-message_file").arg(&messages);
        command.arg("-trace_err").arg("-error_file").arg(folder.join("errors.log"));
        command.current_dir(&folder);
        Self { messages, program: Program::start("erin", &mut command) }
    }

    /// The texts that its user is shown, each request once.
    pub fn shown(&self) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        let mut texts = Vec::new();
        for (head, body) in received_in(&self.messages) {
            let names = ["call-id:", "i:", "cseq:"];
            let is_of =
                |line: &&str| names.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
            let of: Vec<&str> = head.lines().filter(is_of).collect();
            let of = of.concat();
            if !seen.contains(&of) {
                seen.push(of);
                texts.push(body);
            }
        }
        texts
    }

    /// The length of the longest MESSAGE that it got, in bytes.
    pub fn longest(&self) -> usize {
        let received = received_in(&self.messages);
        received.iter().map(|(head, body)| head.len() + 4 + body.len()).max().unwrap_or(0)
    }

    /// Waits until it was hung up upon and ended; tells whether its scenario went as written.
    pub fn succeeded(&mut self) -> bool {
        let ended = self.program.wait(std::time::Duration::from_secs(5));
        ended.is_some_and(|status| status.success())
    }

    /// Its last lines.
    pub fn tail(&self) -> String {
        self.program.tail()
    }
}

fn answer(status: &str) -> String {
    format!(
        "SIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n\
         Content-Length: 0\n\n"
    )
}

/// What happens outside of its call.
fn outside_of(habits: Habits) -> String {
    let answer = answer(habits.outside).replace("[last_To:]", "[last_To:];tag=o[call_number]");
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<scenario name="outside">
  <recv request="MESSAGE"/>
  <send><![CDATA[
{answer}]]></send>
</scenario>
"#
    )
}

/// What its user sends, and what comes of it.
fn writing_of(request: &dyn Fn(&str, u32, &str) -> String, habits: Habits, text: &str) -> String {
    let body =
        |kind: &str, body: &str| format!("Content-Type: {kind}\nContent-Length: [len]\n\n{body}");
    let typing = "<?xml version=\"1.0\"?><isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\">\
                  <state>active</state></isComposing>";
    let mut all = Vec::new();
    if habits.says_typing {
        all.push((2, body("application/im-iscomposing+xml", typing), 200));
    }
    all.push((3, body("text/plain", text), 202));
    let steps = all.iter().map(|(number, body, status)| {
        let message = request("MESSAGE", *number, body);
        format!(
            r#"  <send retrans="500"><![CDATA[
{message}]]></send>
  <recv response="481" optional="true" next="9"/>
  <recv response="{status}"/>
"#
        )
    });
    steps.collect()
}

/// Its call. Where a text of its user is answered 481 it hangs up, which makes the scenario fail.
fn scenario_of(conference: &str, transport: &str, habits: Habits, text: &str) -> String {
    let own = format!("sip:erin@[local_ip]:[local_port];transport={transport}");
    let request = |method: &str, target: &str, to: &str, number: u32, rest: &str| {
        let routes = if method == "INVITE" { "" } else { "[routes]\n" };
        format!(
            "{method} {target} SIP/2.0\n\
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n{routes}\
             From: \"Erin\" <sip:erin@[local_ip]:[local_port]>;tag=[pid]p[call_number]\n\
             To: <{conference}>{to}\nCall-ID: [call_id]\nCSeq: {number} {method}\nMax-Forwards: 70\n\
             Contact: <{own}>\nUser-Agent: {}\n\
             Allow: INVITE, ACK, BYE, CANCEL, MESSAGE, OPTIONS\n{rest}",
            habits.agent
        )
    };
    let inside = |method: &str, number: u32, rest: &str| {
        request(method, "[next_url]", "[peer_tag_param]", number, rest)
    };
    let offer = "Content-Type: application/sdp\nContent-Length: [len]\n\n\
         v=0\no=erin 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n\
         m=audio [media_port] RTP/AVP 0\na=rtpmap:0 PCMU/8000\n";
    let empty = "Content-Length: 0\n\n";
    let invite = request("INVITE", conference, "", 1, offer);
    let (ack, bye) = (inside("ACK", 1, empty), inside("BYE", 8, empty));
    let writing = match habits.writes {
        Writes::Never => String::new(),
        Writes::Soon | Writes::Cued => writing_of(&inside, habits, text),
    };
    // A moment for the others to be there too; nothing comes inside of such a call meanwhile.
    let soon = if habits.writes == Writes::Soon {
        format!("  <pause milliseconds=\"3000\"/>\n{writing}")
    } else {
        String::new()
    };
    let cued = if habits.writes == Writes::Cued { writing.as_str() } else { "" };
    let (told, options, ok) = (answer(habits.inside), answer(habits.options), answer("200 OK"));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<scenario name="phone">
  <send retrans="500"><![CDATA[
{invite}]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[
{ack}]]></send>
{soon}
  <label id="1"/>
  <recv request="BYE" optional="true" next="3"/>
  <recv request="OPTIONS" optional="true" next="4"/>
  <recv request="MESSAGE" next="2" test="cue">
    <action><ereg regexp="{CUE}" search_in="body" check_it="false" assign_to="cue"/></action>
  </recv>
  <send next="1"><![CDATA[
{told}]]></send>
  <label id="4"/>
  <send next="1"><![CDATA[
{options}]]></send>
  <label id="2"/>
  <send><![CDATA[
{told}]]></send>
{cued}
  <label id="5"/>
  <recv request="BYE" optional="true" next="3"/>
  <recv request="OPTIONS" optional="true" next="6"/>
  <recv request="MESSAGE"/>
  <send next="5"><![CDATA[
{told}]]></send>
  <label id="6"/>
  <send next="5"><![CDATA[
{options}]]></send>
  <label id="9"/>
  <send><![CDATA[
{bye}]]></send>
  <recv response="599"/>
  <label id="3"/>
  <send><![CDATA[
{ok}]]></send>
</scenario>
"#
    )
}
