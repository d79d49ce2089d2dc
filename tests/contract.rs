//! What docs/parlour-cli.md promises to scripts, promise by promise. Real sockets, no other program.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod cli;
    pub mod process;
    pub mod watcher;
}

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ends::cli::{Cli, path};
use ends::process::{free_port, within};
use ends::watcher::Watcher;
use engine::{Command as ToEngine, Event};
use serde_json::{Value, json};
use sip_core::{Message, StatusCode};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SOON: Duration = Duration::from_secs(5);

fn start(name: &str, arguments: &[&str]) -> Cli {
    let listen = SocketAddr::new(IP, free_port(IP)).to_string();
    let mut all = arguments.to_vec();
    all.extend(["--listen", &listen, "--name", name, "--audio", "silence"]);
    Cli::start(name, &all)
}

fn run(arguments: &[&str]) -> Output {
    Command::new(path()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// First and second column of the table below a heading, by the name in the first.
fn table(contract: &str, heading: &str) -> BTreeMap<String, String> {
    let section = contract.split(heading).nth(1).expect("the heading is there");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(name, fields)| (name.to_owned(), fields.to_owned())).collect()
}

#[test]
fn events_and_commands_are_those_of_the_contract() {
    let help = run(&["help", "json"]);
    let contract = String::from_utf8(help.stdout).unwrap();
    let (events, commands) = (table(&contract, "## Events\n"), table(&contract, "## Commands\n"));

    let mut alice = start("Alice", &["host", "--levels"]);
    let (_, conference) = alice.ready();
    let mut bob = start("Bob", &["join", &conference]);
    bob.ready();
    bob.say("a line");
    alice.expect("message", SOON, |_| true);
    alice.say("another");
    alice.expect("delivery", SOON, |event| event["state"] == "accepted");
    alice.expect("level", SOON, |_| true);
    let bobs = alice.expect("participant", SOON, |event| event["name"] == "Bob");
    alice
        .command(&json!({"command": "transfer", "id": bobs["id"], "to": "sip:nobody@127.0.0.1:9"}));
    bob.expect("referred", SOON, |event| event["to"] == "sip:nobody@127.0.0.1:9");
    let focus = conference.split_once('@').unwrap().1.parse().unwrap();
    let phone = Watcher::join(IP, focus, &conference);
    phone.press('5');
    let phones = alice.expect("participant", SOON, |event| event["name"] == "Watcher");
    alice.expect("digit", SOON, |event| event["id"] == phones["id"] && event["digit"] == "5");
    in_and_out_of_the_lobby(&mut alice, &conference);
    alice.command(&json!({"command": "invitation"}));
    alice.expect("invitation", SOON, |_| true);
    bob.command(&json!({"command": "typing"}));
    alice.expect("typing", SOON, |event| event["name"] == "Bob" && event["on"] == true);
    let without_fields = ["end", "invitation", "keep", "merge", "typing"];
    for command in commands.keys().filter(|name| !without_fields.contains(&name.as_str())) {
        alice.command(&json!({"command": command, "ref": format!("bare {command}")}));
        let answer = alice.expect("notice", SOON, |event| {
            let text = event["text"].as_str().unwrap();
            text.starts_with(&format!("bare {command}: "))
        });
        assert!(answer["text"].as_str().unwrap().contains("needs"), "{answer}");
    }
    for unknown in ["answer", "call", "decline", "host", "join", "leave", "SAY", ""] {
        alice.command(&json!({"command": unknown}));
        alice.expect("notice", SOON, |event| {
            event["text"] == format!("There is no command {unknown:?}")
        });
    }
    assert!(alice.end().expect("Alice ends").success());
    bob.expect("ended", SOON, |_| true);

    let carol = registered(&["registering", "registered"]);
    let emitted = alice.events().into_iter().chain(bob.events()).chain(carol).chain(interrupted());
    let emitted: Vec<Value> = emitted.collect();
    let names: BTreeSet<&str> = emitted.iter().map(|one| one["event"].as_str().unwrap()).collect();
    let documented: BTreeSet<&str> = events.keys().map(String::as_str).collect();
    // What a crash leaves behind is told in a story of its own.
    let with_crash: BTreeSet<&str> = names.into_iter().chain(["interrupted"]).collect();
    assert_eq!(with_crash, documented);
    for event in &emitted {
        let row = &events[event["event"].as_str().unwrap()];
        for field in event.as_object().unwrap().keys().filter(|field| *field != "event") {
            assert!(row.contains(&format!("`{field}`")), "{field} of {event} is not documented");
        }
    }
}

/// Somebody waits before the conference and is sent away.
fn in_and_out_of_the_lobby(host: &mut Cli, conference: &str) {
    host.command(&json!({"command": "lobby", "on": true}));
    host.expect("conference", SOON, |event| event["lobby"] == true);
    let mut dave = start("Dave", &["join", conference]);
    let waits = host.expect("lobby", SOON, |event| event["state"] == "waiting");
    host.command(&json!({"command": "refuse", "id": waits["id"]}));
    host.expect("lobby", SOON, |event| event["state"] == "refused");
    assert_eq!(dave.wait(SOON).expect("Dave ends").code(), Some(1));
}

/// What a host prints who was killed before.
fn interrupted() -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["host", "--data-folder", folder.path().to_str().unwrap()];
    let mut dora = start("Dora", &arguments);
    dora.ready();
    dora.signal("KILL");
    dora.wait(SOON);
    let mut dora = start("Dora", &arguments);
    dora.expect("interrupted", SOON, |event| event["lines"] == 0);
    dora.ready();
    assert!(dora.end().expect("Dora ends").success());
    dora.events()
}

/// A registrar that takes everybody; what somebody with an account there prints of it until he ends.
fn registered(states: &[&str]) -> Vec<Value> {
    let there = UdpSocket::bind(SocketAddr::new(IP, 0)).unwrap();
    let address = there.local_addr().unwrap();
    let (asked, heard) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, source)) = there.recv_from(&mut buffer) {
            let Ok(Message::Request(request)) = Message::parse(&buffer[..length]) else { continue };
            asked.send(request.headers.get("Expires").unwrap().to_owned()).unwrap();
            let mut response = request.response(StatusCode::OK, Some("registrar"));
            response.headers.push("Contact", request.headers.get("Contact").unwrap());
            there.send_to(&response.to_bytes(), source).unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "secret\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let account = format!("sip:carol@{address}");
    let file = file.to_str().unwrap();
    let mut carol = start("Carol", &["host", "--account", &account, "--password-file", file]);
    let (uri, _) = carol.ready();
    assert_eq!(uri, account);
    assert!(carol.end().expect("Carol ends").success());
    assert_eq!(
        heard.try_iter().last().as_deref(),
        Some("0"),
        "the binding is taken away at the end"
    );
    let events = carol.events();
    let told = events.iter().filter(|event| event["event"] == "registration");
    let told: Vec<&Value> = told.collect();
    assert!(told.iter().all(|event| event["account"] == account.as_str()), "{told:?}");
    for state in states {
        assert!(told.iter().any(|event| event["state"] == *state), "{state}: {told:?}");
    }
    events
}

#[test]
fn a_command_line_that_cannot_be_read_ends_with_2_and_what_cannot_start_with_1() {
    for arguments in [
        &[][..],
        &["fly"],
        &["host", "--no-such-option"],
        &["join"],
        &["host", "--listen", "nowhere"],
        &["host", "--audio", "trumpet"],
        &["host", "--chat-rate", "0"],
        &["host", "--chat-rate", "often"],
        &["host", "--account", "sip:a@b.example"],
        &["host", "--password-file", "/nowhere/password"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    for (arguments, words) in [
        (&["--name", "Room", "--conference", "room", "--audio", "silence"][..], "cannot both"),
        (&["--audio", "file:/nowhere/in.wav"], "/nowhere/in.wav"),
        (
            &["--account", "sip:a@b.example", "--password-file", "/nowhere/password"],
            "/nowhere/password",
        ),
        (&["--audio", "silence", "--record", "/nowhere/out.wav"], "/nowhere/out.wav"),
    ] {
        let mut all = vec!["host", "--json", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let output = run(&all);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> =
            printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1, "nothing was hosted: {printed}");
        assert_eq!(lines[0]["event"], "ended");
        assert!(lines[0]["reason"].as_str().unwrap().contains(words), "{printed}");
    }
    assert_eq!(run(&["help"]).status.code(), Some(0));
}

#[test]
fn an_emergency_number_is_refused_with_a_notice_before_any_packet() {
    let there = UdpSocket::bind(SocketAddr::new(IP, 0)).unwrap();
    there.set_nonblocking(true).unwrap();
    let address = there.local_addr().unwrap();
    let words = "Parlour cannot make emergency calls. Use a phone.";
    let typed = ["112".to_owned(), "urn:service:sos".to_owned(), format!("sip:911@{address}")];
    let mut alice = start("Alice", &["host"]);
    alice.ready();
    for uri in &typed {
        let output = run(&["join", uri, "--json", "--listen", "127.0.0.1:0", "--audio", "silence"]);
        assert_eq!(output.status.code(), Some(1), "{uri}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let ended: Value = serde_json::from_str(printed.trim()).unwrap();
        assert_eq!(ended, json!({"event": "ended", "reason": format!("{uri}: {words}")}));
        alice.invite(uri);
        let text = format!("{uri}: {words}");
        alice.expect("notice", SOON, |event| event["text"] == text.as_str());
    }
    assert!(there.recv(&mut [0; 2000]).is_err(), "a datagram left");
}

#[test]
fn a_trace_shows_the_calls_messages_as_a_ladder_and_no_text_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (alices, bobs) = (file("alice"), file("bob"));
    let mut alice = start("Alice", &["host", "--trace", &alices]);
    let (_, conference) = alice.ready();
    let by_tcp = format!("{conference};transport=tcp");
    let mut bob = start("Bob", &["join", &by_tcp, "--trace", &bobs, "--trace-bodies"]);
    bob.ready();
    let reference = bob.say("between us");
    alice.expect("message", SOON, |event| event["text"] == "between us");
    bob.expect("accepted", SOON, |event| event["ref"] == reference.as_str());
    assert!(bob.end().expect("Bob ends").success());
    assert!(alice.end().expect("Alice ends").success());

    let printed = |arguments: &[&str]| {
        let mut all = vec!["trace"];
        all.extend(arguments);
        let output = run(&all);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // The INVITE and its answer, in that order, each way round; times never go back.
    for (file, invite, answer, bye) in [
        (&alices, "|<- INVITE sip:", "|- 200 OK (INVITE) ", "|<- BYE sip:"),
        (&bobs, "|- INVITE sip:", "|<- 200 OK (INVITE) ", "|- BYE sip:"),
    ] {
        let ladder = printed(&[file]);
        let places: Vec<usize> = [invite, answer, bye]
            .iter()
            .map(|rung| ladder.find(rung).unwrap_or_else(|| panic!("no {rung} in\n{ladder}")))
            .collect();
        assert!(places.is_sorted(), "{ladder}");
        assert!(ladder.lines().next().unwrap().contains("tcp 127.0.0.1:"), "{ladder}");
        let times = ladder.lines().filter_map(|line| line.get(..9)?.trim().parse::<f64>().ok());
        assert!(times.collect::<Vec<_>>().is_sorted(), "{ladder}");
    }
    // Alice's says only how long the text was, Bob's was asked to write it.
    let alices_whole = printed(&[&alices, "--bodies"]);
    assert!(!alices_whole.contains("between us") && alices_whole.contains(" bytes]"));
    assert!(!std::fs::read_to_string(&alices).unwrap().contains("between us"));
    assert!(printed(&[&bobs, "--bodies"]).contains("between us"));
    assert!(alices_whole.contains("m=audio "), "descriptions are there: {alices_whole}");
    // One call alone, and none.
    let written = std::fs::read_to_string(&bobs).unwrap();
    let first: Value = serde_json::from_str(written.lines().next().unwrap()).unwrap();
    let one = printed(&[&bobs, "--call", first["call"].as_str().unwrap()]);
    assert_eq!(one.matches("Call-ID ").count(), 1, "{one}");
    assert_eq!(run(&["trace", &bobs, "--call", "none"]).status.code(), Some(1));
    assert_eq!(run(&["trace", &file("nowhere")]).status.code(), Some(1));
    assert_eq!(run(&["host", "--trace-bodies"]).status.code(), Some(2));
}

#[test]
fn a_signal_hangs_up_and_is_no_failure() {
    for signal in ["INT", "TERM"] {
        let mut alice = start("Alice", &["host"]);
        let (_, conference) = alice.ready();
        let mut bob = start("Bob", &["join", &conference]);
        bob.ready();
        bob.signal(signal);
        assert_eq!(bob.wait(SOON).expect("a signal ends it").code(), Some(0), "{signal}");
        bob.expect("ended", SOON, |_| true);
        alice.expect("participant", SOON, |event| {
            event["name"] == "Bob" && event["state"] == "disconnected" && event["reason"] == "left"
        });
        let carol = start("Carol", &["join", &conference]);
        carol.ready();
        alice.signal(signal);
        assert_eq!(alice.wait(SOON).expect("a signal ends it").code(), Some(0), "{signal}");
        carol.expect("ended", SOON, |event| event["reason"] == "The conference has ended");
    }
}

#[test]
fn who_does_not_read_the_output_can_still_end_it_by_a_signal() {
    let mut child = Command::new(path())
        .args(["host", "--json", "--listen", "127.0.0.1:0", "--audio", "silence"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Every line is answered by a notice: more than a pipe holds.
    let mut stdin = child.stdin.take().unwrap();
    for _ in 0..4_000 {
        stdin.write_all(b"{\"command\":\"no such command at all\"}\n").unwrap();
    }
    thread::sleep(Duration::from_millis(500));
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut status = None;
    let ended = within(SOON, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if !ended {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(status.expect("it ends").code(), Some(0));
}

#[test]
fn what_is_written_at_once_is_done_in_its_order_and_nothing_is_lost() {
    let mut alice = start("Alice", &["host", "--chat-rate", "unlimited"]);
    let lines = 2_000;
    let mut all = String::new();
    for n in 0..lines {
        all.push_str(&format!("{{\"command\":\"say\",\"ref\":{n},\"text\":\"line {n}\"}}\n"));
    }
    all.push_str("{\"command\":\"end\"}\n");
    alice.write(all.as_bytes());
    let status = alice.wait(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(0));
    let events = alice.events();
    let accepted: Vec<&Value> =
        events.iter().filter(|event| event["event"] == "accepted").collect();
    assert_eq!(accepted.len(), lines);
    for (n, event) in accepted.iter().enumerate() {
        assert_eq!(event["ref"], n.to_string());
        assert_eq!(event["seq"], n + 1);
    }
    assert_eq!(events.last().unwrap()["event"], "ended");
}

#[test]
fn an_end_right_at_the_start_is_not_passed_over() {
    for arguments in [&["host"][..], &["join", "sip:nobody@localhost:9"]] {
        let mut early = start("Early", arguments);
        early.command(&json!({"command": "end"}));
        assert_eq!(early.wait(SOON).expect("it ends").code(), Some(0), "{arguments:?}");
        early.expect("ended", SOON, |_| true);
    }
}

#[test]
fn the_chat_rate_is_kept_and_a_refusal_names_its_line() {
    let mut alice = start("Alice", &["host", "--chat-rate", "0.5"]);
    alice.ready();
    let references: Vec<String> = (0..6).map(|n| alice.say(&format!("line {n}"))).collect();
    for reference in &references[..5] {
        alice.expect("accepted", SOON, |event| event["ref"] == reference.as_str());
    }
    let refused = alice.expect("notice", SOON, |event| event["ref"] == references[5].as_str());
    let text = refused["text"].as_str().unwrap();
    assert!(text.starts_with(&format!("{}: ", references[5])), "{refused}");
    thread::sleep(Duration::from_millis(2_100));
    let again = alice.say("two seconds later");
    alice.expect("accepted", SOON, |event| event["ref"] == again.as_str());
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn bytes_that_are_no_text_are_told_and_unknown_fields_ignored() {
    let mut alice = start("Alice", &["host"]);
    alice.ready();
    alice.write(b"{\"command\":\"say\",\"ref\":\"x\",\"text\":\"\xff\xfe\"}\n");
    alice.expect("notice", SOON, |event| event["text"].as_str().unwrap().contains("UTF-8"));
    alice.write(b"{\"command\":\"say\",\"ref\":\"y\",\"text\":\"a\",\"colour\":{\"of\":[1]}}\n");
    alice.expect("accepted", SOON, |event| event["ref"] == "y");
    alice.write(b"{\"command\":\"say\",\"ref\":\"z\",\"text\":7}\n");
    alice.expect("notice", SOON, |event| event["text"].as_str().unwrap().starts_with("z: "));
    alice.write(b"{\"command\":\"say\",\"ref\":\"w\",\"text\":\"a\",\"to\":\"sip:nobody@here\"}\n");
    alice.expect("notice", SOON, |event| event["ref"] == "w");
    assert!(!alice.events().iter().any(|event| event["ref"] == "x"), "a mangled line was sent");
    assert!(alice.end().expect("Alice ends").success());
}

#[test]
fn a_line_to_one_reaches_him_alone_and_each_delivery_says_what_became_of_it() {
    let mut alice = start("Alice", &["host", "--conference", "room", "--chat-rate", "unlimited"]);
    let (_, conference) = alice.ready();
    let (bob, carol) =
        (start("Bob", &["join", &conference]), start("Carol", &["join", &conference]));
    for one in [&bob, &carol] {
        one.ready();
    }
    let focus = conference.split_once('@').unwrap().1.parse().unwrap();
    let refusing = StatusCode::new(415).unwrap();
    let _phone = Watcher::answering(refusing, IP, focus, &conference);
    let row = |name: &str| {
        alice.expect("participant", SOON, |event| {
            event["name"] == name && event["state"] == "connected"
        })["entity"]
            .clone()
    };
    let (bobs, carols, phones) = (row("Bob"), row("Carol"), row("Watcher"));
    alice.command(&json!({"command": "say", "ref": "one", "text": "for Bob", "to": bobs}));
    let private = alice.expect("accepted", SOON, |event| event["ref"] == "one");
    assert_eq!(private["seq"], Value::Null, "only public lines have a place in the order");
    alice.command(&json!({"command": "say", "ref": "all", "text": "for all"}));
    let public = alice.expect("accepted", SOON, |event| event["ref"] == "all");
    assert_eq!(public["seq"], 1);
    let message =
        bob.expect("message", SOON, |event| event["text"] == "for Bob" && event["to"] == "me");
    assert_eq!((&message["name"], &message["verified"]), (&json!("Alice"), &json!(true)));
    for one in [&bob, &carol] {
        one.expect("message", SOON, |event| {
            event["text"] == "for all" && event["to"] == "everyone"
        });
    }
    assert!(!carol.messages().iter().any(|line| line.text == "for Bob"), "{:?}", carol.messages());

    let delivery = |id: &Value, to: &Value, state: &str| {
        alice.expect("delivery", SOON, |event| {
            event["id"] == *id && event["recipient"] == *to && event["state"] == state
        })
    };
    for (id, to) in [(&private["id"], &bobs), (&public["id"], &bobs), (&public["id"], &carols)] {
        delivery(id, to, "accepted");
    }
    let unsupported = delivery(&public["id"], &phones, "unsupported");
    assert_eq!(unsupported["code"], 415, "{unsupported}");
    assert!(!unsupported["reason"].as_str().unwrap().is_empty(), "{unsupported}");
    let to_others = alice.events().into_iter().filter(|event| {
        event["event"] == "delivery" && event["id"] == private["id"] && event["recipient"] != bobs
    });
    assert_eq!(to_others.count(), 0);
    assert!(alice.end().expect("Alice ends").success());
}

/// An engine whose user answers every call.
fn person(name: &'static str) -> (engine::Handle, String) {
    let settings = engine::Settings {
        network: engine::DriverSettings::default(),
        accounts: Vec::new(),
        listen: SocketAddr::new(IP, 0),
        fall_back_to_free_port: false,
        user: engine::user_of_name(name),
        name: name.to_owned(),
        conference_user: None,
        audio: engine::AudioKind::Silence,
        record: None,
        chat_rate: engine::ChatRate::default(),
        data_folder: None,
        retention: engine::Retention::default(),
        unattended: false,
    };
    let (handle, mut events) = engine::start(settings);
    let Some(Event::Ready { uri, .. }) = events.recv_blocking() else { panic!("{name}") };
    let answering = handle.clone();
    thread::spawn(move || {
        while let Some(event) = events.recv_blocking() {
            if let Event::Incoming { incoming, .. } = event {
                let _ = answering.try_send(ToEngine::Answer { incoming });
            }
        }
    });
    (handle, uri)
}

#[test]
fn who_is_invited_on_the_command_line_is_called() {
    let ((bob, bobs), (carol, carols)) = (person("Bob"), person("Carol"));
    let mut alice = start("Alice", &["host", "--invite", &bobs, "--invite", &carols]);
    let (_, conference) = alice.ready();
    for uri in [&bobs, &carols] {
        alice.expect("participant", SOON, |event| {
            event["entity"] == uri.as_str() && event["state"] == "connected"
        });
    }
    assert!(conference.starts_with("sip:conf-"), "{conference}");
    assert!(alice.end().expect("Alice ends").success());
    bob.shutdown();
    carol.shutdown();
}

#[test]
fn a_person_is_called_as_a_conference_is_but_nothing_is_ready_then() {
    let (bob, uri) = person("Bob");
    let mut alice = start("Alice", &["join", &uri]);
    alice.expect("participant", SOON, |event| {
        event["entity"] == uri.as_str() && event["state"] == "connected"
    });
    let reference = alice.say("between two");
    alice.expect("accepted", SOON, |event| event["ref"] == reference.as_str());
    assert!(!alice.events().iter().any(|event| event["event"] == "ready"), "{}", alice.tail());
    let began = Instant::now();
    bob.shutdown();
    alice.expect("ended", SOON, |_| true);
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(alice.wait(SOON).expect("it ends").code(), Some(0));
}
