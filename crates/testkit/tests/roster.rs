//! What a participant sees of the conference, from NOTIFY alone: the same people, names and states as the host within six
//! seconds of each change, from documents that keep the content model of RFC 4575.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use conference::{Participant, ParticipantState};
use sip_core::{Message, Method, StatusCode};
use testkit::{Guest, HOST, Node, Phone, Room, Script, Stranger};

const SIX_SECONDS: Duration = Duration::from_secs(6);

/// A conference of Alice, Bob and Carol with Dave as a guest, and Erin, whom nobody has called yet.
struct Scene {
    room: Room,
    dave: Node<Guest>,
    erin: Node<Phone>,
}

impl Scene {
    fn new() -> Self {
        let mut room = Room::new(31, vec![Script::new("bob").named("Bob"), Script::new("carol")]);
        let dave = room.guest("Dave", "dave", SocketAddr::from(([192, 0, 2, 40], 5060)));
        let rings = Duration::from_secs(10);
        let script = Script { rings, ..Script::new("erin") };
        let erin = Phone::join(&mut room.net, script, SocketAddr::from(([192, 0, 2, 41], 5060)));
        let scene = Self { room, dave, erin };
        assert_eq!(scene.seen(), scene.shown());
        scene
    }

    fn seen(&self) -> Vec<(String, String, ParticipantState)> {
        rows(self.room.net.at(self.dave).roster())
    }

    fn shown(&self) -> Vec<(String, String, ParticipantState)> {
        rows(self.room.net.at(self.room.host).roster())
    }

    /// Waits for a state at the host, then at most six seconds until Dave sees the same of everybody.
    #[track_caller]
    fn follows(&mut self, user: &str, state: ParticipantState) {
        let (host, dave) = (self.room.host, self.dave);
        let is = |people: Vec<Participant>| {
            people.iter().any(|one| one.entity.contains(&format!("{user}@")) && one.state == state)
        };
        let limit = Duration::from_secs(40);
        let came = self.room.net.run_until(limit, |net| is(net.at(host).roster()));
        assert!(came, "{user} is not {state:?}: {:#?}", self.shown());
        let same = self.room.net.run_until(SIX_SECONDS, |net| {
            is(net.at(dave).roster()) && same(net.at(host).roster(), net.at(dave).roster())
        });
        assert!(same, "host: {:#?}\nDave: {:#?}", self.shown(), self.seen());
    }
}

/// Who is there, and how.
fn rows(people: Vec<Participant>) -> Vec<(String, String, ParticipantState)> {
    let mut rows: Vec<_> =
        people.into_iter().map(|one| (one.entity, one.name, one.state)).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

/// Whether the guest sees everybody whom the host shows, as the host shows him. The host forgets who left half a minute
/// ago; to the guest such people are gone all the same.
fn same(host: Vec<Participant>, guest: Vec<Participant>) -> bool {
    let (host, guest) = (rows(host), rows(guest));
    let is_gone = |row: &&(String, String, ParticipantState)| {
        row.2 == ParticipantState::Disconnected && !host.contains(row)
    };
    let seen: Vec<_> = guest.iter().filter(|row| !is_gone(row)).cloned().collect();
    seen == host
}

#[test]
fn a_guest_follows_every_change_within_six_seconds() {
    let mut scene = Scene::new();
    let (bob, carol, host) = (scene.room.phones[0], scene.room.phones[1], scene.room.host);
    let uri = scene.room.net.at(scene.erin).uri();
    scene.room.net.act(host, |host| host.invite(&uri, Some("Erin")));
    scene.follows("erin", ParticipantState::Alerting);
    scene.follows("erin", ParticipantState::Connected);
    scene.room.net.act(bob, |bob| bob.hold(true));
    scene.follows("bob", ParticipantState::OnHold);
    scene.room.net.act(bob, |bob| bob.hold(false));
    scene.follows("bob", ParticipantState::Connected);
    scene.room.net.act(carol, |carol| carol.hang_up());
    scene.follows("carol", ParticipantState::Disconnected);
    let id = scene.room.net.at(host).roster();
    let id = id.iter().find(|one| one.entity.contains("bob@")).unwrap().id;
    scene.room.net.act(host, |host| {
        host.command(conference::Command::Remove { participant: id });
    });
    scene.follows("bob", ParticipantState::Disconnected);
    assert!(!scene.room.net.at(bob).is_in_call());
}

#[test]
fn a_guest_sees_somebody_who_does_not_come_and_goes() {
    let mut scene = Scene::new();
    let host = scene.room.host;
    let nobody = sip_core::Uri::parse("sip:frank@192.0.2.99:5060").unwrap();
    scene.room.net.act(host, |host| host.invite(&nobody, None));
    scene.follows("frank", ParticipantState::DialingOut);
    scene.follows("frank", ParticipantState::Disconnected);
}

#[test]
fn every_document_keeps_the_content_model_and_versions_go_up_by_one() {
    let mut scene = Scene::new();
    let (bob, host) = (scene.room.phones[0], scene.room.host);
    let uri = scene.room.net.at(scene.erin).uri();
    scene.room.net.act(host, |host| host.invite(&uri, Some("<Erin> & \"friends\"")));
    scene.room.net.run_for(Duration::from_secs(20));
    scene.room.net.act(bob, |bob| bob.hold(true));
    scene.room.net.run_for(Duration::from_secs(7));
    scene.room.net.act(bob, |bob| bob.hang_up());
    scene.room.net.run_for(Duration::from_secs(60));
    scene.room.net.act(host, |host| host.command(conference::Command::End));
    scene.room.net.run_for(Duration::from_secs(10));
    assert!(!scene.room.net.at(scene.dave).is_in_call());

    let mut versions: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut last_state = String::new();
    for step in scene.room.net.ladder() {
        let Ok(Message::Request(request)) = Message::parse(&step.contents) else { continue };
        if request.method != Method::Notify {
            continue;
        }
        last_state = request.headers.get("Subscription-State").unwrap_or_default().to_owned();
        if request.body.is_empty() {
            continue;
        }
        let text = String::from_utf8(request.body.to_vec()).unwrap();
        let breaches = conference::info::check(&request.body).unwrap();
        assert!(breaches.is_empty(), "{breaches:?} in\n{text}");
        let version = text.rsplit_once(" version=\"").unwrap().1.split_once('"').unwrap().0;
        let call = request.headers.call_id().unwrap().to_owned();
        let of_call = versions.entry(call).or_default();
        let version: u32 = version.parse().unwrap();
        if of_call.last() != Some(&version) {
            of_call.push(version);
        }
    }
    assert_eq!(versions.len(), 1, "one subscription: Dave's");
    for versions in versions.values() {
        assert!(versions.len() >= 6, "{versions:?}");
        assert!(versions.windows(2).all(|two| two[1] == two[0] + 1), "{versions:?}");
    }
    assert!(last_state.starts_with("terminated;reason=noresource"), "{last_state}");
}

#[test]
fn tx22_a_status_that_nobody_knows_is_shown_as_its_class() {
    for (last, words) in [(499, "failed (499)"), (399, "moved"), (699, "busy (699)")] {
        let mut room = Room::new(32, vec![Script::new("bob")]);
        let address = SocketAddr::from(([192, 0, 2, 66], 5060));
        let stranger = Stranger::join(&mut room.net, address);
        let uri = sip_core::Uri::parse("sip:greta@192.0.2.66:5060").unwrap();
        let host = room.host;
        room.net.act(host, |host| host.invite(&uri, None));
        room.net.run_for(Duration::from_secs(1));
        let invite =
            room.net.at(stranger).heard().iter().find_map(|bytes| match Message::parse(bytes) {
                Ok(Message::Request(request)) if request.method == Method::Invite => Some(request),
                _ => None,
            });
        let invite = invite.unwrap();
        let mut says = |status: u16| {
            let response = invite.response(StatusCode::new(status).unwrap(), Some("greta"));
            room.net.inject(address, HOST, &response.to_bytes());
            room.net.run_for(Duration::from_secs(1));
            let roster = room.net.at(host).roster();
            roster.into_iter().find(|one| one.entity.contains("greta@")).unwrap()
        };
        assert_eq!(says(182).state, ParticipantState::DialingOut, "queued is not ringing");
        assert_eq!(says(184).state, ParticipantState::Alerting);
        let gone = says(last);
        assert_eq!(gone.state, ParticipantState::Disconnected);
        assert!(gone.reason.contains(words), "{}", gone.reason);
    }
}
