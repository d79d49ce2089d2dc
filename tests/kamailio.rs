//! Through Debian's Kamailio as registrar and proxy. `make interop` runs it; it needs kamailio, its TLS module and openssl.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "the other stories use the rest")]
mod ends {
    pub mod account;
    pub mod baresip;
    pub mod cli;
    pub mod dns;
    pub mod kamailio;
    pub mod phone;
    pub mod process;
    pub mod watcher;
}

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use ends::account::with_account;
use ends::baresip::Baresip;
use ends::cli::Cli;
use ends::dns::{NameServer, Record};
use ends::kamailio::{DOMAIN, Kamailio, Rules};
use ends::process::{free_port, within};
use serde_json::json;

const SOON: Duration = Duration::from_secs(8);

/// Without credentials every transport answers with a challenge for the domain.
#[test]
fn it_listens_on_every_transport_and_challenges() {
    let folder = tempfile::tempdir().unwrap();
    let mut kamailio = Kamailio::start(folder.path(), &[("alice", "secret")]);
    for round in 0..2 {
        let register = |transport: &str| {
            format!(
                "REGISTER sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;rport;branch=z9hG4bK{round}{transport}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:alice@{DOMAIN}>;tag=1\r\nTo: <sip:alice@{DOMAIN}>\r\n\
                 Call-ID: {round}{transport}\r\nCSeq: 1 REGISTER\r\nContact: <sip:alice@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let mut buffer = [0; 4096];
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        udp.send_to(register("UDP").as_bytes(), kamailio.address).unwrap();
        let length = udp.recv(&mut buffer).unwrap_or_else(|_| panic!("{}", kamailio.tail()));
        assert_challenged(&buffer[..length]);
        let mut tcp = TcpStream::connect(kamailio.address).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        tcp.write_all(register("TCP").as_bytes()).unwrap();
        let length = tcp.read(&mut buffer).unwrap();
        assert_challenged(&buffer[..length]);
        assert_challenged(&by_tls(&kamailio, &register("TLS")));
        assert_eq!(kamailio.passed().iter().filter(|line| line.starts_with("REGISTER")).count(), 3);
        kamailio.restart();
    }
}

#[test]
fn the_name_server_leads_to_it_by_naptr_srv_and_address() {
    let service = format!("_sip._tcp.{DOMAIN}");
    let names = NameServer::start(vec![
        (DOMAIN.to_owned(), Record::Naptr(10, 0, "SIP+D2T", service.clone())),
        (service.clone(), Record::Srv(0, 0, 5099, format!("proxy.{DOMAIN}"))),
        (format!("proxy.{DOMAIN}"), Record::A([127, 0, 0, 1].into())),
    ]);
    let (count, answer) = names.ask(DOMAIN, 35);
    assert_eq!((count, answer[3] & 15), (1, 0));
    assert!(answer.windows(7).any(|window| window == b"SIP+D2T"));
    let (count, answer) = names.ask(&service, 33);
    assert_eq!(count, 1);
    assert!(answer.windows(2).any(|window| window == 5099_u16.to_be_bytes()));
    let (count, answer) = names.ask(&format!("Proxy.{DOMAIN}"), 1);
    assert_eq!((count, &answer[answer.len() - 4..]), (1, &[127, 0, 0, 1][..]));
    // A name without that type, and a name that is none.
    assert_eq!(names.ask(DOMAIN, 1).1[3] & 15, 0);
    assert_eq!(names.ask("elsewhere.test", 35).1[3] & 15, 3);
    assert_eq!(names.asked()[1], (service, 33));
}

/// A conference whose participants dial its account: everybody reads everybody, and all of it passes the proxy.
fn a_conference_goes_through_it(transport: &str) {
    let folder = tempfile::tempdir().unwrap();
    let users = [("weekly", "w"), ("bob", "b"), ("carol", "c")];
    let kamailio = Kamailio::start(folder.path(), &users);
    let names = kamailio.names(transport);
    let host = ["host", "--conference", "weekly"];
    let mut host = with_account(&kamailio, &names, "weekly", "w", &host);
    let conference = format!("sip:weekly@{DOMAIN}");
    assert_eq!(host.ready().1, conference);
    let join = |user, password| {
        let cli = with_account(&kamailio, &names, user, password, &["join", &conference]);
        cli.expect("ready", SOON, |_| true);
        cli
    };
    let (mut bob, mut carol) = (join("bob", "b"), join("carol", "c"));
    host.expect("participant", SOON, |event| event["name"] == "carol");
    for (who, text) in [(&mut host, "one"), (&mut bob, "two"), (&mut carol, "three")] {
        who.say(text);
    }
    for (who, others) in [
        (&host, [("bob", "two"), ("carol", "three")]),
        (&bob, [("Host", "one"), ("carol", "three")]),
        (&carol, [("Host", "one"), ("bob", "two")]),
    ] {
        for (name, text) in others {
            let line = who.expect("message", SOON, |event| event["text"] == text);
            assert_eq!((line["name"].as_str(), &line["verified"]), (Some(name), &true.into()));
        }
        assert_eq!(who.messages().len(), 2, "each once");
    }
    for who in [&mut bob, &mut carol, &mut host] {
        assert!(who.end().expect("it ends").success());
    }
    let passed = kamailio.passed();
    // NOTIFYs, and INVITEs with credentials, are too large for UDP (RFC 3261 §18.1.1).
    let begins = |line: &&String| {
        line.starts_with("REGISTER") || line.starts_with("INVITE") && transport != "udp"
    };
    let by = format!("by={transport}");
    assert!(passed.iter().filter(begins).all(|line| line.ends_with(&by)), "{passed:#?}");
    // Record-Routes are kept: texts and goodbyes inside the calls pass it too. Two say one, each hears two.
    let inside = |method: &str| {
        let of = |line: &&String| line.starts_with(method) && !line.contains("to-tag=0");
        passed.iter().filter(of).count()
    };
    assert!(inside("MESSAGE") >= 6 && inside("BYE") == 2, "{passed:#?}");
}

#[test]
fn a_conference_with_its_chat_goes_through_it_by_udp() {
    a_conference_goes_through_it("udp");
}

#[test]
fn a_conference_with_its_chat_goes_through_it_by_tcp() {
    a_conference_goes_through_it("tcp");
}

#[test]
fn fo11_a_conference_with_its_chat_goes_through_it_by_tls() {
    a_conference_goes_through_it("tls");
}

#[test]
fn a_wrong_password_is_told_and_tried_once() {
    let folder = tempfile::tempdir().unwrap();
    let kamailio = Kamailio::start(folder.path(), &[("alice", "right")]);
    let names = kamailio.names("udp");
    let mut alice = with_account(&kamailio, &names, "alice", "wrong", &["host"]);
    let told = alice.expect("registration", SOON, |event| event["state"] == "failed");
    assert_eq!(told["reason"], "wrong name or password");
    std::thread::sleep(Duration::from_secs(3));
    let asked = kamailio.passed().iter().filter(|line| line.starts_with("REGISTER")).count();
    assert_eq!(asked, 2, "once without and once with credentials");
    assert!(alice.end().expect("it ends").success());
}

#[test]
fn after_a_restart_of_it_the_account_is_registered_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut kamailio = Kamailio::start(folder.path(), &[("alice", "a")]);
    let names = kamailio.names("tcp");
    let mut alice = with_account(&kamailio, &names, "alice", "a", &["host"]);
    let standing = || {
        let events = alice.events();
        events.iter().filter(|event| event["state"] == "registered").count()
    };
    std::thread::sleep(Duration::from_secs(1));
    let before = standing();
    kamailio.restart();
    // Where it was still down at the first try, the next one is 15 to 30 s later (RFC 5626 §4.5).
    let again = within(Duration::from_secs(40), || standing() > before);
    assert!(again, "{}", alice.tail());
    assert!(alice.end().expect("it ends").success());
}

/// The shortest grant that an account takes: it is refreshed by itself, and its owner is reached after the first ran out.
fn a_short_registration_is_refreshed(transport: &str) {
    let folder = tempfile::tempdir().unwrap();
    let rules = Rules { max_expires: 10, ..Rules::default() };
    let users = [("weekly", "w"), ("bob", "b")];
    let kamailio = Kamailio::start_with(folder.path(), &users, rules);
    let names = kamailio.names(transport);
    let mut host =
        with_account(&kamailio, &names, "weekly", "w", &["host", "--conference", "weekly"]);
    // A registration that corrects the address, as the registrar saw it, may follow the first at once.
    std::thread::sleep(Duration::from_secs(2));
    let before = kamailio.granted("weekly");
    let again = within(Duration::from_secs(25), || kamailio.granted("weekly") >= before + 2);
    assert!(again, "granted {before} times, then {}", kamailio.granted("weekly"));
    let conference = format!("sip:weekly@{DOMAIN}");
    let mut bob = with_account(&kamailio, &names, "bob", "b", &["join", &conference]);
    bob.expect("ready", SOON, |_| true);
    bob.say("still here");
    host.expect("message", SOON, |event| event["text"] == "still here");
    let failed = host.events().iter().any(|event| event["state"] == "failed");
    assert!(!failed, "{}", host.tail());
    assert!(bob.end().expect("it ends").success());
    assert!(host.end().expect("it ends").success());
}

#[test]
fn a_short_registration_is_refreshed_by_itself_by_udp() {
    a_short_registration_is_refreshed("udp");
}

#[test]
fn a_short_registration_is_refreshed_by_itself_by_tcp() {
    a_short_registration_is_refreshed("tcp");
}

#[test]
fn a_short_registration_is_refreshed_by_itself_by_tls() {
    a_short_registration_is_refreshed("tls");
}

/// The host calls a phone that is registered there: texts, hold and goodbye pass the proxy inside the call.
fn the_host_dials_out_through_it(transport: &str) {
    let folder = tempfile::tempdir().unwrap();
    let kamailio = Kamailio::start(folder.path(), &[("weekly", "w"), ("bob", "b")]);
    let names = kamailio.names(transport);
    let mut host =
        with_account(&kamailio, &names, "weekly", "w", &["host", "--conference", "weekly"]);
    let conference = format!("sip:weekly@{DOMAIN}");
    let server = kamailio.address;
    let mut bob =
        Baresip::start_registered(folder.path(), ("bob", "b"), DOMAIN, server, &conference);
    assert!(within(SOON, || kamailio.granted("bob") == 1), "{}", kamailio.tail());
    host.invite(&bob.uri);
    let entity = bob.uri.clone();
    let becomes = |host: &Cli, state: &str| {
        let now = || host.roster().get(&entity).map(|(_, state)| state.clone());
        let so = within(SOON, || now().as_deref() == Some(state));
        assert!(so, "Bob is {:?}, not {state}\n{}", now(), host.tail());
    };
    becomes(&host, "connected");
    // His own re-INVITEs: on hold and back.
    bob.hold();
    becomes(&host, "on-hold");
    bob.resume();
    becomes(&host, "connected");
    host.say("one");
    assert!(within(SOON, || bob.shown() == ["Host: one"]), "{:?}", bob.shown());
    // His phone texts outside of the call, to the address that called him: it is his, by the proxy that vouches for him.
    bob.text("two");
    let line = host.expect("message", SOON, |event| event["text"] == "two");
    assert_eq!(line["from"], entity);
    let event = host.expect("participant", SOON, |event| event["entity"] == entity);
    host.command(&json!({"command": "remove", "id": event["id"]}));
    becomes(&host, "disconnected");
    assert!(host.end().expect("it ends").success());
    let passed = kamailio.passed();
    let inside = |method: &str, from: &str| {
        let from = format!("{method} from=sip:{from}@{DOMAIN} ");
        let of = |line: &&String| line.starts_with(&from) && !line.contains("to-tag=0");
        passed.iter().filter(of).count()
    };
    assert_eq!(inside("ACK", "weekly"), 1, "{passed:#?}");
    assert!(inside("INVITE", "bob") >= 2 && inside("MESSAGE", "weekly") >= 1, "{passed:#?}");
    assert_eq!(inside("BYE", "weekly"), 1, "{passed:#?}");
    // An INVITE that the credentials make too large for UDP goes by TCP, and what belongs to it (RFC 3261 §18.1.1).
    if transport == "udp" {
        return;
    }
    let mut hosts = passed.iter().filter(|line| line.contains(" from=sip:weekly@"));
    assert!(hosts.all(|line| line.ends_with(&format!("by={transport}"))), "{passed:#?}");
}

#[test]
fn the_host_dials_out_through_it_by_udp() {
    the_host_dials_out_through_it("udp");
}

#[test]
fn the_host_dials_out_through_it_by_tcp() {
    the_host_dials_out_through_it("tcp");
}

#[test]
fn the_host_dials_out_through_it_by_tls() {
    the_host_dials_out_through_it("tls");
}

/// One who is in no call, behind the same proxy, and says that he is somebody who is.
struct Stranger(UdpSocket);

impl Stranger {
    /// Writes to the conference as `from`; gives the final answer.
    fn writes(&self, kamailio: &Kamailio, from: &str, text: &str) -> String {
        let own = self.0.local_addr().unwrap();
        let unique = format!("{}{}", own.port(), from.len() + text.len());
        let message = format!(
            "MESSAGE sip:weekly@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{unique}\r\n\
             Max-Forwards: 70\r\nFrom: {from};tag=s{unique}\r\nTo: <sip:weekly@{DOMAIN}>\r\n\
             Call-ID: {unique}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{text}",
            text.len()
        );
        self.0.set_read_timeout(Some(SOON)).unwrap();
        self.0.send_to(message.as_bytes(), kamailio.address).unwrap();
        loop {
            let mut buffer = [0; 4096];
            let length = self.0.recv(&mut buffer).expect("it is answered");
            let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if !answer.starts_with("SIP/2.0 1") {
                return answer;
            }
        }
    }
}

/// The proxy lets nobody claim an address of its own domain without its password; of an address elsewhere it knows
/// nothing and lets it through: then it is the conference that refuses who only says that he is Dave.
#[test]
fn a_stranger_behind_it_with_a_forged_address_gets_nothing_relayed() {
    let folder = tempfile::tempdir().unwrap();
    let kamailio = Kamailio::start(folder.path(), &[("weekly", "w"), ("bob", "b")]);
    let names = kamailio.names("udp");
    let mut host =
        with_account(&kamailio, &names, "weekly", "w", &["host", "--conference", "weekly"]);
    let conference = format!("sip:weekly@{DOMAIN}");
    let mut bob = with_account(&kamailio, &names, "bob", "b", &["join", &conference]);
    bob.expect("ready", SOON, |_| true);
    // Dave has no account here.
    let (dns, listen) =
        (names.address.to_string(), format!("127.0.0.2:{}", free_port([127, 0, 0, 2].into())));
    let arguments = ["join", &conference, "--dns", &dns, "--name", "Dave", "--audio", "silence"];
    let mut dave = Cli::start("dave", &[&arguments[..], &["--listen", &listen]].concat());
    dave.expect("ready", SOON, |_| true);
    let roster = host.present();
    let (entity, _) = roster.iter().find(|(_, (name, _))| name == "Dave").expect("Dave is there");
    let stranger = Stranger(UdpSocket::bind("127.0.0.66:0").unwrap());
    let answer = stranger.writes(&kamailio, &format!("\"bob\" <sip:bob@{DOMAIN}>"), "as bob");
    assert!(answer.starts_with("SIP/2.0 407 "), "{answer}");
    let answer = stranger.writes(&kamailio, &format!("\"Dave\" <{entity}>"), "as Dave");
    assert!(answer.starts_with("SIP/2.0 403 Forbidden"), "{answer}");
    // Not even that there is a conference is said.
    assert!(!answer.contains("isfocus") && !answer.contains("Warning"), "{answer}");
    let passed = kamailio.passed();
    let reached = passed.iter().filter(|line| line.starts_with(&format!("MESSAGE from={entity} ")));
    assert_eq!(reached.count(), 1, "{passed:#?}");
    // Those who are in write on, and each reads them only.
    dave.say("really Dave");
    bob.say("really bob");
    for (who, own) in [(&host, ""), (&bob, "really bob"), (&dave, "really Dave")] {
        for text in ["really Dave", "really bob"].into_iter().filter(|text| *text != own) {
            who.expect("message", SOON, |event| event["text"] == text);
        }
        let forged = who.messages().into_iter().any(|line| line.text.starts_with("as "));
        assert!(!forged, "{:?}", who.messages());
    }
    for who in [&mut bob, &mut dave, &mut host] {
        assert!(who.end().expect("it ends").success());
    }
}

fn by_tls(kamailio: &Kamailio, request: &str) -> Vec<u8> {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", DOMAIN, "-CAfile"])
        .arg(kamailio.authority())
        .args(["-connect", &kamailio.secure.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
    let mut buffer = vec![0; 4096];
    let length = client.stdout.as_mut().unwrap().read(&mut buffer).unwrap();
    let _ = client.kill();
    client.wait().unwrap();
    buffer.truncate(length);
    buffer
}

fn assert_challenged(answer: &[u8]) {
    let answer = String::from_utf8_lossy(answer);
    assert!(answer.starts_with("SIP/2.0 401 "), "{answer}");
    assert!(answer.contains(&format!("realm=\"{DOMAIN}\"")), "{answer}");
}
