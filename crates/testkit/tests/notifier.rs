//! What the focus tells its subscribers of who is there, when, and whom (RFC 4575), and how it is known for a focus
//! (RFC 4579). Bob subscribes with an ordinary phone, by UDP.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use conference::{Command, Moderation};
use sip_core::{Message, Method, Request, StatusCode, Uri};
use testkit::{HOST, Host, News, Node, Phone, Room, Script, Stranger};

const SIX_SECONDS: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_secs(5);

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 5060))
}

/// Alice, Bob and Carol; Bob is subscribed, outside of his call.
struct Scene {
    room: Room,
    bob: Node<Phone>,
    carol: Node<Phone>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        Self::with(seed, false)
    }

    fn with(seed: u64, in_dialog: bool) -> Self {
        let scripts = vec![Script::new("bob").named("Bob"), Script::new("carol").named("Carol")];
        let mut room = Room::new(seed, scripts);
        let (bob, carol) = (room.phones[0], room.phones[1]);
        room.net.act(bob, |bob| bob.subscribe(&Host::conference_uri(HOST), in_dialog));
        room.net.run_for(SIX_SECONDS);
        let scene = Self { room, bob, carol };
        assert_eq!(scene.news().len(), 1, "the first document comes at once, and alone");
        scene
    }

    fn news(&self) -> &[News] {
        self.room.net.at(self.bob).notified()
    }

    fn last(&self) -> &str {
        &self.news().last().unwrap().document
    }

    /// The user of the last full document, or of a partial one, whose address begins so.
    fn user(&self, name: &str) -> String {
        let start = format!("<user entity=\"sip:{name}");
        let (_, rest) = self.last().split_once(&start).unwrap_or_else(|| panic!("{}", self.last()));
        rest.split("</user>").next().unwrap().to_owned()
    }

    /// Whether any document said this of a user.
    fn said(&self, name: &str, what: &str) -> bool {
        let start = format!("<user entity=\"sip:{name}");
        let users = self.news().iter().filter_map(|one| one.document.split_once(&start));
        let mut users = users.map(|(_, rest)| rest.split("</user>").next().unwrap());
        users.any(|user| user.contains(what))
    }

    fn wait(&mut self) {
        self.room.net.run_for(SIX_SECONDS);
    }

    /// A phone, not called yet, whose calls this answers.
    fn phone(&mut self, script: Script, last: u8) -> Node<Phone> {
        Phone::join(&mut self.room.net, script, address(last))
    }

    fn invite(&mut self, phone: Node<Phone>) {
        let (uri, host) = (self.room.net.at(phone).uri(), self.room.host);
        self.room.net.act(host, |host| host.invite(&uri, None));
    }

    fn command(&mut self, command: Command) {
        let host = self.room.host;
        self.room.net.act(host, |host| host.command(command));
    }

    fn id(&self, name: &str) -> conference::ParticipantId {
        let roster = self.room.net.at(self.room.host).roster();
        roster.iter().rfind(|one| one.entity.contains(&format!("{name}@"))).unwrap().id
    }

    /// Every request that the host sent, repetitions left out.
    fn requests(&self) -> Vec<Request> {
        let mut seen = BTreeSet::new();
        let steps = self.room.net.ladder().iter().filter(|step| step.from == HOST);
        let requests = steps.filter_map(|step| match Message::parse(&step.contents) {
            Ok(Message::Request(request)) => Some(request),
            Ok(Message::Response(_)) | Err(_) => None,
        });
        requests.filter(|one| seen.insert(one.headers.get("Via").unwrap().to_owned())).collect()
    }
}

fn version(news: &News) -> u32 {
    let (_, rest) = news.document.rsplit_once(" version=\"").unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

fn is_full(news: &News) -> bool {
    news.document.split('>').nth(1).unwrap().contains("state=\"full\"")
}

#[test]
fn ci1_ci3_a_first_document_tells_everything_in_order() {
    let scene = Scene::new(51);
    let news = &scene.news()[0];
    assert_eq!(news.content_type, "application/conference-info+xml");
    assert!(news.state.starts_with("active;expires="), "{}", news.state);
    assert!(is_full(news) && version(news) == 1, "{}", news.document);
    let entity = Host::conference_uri(HOST).to_string();
    let start = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><conference-info \
         xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"{entity}\" state=\"full\" version=\"1\">\
         <conference-description><display-text>Alice&apos;s conference</display-text>\
         <subject>Weekly ops</subject>"
    );
    assert!(news.document.starts_with(&start), "{}", news.document);
    for part in [
        format!("<conf-uris><entry><uri>{entity}</uri>"),
        format!("<service-uris><entry><uri>{entity}</uri><purpose>event</purpose>"),
        "<maximum-user-count>151</maximum-user-count>".to_owned(),
        "<entry label=\"chat\"><display-text>chat</display-text><type>message</type>".to_owned(),
        "<user-count>3</user-count><active>true</active><locked>false</locked>".to_owned(),
        "<display-text>Carol</display-text><roles><entry>participant</entry></roles>".to_owned(),
    ] {
        assert!(news.document.contains(&part), "{part} is not in {}", news.document);
    }
}

#[test]
fn ci2_ci7_versions_count_each_notify_and_changes_wait_for_five_seconds_together() {
    let mut scene = Scene::new(52);
    let carol = scene.carol;
    // The first change after a quiet time is told at once.
    let before = scene.room.net.elapsed();
    scene.room.net.act(carol, |carol| carol.hold(true));
    scene.room.net.run_for(Duration::from_millis(500));
    assert_eq!(scene.news().len(), 2, "at once, not at {before:?} + 5 s");
    // Those that follow come together.
    for on in [false, true, false, true, false, true] {
        scene.room.net.act(carol, |carol| carol.hold(on));
        scene.room.net.run_for(Duration::from_millis(300));
    }
    scene.room.net.act(carol, |carol| carol.hold(false));
    scene.room.net.run_for(Duration::from_secs(20));
    assert!((3..=4).contains(&scene.news().len()), "{:#?}", scene.news());
    let erin = scene.phone(Script::new("erin"), 41);
    scene.invite(erin);
    scene.room.net.run_for(Duration::from_secs(40));
    let versions: Vec<u32> = scene.news().iter().map(version).collect();
    let expected: Vec<u32> = (1..).take(versions.len()).collect();
    assert_eq!(versions, expected);
    for two in scene.news().windows(2) {
        let pause = two[1].at - two[0].at;
        assert!(pause + Duration::from_millis(50) >= PAUSE, "{pause:?} between two");
    }
    // What changed and changed back is not told.
    let count = scene.news().len();
    scene.wait();
    scene.command(Command::SetName { name: "Alicia".to_owned() });
    scene.command(Command::SetName { name: "Alice".to_owned() });
    scene.wait();
    let more: Vec<&str> = scene.news()[count..].iter().map(|one| one.document.as_str()).collect();
    assert!(more.len() <= 2, "{more:#?}");
}

#[test]
fn ci4_partial_documents_say_so_at_every_level_and_full_ones_hold_full_ones() {
    let mut scene = Scene::new(53);
    let carol = scene.carol;
    scene.room.net.act(carol, |carol| carol.hold(true));
    scene.wait();
    let told = scene.news().last().unwrap();
    assert!(!is_full(told), "{}", told.document);
    assert!(told.document.contains("<users state=\"partial\"><user entity=\"sip:carol@"));
    assert!(!told.document.contains("sip:bob@"), "who did not change is not told of");
    assert!(!told.document.contains("<conference-description>"), "{}", told.document);
    scene.room.net.act(carol, |carol| carol.hang_up());
    scene.wait();
    scene.room.net.run_for(Duration::from_secs(32));
    let deleted = "<user entity=\"sip:carol@192.0.2.22:5060\" state=\"deleted\"/>";
    let deleted_open = deleted.replace("/>", "></user>");
    let last = scene.last();
    assert!(last.contains(deleted) || last.contains(&deleted_open), "{last}");
}

/// Every `entity` and `id` of users, devices and streams, by the path of those above it.
fn keys(document: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let (mut user, mut endpoint) = (String::new(), String::new());
    for tag in document.split('<') {
        let key = || tag.split('"').nth(1).unwrap().to_owned();
        if tag.starts_with("user ") {
            user = key();
            keys.insert(user.clone());
        } else if tag.starts_with("endpoint ") {
            endpoint = key();
            keys.insert(format!("{user} {endpoint}"));
        } else if tag.starts_with("media ") {
            keys.insert(format!("{user} {endpoint} {}", key()));
        }
    }
    keys
}

#[test]
fn ci5_keys_stay_to_the_byte_and_are_nobody_elses() {
    let mut scene = Scene::new(54);
    let (bob, carol) = (scene.bob, scene.carol);
    let first = keys(&scene.news()[0].document);
    assert_eq!(first.len(), 3 * 4, "{first:?}");
    for on in [true, false] {
        scene.room.net.act(carol, |carol| carol.hold(on));
        scene.room.net.act(bob, |bob| bob.hold(on));
        scene.wait();
        let told = keys(scene.last());
        assert!(!told.is_empty() && told.is_subset(&first), "{told:?}");
    }
    // Another one at the same address is another user, for as long as the first is told of.
    scene.room.net.act(carol, |carol| carol.hang_up());
    scene.wait();
    scene.room.net.act(carol, |carol| carol.dial(&Host::conference_uri(HOST)));
    scene.wait();
    let endpoints: BTreeSet<String> = scene
        .news()
        .iter()
        .flat_map(|one| keys(&one.document))
        .filter(|key| key.split(' ').count() == 2)
        .collect();
    let names: BTreeSet<&str> =
        endpoints.iter().map(|key| key.rsplit(' ').next().unwrap()).collect();
    assert_eq!(endpoints.len(), names.len(), "a device of two users: {endpoints:?}");
    assert_eq!(names.len(), 4, "{endpoints:?}");
}

#[test]
fn ci6_who_joins_and_who_leaves_is_always_told() {
    let mut scene = Scene::new(55);
    let erin = scene.phone(Script::new("erin"), 41);
    scene.invite(erin);
    scene.room.net.run_for(Duration::from_secs(12));
    let all: String = scene.news().iter().map(|one| one.document.as_str()).collect();
    assert!(all.contains("<user-count>4</user-count>"), "{all}");
    assert!(all.contains("sip:erin@192.0.2.41:5060"), "{all}");
    scene.room.net.act(erin, |erin| erin.hang_up());
    scene.wait();
    assert!(scene.last().contains("<user-count>3</user-count>"), "{}", scene.last());
    assert!(scene.said("erin", "<status>disconnected</status>"));
    assert!(scene.said("erin", "<disconnection-info><when>"), "{}", scene.last());
}

#[test]
fn ci10_a_stream_has_the_source_that_its_device_sends_under() {
    let mut scene = Scene::new(56);
    let carol = scene.id("carol");
    assert!(!scene.last().contains("<src-id>"), "nothing is known yet");
    let mixer = scene.room.net.at(scene.room.host).mixer().to_vec();
    let mut calls = mixer.iter().filter_map(|act| match act {
        conference::MixerAct::Connect { call } => Some(*call),
        _ => None,
    });
    let call = calls.next_back().unwrap();
    for ssrc in [2_774_821_133_u32, 5] {
        scene.command(Command::Source { call, ssrc });
        scene.wait();
        let user = scene.user("carol");
        let stream =
            format!("<label>audio</label><src-id>{ssrc}</src-id><status>sendrecv</status>");
        assert!(user.contains(&stream), "{carol:?}: {user}");
    }
    let count = scene.news().len();
    scene.command(Command::Source { call, ssrc: 5 });
    scene.wait();
    assert_eq!(scene.news().len(), count, "the same source is no news");
}

#[test]
fn ci11_ci12_a_device_goes_through_its_life_and_its_streams_with_it() {
    let mut scene = Scene::new(57);
    let rings = Duration::from_secs(10);
    let erin = scene.phone(Script { rings, ..Script::new("erin") }, 41);
    let mut steps = Vec::new();
    let mut note = |scene: &Scene| {
        let user = scene.user("erin");
        let status = user.split("<status>").nth(1).unwrap().split('<').next().unwrap().to_owned();
        let audio = user.split("<label>audio</label><status>").nth(1);
        let audio = audio.map_or("", |rest| rest.split('<').next().unwrap()).to_owned();
        steps.push((status, audio));
    };
    scene.invite(erin);
    scene.room.net.run_for(Duration::from_secs(1));
    note(&scene);
    scene.wait();
    note(&scene);
    scene.room.net.run_for(Duration::from_secs(10));
    note(&scene);
    scene.room.net.act(erin, |erin| erin.hold(true));
    scene.wait();
    note(&scene);
    scene.room.net.act(erin, |erin| erin.hold(false));
    scene.wait();
    note(&scene);
    let id = scene.id("erin");
    let mute = |on| Command::Moderate { participant: id, act: Moderation::Mute(on) };
    scene.command(mute(true));
    scene.wait();
    note(&scene);
    scene.command(mute(false));
    scene.wait();
    note(&scene);
    scene.command(Command::Remove { participant: id });
    scene.wait();
    note(&scene);
    let of = |status: &str, audio: &str| (status.to_owned(), audio.to_owned());
    assert_eq!(
        steps,
        [
            of("dialing-out", "inactive"),
            of("alerting", ""),
            of("connected", "sendrecv"),
            of("on-hold", "inactive"),
            of("connected", "sendrecv"),
            of("muted-via-focus", "recvonly"),
            of("connected", "sendrecv"),
            of("disconnected", "inactive"),
        ]
    );
    // The host's own microphone: he goes on hearing.
    scene.command(Command::Muted { on: true });
    scene.wait();
    assert!(scene.user("alice").contains("<status>recvonly</status>"), "{}", scene.last());
    scene.room.net.run_for(Duration::from_secs(40));
    assert!(scene.last().contains("sip:erin@192.0.2.41:5060\" state=\"deleted\""));
}

#[test]
fn ci13_why_somebody_is_not_there_is_told_in_the_words_of_the_rfc() {
    let mut scene = Scene::new(58);
    let stranger = Stranger::join(&mut scene.room.net, address(66));
    let host = scene.room.host;
    for (status, how) in [(486, "busy"), (603, "failed"), (404, "failed")] {
        let uri = Uri::parse(&format!("sip:greta{status}@192.0.2.66:5060")).unwrap();
        scene.room.net.act(host, |host| host.invite(&uri, None));
        scene.room.net.run_for(Duration::from_secs(1));
        let heard = scene.room.net.at(stranger).heard();
        let invite = heard.iter().rev().find_map(|bytes| match Message::parse(bytes) {
            Ok(Message::Request(request)) if request.method == Method::Invite => Some(request),
            _ => None,
        });
        let refusal = invite.unwrap().response(StatusCode::new(status).unwrap(), Some("greta"));
        scene.room.net.inject(address(66), HOST, &refusal.to_bytes());
        scene.wait();
        scene.wait();
        let (user, method) = (
            format!("greta{status}"),
            format!("<disconnection-method>{how}</disconnection-method>"),
        );
        assert!(scene.said(&user, &method), "{method}: {:#?}", scene.news());
    }
    let erin = scene.phone(Script::new("erin"), 41);
    let frank = scene.phone(Script::new("frank"), 42);
    for phone in [erin, frank] {
        scene.invite(phone);
        scene.room.net.run_for(Duration::from_secs(12));
    }
    scene.room.net.act(erin, |erin| erin.hang_up());
    scene.wait();
    assert!(scene.said("erin", "<disconnection-method>departed<"), "{}", scene.last());
    let id = scene.id("frank");
    scene.command(Command::Remove { participant: id });
    scene.wait();
    assert!(scene.said("frank", "<disconnection-method>booted<"), "{}", scene.last());
}

#[test]
fn ci14_ci15_ci16_ci17_what_is_told_of_a_device() {
    let scene = Scene::new(59);
    let document = scene.last();
    assert_eq!(document.matches("<joining-method>focus-owner<").count(), 1);
    assert!(scene.user("alice").contains("<joining-method>focus-owner<"));
    assert!(scene.user("bob").contains("<joining-method>dialed-out<"));
    let times: Vec<&str> = document.split("<when>").skip(1).collect();
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|time| time.as_bytes()[19] == b'Z'), "{times:?}");
    assert!(scene.user("bob").contains("</when><by>sip:alice@192.0.2.10:5060</by>"));
    // Its Call-ID and tags would let others into the call.
    assert!(!document.contains("call-info") && !document.contains("<call-id>"));
    let of = |name: &str| {
        let parts = document.split(name).skip(1);
        let labels = parts.map(|rest| rest.split(['"', '<']).next().unwrap().to_owned());
        labels.collect::<BTreeSet<String>>()
    };
    assert_eq!(of("<label>"), of("<entry label=\""), "labels are those of available media");
}

#[test]
fn ci18_a_small_phone_is_told_less_and_partials_follow_its_own_view() {
    let mut scene = Scene::new(60);
    let dave = scene.room.guest("Dave", "dave", address(40));
    let others: Vec<Node<Phone>> =
        (0..7).map(|n| scene.phone(Script::new(&format!("person{n}")), 50 + n)).collect();
    for phone in &others {
        scene.invite(*phone);
    }
    scene.room.net.run_for(Duration::from_secs(30));
    let least = scene.news().iter().rev().find(|one| is_full(one)).unwrap();
    let document = &least.document;
    assert!(document.len() < 3_400, "{} bytes: {document}", document.len());
    assert!(document.contains("<roles><entry>host</entry></roles>"));
    assert!(!document.contains("<joining-method>") && !document.contains("\"chat\""));
    assert!(scene.news().iter().all(|one| one.document.len() < 3_400));
    // One of our own kind is told everything.
    let phone = others[0];
    scene.room.net.act(phone, |phone| phone.hold(true));
    scene.wait();
    assert!(!scene.last().contains("\"chat\""), "{}", scene.last());
    assert!(scene.user("person0").contains("<status>on-hold</status>"));
    let seen = scene.room.net.at(dave).roster();
    assert_eq!(seen.len(), 4 + 7);
    let states = seen.iter().filter(|one| one.state == conference::ParticipantState::OnHold);
    assert_eq!(states.count(), 1);
    let big = scene.room.net.ladder().iter().filter_map(|step| {
        let text = String::from_utf8_lossy(&step.contents);
        let is_whole = step.from == HOST && text.contains("state=\"full\"");
        is_whole.then_some(text.len())
    });
    assert!(big.max().unwrap() > 4_000, "Dave got the whole");
}

#[test]
fn ci18_whoever_hides_his_name_is_told_of_by_number_only() {
    let mut scene = Scene::new(61);
    let stranger = Stranger::join(&mut scene.room.net, address(66));
    let conference = Host::conference_uri(HOST);
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.66\r\ns=-\r\nc=IN IP4 192.0.2.66\r\nt=0 0\r\n\
               m=audio 4000 RTP/AVP 0\r\n";
    let request = |method: &str, number: &str, tag: &str, body: &str| {
        format!(
            "{method} {conference} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK{method}\r\n\
             Max-Forwards: 70\r\nFrom: \"Greta Garbo\" <sip:greta@secret.example>;tag=g\r\n\
             To: <{conference}>{tag}\r\nCall-ID: anon\r\nCSeq: {number}\r\nPrivacy: id\r\n\
             Contact: <sip:greta@192.0.2.66:5060>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let invite = request("INVITE", "1 INVITE", "", sdp);
    scene.room.net.inject(address(66), HOST, invite.as_bytes());
    scene.room.net.run_for(Duration::from_secs(1));
    let heard = scene.room.net.at(stranger).heard();
    let tag = heard.iter().find_map(|bytes| match Message::parse(bytes) {
        Ok(Message::Response(ok)) if ok.status == StatusCode::OK => {
            ok.headers.to_header().unwrap().tag().map(str::to_owned)
        }
        _ => None,
    });
    let ack = request("ACK", "1 ACK", &format!(";tag={}", tag.unwrap()), "");
    scene.room.net.inject(address(66), HOST, ack.as_bytes());
    scene.wait();
    let user = scene.user("anonymous");
    assert!(user.contains("@anonymous.invalid\""), "{user}");
    assert!(user.contains("<display-text>Anonymous "), "{user}");
    assert!(user.contains("<status>connected</status>"), "{user}");
    for news in scene.news() {
        let text = news.document.to_lowercase();
        for secret in ["greta", "garbo", "secret.example", "192.0.2.66"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn ev14_only_who_is_in_the_conference_is_told() {
    let mut scene = Scene::new(62);
    let stranger = Stranger::join(&mut scene.room.net, address(66));
    let subscribe = |branch: &str, headers: &str| {
        let conference = Host::conference_uri(HOST);
        format!(
            "SUBSCRIBE {conference} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bob@192.0.2.21:5060>;tag={branch}\r\nTo: <{conference}>\r\n\
             Call-ID: {branch}\r\nCSeq: 1 SUBSCRIBE\r\nContact: <sip:bob@192.0.2.66:5060>\r\n\
             Event: conference\r\nExpires: 3600\r\n{headers}Content-Length: 0\r\n\r\n"
        )
    };
    // Nobody; somebody who says another's name; somebody who knows half of a dialog.
    let call = scene.requests().iter().find_map(|one| one.headers.call_id().map(str::to_owned));
    let half = format!("Target-Dialog: {};local-tag=x;remote-tag=y\r\n", call.unwrap());
    for (branch, headers) in [("s1", ""), ("s2", half.as_str())] {
        scene.room.net.inject(address(66), HOST, subscribe(branch, headers).as_bytes());
        scene.room.net.run_for(Duration::from_secs(2));
    }
    assert_eq!(scene.room.net.at(stranger).statuses(), [403, 403]);
    let notified = scene
        .room
        .net
        .ladder()
        .iter()
        .any(|step| step.to == address(66) && step.contents.starts_with(b"NOTIFY"));
    assert!(!notified);
}

#[test]
fn ev15_who_leaves_is_told_no_more_and_the_end_of_his_call_is_not_the_end_of_his_subscription() {
    for by_host in [false, true] {
        let mut scene = Scene::new(63);
        let (bob, carol) = (scene.bob, scene.carol);
        if by_host {
            let id = scene.id("bob");
            scene.command(Command::Remove { participant: id });
        } else {
            scene.room.net.act(bob, |bob| bob.hang_up());
        }
        scene.room.net.run_for(Duration::from_secs(2));
        let last = scene.news().last().unwrap();
        assert_eq!(last.state, "terminated;reason=rejected");
        assert!(last.document.is_empty() && scene.room.net.at(bob).is_subscription_over());
        let count = scene.news().len();
        scene.room.net.act(carol, |carol| carol.hang_up());
        scene.room.net.run_for(Duration::from_secs(60));
        assert_eq!(scene.news().len(), count);
    }
}

#[test]
fn a_subscription_inside_the_call_is_taken_and_brings_the_same() {
    let mut scene = Scene::with(64, true);
    let (bob, carol) = (scene.bob, scene.carol);
    assert!(is_full(&scene.news()[0]));
    scene.room.net.act(carol, |carol| carol.hold(true));
    scene.wait();
    assert!(scene.user("carol").contains("<status>on-hold</status>"), "{}", scene.last());
    assert!(scene.room.net.at(bob).is_in_call());
    let host = scene.room.host;
    scene.room.net.act(host, |host| host.say("r", "still here"));
    scene.room.net.run_for(Duration::from_secs(2));
    assert_eq!(scene.room.net.at(bob).shown(), ["Alice: still here"]);
}

#[test]
fn after_a_document_that_failed_everything_is_told_anew_once() {
    let mut scene = Scene::new(65);
    let (bob, carol) = (scene.bob, scene.carol);
    scene.room.net.act(bob, |bob| bob.take_news(false));
    scene.room.net.act(carol, |carol| carol.hold(true));
    scene.room.net.run_for(Duration::from_secs(60));
    // It failed, all was told anew and failed too: no more of it until something changes.
    assert_eq!(scene.news().len(), 3, "{:#?}", scene.news());
    assert!(!is_full(&scene.news()[1]) && is_full(&scene.news()[2]));
    scene.room.net.act(bob, |bob| bob.take_news(true));
    scene.room.net.act(carol, |carol| carol.hold(false));
    scene.wait();
    assert!(is_full(scene.news().last().unwrap()), "{}", scene.last());
    scene.room.net.act(carol, |carol| carol.hold(true));
    scene.wait();
    assert!(!is_full(scene.news().last().unwrap()), "{}", scene.last());
    let versions: Vec<u32> = scene.news().iter().map(version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
}

#[test]
fn fo1_fo16_the_contact_of_every_dialog_of_the_conference_is_its_own_and_says_isfocus() {
    let mut scene = Scene::new(66);
    let erin = scene.phone(Script::new("erin"), 41);
    scene.room.net.act(erin, |erin| erin.dial(&Host::conference_uri(HOST)));
    scene.wait();
    let (bob, carol) = (scene.bob, scene.carol);
    scene.room.net.act(carol, |carol| carol.hold(true));
    scene.wait();
    scene.room.net.act(bob, |bob| bob.subscribe(&Host::conference_uri(HOST), true));
    scene.wait();
    let expected = format!("<{}>;isfocus", Host::conference_uri(HOST));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for step in scene.room.net.ladder().iter().filter(|step| step.from == HOST) {
        let (what, contact) = match Message::parse(&step.contents).unwrap() {
            Message::Request(request) => {
                assert!(!request.uri.to_string().contains("isfocus"), "{}", request.uri);
                let makes = matches!(request.method, Method::Invite | Method::Notify);
                let contact = request.headers.get("Contact").map(str::to_owned);
                (Some(request.method.to_string()).filter(|_| makes), contact)
            }
            Message::Response(response) => {
                let cseq = response.headers.cseq().unwrap();
                let makes = matches!(cseq.method, Method::Invite | Method::Subscribe)
                    && response.status.code() > 100
                    && response.status.code() < 300;
                let contact = response.headers.get("Contact").map(str::to_owned);
                (
                    Some(format!("{} {}", response.status.code(), cseq.method)).filter(|_| makes),
                    contact,
                )
            }
        };
        let Some(what) = what else { continue };
        let contact = contact.unwrap_or_else(|| panic!("{what} has no Contact"));
        assert!(contact.starts_with(&expected), "{what}: {contact}");
        *seen.entry(what).or_default() += 1;
    }
    let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["200 INVITE", "200 SUBSCRIBE", "INVITE", "NOTIFY"]);
}

#[test]
fn fo2_whoever_asks_the_conference_what_it_can_is_told_that_it_is_a_focus() {
    let mut scene = Scene::new(67);
    let stranger = Stranger::join(&mut scene.room.net, address(66));
    let conference = Host::conference_uri(HOST);
    let options = format!(
        "OPTIONS {conference} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bKo\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@192.0.2.66>;tag=o\r\nTo: <{conference}>\r\nCall-ID: o\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    scene.room.net.inject(address(66), HOST, options.as_bytes());
    scene.room.net.run_for(Duration::from_secs(1));
    let heard = scene.room.net.at(stranger).heard();
    let Ok(Message::Response(ok)) = Message::parse(heard.last().unwrap()) else { panic!() };
    assert_eq!(ok.status, StatusCode::OK);
    let contact = ok.headers.get("Contact").unwrap();
    assert!(contact.starts_with(&format!("<{conference}>;isfocus")), "{contact}");
    assert!(ok.headers.get("Allow-Events").unwrap().contains("conference"));
}

#[test]
fn fo12_the_end_is_said_to_everybody_and_the_address_is_nobodys_afterwards() {
    let mut scene = Scene::new(68);
    let (bob, carol) = (scene.bob, scene.carol);
    scene.command(Command::End);
    scene.room.net.run_for(Duration::from_secs(5));
    assert!(!scene.room.net.at(bob).is_in_call() && !scene.room.net.at(carol).is_in_call());
    assert_eq!(scene.news().last().unwrap().state, "terminated;reason=noresource");
    let byes = scene.requests().iter().filter(|one| one.method == Method::Bye).count();
    assert_eq!(byes, 2);
    let stranger = Stranger::join(&mut scene.room.net, address(66));
    let conference = Host::conference_uri(HOST).to_string();
    let message =
        Stranger::message(&conference, "sip:x@192.0.2.66", address(66), "late", "anybody there?");
    scene.room.net.inject(address(66), HOST, &message);
    scene.room.net.run_for(Duration::from_secs(1));
    assert_eq!(scene.room.net.at(stranger).statuses(), [404]);
    let erin = scene.phone(Script::new("erin"), 41);
    scene.room.net.act(erin, |erin| erin.dial(&Host::conference_uri(HOST)));
    scene.wait();
    let refused = format!("{:?}", scene.room.net.at(erin).refused().unwrap());
    assert!(refused.contains("404"), "{refused}");
}

#[test]
fn fo17_a_participant_who_is_a_focus_himself_is_told_as_a_cascade() {
    let mut scene = Scene::new(69);
    assert!(!scene.last().contains("cascaded-focus"));
    let other = SocketAddr::from(([192, 0, 2, 90], 5060));
    let focus = Host::join(&mut scene.room.net, "Olga", other, conference::ChatRate::Unlimited);
    let uri = Host::conference_uri(HOST);
    scene.room.net.act(focus, |olga| olga.invite(&uri, None));
    scene.wait();
    let cascade =
        format!("<cascaded-focus>{}</cascaded-focus><endpoint", Host::conference_uri(other));
    let all: String = scene.news().iter().map(|one| one.document.as_str()).collect();
    assert!(all.contains(&cascade), "{all}");
    // A chain of conferences tells nobody without end.
    let count = scene.room.net.ladder().len();
    scene.room.net.run_for(Duration::from_secs(120));
    let more = scene.room.net.ladder().len() - count;
    assert!(more < 40, "{more} messages in two quiet minutes");
}
