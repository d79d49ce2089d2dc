//! What a conference document tells: the state of a conference as the focus keeps it for its subscribers, and how much
//! of it one of them is told (RFC 4575 §5, §8.2).

use time::OffsetDateTime;

/// A whole conference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct State {
    /// How much of it is here.
    pub(crate) detail: Detail,
    /// The conference URI: what is subscribed to.
    pub(crate) entity: String,
    pub(crate) subject: String,
    pub(crate) host_name: String,
    pub(crate) host_uri: String,
    /// The most people in it, the host among them.
    pub(crate) capacity: usize,
    /// Whether nobody comes in by himself.
    pub(crate) is_locked: bool,
    /// In the order of coming.
    pub(crate) users: Vec<User>,
}

/// One person, with all the devices that he takes part with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct User {
    /// Byte for byte the same in all documents, and never another person's (RFC 4575 §4.5).
    pub(crate) entity: String,
    pub(crate) name: String,
    pub(crate) is_host: bool,
    /// The URI of the conference that he is the focus of (RFC 4575 §5.6.5).
    pub(crate) cascaded_focus: Option<String>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// One device of a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Endpoint {
    /// Opaque: a Contact changes, and says where somebody is.
    pub(crate) entity: String,
    /// Who had him called, where it was a participant (RFC 4575 §5.7.2).
    pub(crate) referred_by: Option<String>,
    /// In the words of RFC 4575 §5.7.3.
    pub(crate) status: &'static str,
    /// In the words of RFC 4575 §5.7.4.
    pub(crate) joining: &'static str,
    pub(crate) joined: Option<OffsetDateTime>,
    /// By whose wish he was called in.
    pub(crate) joined_by: Option<String>,
    /// In the words of RFC 4575 §5.7.6; `None` while he is there.
    pub(crate) gone_how: Option<&'static str>,
    pub(crate) gone: Option<OffsetDateTime>,
    pub(crate) media: Vec<Media>,
}

/// One stream of a device, as the device sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Media {
    pub(crate) id: &'static str,
    /// `audio`, `message`
    pub(crate) kind: &'static str,
    /// That of the entry of `available-media` it belongs to (RFC 4575 §5.8.3).
    pub(crate) label: Option<&'static str>,
    /// What the device sends under, where that is known (RFC 4575 §5.8.4).
    pub(crate) source: Option<u32>,
    /// In the words of RFC 4575 §5.8.5.
    pub(crate) status: &'static str,
}

/// How much one subscriber is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Detail {
    /// Who is there, and how; nothing that could be left out.
    Least,
    /// Everything.
    Whole,
}

impl State {
    /// The least of it, for whom the whole is too large (RFC 4575 §8.2): who is there, and how he is heard.
    pub(crate) fn least(&self) -> Self {
        let users = self.users.iter().map(|user| {
            let endpoints = user.endpoints.iter().map(Endpoint::least).collect();
            User { endpoints, ..user.clone() }
        });
        Self {
            detail: Detail::Least,
            entity: self.entity.clone(),
            subject: self.subject.clone(),
            host_name: String::new(),
            host_uri: String::new(),
            capacity: 0,
            is_locked: self.is_locked,
            users: users.collect(),
        }
    }

    /// How many are in it or being called.
    pub(crate) fn user_count(&self) -> usize {
        let is_here = |user: &&User| user.endpoints.iter().any(|one| one.gone_how.is_none());
        self.users.iter().filter(is_here).count()
    }

    pub(crate) fn user(&self, entity: &str) -> Option<&User> {
        self.users.iter().find(|user| user.entity == entity)
    }
}

impl User {
    pub(crate) fn endpoint(&self, entity: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|one| one.entity == entity)
    }

    /// Whether two say the same of the person himself, his devices apart.
    pub(crate) fn is_same_person(&self, other: &Self) -> bool {
        (&self.name, self.is_host, &self.cascaded_focus)
            == (&other.name, other.is_host, &other.cascaded_focus)
    }
}

impl Endpoint {
    fn least(&self) -> Self {
        let audio = self.media.iter().filter(|media| media.kind == "audio");
        Self {
            entity: self.entity.clone(),
            referred_by: None,
            status: self.status,
            joining: "",
            joined: None,
            joined_by: None,
            gone_how: self.gone_how,
            gone: None,
            media: audio.map(|media| Media { label: None, ..media.clone() }).collect(),
        }
    }

    /// Whether all that differs can be told by what has a key or stands alone: status and streams. What is not there any
    /// more can only be told by telling all anew.
    pub(crate) fn differs_little(&self, other: &Self) -> bool {
        let less = |one: &Self| Self { status: "", media: Vec::new(), ..one.clone() };
        let keys = |one: &Self| one.media.iter().map(|media| media.id).collect::<Vec<_>>();
        less(self) == less(other) && keys(self) == keys(other)
    }
}
