//! Events and commands as JSON lines: the stable contract of `parlour-cli --json` and of the window's `--json`, written
//! down in docs/parlour-cli.md.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Command, DeliveryState, Event, Levels, Participant, ParticipantId, ParticipantState, Recipient,
};

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
        self.value(event).map(|value| value.to_string())
    }

    fn value(&mut self, event: &Event) -> Option<Value> {
        Some(match event {
            Event::Accepted { reference, id, seq } => {
                json!({"event": "accepted", "ref": reference, "id": id.0, "seq": seq})
            }
            Event::Delivery(delivery) => json!({
                "event": "delivery", "id": delivery.id.0, "recipient": delivery.recipient,
                "state": delivery_state(delivery.state), "code": delivery.code, "reason": delivery.reason,
            }),
            Event::Ended { reason } => {
                self.ready = false;
                json!({"event": "ended", "reason": reason})
            }
            Event::Fatal { text } => json!({"event": "ended", "reason": text}),
            Event::Line(line) | Event::PersonalText(line) => {
                if line.is_own {
                    return None;
                }
                let to = match &line.to {
                    Recipient::Everyone => "everyone",
                    Recipient::Me => "me",
                    Recipient::Participant(entity) => entity,
                };
                json!({
                    "event": "message", "id": line.id.0, "seq": line.seq, "from": line.from, "name": line.name,
                    "to": to, "text": line.text, "verified": line.verified,
                })
            }
            Event::Notice { text } => json!({"event": "notice", "text": text}),
            Event::Participant(participant) => participant_value(participant),
            Event::Ready { uri, .. } => {
                uri.clone_into(&mut self.own);
                return None;
            }
            Event::Refused { reference, reason } => {
                json!({"event": "notice", "text": format!("{reference}: {reason}")})
            }
            Event::Session { conference, .. } => {
                conference.clone_into(&mut self.conference);
                if conference.is_empty() || self.ready {
                    return None;
                }
                self.ready = true;
                json!({"event": "ready", "uri": self.own, "conference": conference})
            }
            Event::Audio { .. }
            | Event::History(_)
            | Event::Incoming { .. }
            | Event::IncomingGone { .. }
            | Event::Muted { .. } => return None,
        })
    }
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
    })
}

fn delivery_state(state: DeliveryState) -> &'static str {
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
    json!({"event": "notice", "text": text}).to_string()
}

#[derive(Deserialize)]
struct Raw {
    command: String,
    #[serde(rename = "ref")]
    reference: Option<Value>,
    text: Option<String>,
    to: Option<String>,
    uri: Option<String>,
    id: Option<u32>,
    on: Option<bool>,
}

/// What a line asks for.
#[derive(Debug)]
pub enum Wish {
    /// A command for the engine.
    Command(Command),
    /// The end of the program.
    End,
}

/// Reads a command line; the error is a notice in words.
pub fn parse(line: &str) -> Result<Wish, String> {
    let raw: Raw = serde_json::from_str(line)
        .map_err(|error| format!("This line is not a command: {error}"))?;
    let need = |what: &str| format!("The command {} needs {what}", raw.command);
    let command = match raw.command.as_str() {
        "say" => Command::Say {
            reference: match &raw.reference {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            },
            text: raw.text.ok_or_else(|| need("a text"))?,
            to: match raw.to.as_deref() {
                None | Some("everyone") => Recipient::Everyone,
                Some(entity) => Recipient::Participant(entity.to_owned()),
            },
        },
        "invite" => Command::Invite { uri: raw.uri.ok_or_else(|| need("a uri"))? },
        "remove" => {
            Command::Remove { participant: ParticipantId(raw.id.ok_or_else(|| need("an id"))?) }
        }
        "mute" => Command::Mute { on: raw.on.ok_or_else(|| need("on: true or false"))? },
        "end" => return Ok(Wish::End),
        other => return Err(format!("There is no command {other:?}")),
    };
    Ok(Wish::Command(command))
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
