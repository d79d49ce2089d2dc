//! What the writer of a document writes.

use super::*;
use crate::info::check;
use crate::info::read::Known;

fn media(audio: &'static str) -> Vec<Media> {
    let one =
        |id, kind, label, source, status| Media { id, kind, label: Some(label), source, status };
    vec![
        one("1", "audio", "audio", Some(305_419_896), audio),
        one("chat", "message", "chat", None, "sendrecv"),
    ]
}

fn user(name: &str, status: &'static str) -> User {
    let endpoint = Endpoint {
        entity: format!("ep-{name}"),
        referred_by: None,
        status,
        joining: "dialed-in",
        joined: Some(OffsetDateTime::UNIX_EPOCH),
        joined_by: None,
        gone_how: None,
        gone: None,
        media: media("sendrecv"),
    };
    User {
        entity: format!("sip:{name}@example.com"),
        name: name.to_owned(),
        is_host: false,
        cascaded_focus: None,
        endpoints: vec![endpoint],
    }
}

fn state(users: Vec<User>) -> State {
    State {
        detail: Detail::Whole,
        entity: "sip:conf-7f3a9c51d2e84b06@192.0.2.10:5060".to_owned(),
        subject: "Q3 review".to_owned(),
        host_name: "Alice".to_owned(),
        host_uri: "sip:alice@example.com".to_owned(),
        capacity: 16,
        is_locked: false,
        users,
    }
}

#[track_caller]
fn text(document: Vec<u8>) -> String {
    let breaches = check(&document).unwrap();
    let text = String::from_utf8(document).unwrap();
    assert!(breaches.is_empty(), "{breaches:?} in\n{text}");
    text
}

/// What a subscriber knows who got these.
fn known(documents: &[Vec<u8>]) -> Known {
    let mut known = Known::default();
    for document in documents {
        assert_eq!(known.learn(document), Ok(true));
    }
    known
}

#[test]
fn what_xml_cannot_hold_is_left_out_everywhere() {
    let bad = "a\u{0}\u{1b}\u{7f}\u{fffe}\u{ffff}<&\"\u{e9}";
    let mut one = user("a", "connected");
    one.entity = format!("sip:u{bad}@h");
    one.name = bad.to_owned();
    one.cascaded_focus = Some(bad.to_owned());
    one.endpoints[0].entity = bad.to_owned();
    one.endpoints[0].referred_by = Some(bad.to_owned());
    one.endpoints[0].joined_by = Some(bad.to_owned());
    let whole = State {
        entity: format!("sip:conf{bad}@h"),
        subject: bad.to_owned(),
        host_name: bad.to_owned(),
        host_uri: bad.to_owned(),
        ..state(vec![one])
    };
    let xml = text(whole.full(1));
    assert!(!xml.contains(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')));
    let known = known(&[xml.into_bytes()]);
    assert_eq!(known.subject.as_deref(), Some("a<&\"\u{e9}"));
    let people = known.people();
    assert_eq!(people[0].entity, "sip:ua<&\"\u{e9}@h");
    assert_eq!(people[0].name, "a<&\"\u{e9}");
}

#[test]
fn a_partial_document_tells_what_changed_and_nothing_else() {
    let before = state(vec![user("bob", "alerting"), user("dave", "connected")]);
    let mut after = before.clone();
    after.users[0].endpoints[0].status = "connected";
    after.users[0].endpoints[0].media = media("recvonly");
    let xml = text(after.partial(&before, 2).unwrap());
    let (_, root) = xml.split_once("?>").unwrap();
    assert_eq!(
        root,
        "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" \
         entity=\"sip:conf-7f3a9c51d2e84b06@192.0.2.10:5060\" state=\"partial\" version=\"2\">\
         <users state=\"partial\"><user entity=\"sip:bob@example.com\" state=\"partial\">\
         <endpoint entity=\"ep-bob\" state=\"partial\"><status>connected</status>\
         <media id=\"1\"><type>audio</type><label>audio</label><src-id>305419896</src-id>\
         <status>recvonly</status></media></endpoint></user></users></conference-info>"
    );
    assert_eq!(after.partial(&after, 3), None, "nothing has changed");
}

#[test]
fn whoever_comes_changes_or_goes_is_seen_as_in_a_full_document() {
    let states = {
        let first = state(vec![user("bob", "connected")]);
        let mut second = first.clone();
        second.users.push(user("carol", "dialing-in"));
        let mut third = second.clone();
        third.users[0].name = "Robert".to_owned();
        third.users[1].endpoints[0].status = "connected";
        let mut fourth = third.clone();
        // A second device, and one that goes.
        fourth.users[1].endpoints.push(user("mobile", "on-hold").endpoints.remove(0));
        let mut fifth = fourth.clone();
        fifth.users[1].endpoints.remove(0);
        fifth.users[0].endpoints[0].status = "disconnected";
        fifth.users[0].endpoints[0].gone_how = Some("departed");
        fifth.users[0].endpoints[0].gone = Some(OffsetDateTime::UNIX_EPOCH);
        let mut sixth = fifth.clone();
        sixth.users.remove(0);
        sixth.subject = "Q4".to_owned();
        sixth.is_locked = true;
        [first, second, third, fourth, fifth, sixth]
    };
    for reduce in [State::clone as fn(&State) -> State, State::least] {
        let states: Vec<State> = states.iter().map(reduce).collect();
        let mut documents = vec![states[0].full(1)];
        for (number, two) in (2..).zip(states.windows(2)) {
            documents.push(text(two[1].partial(&two[0], number).unwrap()).into_bytes());
            let told = known(&documents);
            let anew = known(&[two[1].full(1)]);
            assert_eq!(told.people(), anew.people(), "document {number}");
            assert_eq!(told.subject, anew.subject);
            assert_eq!((told.locked, told.user_count), (anew.locked, anew.user_count));
        }
    }
}

#[test]
fn the_least_is_small_and_has_what_readers_take_for_granted() {
    let names: Vec<String> = (0..12).map(|n| format!("person{n:02}")).collect();
    let whole = state(names.iter().map(|name| user(name, "connected")).collect());
    let least = text(whole.least().full(1));
    assert!(least.len() < 3_400, "twelve people fit a phone that takes 4000: {}", least.len());
    assert!(whole.full(1).len() > 6_000);
    assert_eq!(least.matches("<type>audio</type>").count(), 12);
    assert_eq!(least.matches("<status>sendrecv</status>").count(), 12);
    // What only the whole tells is no change of the least.
    let mut other = whole.clone();
    other.users[0].endpoints[0].media[1].status = "inactive";
    assert_eq!(other.least().partial(&whole.least(), 2), None);
}

#[test]
fn a_version_stays_a_number_with_a_sign() {
    let xml = text(state(Vec::new()).full(u32::MAX));
    assert!(xml.contains(" version=\"2147483647\""), "{xml}");
}
