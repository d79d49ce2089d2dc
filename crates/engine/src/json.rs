//! Events and commands as JSON lines: the stable contract of `parlour-cli --json` and of the window's `--json`, written
//! down in docs/parlour-cli.md.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::journal::iso;
use crate::{
    AccountState, Command, Contact, DeliveryState, Event, Found, Levels, MessageId, Moderation,
    Participant, ParticipantId, ParticipantState, Password, Recipient, ReferId, TranscriptInfo,
    TransferTo, WaitingState,
};

/// Lines that somebody who comes late gets, where nobody says how many.
const HISTORY: usize = 20;

/// Remembers what the lines of one session need.
#[derive(Debug, Default)]
pub struct Writer {
    own: String,
    conference: String,
    ready: bool,
}

impl Writer {
    /// The line of an event; `None` for those that scripts do not get.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        self.value(event).map(|value| plain(&value.to_string()))
    }

    fn value(&mut self, event: &Event) -> Option<Value> {
        Some(match event {
            Event::Accepted { reference, id, seq } => {
                json!({"event": "accepted", "ref": reference, "id": id.0, "seq": seq})
            }
            Event::Conference(standing) => json!({
                "event": "conference", "subject": standing.subject, "locked": standing.locked,
                "lobby": standing.lobby, "pin": standing.pin, "connected": standing.connected, "waiting": standing.waiting,
            }),
            Event::Delivery(delivery) => json!({
                "event": "delivery", "id": delivery.id.0, "recipient": delivery.recipient,
                "state": delivery_state(delivery.state), "code": delivery.code, "reason": delivery.reason,
            }),
            Event::Digit { participant, digit } => {
                json!({"event": "digit", "id": participant.0, "digit": digit.to_string()})
            }
            Event::Ended { reason } => {
                self.ready = false;
                json!({"event": "ended", "reason": reason})
            }
            Event::Fatal { text } => json!({"event": "ended", "reason": text}),
            Event::Invitation { text } => json!({"event": "invitation", "text": text}),
            Event::Interrupted(found) => json!({
                "event": "interrupted", "id": found.id, "conference": found.uri,
                "subject": found.subject, "people": found.people, "lines": found.lines,
            }),
            Event::Line(line) | Event::PersonalText(line) => {
                if line.is_own {
                    return None;
                }
                let to = recipient(&line.to);
                json!({
                    "event": "message", "id": line.id.0, "seq": line.seq, "from": line.from, "name": line.name,
                    "to": to, "text": line.text, "verified": line.verified,
                    "expired": line.expired, "history": line.is_history,
                })
            }
            Event::Lobby(waiting) => json!({
                "event": "lobby", "id": waiting.id.0, "entity": waiting.entity, "name": waiting.name,
                "state": waiting_state(waiting.state),
            }),
            Event::Notice { text } => json!({"event": "notice", "text": text}),
            Event::Participant(participant) => participant_value(participant),
            Event::Ready { uri, .. } => {
                uri.clone_into(&mut self.own);
                return None;
            }
            Event::Referred { refer, name, to, referred_by } => json!({
                "event": "referred", "id": refer.0, "name": name, "to": to, "referred_by": referred_by,
            }),
            Event::ReferredGone { refer } => json!({"event": "referred_gone", "id": refer.0}),
            Event::Registration { account, state, reason } => json!({
                "event": "registration", "account": account, "state": account_state(*state),
                "reason": reason,
            }),
            Event::Refused { reference, reason } => {
                json!({"event": "notice", "text": under(reference, reason), "ref": reference})
            }
            Event::Session { conference, .. } => {
                conference.clone_into(&mut self.conference);
                if conference.is_empty() || self.ready {
                    return None;
                }
                self.ready = true;
                json!({"event": "ready", "uri": self.own, "conference": conference})
            }
            Event::Typing { entity, name, on } => {
                json!({"event": "typing", "from": entity, "name": name, "on": on})
            }
            Event::Audio { .. }
            | Event::History(_)
            | Event::Incoming { .. }
            | Event::IncomingGone { .. }
            | Event::Muted { .. } => return None,
        })
    }
}

/// The same values, with what a terminal would obey, or turn a line around by, as escapes of JSON.
pub(crate) fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        let turns = matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if c.is_control() || turns {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

pub(crate) fn recipient(to: &Recipient) -> &str {
    match to {
        Recipient::Everyone => "everyone",
        Recipient::Me => "me",
        Recipient::Participant(entity) => entity,
    }
}

pub(crate) fn recipient_of(text: &str) -> Recipient {
    match text {
        "everyone" => Recipient::Everyone,
        "me" => Recipient::Me,
        entity => Recipient::Participant(entity.to_owned()),
    }
}

/// A row of `parlour-cli journal list`.
pub fn transcript_line(info: &TranscriptInfo) -> String {
    let line = json!({
        "id": info.id, "conference": info.uri, "subject": info.subject,
        "started": iso(info.started), "ended": info.ended.map(iso), "kept": info.is_kept,
        "lines": info.lines,
    });
    plain(&line.to_string())
}

/// A row of `parlour-cli journal search`.
pub fn found_line(found: &Found) -> String {
    let line = &found.line;
    let line = json!({
        "conference": line.conference, "subject": found.subject, "id": line.id,
        "time": iso(line.at), "from": line.from, "name": line.name, "to": recipient(&line.to),
        "text": line.text,
    });
    plain(&line.to_string())
}

/// A row of `parlour-cli journal contacts`.
pub fn contact_line(contact: &Contact) -> String {
    plain(&json!({"uri": contact.uri, "name": contact.name}).to_string())
}

fn participant_value(participant: &Participant) -> Value {
    let state = match participant.state {
        ParticipantState::DialingOut => "dialing-out",
        ParticipantState::Alerting => "alerting",
        ParticipantState::Connected => "connected",
        ParticipantState::OnHold => "on-hold",
        ParticipantState::Disconnected => "disconnected",
    };
    json!({
        "event": "participant", "id": participant.id.0, "entity": participant.entity,
        "name": participant.name, "state": state, "reason": participant.reason,
        "aside": participant.is_aside,
        "muted": participant.muted || participant.muted_by_host,
    })
}

fn waiting_state(state: WaitingState) -> &'static str {
    match state {
        WaitingState::Admitted => "admitted",
        WaitingState::Left => "left",
        WaitingState::Refused => "refused",
        WaitingState::Waiting => "waiting",
    }
}

fn account_state(state: AccountState) -> &'static str {
    match state {
        AccountState::Failed => "failed",
        AccountState::Registered => "registered",
        AccountState::Registering => "registering",
        AccountState::Unregistered => "unregistered",
    }
}

pub(crate) fn delivery_state(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Sending => "sending",
        DeliveryState::Accepted => "accepted",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed => "failed",
        DeliveryState::Unsupported => "unsupported",
        DeliveryState::Left => "left",
    }
}

/// One line for each level.
pub fn level_lines(levels: &Levels) -> Vec<String> {
    let line = |(id, dbov): &(ParticipantId, f32)| {
        let dbov = (f64::from(*dbov) * 10.0).round() / 10.0;
        json!({"event": "level", "id": id.0, "dbov": dbov}).to_string()
    };
    levels.levels_dbov.iter().map(line).collect()
}

/// A notice of the program itself.
pub fn notice_line(text: &str) -> String {
    plain(&json!({"event": "notice", "text": text}).to_string())
}

#[derive(Deserialize)]
struct Raw {
    command: String,
    #[serde(rename = "ref", default)]
    reference: Option<Value>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Raw {
    /// The field of a command that cannot do without it.
    fn need<T: DeserializeOwned>(&self, field: &str, what: &str) -> Result<T, String> {
        self.may_have(field, what)?
            .ok_or_else(|| format!("The command {} needs {what}", self.command))
    }

    fn may_have<T: DeserializeOwned>(&self, field: &str, what: &str) -> Result<Option<T>, String> {
        let value = self.fields.get(field).cloned().unwrap_or(Value::Null);
        serde_json::from_value(value)
            .map_err(|_| format!("The command {} needs {what} as its {field:?}", self.command))
    }
}

/// What a line asks for.
#[derive(Debug)]
pub enum Wish {
    /// A command for the engine.
    Command(Command),
    /// The end of the program.
    End,
}

/// Reads a command line; the error is a notice in words, with the reference in front where there is one.
pub fn parse(line: &str) -> Result<Wish, String> {
    let raw: Raw = serde_json::from_str(line)
        .map_err(|error| format!("This line is not a command: {error}"))?;
    let reference = match &raw.reference {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    wish(&raw, &reference).map_err(|problem| under(&reference, &problem))
}

fn wish(raw: &Raw, reference: &str) -> Result<Wish, String> {
    let on = || raw.need("on", "on: true or false");
    let command = match raw.command.as_str() {
        "say" => Command::Say {
            reference: reference.to_owned(),
            text: raw.need("text", "a text")?,
            to: match raw.may_have::<String>("to", "an entity")? {
                None => Recipient::Everyone,
                Some(everyone) if everyone == "everyone" => Recipient::Everyone,
                Some(entity) => Recipient::Participant(entity),
            },
        },
        "invite" => Command::Invite { uri: raw.need("uri", "a uri")? },
        "keep" => Command::KeepTranscript,
        "remove" => Command::Remove { participant: ParticipantId(raw.need("id", "an id")?) },
        "lock" => Command::Lock { on: raw.need("on", "on: true or false")? },
        "lobby" => Command::Lobby { on: raw.need("on", "on: true or false")? },
        "admit" => Command::Admit { waiting: ParticipantId(raw.need("id", "an id")?) },
        "pin" => Command::Pin { text: Password::new(raw.need::<String>("text", "a text")?) },
        "digits" => Command::Press { keys: raw.need("text", "a text")? },
        "invitation" => Command::Invitation,
        "refuse" => Command::Refuse { waiting: ParticipantId(raw.need("id", "an id")?) },
        "accept_refer" => Command::AcceptRefer { refer: ReferId(raw.need("id", "an id")?) },
        "refuse_refer" => Command::RefuseRefer { refer: ReferId(raw.need("id", "an id")?) },
        "transfer" => Command::Transfer {
            participant: ParticipantId(raw.need("id", "an id")?),
            to: match raw.may_have("with", "the id of a participant")? {
                Some(other) => TransferTo::Participant(ParticipantId(other)),
                None => TransferTo::Address(raw.need("to", "an address")?),
            },
        },
        "password" => {
            Command::Password { text: Password::new(raw.need::<String>("text", "a text")?) }
        }
        "hold" => moderation(raw, Moderation::Hold(on()?), Command::Hold { on: on()? })?,
        "merge" => Command::Merge {
            participant: raw.may_have("id", "the id of a participant")?.map(ParticipantId),
        },
        "moderator" => Command::Moderate {
            participant: ParticipantId(raw.need("id", "an id")?),
            act: Moderation::Moderator(on()?),
        },
        "history" => Command::History { count: history(raw)? },
        "resend" => Command::Resend {
            message: MessageId(raw.need("id", "the id of a line")?),
            recipient: raw.may_have("to", "an entity")?,
        },
        "typing" => Command::Typing,
        "mute" => moderation(raw, Moderation::Mute(on()?), Command::Mute { on: on()? })?,
        "split" => Command::Split { participant: ParticipantId(raw.need("id", "an id")?) },
        "volume" => Command::Moderate {
            participant: ParticipantId(raw.need("id", "an id")?),
            act: Moderation::Volume { gain_db: raw.need("db", "a volume in dB")? },
        },
        "end" => return Ok(Wish::End),
        other => return Err(format!("There is no command {other:?}")),
    };
    Ok(Wish::Command(command))
}

/// Of the participant with this `id`, or where none is given of ourselves.
fn moderation(raw: &Raw, act: Moderation, own: Command) -> Result<Command, String> {
    let id = raw.may_have("id", "an id")?;
    Ok(id.map_or(own, |id| Command::Moderate { participant: ParticipantId(id), act }))
}

/// How many lines: `count`, or 20 where it only says `on`.
fn history(raw: &Raw) -> Result<usize, String> {
    match raw.may_have("count", "a count")? {
        Some(count) => Ok(count),
        None => raw.need::<bool>("on", "on: true or false").map(|on| if on { HISTORY } else { 0 }),
    }
}

/// What is said about a line, with the line's reference in front.
fn under(reference: &str, text: &str) -> String {
    if reference.is_empty() { text.to_owned() } else { format!("{reference}: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_ignored_and_broken_lines_say_why() {
        let line = "{\"command\":\"say\",\"ref\":7,\"text\":\"a\\tb\",\"colour\":\"red\"}";
        let Ok(Wish::Command(Command::Say { reference, text, to })) = parse(line) else { panic!() };
        assert_eq!((reference.as_str(), text.as_str(), to), ("7", "a\tb", Recipient::Everyone));
        assert!(parse("{").unwrap_err().starts_with("This line is not a command"));
        assert_eq!(parse("{\"command\":\"fly\"}").unwrap_err(), "There is no command \"fly\"");
        assert_eq!(
            parse("{\"command\":\"remove\"}").unwrap_err(),
            "The command remove needs an id"
        );
        assert!(matches!(parse("{\"command\":\"end\"}"), Ok(Wish::End)));
        for (line, words) in [
            ("{\"command\":\"say\",\"ref\":\"r\"}", "r: The command say needs a text"),
            (
                "{\"command\":\"say\",\"ref\":7,\"text\":5}",
                "7: The command say needs a text as its \"text\"",
            ),
            (
                "{\"command\":\"mute\",\"on\":1}",
                "The command mute needs on: true or false as its \"on\"",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err(), words);
        }
    }

    #[test]
    fn a_refusal_names_its_reference_in_words_and_as_a_field() {
        let refused = |reference: &str| {
            let event = Event::Refused { reference: reference.into(), reason: "Too much.".into() };
            serde_json::from_str::<Value>(&Writer::default().line(&event).unwrap()).unwrap()
        };
        assert_eq!(refused("r7"), json!({"event": "notice", "text": "r7: Too much.", "ref": "r7"}));
        assert_eq!(refused("")["text"], "Too much.");
    }

    #[test]
    fn ua28_no_line_has_a_character_that_a_terminal_would_obey() {
        let hostile = "No\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}\r\nway";
        let text = || hostile.to_owned();
        let events = [
            ("text", Event::Notice { text: text() }),
            ("reason", Event::Ended { reason: text() }),
            ("text", Event::Refused { reference: "1".into(), reason: text() }),
            ("name", Event::Incoming { incoming: crate::IncomingId(1), name: text(), uri: text() }),
        ];
        let obeyed = |c: char| c.is_control() || hostile.contains(c) && !c.is_ascii();
        let mut lines: Vec<(&str, String)> = events
            .iter()
            .filter_map(|(field, event)| Some((*field, Writer::default().line(event)?)))
            .collect();
        assert!(lines.len() >= 3);
        lines.push(("text", notice_line(hostile)));
        for (field, line) in lines {
            assert!(!line.contains(obeyed), "{line:?}");
            // The value itself is whole.
            let read: Value = serde_json::from_str(&line).unwrap();
            assert!(read[field].as_str().unwrap().ends_with(hostile), "{line}");
        }
    }

    #[test]
    fn ready_comes_once_with_both_addresses() {
        let mut writer = Writer::default();
        assert_eq!(writer.line(&Event::Ready { uri: "sip:a@b".into(), hint: None }), None);
        let session = Event::Session {
            kind: crate::SessionKind::Hosted,
            subject: "x".into(),
            conference: "sip:conf@b".into(),
        };
        let line: Value = serde_json::from_str(&writer.line(&session).unwrap()).unwrap();
        assert_eq!(line, json!({"event": "ready", "uri": "sip:a@b", "conference": "sip:conf@b"}));
        assert_eq!(writer.line(&session), None);
    }
}
