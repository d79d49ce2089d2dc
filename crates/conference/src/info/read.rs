//! Reads documents of any focus: tolerant in form, strict in size; merges partial ones (RFC 4575 §4.6).

use std::collections::BTreeMap;

use super::tree::{Element, InfoError, tree};

const MAX_USERS: usize = 2000;
/// The most devices of a person, streams of a device, and other parts of an element, that are kept.
const MAX_PARTS: usize = 64;
/// The most memory for what is known: what partial documents add up to.
const MAX_WEIGHT: usize = 16 * 1024 * 1024;

/// One person as a focus tells of him.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// `<user entity>`
    pub entity: String,
    /// `<display-text>`, empty where there is none.
    pub name: String,
    /// Whether a role says host.
    pub is_host: bool,
    /// `<status>` of the endpoint that is furthest in.
    pub status: String,
    /// Whether all audio that is told of is recvonly or inactive while connected.
    pub is_muted: bool,
    /// Whether text reaches him, where the focus tells.
    pub takes_text: Option<bool>,
}

/// What a subscriber knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    version: Option<u32>,
    users: BTreeMap<String, Element>,
    order: Vec<String>,
    /// About how much memory the users take, in bytes.
    weight: usize,
    /// `<subject>`, where there is one.
    pub subject: Option<String>,
    /// `<user-count>`, where the focus tells: some tell of more people than they name.
    pub user_count: Option<u32>,
    /// `<locked>`: whether nobody comes in by himself, where the focus tells.
    pub locked: Option<bool>,
}

/// What a document brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Taken {
    /// The roster may have changed.
    Changed,
    /// The conference is over.
    Deleted,
    /// A partial document came without the one before it: ask for all.
    Gap,
    /// Old: discarded.
    Stale,
}

impl Known {
    /// A new subscription counts its documents anew.
    pub(crate) fn renew(&mut self) {
        self.version = None;
    }

    /// Takes a document in (RFC 4575 §4.6).
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Taken, InfoError> {
        let mut root = tree(bytes)?;
        if root.name != "conference-info" || root.is_foreign {
            return Err(InfoError::NotConferenceInfo);
        }
        root.prune();
        let version = root.attribute("version").and_then(|version| version.trim().parse().ok());
        if let (Some(old), Some(new)) = (self.version, version)
            && new <= old
        {
            return Ok(Taken::Stale);
        }
        let is_full = match root.state() {
            "deleted" => return Ok(Taken::Deleted),
            state => state != "partial",
        };
        let follows = self.version.is_some_and(|old| version == old.checked_add(1));
        if !is_full && !follows {
            return Ok(Taken::Gap);
        }
        let users = root.child("users");
        let replaces = is_full || users.is_some_and(|users| users.state() == "full");
        let news = users.map_or(0, Element::weight);
        let people = users.map_or(0, |users| users.children.len());
        if people > MAX_USERS || !replaces && self.weight + news > MAX_WEIGHT {
            return Err(InfoError::TooLarge);
        }
        self.version = version;
        self.take_state(&root, is_full);
        if replaces {
            self.users.clear();
            self.order.clear();
        }
        let taken = users.map_or(Ok(()), |users| {
            let mut users = users.children.iter().filter(|child| child.name == "user");
            users.try_for_each(|user| self.take_user(user))
        });
        self.weight = self.users.values().map(Element::weight).sum();
        if taken.is_err() {
            // What is known is of no version any more: the next document must be a full one.
            self.version = None;
        }
        taken.map(|()| Taken::Changed)
    }

    /// What is told of the conference itself.
    fn take_state(&mut self, root: &Element, is_full: bool) {
        let description = root.child("conference-description");
        if is_full || description.is_some() {
            let subject = description.and_then(|description| description.child_text("subject"));
            self.subject = subject.map(str::to_owned);
        }
        let state = root.child("conference-state");
        if is_full || state.is_some() {
            let text = |name| state.and_then(|state| state.child_text(name));
            self.user_count = text("user-count").and_then(|count| count.parse().ok());
            self.locked = text("locked").map(|locked| locked == "true" || locked == "1");
        }
    }

    fn take_user(&mut self, user: &Element) -> Result<(), InfoError> {
        let Some(entity) = user.attribute("entity") else { return Ok(()) };
        match user.state() {
            "deleted" => {
                if self.users.remove(entity).is_some() {
                    self.order.retain(|known| known != entity);
                }
            }
            "partial" if self.users.contains_key(entity) => {
                if let Some(known) = self.users.get_mut(entity) {
                    merge(known, user)?;
                }
            }
            _ => {
                let is_new = !self.users.contains_key(entity);
                if is_new && self.users.len() >= MAX_USERS || user.children.len() > MAX_PARTS {
                    return Err(InfoError::TooLarge);
                }
                self.users.insert(entity.to_owned(), user.clone());
                if is_new {
                    self.order.push(entity.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Takes a document; whether it was of use. For readers that keep no subscription.
    pub fn learn(&mut self, bytes: &[u8]) -> Result<bool, InfoError> {
        self.take(bytes).map(|taken| match taken {
            Taken::Changed | Taken::Deleted => true,
            Taken::Gap | Taken::Stale => false,
        })
    }

    /// Everybody, in the order in which the focus told of them.
    pub fn people(&self) -> Vec<Seen> {
        let users = self
            .order
            .iter()
            .filter_map(|entity| self.users.get(entity).map(|user| (entity, user)));
        users.map(|(entity, user)| seen(entity, user)).collect()
    }
}

/// A partial element: keyed children are merged or deleted, all others replaced (RFC 4575 §4.6). One without a state is
/// full: it replaces the one of its key.
fn merge(known: &mut Element, news: &Element) -> Result<(), InfoError> {
    for child in &news.children {
        let key = child.attribute("entity").or(child.attribute("id"));
        let same = |other: &Element| {
            other.name == child.name
                && (key.is_none() || other.attribute("entity").or(other.attribute("id")) == key)
        };
        let place = known.children.iter().position(same);
        match (place, child.state()) {
            (Some(place), "deleted") => {
                known.children.remove(place);
            }
            (None, "deleted") => {}
            (Some(place), "partial") => merge(&mut known.children[place], child)?,
            (Some(place), _) => known.children[place] = child.clone(),
            (None, _) if known.children.len() >= MAX_PARTS => return Err(InfoError::TooLarge),
            (None, _) => known.children.push(child.clone()),
        }
    }
    Ok(())
}

fn seen(entity: &str, user: &Element) -> Seen {
    let roles = user.child("roles");
    let is_host =
        roles.is_some_and(|roles| roles.children.iter().any(|role| role.text.trim() == "host"));
    let rank = |status: &str| {
        [
            "disconnected",
            "disconnecting",
            "dialing-in",
            "dialing-out",
            "pending",
            "alerting",
            "on-hold",
            "muted-via-focus",
            "connected",
        ]
        .iter()
        .position(|known| *known == status)
    };
    let endpoints = user.children.iter().filter(|child| child.name == "endpoint");
    let best = endpoints.max_by_key(|endpoint| endpoint.child_text("status").and_then(rank));
    let status = best.and_then(|endpoint| endpoint.child_text("status")).unwrap_or("connected");
    let media = |kind: &str| {
        let all = best.into_iter().flat_map(|endpoint| &endpoint.children);
        let mut fitting = all
            .filter(move |child| child.name == "media" && child.child_text("type") == Some(kind));
        fitting.next().and_then(|media| media.child_text("status").map(str::to_owned))
    };
    let audio = media("audio");
    let is_muted = status == "muted-via-focus"
        || (status == "connected"
            && audio.is_some_and(|status| status == "recvonly" || status == "inactive"));
    let takes_text = media("message").map(|status| status == "sendrecv" || status == "recvonly");
    let name = user.child_text("display-text").map(crate::name::clean).unwrap_or_default();
    Seen {
        entity: entity.to_owned(),
        name,
        is_host,
        status: status.to_owned(),
        is_muted,
        takes_text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(attributes: &str, users: &str) -> Vec<u8> {
        format!(
            "<?xml version=\"1.0\"?><ci:conference-info xmlns:ci=\"urn:ietf:params:xml:ns:conference-info\" \
             entity=\"sip:c@d\" {attributes}>{users}</ci:conference-info>"
        )
        .into_bytes()
    }

    fn user(name: &str, status: &str) -> String {
        format!(
            "<user entity=\"sip:{name}@x\"><display-text>{name} &amp; &#67;o</display-text>\
             <endpoint entity=\"e\"><status>{status}</status></endpoint></user>"
        )
    }

    #[test]
    fn full_documents_replace_and_old_ones_are_discarded() {
        let mut known = Known::default();
        let first = document(
            "version=\"1\"",
            &format!("<users>{}{}</users>", user("a", "connected"), user("b", "on-hold")),
        );
        assert_eq!(known.take(&first), Ok(Taken::Changed));
        let people = known.people();
        assert_eq!(
            (people.len(), people[0].name.as_str(), people[1].status.as_str()),
            (2, "a & Co", "on-hold")
        );
        assert_eq!(known.take(&first), Ok(Taken::Stale));
        let next = document("version=\"2\"", &format!("<users>{}</users>", user("b", "connected")));
        assert_eq!(known.take(&next), Ok(Taken::Changed));
        assert_eq!(known.people().len(), 1);
    }

    #[test]
    fn a_new_subscription_counts_anew() {
        let mut known = Known::default();
        let users = |name| format!("<users>{}</users>", user(name, "connected"));
        assert_eq!(known.take(&document("version=\"7\"", &users("a"))), Ok(Taken::Changed));
        known.renew();
        assert_eq!(known.take(&document("version=\"0\"", &users("b"))), Ok(Taken::Changed));
        assert_eq!(known.people()[0].entity, "sip:b@x");
    }

    #[test]
    fn partial_documents_are_merged_and_a_gap_is_told() {
        let mut known = Known::default();
        let partial = |version, inner: &str| {
            document(
                &format!("version=\"{version}\" state=\"partial\""),
                &format!("<users state=\"partial\">{inner}</users>"),
            )
        };
        assert_eq!(known.take(&partial(4, "")), Ok(Taken::Gap));
        let both = format!("<users>{}{}</users>", user("a", "connected"), user("b", "alerting"));
        known.take(&document("version=\"4\"", &both)).unwrap();
        let news = "<user entity=\"sip:b@x\" state=\"partial\"><endpoint entity=\"e\" state=\"partial\">\
                    <status>connected</status></endpoint></user><user entity=\"sip:a@x\" state=\"deleted\"/>";
        assert_eq!(known.take(&partial(5, news)), Ok(Taken::Changed));
        let people = known.people();
        assert_eq!(
            (people.len(), people[0].entity.as_str(), people[0].status.as_str()),
            (1, "sip:b@x", "connected")
        );
        assert_eq!(people[0].name, "b & Co");
        assert_eq!(known.take(&partial(7, "")), Ok(Taken::Gap));
    }

    #[test]
    fn ci9_what_has_a_key_is_merged_and_everything_else_replaced_as_a_whole() {
        let mut known = Known::default();
        let partial = |version: u32, user: &str| {
            document(
                &format!("version=\"{version}\" state=\"partial\""),
                &format!("<users state=\"partial\">{user}</users>"),
            )
        };
        let stream = |id: &str, kind: &str, status: &str| {
            format!("<media id=\"{id}\"><type>{kind}</type><status>{status}</status></media>")
        };
        let first = format!(
            "<users><user entity=\"a\"><display-text>A</display-text><roles><entry>host</entry></roles>\
             <endpoint entity=\"1\"><status>connected</status>{}{}</endpoint></user></users>",
            stream("x", "audio", "recvonly"),
            stream("y", "message", "sendonly")
        );
        known.take(&document("version=\"1\"", &first)).unwrap();
        let person = |known: &Known| known.people().remove(0);
        assert_eq!((person(&known).is_muted, person(&known).takes_text), (true, Some(false)));
        // A stream has no state: what is not repeated of it is gone. The other one stays.
        let news = "<user entity=\"a\" state=\"partial\"><endpoint entity=\"1\" state=\"partial\">\
                    <media id=\"y\"><status>sendrecv</status></media></endpoint></user>";
        known.take(&partial(2, news)).unwrap();
        assert_eq!((person(&known).is_muted, person(&known).takes_text), (true, None));
        // Roles have no key: they are replaced. A name stays that is not told of.
        let news =
            "<user entity=\"a\" state=\"partial\"><roles><entry>participant</entry></roles></user>";
        known.take(&partial(3, news)).unwrap();
        assert_eq!((person(&known).is_host, person(&known).name.as_str()), (false, "A"));
        // A second device, then the first one goes.
        let news = "<user entity=\"a\" state=\"partial\"><endpoint entity=\"2\"><status>on-hold</status>\
                    </endpoint></user>";
        known.take(&partial(4, news)).unwrap();
        assert_eq!(person(&known).status, "connected", "the device that is furthest in counts");
        let news = "<user entity=\"a\" state=\"partial\"><endpoint entity=\"1\" state=\"deleted\"/></user>";
        known.take(&partial(5, news)).unwrap();
        assert_eq!((person(&known).status.as_str(), person(&known).is_muted), ("on-hold", false));
        // An entity is the same only byte for byte.
        let news = "<user entity=\"A\" state=\"partial\"><display-text>B</display-text></user>";
        known.take(&partial(6, news)).unwrap();
        assert_eq!(known.people().len(), 2);
        // Users that are full wipe everybody out, though the document is partial.
        let wiped =
            document("version=\"7\" state=\"partial\"", "<users><user entity=\"c\"/></users>");
        known.take(&wiped).unwrap();
        assert_eq!(known.people().len(), 1);
    }

    #[test]
    fn what_partial_documents_add_up_to_is_bounded() {
        let mut known = Known::default();
        let name = "x".repeat(900_000);
        let first =
            format!("<users><user entity=\"0\"><display-text>{name}</display-text></user></users>");
        known.take(&document("version=\"1\"", &first)).unwrap();
        let refused = (2..).find(|version| {
            let news = document(
                &format!("version=\"{version}\" state=\"partial\""),
                &format!(
                    "<users state=\"partial\"><user entity=\"{version}\"><display-text>{name}</display-text>\
                     </user></users>"
                ),
            );
            known.take(&news) == Err(InfoError::TooLarge)
        });
        assert!((10..20).contains(&refused.unwrap()), "{refused:?}");
        let devices = |from: usize| {
            let all = (from..from + 60).map(|n| format!("<endpoint entity=\"{n}\"/>"));
            let all = all.collect::<String>();
            format!(
                "<users state=\"partial\"><user entity=\"a\" state=\"partial\">{all}</user></users>"
            )
        };
        let mut known = Known::default();
        known.take(&document("version=\"1\"", "<users><user entity=\"a\"/></users>")).unwrap();
        let partial = |version: u32| format!("version=\"{version}\" state=\"partial\"");
        assert_eq!(known.take(&document(&partial(2), &devices(0))), Ok(Taken::Changed));
        assert_eq!(known.take(&document(&partial(3), &devices(60))), Err(InfoError::TooLarge));
        let many = (0..=MAX_USERS).map(|n| format!("<user entity=\"{n}\"/>")).collect::<String>();
        let many = document("version=\"9\"", &format!("<users>{many}</users>"));
        assert_eq!(known.take(&many), Err(InfoError::TooLarge));
    }

    #[test]
    fn hostile_documents_are_refused() {
        let mut known = Known::default();
        let dtd = b"<!DOCTYPE x [<!ENTITY a \"b\">]><conference-info/>";
        assert_eq!(known.take(dtd), Err(InfoError::Malformed));
        assert_eq!(known.take(b"<other/>"), Err(InfoError::NotConferenceInfo));
        assert_eq!(known.take(b"<conference-info>"), Err(InfoError::Malformed));
    }
}
