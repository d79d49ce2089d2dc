//! The words of the window's own controls. Sentences about calls come from the engine.

use engine::{ChatAbility, Delivery, DeliveryState, Participant, ParticipantState, RecordKind};

/// Placeholder of the call bar.
pub const CALL_BAR: &str = "Name, address or number. Several with commas.";
/// Nothing in the list of calls.
pub const NO_CALLS: &str = "No calls yet. Type an address above and press Enter.";
/// Nothing in the chat.
pub const EMPTY_CHAT: &str = "Messages go to everyone in this call. Text is passed unchanged.";
/// Placeholder of the composer.
pub const COMPOSER: &str = "Message";
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

/// The state of a person, in words; whether he speaks goes before all else.
pub fn state(person: &Participant, speaks: bool) -> String {
    match person.state {
        ParticipantState::DialingOut => "Calling".to_owned(),
        ParticipantState::Alerting => "Ringing".to_owned(),
        ParticipantState::OnHold => "On hold".to_owned(),
        ParticipantState::Disconnected if person.reason.is_empty() => "Left".to_owned(),
        ParticipantState::Disconnected if person.reason == "left" => "Left".to_owned(),
        ParticipantState::Disconnected => person.reason.clone(),
        ParticipantState::Connected if person.is_self && person.muted => {
            "Microphone off".to_owned()
        }
        ParticipantState::Connected if person.muted => "Muted".to_owned(),
        ParticipantState::Connected if speaks => "Speaking".to_owned(),
        ParticipantState::Connected if person.is_self => "Microphone on".to_owned(),
        ParticipantState::Connected => "Connected".to_owned(),
    }
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

/// The state of an own line at its recipients: how many took it, the words for the rest, and who can get it again.
pub fn delivery(deliveries: &[Delivery], joined: bool) -> (DeliveryState, String, Vec<String>) {
    let count =
        |state: DeliveryState| deliveries.iter().filter(|delivery| delivery.state == state).count();
    let accepted = count(DeliveryState::Accepted) + count(DeliveryState::Delivered);
    let open = count(DeliveryState::Waiting) + count(DeliveryState::Sending);
    let failed: Vec<&Delivery> = deliveries
        .iter()
        .filter(|delivery| {
            matches!(delivery.state, DeliveryState::Failed | DeliveryState::Unsupported)
        })
        .collect();
    let again: Vec<String> = failed
        .iter()
        .filter(|delivery| delivery.state == DeliveryState::Failed)
        .map(|delivery| delivery.recipient.clone())
        .collect();
    let all = deliveries.iter().filter(|delivery| delivery.state != DeliveryState::Left).count();
    if !failed.is_empty() {
        let reasons: Vec<&str> = failed.iter().map(|delivery| delivery.reason.as_str()).collect();
        let words = format!("Accepted by {accepted} of {all}. {}.", reasons.join(". "));
        return (DeliveryState::Failed, words, again);
    }
    if open > 0 {
        let words =
            if joined { "Sending".to_owned() } else { format!("Accepted by {accepted} of {all}") };
        return (DeliveryState::Sending, words, again);
    }
    let words = match (joined, accepted) {
        (true, _) => "Accepted by the conference".to_owned(),
        (false, 0) => String::new(),
        (false, 1) if all == 1 => "Accepted".to_owned(),
        (false, _) => format!("Accepted by all {accepted}"),
    };
    (DeliveryState::Accepted, words, again)
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
        let both = [to("a", Accepted, ""), to("b", Failed, "No answer from Bob's phone (408)")];
        let (state, words, again) = delivery(&both, false);
        assert_eq!(
            (state, words.as_str()),
            (Failed, "Accepted by 1 of 2. No answer from Bob's phone (408).")
        );
        assert_eq!(again, ["b"]);
        assert_eq!(
            delivery(&[to("a", Sending, ""), to("b", Accepted, "")], false).1,
            "Accepted by 1 of 2"
        );
        assert_eq!(delivery(&[to("a", Accepted, ""), to("b", Left, "")], false).1, "Accepted");
    }
}
