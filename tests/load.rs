//! Many at once, wrong passwords, and what is no SIP: sipp calls, asks and misbehaves by the hundred and the thousand,
//! every answer is the one that is specified, and the host's memory does not grow. `make interop` runs it; it needs sipp.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod process;
}

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ends::cli::Cli;
use ends::process::{Program, free_port, within};
use serde_json::json;

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a second round may need beyond the first, which filled the allocator's heaps: a hundred legs lie differently in
/// them. A leak of half a KiB in each of 10,000 requests would be more.
const GROWTH_KIB: u64 = 4 * 1024;

fn host() -> (Cli, SocketAddr) {
    let focus = SocketAddr::new(IP, free_port(IP));
    let listen = focus.to_string();
    let cli = Cli::start(
        "alice",
        &["host", "--conference", "room", "--audio", "silence", "--listen", &listen],
    );
    cli.ready();
    (cli, focus)
}

/// Runs a scenario to its end; fails where a single answer was another than the scenario's.
#[track_caller]
fn sipp(focus: SocketAddr, scenario: &str, limit: Duration, arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.xml");
    fs::write(&file, scenario).unwrap();
    let mut program = begin(focus, folder.path(), &file, arguments);
    let status = program.wait(limit);
    let errors = fs::read_to_string(folder.path().join("errors.log")).unwrap_or_default();
    let errors: String = errors.chars().take(3_000).collect();
    let status = status.unwrap_or_else(|| panic!("sipp goes on after {limit:?}\n{errors}"));
    assert!(status.success(), "sipp found other answers: {status}\n{errors}");
}

/// Each run comes from an address of its own: what one address may hold at a time is bounded, for 32 s.
fn begin(focus: SocketAddr, folder: &Path, scenario: &Path, arguments: &[&str]) -> Program {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    let ip = IpAddr::from([127, 0, 3, NEXT.fetch_add(1, Ordering::Relaxed)]);
    let mut command = Command::new("sipp");
    command.arg(focus.to_string()).args(["-s", "room", "-nostdin"]).current_dir(folder);
    command.args(["-i", &ip.to_string(), "-p", &free_port(ip).to_string()]);
    command.arg("-sf").arg(scenario).args(["-trace_err", "-error_file"]);
    command.arg(folder.join("errors.log")).args(arguments);
    Program::start("sipp", &mut command)
}

/// A request with the fields that sipp fills in.
fn request(start: &str, method: &str, rest: &str) -> String {
    format!(
        "<send><![CDATA[\n{start}\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
         From: <sip:load[call_number]@[local_ip]:[local_port]>;tag=[pid]l[call_number]\n\
         To: <sip:[service]@[remote_ip]:[remote_port]>\nCall-ID: [call_id]\n\
         CSeq: [cseq] {method}\nMax-Forwards: 70\n\
         Contact: <sip:load[call_number]@[local_ip]:[local_port];transport=[transport]>\n{rest}]]></send>\n"
    )
}

fn scenario(steps: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<scenario name=\"load\">\n{steps}</scenario>\n"
    )
}

const EMPTY: &str = "Content-Length: 0\n\n";
const OURS: &str = "sip:[service]@[remote_ip]:[remote_port]";

/// Calls, stays for a while, hangs up.
fn caller() -> String {
    let offer = "Content-Type: application/sdp\nContent-Length: [len]\n\n\
         v=0\no=- 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n\
         m=audio [media_port] RTP/AVP 0\n";
    let within = |method: &str| {
        format!(
            "<send{retrans}><![CDATA[\n{method} [next_url] SIP/2.0\n\
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
             From: <sip:load[call_number]@[local_ip]:[local_port]>;tag=[pid]l[call_number]\n\
             To: <{OURS}>[peer_tag_param]\nCall-ID: [call_id]\nCSeq: [cseq] {method}\n\
             Max-Forwards: 70\n{EMPTY}]]></send>\n",
            retrans = if method == "BYE" { " retrans=\"500\"" } else { "" },
        )
    };
    let invite = request(&format!("INVITE {OURS} SIP/2.0"), "INVITE", offer).replacen(
        "<send>",
        "<send retrans=\"500\">",
        1,
    );
    scenario(&format!(
        "{invite}<recv response=\"100\" optional=\"true\"/><recv response=\"180\" optional=\"true\"/>\n\
         <recv response=\"200\" rrs=\"true\"/>\n{ack}<pause milliseconds=\"15000\"/>\n{bye}\
         <recv response=\"200\"/>\n",
        ack = within("ACK"),
        bye = within("BYE")
    ))
}

#[test]
fn a_hundred_callers_at_once_are_all_let_in_and_leave_nothing_behind() {
    let (mut alice, focus) = host();
    let mut before = 0;
    for round in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("caller.xml");
        fs::write(&file, caller()).unwrap();
        let arguments = ["-m", "100", "-l", "100", "-r", "100"];
        let mut program = begin(focus, folder.path(), &file, &arguments);
        let began = Instant::now();
        let present = || alice.present().values().filter(|(_, s)| s == "connected").count();
        let all = within(Duration::from_secs(20), || present() == 101);
        assert!(all, "round {round}: {} of 101 are there", present());
        let took = began.elapsed();
        let status = program.wait(Duration::from_secs(40)).expect("sipp ends");
        let errors = fs::read_to_string(folder.path().join("errors.log")).unwrap_or_default();
        assert!(status.success(), "round {round}: {status}\n{errors}");
        let gone = within(Duration::from_secs(10), || present() == 1);
        assert!(gone, "round {round}: {} are still there", present());
        let now = alice.resident_kib();
        println!("round {round}: 101 were there after {took:?}; {now} KiB");
        if round == 1 {
            before = now;
        }
    }
    let after = alice.resident_kib();
    assert!(after <= before + GROWTH_KIB, "from {before} to {after} KiB");
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn ten_thousand_options_are_answered_and_memory_stays_flat() {
    let (mut alice, focus) = host();
    let options = request(&format!("OPTIONS {OURS} SIP/2.0"), "OPTIONS", EMPTY);
    // By a stream, each is done when it is answered: 200 without exception.
    let by_stream = scenario(&format!("{options}<recv response=\"200\"/>\n"));
    // By datagram, each is remembered for 32 s so that a repetition gets the same answer, and a flood from one address
    // finds its share full: then 503, at once and without being remembered. Nothing stays unanswered.
    let again = options.replacen("<send>", "<send retrans=\"500\">", 1);
    let by_datagram = scenario(&format!(
        "{again}<recv response=\"503\" optional=\"true\" next=\"1\"/>\n<recv response=\"200\"/>\n\
         <label id=\"1\"/>\n"
    ));
    let mut before = 0;
    for round in 0..2 {
        let all = ["-m", "10000", "-l", "500", "-r", "2000"];
        let mut by_tcp = all.to_vec();
        by_tcp.extend(["-t", "t1"]);
        sipp(focus, &by_stream, Duration::from_secs(60), &by_tcp);
        sipp(focus, &by_datagram, Duration::from_secs(60), &all);
        // What it remembers for repetitions is gone after that time.
        thread::sleep(Duration::from_secs(34));
        let now = alice.resident_kib();
        println!("round {round}: 20,000 answers; {now} KiB");
        if round == 0 {
            before = now;
        }
    }
    let after = alice.resident_kib();
    assert!(after <= before + GROWTH_KIB, "from {before} to {after} KiB");
    // And who takes part is not shut out by it.
    let bob = Cli::start(
        "bob",
        &[
            "join",
            &format!("sip:room@{focus};transport=tcp"),
            "--listen",
            &SocketAddr::new(IpAddr::from([127, 0, 0, 2]), 0).to_string(),
            "--audio",
            "silence",
        ],
    );
    bob.ready();
    assert!(alice.end().expect("Alice ends").success());
}

/// Calls without a password, then with a wrong one. Debian's sipp answers no challenge that stands below another one, so
/// this says itself what comes of a password that is wrong: figures that are not those of the right one.
fn guesser() -> String {
    let offer = "Content-Type: application/sdp\nContent-Length: [len]\n\n\
         v=0\no=- 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n\
         m=audio [media_port] RTP/AVP 0\n";
    let invite = |rest: &str| {
        let one = request(&format!("INVITE {OURS} SIP/2.0"), "INVITE", rest);
        let early = "<recv response=\"100\" optional=\"true\"/>\n";
        one.replacen("<send>", "<send retrans=\"500\">", 1) + early
    };
    let proof = format!(
        "Authorization: Digest username=\"guest\", realm=\"room@[remote_ip]\", nonce=\"[$nonce]\", \
         uri=\"{OURS}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c[call_number]\", \
         response=\"0123456789abcdef0123456789abcdef\"\n{offer}"
    );
    // The ACK of a refusal has the branch of its INVITE.
    let ack = format!(
        "<send><![CDATA[\nACK {OURS} SIP/2.0\n[last_Via:]\n\
         From: <sip:load[call_number]@[local_ip]:[local_port]>;tag=[pid]l[call_number]\n\
         [last_To:]\nCall-ID: [call_id]\nCSeq: [cseq] ACK\nMax-Forwards: 70\n{EMPTY}]]></send>\n"
    );
    let noted = "<recv response=\"401\"><action>\
         <ereg regexp=\"nonce=.([^,;]+).,\" search_in=\"hdr\" header=\"WWW-Authenticate:\" check_it=\"true\" \
         assign_to=\"whole,nonce\"/></action></recv>\n<Reference variables=\"whole,nonce\"/>\n";
    let (bare, proven) = (invite(offer), invite(&proof));
    scenario(&format!("{bare}{noted}{ack}{proven}<recv response=\"401\"/>\n{ack}"))
}

#[test]
fn au6_wrong_passwords_never_get_in_and_the_right_one_does() {
    let (mut alice, focus) = host();
    let notice = |alice: &Cli, words: &str| {
        alice.expect("notice", Duration::from_secs(5), |event| {
            event["text"].as_str().is_some_and(|text| text.contains(words))
        });
    };
    alice.command(&json!({"command": "password", "text": "sesame"}));
    notice(&alice, "has a password");
    let mut before = 0;
    for round in 0..3 {
        let arguments = ["-m", "300", "-l", "50", "-r", "300"];
        sipp(focus, &guesser(), Duration::from_secs(40), &arguments);
        let now = alice.resident_kib();
        println!("round {round}: 600 challenges; {now} KiB");
        if round == 1 {
            before = now;
        }
    }
    let after = alice.resident_kib();
    assert!(after <= before + GROWTH_KIB, "from {before} to {after} KiB");
    assert_eq!(alice.roster().len(), 1, "nobody came in, not even for a moment");
    let folder = tempfile::tempdir().unwrap();
    let conference = format!("sip:room@{focus}");
    let present = |alice: &Cli| alice.present().values().filter(|(_, s)| s == "connected").count();
    for (password, lets_in) in [("open", false), ("sesame", true)] {
        let file = folder.path().join(password);
        fs::write(&file, format!("{password}\n")).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        // An account that is registered nowhere: its password is for whoever asks.
        let account = format!("sip:guest@{focus}");
        let mut arguments = vec!["join", &conference, "--audio", "silence", "--listen"];
        arguments.extend(["127.0.0.2:0", "--account", &account, "--password-file"]);
        arguments.push(file.to_str().unwrap());
        let mut guest = Cli::start("guest", &arguments);
        let came = within(Duration::from_secs(8), || {
            present(&alice) == 2 || guest.events().iter().any(|event| event["event"] == "ended")
        });
        assert!(came && (present(&alice) == 2) == lets_in, "with {password}: {}", guest.tail());
        let status = if lets_in { guest.end() } else { guest.wait(Duration::from_secs(5)) };
        assert_eq!(status.expect("it ends").success(), lets_in);
    }
    // Without a password again nobody is asked.
    alice.command(&json!({"command": "password", "text": ""}));
    notice(&alice, "no password");
    sipp(focus, &caller(), Duration::from_secs(30), &["-m", "1"]);
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn malformed_requests_get_the_answer_that_is_specified_and_memory_stays_flat() {
    let (mut alice, focus) = host();
    let cases: [(&str, &str, &str, u16); 7] = [
        ("OPTIONS sip:[service]@[remote_ip] SIP/7.0", "OPTIONS", EMPTY, 505),
        ("FLY sip:[service]@[remote_ip]:[remote_port] SIP/2.0", "FLY", EMPTY, 501),
        ("OPTIONS tel:+15551234 SIP/2.0", "OPTIONS", EMPTY, 416),
        ("OPTIONS urn:x:y SIP/2.0", "OPTIONS", EMPTY, 416),
        ("OPTIONS sip:nobody@[remote_ip]:[remote_port] SIP/2.0", "OPTIONS", EMPTY, 404),
        (
            "OPTIONS sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
            "OPTIONS",
            "Require: levitation\nContent-Length: 0\n\n",
            420,
        ),
        (
            "OPTIONS sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
            "OPTIONS",
            "Content-Length: 500\n\n",
            400,
        ),
    ];
    let steps: String = cases
        .iter()
        .map(|(start, method, rest, status)| {
            format!("{}<recv response=\"{status}\"/>\n", request(start, method, rest))
        })
        .collect();
    let mut before = 0;
    for round in 0..3 {
        let arguments = ["-m", "300", "-l", "50", "-r", "300"];
        sipp(focus, &scenario(&steps), Duration::from_secs(40), &arguments);
        let now = alice.resident_kib();
        println!("round {round}: {} refusals; {now} KiB", 300 * cases.len());
        if round == 1 {
            before = now;
        }
    }
    let after = alice.resident_kib();
    assert!(after <= before + GROWTH_KIB, "from {before} to {after} KiB");
    assert!(alice.end().expect("Alice ends").success());
}
