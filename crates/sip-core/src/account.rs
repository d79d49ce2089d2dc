//! An account at a registrar, and how its registration stands (RFC 3261 §10).

use std::time::Duration;

use crate::auth::Credentials;
use crate::{Contact, NameAddr, StatusCode, Transport, Uri};

/// What a registration needs.
#[derive(Clone, Debug)]
pub struct Account {
    /// The address of record, with the name that is shown.
    pub address: NameAddr,
    /// The registrar; `None`: the domain of the address. Its user part is not used.
    pub registrar: Option<Uri>,
    /// Where everything of this account goes first.
    pub outbound_proxy: Option<Uri>,
    /// How registrar and proxy are reached, where their URIs do not say; `None`: as the name system says.
    pub transport: Option<Transport>,
    /// For their challenges.
    pub credentials: Vec<Credentials>,
    /// Where the registrar is to reach us; its user part is served while the account is registered.
    pub contact: Contact,
    /// Feature parameters of the Contact (RFC 3840), values as on the wire.
    pub features: Vec<(String, Option<String>)>,
    /// `urn:uuid:...` of this device and user, the same each time (RFC 5626 §4.1). `None`: neither outbound nor GRUU.
    pub instance: Option<String>,
    /// How long a registration is asked for.
    pub expires: Duration,
}

impl Account {
    /// With what an ordinary registrar wants: an hour, the domain of the address, the user part of the address.
    pub fn new(address: NameAddr, credentials: Vec<Credentials>) -> Self {
        let user = address.uri.as_sip().and_then(Uri::user_unescaped).unwrap_or_default();
        Self {
            address,
            registrar: None,
            outbound_proxy: None,
            transport: None,
            credentials,
            contact: Contact { user, is_focus: false },
            features: Vec::new(),
            instance: None,
            expires: Duration::from_secs(3600),
        }
    }
}

/// How a registration stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RegistrationState {
    /// The first REGISTER, or the first after a failure, is out.
    Registering,
    /// The registrar knows us.
    Registered {
        /// For how long; it is refreshed before.
        expires: Duration,
        /// Where it finds us: a GRUU where it gave one (RFC 5627).
        contact: Uri,
    },
    /// It does not.
    Failed {
        /// Why.
        failure: RegistrationFailure,
        /// When it is tried again; `None`: not without the user.
        retry_in: Option<Duration>,
    },
    /// We took it back.
    Unregistered,
}

/// Why a registration failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegistrationFailure {
    /// The registrar refused the password. It is not tried again: accounts get locked that way.
    WrongPassword,
    /// The registrar wants a password and there is none for it, or none in a form that we know.
    NoPassword,
    /// 403 or 404: the account is not allowed to register or does not exist. It is not tried again.
    Refused {
        /// Which of them.
        status: StatusCode,
    },
    /// Any other answer. It is tried again.
    Trouble {
        /// Which.
        status: StatusCode,
    },
    /// 200 without our own address in it. It is tried again.
    NotKept,
    /// No answer in time. It is tried again.
    NoAnswer,
    /// The registrar was not found, or the network does not lead there. It is tried again.
    Unreachable,
}
