//! A conference as text, page or data. Bodies are never changed: in the text and the data they are byte for byte what was
//! written, in the page they are only escaped.

use std::fmt::Write as _;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Kept, Transcript};
use crate::{Recipient, json};

/// The form of an export.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// A page without scripts.
    Html,
    /// Data, as docs/parlour-cli.md says.
    Json,
    /// Text, each line under a head of its own.
    Text,
}

/// Whether lines to one person alone are exported too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Private {
    /// They are.
    Included,
    /// They are not.
    LeftOut,
}

/// The conference in that form.
pub fn export(transcript: &Transcript, format: Format, private: Private) -> String {
    let is_shown = |line: &&Kept| private == Private::Included || line.to == Recipient::Everyone;
    let lines: Vec<&Kept> = transcript.lines.iter().filter(is_shown).collect();
    match format {
        Format::Html => html(transcript, &lines),
        Format::Json => data(transcript, &lines),
        Format::Text => text(transcript, &lines),
    }
}

/// RFC 3339.
pub fn iso(at: OffsetDateTime) -> String {
    at.replace_microsecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

fn whom(transcript: &Transcript, line: &Kept) -> String {
    match &line.to {
        Recipient::Everyone => "all".to_owned(),
        Recipient::Me => "you".to_owned(),
        Recipient::Participant(entity) => {
            let person = transcript.people.iter().find(|person| person.uri == *entity);
            person.map_or_else(|| entity.clone(), |person| person.name.clone())
        }
    }
}

fn head(transcript: &Transcript, line: &Kept) -> String {
    let private = if line.to == Recipient::Everyone { "" } else { " (private)" };
    let doubt = if line.verified { "" } else { " (not verified)" };
    format!("{} {}{doubt} -> {}{private}", iso(line.at), line.name, whom(transcript, line))
}

fn text(transcript: &Transcript, lines: &[&Kept]) -> String {
    let mut out = format!("{}, {}\n\n", title(transcript), iso(transcript.info.started));
    for line in lines {
        let _ = writeln!(out, "--- {} ---", head(transcript, line));
        out.push_str(&line.text);
        out.push_str("\n\n");
    }
    out
}

fn title(transcript: &Transcript) -> &str {
    let info = &transcript.info;
    if info.subject.is_empty() { &info.uri } else { &info.subject }
}

fn html(transcript: &Transcript, lines: &[&Kept]) -> String {
    let title = escaped(title(transcript));
    let mut out = format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\">\n\
         <title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{}</p>\n",
        iso(transcript.info.started)
    );
    for line in lines {
        let head = escaped(&head(transcript, line));
        // A first line end directly behind <pre> would be left out by whoever reads it.
        let _ = write!(out, "<h2>{head}</h2>\n<pre>\n{}</pre>\n", escaped(&line.text));
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Readers make one line end of these.
            '\r' => out.push_str("&#13;"),
            c => out.push(c),
        }
    }
    out
}

fn data(transcript: &Transcript, lines: &[&Kept]) -> String {
    let info = &transcript.info;
    let people = transcript.people.iter().map(|person| {
        json!({
            "uri": person.uri, "name": person.name,
            "joined": person.joined.map(iso), "left": person.gone.map(iso),
        })
    });
    let messages = lines.iter().map(|line| {
        let (scope, to) = match &line.to {
            Recipient::Everyone => ("everyone", Vec::new()),
            Recipient::Me => ("private", vec!["me".to_owned()]),
            Recipient::Participant(entity) => ("private", vec![entity.clone()]),
        };
        let deliveries = line.deliveries.iter().map(|delivery| {
            json!({
                "uri": delivery.uri, "state": delivery.state, "code": delivery.code,
                "reason": delivery.reason, "time": iso(delivery.at),
            })
        });
        json!({
            "id": line.id, "seq": line.seq, "time": iso(line.at), "from": line.from,
            "name": line.name, "own": line.is_own, "verified": line.verified, "scope": scope,
            "to": to, "body": line.text, "parts": parts(&line.text),
            "delivery": deliveries.collect::<Vec<_>>(),
        })
    });
    let whole = json!({
        "version": 1,
        "conference": {
            "id": info.id, "uri": info.uri, "subject": info.subject, "started": iso(info.started),
            "ended": info.ended.map(iso),
        },
        "participants": people.collect::<Vec<_>>(),
        "messages": messages.collect::<Vec<_>>(),
    });
    let lines = format!("{whole:#}");
    let lines: Vec<String> = lines.lines().map(json::plain).collect();
    lines.join("\n") + "\n"
}

/// What is recognised in a text, in bytes from its beginning.
fn parts(text: &str) -> Vec<serde_json::Value> {
    use conference::text::PieceKind::{
        Armour, Email, Fingerprint, Ip, Link, Phone, PrivateKey, Sip, SshKey,
    };
    let pieces = conference::text::recognise(text).into_iter().map(|piece| {
        let kind = match piece.kind {
            Armour { .. } => "armour",
            Email { .. } => "email",
            Fingerprint => "fingerprint",
            Ip { .. } => "ip",
            Link { .. } => "link",
            Phone { .. } => "phone",
            PrivateKey { .. } => "private_key",
            Sip { .. } => "sip",
            SshKey(_) => "ssh_key",
        };
        json!({"kind": kind, "start": piece.range.start, "end": piece.range.end})
    });
    pieces.collect()
}
