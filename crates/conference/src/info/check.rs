//! The content model of RFC 4575: which element may stand where, in which order, with which values; and what §4 asks
//! beyond the schema: versions, keys, states.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::tree::{Element, tree};
use super::{InfoError, NAMESPACE};

/// One breach of the content model: the path, and what is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Breach {
    /// `conference-info/users/user`
    pub path: String,
    /// In words.
    pub what: String,
}

/// All breaches of a document; empty when it follows the model.
pub fn check(document: &[u8]) -> Result<Vec<Breach>, InfoError> {
    let root = tree(document)?;
    if root.name != "conference-info" {
        return Err(InfoError::NotConferenceInfo);
    }
    let mut breaches = Vec::new();
    let mut breach =
        |what: &str| breaches.push(Breach { path: root.name.clone(), what: what.to_owned() });
    if root.attribute("xmlns") != Some(NAMESPACE) {
        breach("the default namespace is not that of RFC 4575");
    }
    if root.attribute("version").is_none_or(|version| version.parse::<u32>().is_err()) {
        breach("no version");
    }
    let full = root.state() == "full";
    if full && (root.child("users").is_none() || root.child("conference-description").is_none()) {
        breach("a full document without description or users");
    }
    let wipes = |users: &Element| users.state() == "full" && root.state() == "partial";
    if root.child("users").is_some_and(wipes) {
        breach("a partial document with full users: everybody else is wiped out");
    }
    let description = root.child("conference-description");
    let available = description.and_then(|description| description.child("available-media"));
    let labels = available.map(|available| {
        let labels = available.children.iter().filter_map(|entry| entry.attribute("label"));
        labels.collect::<BTreeSet<&str>>()
    });
    let mut visitor = Visitor { labels, breaches };
    visitor.visit(&root, Kind::Conference, None, &root.name);
    Ok(visitor.breaches)
}

/// What an element is: some have a name in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Call,
    Conference,
    Description,
    Dialog,
    Endpoint,
    Execution,
    Host,
    Media,
    Medium,
    MediumList,
    Roles,
    Sidebars,
    Standing,
    Uri,
    UriList,
    User,
    Users,
    Value(Value),
}

/// What the text of an element without children must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Value {
    Any,
    Boolean,
    Number,
    OneOf(&'static [&'static str]),
    Time,
}

/// How often a child may stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Times {
    /// Any number.
    Many,
    /// At least once.
    ManyAndOne,
    /// Exactly once.
    One,
    /// Once, or not at all.
    Perhaps,
}

use Times::{Many, ManyAndOne, One, Perhaps};

type Child = (&'static str, Times, Kind);

const STATES: &[&str] = &["full", "partial", "deleted"];
const STATUS: Kind = Kind::Value(Value::OneOf(&[
    "connected",
    "disconnected",
    "on-hold",
    "muted-via-focus",
    "disconnecting",
    "alerting",
    "dialing-in",
    "dialing-out",
    "pending",
]));
const MEDIA_STATUS: Kind =
    Kind::Value(Value::OneOf(&["sendrecv", "sendonly", "recvonly", "inactive"]));
const JOINING: Kind = Kind::Value(Value::OneOf(&["dialed-in", "dialed-out", "focus-owner"]));
const LEAVING: Kind = Kind::Value(Value::OneOf(&["departed", "booted", "failed", "busy"]));
const ANY: Kind = Kind::Value(Value::Any);
const BOOLEAN: Kind = Kind::Value(Value::Boolean);
const NUMBER: Kind = Kind::Value(Value::Number);
const TIME: Kind = Kind::Value(Value::Time);

impl Kind {
    /// The children in their order; `None` for what holds text.
    fn children(self) -> Option<&'static [Child]> {
        Some(match self {
            Self::Value(_) => return None,
            Self::Call => &[("sip", Perhaps, Kind::Dialog)],
            Self::Conference => &[
                ("conference-description", Perhaps, Kind::Description),
                ("host-info", Perhaps, Kind::Host),
                ("conference-state", Perhaps, Kind::Standing),
                ("users", Perhaps, Kind::Users),
                ("sidebars-by-ref", Perhaps, Kind::UriList),
                ("sidebars-by-val", Perhaps, Kind::Sidebars),
            ],
            Self::Description => &[
                ("display-text", Perhaps, ANY),
                ("subject", Perhaps, ANY),
                ("free-text", Perhaps, ANY),
                ("keywords", Perhaps, ANY),
                ("conf-uris", Perhaps, Kind::UriList),
                ("service-uris", Perhaps, Kind::UriList),
                ("maximum-user-count", Perhaps, NUMBER),
                ("available-media", Perhaps, Kind::MediumList),
            ],
            Self::Dialog => &[
                ("display-text", Perhaps, ANY),
                ("call-id", One, ANY),
                ("from-tag", One, ANY),
                ("to-tag", One, ANY),
            ],
            Self::Endpoint => &[
                ("display-text", Perhaps, ANY),
                ("referred", Perhaps, Kind::Execution),
                ("status", Perhaps, STATUS),
                ("joining-method", Perhaps, JOINING),
                ("joining-info", Perhaps, Kind::Execution),
                ("disconnection-method", Perhaps, LEAVING),
                ("disconnection-info", Perhaps, Kind::Execution),
                ("media", Many, Kind::Media),
                ("call-info", Perhaps, Kind::Call),
            ],
            Self::Execution => {
                &[("when", Perhaps, TIME), ("reason", Perhaps, ANY), ("by", Perhaps, ANY)]
            }
            Self::Host => &[
                ("display-text", Perhaps, ANY),
                ("web-page", Perhaps, ANY),
                ("uris", Perhaps, Kind::UriList),
            ],
            Self::Media => &[
                ("display-text", Perhaps, ANY),
                ("type", Perhaps, ANY),
                ("label", Perhaps, ANY),
                ("src-id", Perhaps, NUMBER),
                ("status", Perhaps, MEDIA_STATUS),
            ],
            Self::Medium => &[
                ("display-text", Perhaps, ANY),
                ("type", One, ANY),
                ("status", Perhaps, MEDIA_STATUS),
            ],
            Self::MediumList => &[("entry", ManyAndOne, Kind::Medium)],
            Self::Roles => &[("entry", ManyAndOne, ANY)],
            Self::Sidebars => &[("entry", Many, Kind::Conference)],
            Self::Standing => &[
                ("user-count", Perhaps, NUMBER),
                ("active", Perhaps, BOOLEAN),
                ("locked", Perhaps, BOOLEAN),
            ],
            Self::Uri => &[
                ("uri", One, ANY),
                ("display-text", Perhaps, ANY),
                ("purpose", Perhaps, ANY),
                ("modified", Perhaps, Kind::Execution),
            ],
            Self::UriList => &[("entry", ManyAndOne, Kind::Uri)],
            Self::User => &[
                ("display-text", Perhaps, ANY),
                ("associated-aors", Perhaps, Kind::UriList),
                ("roles", Perhaps, Kind::Roles),
                ("languages", Perhaps, ANY),
                ("cascaded-focus", Perhaps, ANY),
                ("endpoint", Many, Kind::Endpoint),
            ],
            Self::Users => &[("user", Many, Kind::User)],
        })
    }

    /// Its attributes, and which of them it must have.
    fn attributes(self) -> (&'static [&'static str], Option<&'static str>) {
        match self {
            Self::Conference => (&["entity", "state", "version"], Some("entity")),
            Self::Endpoint | Self::User => (&["entity", "state"], Some("entity")),
            Self::Media => (&["id"], Some("id")),
            Self::Medium => (&["label"], Some("label")),
            Self::Sidebars | Self::UriList | Self::Users => (&["state"], None),
            Self::Call
            | Self::Description
            | Self::Dialog
            | Self::Execution
            | Self::Host
            | Self::MediumList
            | Self::Roles
            | Self::Standing
            | Self::Uri
            | Self::Value(_) => (&[], None),
        }
    }
}

struct Visitor<'a> {
    /// Those of the entries of `available-media`, where the document has it.
    labels: Option<BTreeSet<&'a str>>,
    breaches: Vec<Breach>,
}

impl Visitor<'_> {
    /// An element and everything in it; `parent` is the nearest state above it.
    fn visit(&mut self, element: &Element, kind: Kind, parent: Option<&str>, path: &str) {
        let found = self.breaches.len();
        self.attributes(element, kind, parent);
        match kind.children() {
            Some(model) => self.children(element, model),
            None => self.value(element, kind),
        }
        if kind == Kind::Media
            && let (Some(labels), Some(label)) = (&self.labels, element.child_text("label"))
            && !labels.contains(label)
        {
            self.breach(format!("label {label} is no available medium's"));
        }
        for breach in &mut self.breaches[found..] {
            path.clone_into(&mut breach.path);
        }
        let has_state = kind.attributes().0.contains(&"state");
        let state = if has_state { Some(element.state()) } else { parent };
        for child in &element.children {
            let known = kind.children().unwrap_or_default().iter();
            if let Some((.., kind)) = known.clone().find(|(name, ..)| is(child, name)) {
                self.visit(child, *kind, state, &format!("{path}/{}", child.name));
            }
        }
    }

    fn attributes(&mut self, element: &Element, kind: Kind, parent: Option<&str>) {
        let (allowed, needed) = kind.attributes();
        let own = element.attributes.iter().map(|(key, _)| key.as_str());
        for key in own.filter(|key| !key.contains(':') && *key != "xmlns") {
            if !allowed.contains(&key) {
                self.breach(format!("{} has no {key}", element.name));
            }
        }
        if let Some(needed) = needed.filter(|key| element.attribute(key).is_none_or(str::is_empty))
        {
            self.breach(format!("no {needed}"));
        }
        if !allowed.contains(&"state") {
            return;
        }
        let state = element.state();
        if !STATES.contains(&state) {
            self.breach(format!("state {state}"));
        }
        if parent == Some("full") && state != "full" {
            self.breach(format!("{state} below what is full"));
        }
        if state == "deleted" && !element.children.is_empty() {
            self.breach("something in what is deleted".to_owned());
        }
    }

    /// xs:sequence: each child at or behind the place of the one before it, those of other namespaces at the end.
    fn children(&mut self, element: &Element, model: &[Child]) {
        if !element.text.trim().is_empty() {
            self.breach("text between elements".to_owned());
        }
        let (mut place, mut count) = (0, 0);
        let mut keys = BTreeSet::new();
        for child in &element.children {
            if child.is_foreign {
                (place, count) = (model.len(), 0);
                continue;
            }
            match model.iter().position(|(name, ..)| is(child, name)) {
                None => self.breach(format!("{} may not stand here", child.name)),
                Some(at) if at < place => self.breach(format!("{} comes too late", child.name)),
                Some(at) => {
                    count = if at == place { count + 1 } else { 1 };
                    if count > 1 && matches!(model[at].1, One | Perhaps) {
                        self.breach(format!("{} twice", child.name));
                    }
                    place = at;
                }
            }
            let key = child.attribute("entity").or(child.attribute("id"));
            if let Some(key) = key.filter(|key| !keys.insert((child.name.as_str(), *key))) {
                self.breach(format!("{} {key} twice", child.name));
            }
        }
        for (name, times, _) in model {
            if matches!(times, One | ManyAndOne) && element.child(name).is_none() {
                self.breach(format!("no {name}"));
            }
        }
    }

    fn value(&mut self, element: &Element, kind: Kind) {
        if !element.children.is_empty() {
            self.breach("an element without children has some".to_owned());
        }
        let (text, Kind::Value(value)) = (element.text.trim(), kind) else { return };
        let digits = || !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (fits, what) = match value {
            Value::Any => (true, ""),
            Value::Boolean => (["true", "false", "1", "0"].contains(&text), "not true or false"),
            Value::Number => (digits() && text.parse::<u32>().is_ok(), "not a number"),
            // Blanks around it are part of it.
            Value::OneOf(values) => (values.contains(&element.text.as_str()), "value"),
            Value::Time => {
                let is_time = OffsetDateTime::parse(text, &Rfc3339).is_ok();
                (is_time && text.ends_with('Z') && text.contains('T'), "not a UTC time:")
            }
        };
        if !fits {
            self.breach(format!("{what} {:?}", element.text));
        }
    }

    /// Its path is noted by whoever found it.
    fn breach(&mut self, what: String) {
        self.breaches.push(Breach { path: String::new(), what });
    }
}

fn is(child: &Element, name: &str) -> bool {
    child.name == name && !child.is_foreign
}

#[cfg(test)]
mod tests;
