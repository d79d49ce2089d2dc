//! The content model of RFC 4575: which element may stand where, in which order, with which values.

use super::InfoError;
use super::read::{Element, tree};

/// One breach of the content model: the path, and what is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Breach {
    /// `conference-info/users/user`
    pub path: String,
    /// In words.
    pub what: String,
}

const STATES: &[&str] = &["full", "partial", "deleted"];
const STATUSES: &[&str] = &[
    "connected",
    "disconnected",
    "on-hold",
    "muted-via-focus",
    "disconnecting",
    "alerting",
    "dialing-in",
    "dialing-out",
    "pending",
];
const MEDIA: &[&str] = &["sendrecv", "sendonly", "recvonly", "inactive"];
const JOINING: &[&str] = &["dialed-in", "dialed-out", "focus-owner"];
const LEAVING: &[&str] = &["departed", "booted", "failed", "busy"];
const BOOLEANS: &[&str] = &["true", "false", "1", "0"];

/// Children in their order. A star marks what may come more than once, an exclamation mark what must be there.
fn model(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "conference-info" => &[
            "conference-description",
            "host-info",
            "conference-state",
            "users",
            "sidebars-by-ref",
            "sidebars-by-val",
        ],
        "conference-description" => &[
            "display-text",
            "subject",
            "free-text",
            "keywords",
            "conf-uris",
            "service-uris",
            "maximum-user-count",
            "available-media",
        ],
        "conf-uris" | "service-uris" | "uris" | "associated-aors" | "available-media" => {
            &["entry*!"]
        }
        "roles" => &["entry*!"],
        "host-info" => &["display-text", "web-page", "uris"],
        "conference-state" => &["user-count", "active", "locked"],
        "users" => &["user*"],
        "user" => &[
            "display-text",
            "associated-aors",
            "roles",
            "languages",
            "cascaded-focus",
            "endpoint*",
        ],
        "endpoint" => &[
            "display-text",
            "referred",
            "status",
            "joining-method",
            "joining-info",
            "disconnection-method",
            "disconnection-info",
            "media*",
            "call-info",
        ],
        "media" => &["display-text", "type", "label", "src-id", "status"],
        "joining-info" | "disconnection-info" | "referred" => &["when", "reason", "by"],
        _ => return None,
    })
}

fn values(name: &str, parent: &str) -> Option<&'static [&'static str]> {
    match (name, parent) {
        ("status", "endpoint") => Some(STATUSES),
        ("status", _) => Some(MEDIA),
        ("joining-method", _) => Some(JOINING),
        ("disconnection-method", _) => Some(LEAVING),
        ("active" | "locked", _) => Some(BOOLEANS),
        _ => None,
    }
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
    if root.attribute("xmlns") != Some("urn:ietf:params:xml:ns:conference-info") {
        breach("the default namespace is not that of RFC 4575");
    }
    if root.attribute("entity").is_none_or(str::is_empty) {
        breach("no entity");
    }
    if root.attribute("version").is_none_or(|version| version.parse::<u32>().is_err()) {
        breach("no version");
    }
    let full = root.attribute("state").is_none_or(|state| state == "full");
    if full && (root.child("users").is_none() || root.child("conference-description").is_none()) {
        breach("a full document without description or users");
    }
    visit(&root, "", &root.name, &mut breaches);
    Ok(breaches)
}

fn visit(element: &Element, parent: &str, path: &str, breaches: &mut Vec<Breach>) {
    let name = element.name.as_str();
    let mut breach = |what: String| breaches.push(Breach { path: path.to_owned(), what });
    if let Some(state) = element.attribute("state").filter(|state| !STATES.contains(state)) {
        breach(format!("state {state}"));
    }
    if let Some(allowed) = values(name, parent)
        && !allowed.contains(&element.text.trim())
    {
        breach(format!("value {:?}", element.text));
    }
    if matches!(name, "user-count" | "maximum-user-count" | "src-id")
        && element.text.trim().parse::<u32>().is_err()
    {
        breach(format!("not a number: {:?}", element.text));
    }
    if name == "when" && (!element.text.ends_with('Z') || !element.text.contains('T')) {
        breach(format!("not a UTC time: {:?}", element.text));
    }
    let needs = match name {
        "user" | "endpoint" => Some("entity"),
        "media" => Some("id"),
        "entry" if parent == "available-media" => Some("label"),
        _ => None,
    };
    if let Some(needs) = needs.filter(|needs| element.attribute(needs).is_none_or(str::is_empty)) {
        breach(format!("no {needs}"));
    }
    if name == "media" && element.attribute("state").is_some() {
        breach("media has no state".to_owned());
    }
    if let Some(model) = model(name) {
        order(element, model, &mut breach);
    } else if !element.children.is_empty() && name != "entry" && name != "call-info" {
        breach("an element without children has some".to_owned());
    }
    let mut keys = std::collections::BTreeSet::new();
    for child in &element.children {
        let key = child.attribute("entity").or(child.attribute("id"));
        if let Some(key) = key.filter(|key| !keys.insert((child.name.clone(), (*key).to_owned()))) {
            breach(format!("{} {key} twice", child.name));
        }
    }
    for child in &element.children {
        visit(child, name, &format!("{path}/{}", child.name), breaches);
    }
}

/// xs:sequence: each child at or behind the place of the one before it.
fn order(element: &Element, model: &[&str], breach: &mut impl FnMut(String)) {
    let mut place = 0;
    let mut count = 0;
    for child in &element.children {
        let fits = |entry: &str| entry.trim_end_matches(['*', '!']) == child.name;
        match model.iter().position(|entry| fits(entry)) {
            None => breach(format!("{} may not stand here", child.name)),
            Some(at) if at < place => breach(format!("{} comes too late", child.name)),
            Some(at) => {
                count = if at == place { count + 1 } else { 1 };
                if count > 1 && !model[at].contains('*') {
                    breach(format!("{} twice", child.name));
                }
                place = at;
            }
        }
    }
    for needed in model.iter().filter(|entry| entry.contains('!')) {
        let name = needed.trim_end_matches(['*', '!']);
        if element.child(name).is_none() {
            breach(format!("no {name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(users: &str) -> Vec<String> {
        let document = format!(
            "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"sip:c@d\" state=\"full\" \
             version=\"1\"><conference-description/><users>{users}</users></conference-info>"
        );
        check(document.as_bytes()).unwrap().into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn the_pitfalls_are_found() {
        assert!(breaches("").is_empty());
        let endpoint = |inner: &str| {
            breaches(&format!(
                "<user entity=\"a\"><endpoint entity=\"b\">{inner}</endpoint></user>"
            ))
        };
        assert!(
            endpoint("<display-text>x</display-text><status>connected</status><media id=\"1\"/>")
                .is_empty()
        );
        assert_eq!(
            endpoint("<status>connected</status><display-text>x</display-text>"),
            ["display-text comes too late"]
        );
        assert_eq!(endpoint("<status>muted</status>"), ["value \"muted\""]);
        assert_eq!(endpoint("<media/>"), ["no id"]);
        assert_eq!(endpoint("<joining-method>dialled-out</joining-method>").len(), 1);
        assert_eq!(
            endpoint("<status>connected</status><status>on-hold</status>"),
            ["status twice"]
        );
        assert_eq!(endpoint("<joining-info><when>2026-11-22 10:00</when></joining-info>").len(), 1);
        assert_eq!(breaches("<user entity=\"a\"/><user entity=\"a\"/>"), ["user a twice"]);
        assert_eq!(breaches("<user entity=\"a\"><roles/></user>"), ["no entry"]);
    }
}
