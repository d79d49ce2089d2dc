//! The words of the window's own controls. Sentences about calls come from the engine.

use engine::{ChatAbility, Delivery, DeliveryState, Participant, ParticipantState, RecordKind};

/// Placeholder of the call bar.
pub const CALL_BAR: &str = "Name, address or number. Several with commas.";
/// Nothing in the list of calls.
pub const NO_CALLS: &str = "No calls yet. Type an address above and press Enter.";
/// Nothing in the chat.
pub const EMPTY_CHAT: [&str; 2] =
    ["Messages go to everyone in this call.", "Text is passed on unchanged."];
/// While nobody has answered.
pub const WRITE_NOW: &str = "You can already write. They get it when they answer.";
/// Placeholder of the composer, to one.
pub const COMPOSER: &str = "Message";
/// The same, to all.
pub const COMPOSER_ALL: &str = "Message everyone";
/// Above what was being written when the conference ended.
pub const LEFTOVER: &str = "You were writing this. It was not sent.";
/// Ready-made answer to a call.
pub const CALL_BACK: &str = "I'll call you back";

/// "1 person", "4 people".
pub fn people(count: usize) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}

/// "1 message", "32 messages".
pub fn messages(count: u32) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// The second line of a row of the history.
pub fn record(record: &engine::CallRecord) -> String {
    let minutes = record.duration.as_secs().div_ceil(60);
    let lasted =
        if record.duration.is_zero() { String::new() } else { format!(" · {minutes} min") };
    match record.kind {
        RecordKind::Conference => {
            format!(
                "{}{lasted} · {}",
                people(record.people as usize + 1),
                messages(record.messages)
            )
        }
        RecordKind::Incoming => format!("Called you{lasted}"),
        RecordKind::Missed => "Missed".to_owned(),
        RecordKind::Outgoing if record.duration.is_zero() && !record.reason.is_empty() => {
            record.reason.clone()
        }
        RecordKind::Outgoing => format!("You called{lasted}"),
    }
}

/// "Bob", "Bob and Carol", "Bob, Carol and Dave".
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// "Bob is writing", "Bob and Carol are writing".
pub fn writing(names: &[&str]) -> String {
    let are = if names.len() == 1 { "is" } else { "are" };
    format!("{} {are} writing", listed(names))
}

/// "Copied 113 characters".
pub fn copied(characters: usize, hidden: usize) -> String {
    let what = if characters == 1 { "1 character" } else { &format!("{characters} characters") };
    match hidden {
        0 => format!("Copied {what}"),
        hidden => format!("Copied {what}, {hidden} of them hidden"),
    }
}

/// The same for a piece of a text, which is named where it is short.
pub fn copied_piece(text: &str) -> String {
    let is_short = text.len() <= 60 && !text.chars().any(crate::clean::is_hidden);
    if is_short { format!("Copied {text}") } else { copied(text.chars().count(), 0) }
}

/// A conference that was running when Parlour ended without a word.
pub fn interrupted(found: &engine::Interrupted) -> String {
    format!("“{}” was interrupted. {} of it are there.", found.subject, messages(found.lines))
}

/// What a secret looks like.
pub fn secret(kind: conference::text::SecretKind) -> &'static str {
    use conference::text::SecretKind;
    match kind {
        SecretKind::LinkPassword => "a link with a password in it",
        SecretKind::Password => "a password",
        SecretKind::PrivateKey => "a private key",
        SecretKind::Token => "a secret token",
    }
}

/// "Show all (64 lines, 4.1 kB)".
pub fn show_all(source: &crate::selectable::Source) -> String {
    let bytes = source.text().len();
    let size = match bytes {
        0..1000 => format!("{bytes} bytes"),
        _ => format!("{}.{} kB", bytes / 1000, bytes / 100 % 10),
    };
    match source.line_count() {
        1 => format!("Show all ({size})"),
        lines => format!("Show all ({lines} lines, {size})"),
    }
}

/// Who can reach an address, as far as the address itself tells.
pub fn reach(uri: &str) -> &'static str {
    use std::net::IpAddr;
    let host = uri.rsplit_once('@').map_or(uri, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => host.split([':', ';', '?']).next().unwrap_or_default(),
    };
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) if ip.is_loopback() => "People on this computer can join",
        Ok(IpAddr::V6(ip)) if ip.is_loopback() => "People on this computer can join",
        Ok(IpAddr::V4(ip)) if ip.is_private() || ip.is_link_local() => {
            "People in your network can join"
        }
        Ok(IpAddr::V6(ip)) if ip.is_unique_local() || ip.is_unicast_link_local() => {
            "People in your network can join"
        }
        Ok(_) | Err(_) => "People who can reach your computer can join",
    }
}

/// Whether calling somebody again makes sense: he could not be reached, or refused.
pub fn can_retry(person: &Participant) -> bool {
    !person.reason.is_empty() && !matches!(person.reason.as_str(), "left" | "removed")
}

/// The state of a person, in words; whether he speaks goes before all else.
pub fn state(person: &Participant, speaks: bool, is_muted: bool) -> String {
    match person.state {
        ParticipantState::DialingOut => "Calling".to_owned(),
        ParticipantState::Alerting => "Ringing".to_owned(),
        ParticipantState::OnHold => "On hold".to_owned(),
        ParticipantState::Disconnected if person.reason.is_empty() => "Left".to_owned(),
        ParticipantState::Disconnected => sentence(&person.reason),
        ParticipantState::Connected if person.is_self && is_muted => "You are muted".to_owned(),
        ParticipantState::Connected if person.is_aside => "In a call with you alone".to_owned(),
        ParticipantState::Connected if person.muted_by_host => "Muted by the host".to_owned(),
        ParticipantState::Connected if person.muted => "Muted".to_owned(),
        ParticipantState::Connected if speaks => "Speaking".to_owned(),
        ParticipantState::Connected if person.is_self => "Microphone on".to_owned(),
        ParticipantState::Connected => "Connected".to_owned(),
    }
}

fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    let first = chars.next().map(char::to_uppercase);
    first.map(|first| first.chain(chars).collect()).unwrap_or_default()
}

/// What a person's phone does with text.
pub fn chat(person: &Participant) -> &'static str {
    match (person.is_self, person.chat) {
        (true, _) | (_, ChatAbility::Unknown) => "",
        (_, ChatAbility::Yes) => "chat ok",
        (_, ChatAbility::No) => "no chat",
        (_, ChatAbility::LinesMayBeJoined) => "lines may be joined",
    }
}

/// What is told below an own line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Told {
    /// The worst of it.
    pub state: DeliveryState,
    /// In words; empty where there is nothing to tell.
    pub words: String,
    /// Who did not get it and can get it again, by entity.
    pub again: Vec<String>,
}

/// The state of an own line at its recipients. Nobody is ever said to have read it (sip-chat 0.10).
pub fn delivery(deliveries: &[Delivery], joined: bool, name: &dyn Fn(&str) -> String) -> Told {
    use DeliveryState::{Accepted, Delivered, Failed, Left, Sending, Unsupported, Waiting};
    let of = |states: &[DeliveryState]| -> Vec<&Delivery> {
        deliveries.iter().filter(|delivery| states.contains(&delivery.state)).collect()
    };
    let (accepted, open) = (of(&[Accepted, Delivered]), of(&[Waiting, Sending]));
    let (failed, left) = (of(&[Failed, Unsupported]), of(&[Left]));
    let again = of(&[Failed]).iter().map(|delivery| delivery.recipient.clone()).collect();
    let all = deliveries.len() - left.len();
    let (taken, only) = (accepted.len(), accepted.first());
    let (state, words) = if !failed.is_empty() {
        let reasons: Vec<&str> = failed.iter().map(|delivery| delivery.reason.as_str()).collect();
        let reasons = reasons.join(". ");
        let words = match (joined, all) {
            (true, _) | (_, 1) => format!("Not accepted. {reasons}."),
            _ => format!("Accepted by {taken} of {all}. {reasons}."),
        };
        (Failed, words)
    } else if !open.is_empty() {
        let waits = open.iter().all(|delivery| delivery.state == Waiting);
        let words = match (all, waits) {
            (1, true) => "Waiting".to_owned(),
            (1, false) => "Sending".to_owned(),
            _ => format!("Accepted by {taken} of {all}"),
        };
        (Sending, words)
    } else {
        let words = match (joined, taken, only) {
            (_, 0, _) | (_, _, None) => String::new(),
            (true, ..) => "Accepted by the conference".to_owned(),
            (false, 1, Some(one)) => format!("Accepted by {}’s phone", name(&one.recipient)),
            (false, ..) => format!("Accepted by all {taken} phones"),
        };
        (Accepted, words)
    };
    Told { state, words, again }
}

/// The same for one recipient, in the list of all.
pub fn delivery_of_one(delivery: &Delivery) -> String {
    match delivery.state {
        DeliveryState::Waiting => "waiting".to_owned(),
        DeliveryState::Sending => "sending".to_owned(),
        DeliveryState::Accepted => "accepted by the phone".to_owned(),
        DeliveryState::Delivered => "delivered".to_owned(),
        DeliveryState::Failed if delivery.reason.is_empty() => "failed".to_owned(),
        DeliveryState::Failed => delivery.reason.clone(),
        DeliveryState::Unsupported => "cannot receive text".to_owned(),
        DeliveryState::Left => "left before".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(recipient: &str, state: DeliveryState, reason: &str) -> Delivery {
        let id = engine::MessageId(1);
        Delivery { id, recipient: recipient.into(), state, code: None, reason: reason.into() }
    }

    #[test]
    fn delivery_says_who_missed_it_and_never_says_read() {
        use DeliveryState::{Accepted, Failed, Left, Sending};
        let tell = |all: &[Delivery]| delivery(all, false, &|_| "Bob".to_owned());
        let missed = [to("a", Accepted, ""), to("b", Failed, "No answer from Bob's phone (408)")];
        let told = tell(&missed);
        assert_eq!(told.words, "Accepted by 1 of 2. No answer from Bob's phone (408).");
        assert_eq!((told.state, told.again), (Failed, vec!["b".to_owned()]));
        let open = tell(&[to("a", Sending, ""), to("b", Accepted, "")]);
        assert_eq!(open.words, "Accepted by 1 of 2");
        let one = tell(&[to("a", Accepted, ""), to("b", Left, "")]);
        assert_eq!(one.words, "Accepted by Bob’s phone");
        assert_eq!(tell(&[to("a", Left, "")]).words, "");
    }

    #[test]
    fn an_address_tells_who_can_reach_it() {
        assert_eq!(reach("sip:conf-1@192.168.2.10:5060"), "People in your network can join");
        assert_eq!(reach("sip:conf-1@[::1]:5060"), "People on this computer can join");
        assert_eq!(reach("sip:c@[fd00::2]"), "People in your network can join");
        let everybody = "People who can reach your computer can join";
        assert_eq!(reach("sip:c@203.0.113.5;transport=tcp"), everybody);
        assert_eq!(reach("sip:c@example.org"), everybody);
    }

    #[test]
    fn names_are_listed_as_people_say_them() {
        assert_eq!(listed(&["Bob"]), "Bob");
        assert_eq!(listed(&["Bob", "Carol", "Dave"]), "Bob, Carol and Dave");
        assert_eq!(
            (copied(1, 0), copied(9, 2)),
            ("Copied 1 character".to_owned(), "Copied 9 characters, 2 of them hidden".to_owned())
        );
    }
}
