//! The user's accounts: registered at the start, unregistered at the end, and told of in between.

use std::net::IpAddr;
use std::time::Instant;

use sip_core::auth::Credentials;
use sip_core::{
    Account, AccountId, Endpoint, NameAddr, Registration, RegistrationFailure, Uri, Way,
};

use super::Actor;
use crate::{AccountSettings, AccountState, Event, Settings, notice, parse_target};

/// The accounts that are registered, in the order of the settings. The first one makes calls.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    all: Vec<(AccountId, String)>,
    /// The address of the first.
    pub(super) address: Option<Uri>,
    proxy: Option<Uri>,
}

impl Accounts {
    /// The account that calls are made by.
    pub(super) fn first(&self) -> Option<AccountId> {
        self.all.first().map(|(id, _)| *id)
    }

    /// The user part of that account's address.
    pub(super) fn user(&self) -> Option<String> {
        self.address.as_ref()?.user_unescaped()
    }
}

/// What can be said of the settings before anything is sent.
pub(crate) fn check(settings: &Settings) -> Result<(), String> {
    for account in &settings.accounts {
        read(account, &settings.name)?;
    }
    Ok(())
}

/// Registers all accounts.
pub(super) fn start(settings: &Settings, endpoint: &mut Endpoint) -> Accounts {
    let mut accounts = Accounts::default();
    for account in &settings.accounts {
        // They were checked before.
        let Ok(read) = read(account, &settings.name) else { continue };
        let address = read.address.uri.as_sip().cloned();
        if accounts.address.is_none() {
            accounts.proxy = read.outbound_proxy.clone();
            accounts.address.clone_from(&address);
        }
        let user = address.and_then(|address| address.user_unescaped());
        if let Some(user) = user.filter(|user| settings.conference_user.as_ref() != Some(user)) {
            endpoint.serve(&user, false);
            if settings.unattended {
                endpoint.present(&user, Some(sip_core::Failure::BUSY_HERE), None);
            }
        }
        let text = read.address.uri.to_string();
        let id = endpoint.register(read, Instant::now());
        accounts.all.push((id, text));
    }
    accounts
}

fn read(account: &AccountSettings, name: &str) -> Result<Account, String> {
    let uri = |text: &str| match parse_target(text) {
        Ok((uri, _)) => Ok(uri),
        Err(error) => Err(notice::account_address(text, &error)),
    };
    let address = uri(&account.address)?.bare();
    let user = address.user_unescaped().filter(|user| !user.is_empty());
    let Some(user) = user else { return Err(notice::account_without_user(&account.address)) };
    let by_transport = |mut uri: Uri| {
        if let Some(transport) = account.transport {
            uri.params.set("transport", Some(transport.token()));
        }
        uri
    };
    let registrar = match &account.registrar {
        Some(text) => Some(uri(text)?),
        None => account.transport.map(|_| Uri { user: None, ..address.clone() }),
    };
    let outbound_proxy = account.outbound_proxy.as_deref().map(uri).transpose()?;
    let username = account.username.clone().unwrap_or(user);
    let password = account.password.reveal().to_owned();
    Ok(Account {
        address: NameAddr::new(Some(name), address),
        credentials: Credentials { username, password, realm: None },
        registrar: registrar.map(by_transport),
        outbound_proxy: outbound_proxy.map(by_transport),
        instance: account.instance.clone(),
        features: vec!["audio".to_owned()],
    })
}

impl Actor {
    /// The way of a request outside of dialogs.
    pub(super) fn way(&self) -> Way {
        self.accounts.first().map_or(Way::Locate, Way::Account)
    }

    /// Our address towards a target, where it is known without asking.
    pub(super) fn local_by_account(&self, target: &Uri) -> Option<IpAddr> {
        let flow = self.endpoint.account_flow(self.accounts.first()?, target)?;
        Some(flow.local.ip())
    }

    /// Whose server is looked for to reach a target.
    pub(super) fn next_hop_to(&self, target: &Uri) -> Uri {
        self.accounts.proxy.clone().unwrap_or_else(|| target.clone())
    }

    /// Whether a call to this user part is for the person, not for the conference.
    pub(super) fn is_own_user(&self, user: Option<&str>) -> bool {
        let Some(user) = user else { return true };
        let is_conference = self.settings.conference_user.as_deref() == Some(user);
        let is_account = self.accounts.user().as_deref() == Some(user);
        user == self.settings.user || (is_account && !is_conference)
    }

    pub(super) fn registration(&mut self, account: AccountId, state: &Registration) {
        let found = self.accounts.all.iter().find(|(id, _)| *id == account);
        let Some((_, address)) = found.cloned() else { return };
        let (state, reason) = match state {
            Registration::Registering => (AccountState::Registering, String::new()),
            Registration::Registered { .. } => (AccountState::Registered, String::new()),
            Registration::Failed { failure, retry } => {
                let text = notice::registration(failure, *retry);
                self.notice(format!("{address}: {text}"));
                (AccountState::Failed, reason(failure))
            }
            Registration::Unregistered => (AccountState::Unregistered, String::new()),
        };
        self.tell(Event::Registration { account: address, state, reason });
    }

    pub(super) fn unregister_all(&mut self) {
        for (id, _) in self.accounts.all.clone() {
            self.endpoint.unregister(id, Instant::now());
        }
    }
}

fn reason(failure: &RegistrationFailure) -> String {
    match failure {
        RegistrationFailure::Credentials => "wrong name or password".to_owned(),
        RegistrationFailure::NotBound => "the server does not keep the address".to_owned(),
        RegistrationFailure::NoAnswer => "no answer".to_owned(),
        RegistrationFailure::Refused { status, reason } => {
            format!("{status} {}", conference::clean_line(reason))
        }
        RegistrationFailure::Unreachable => "server not found or not reachable".to_owned(),
    }
}
