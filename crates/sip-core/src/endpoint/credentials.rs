//! Credentials (RFC 3261 §22). Of requests of others: who sent them, and 401 where that must be proven. Of our own: the challenges that were answered in a Call-ID and are
//! answered again beforehand (§22.3), how often each nonce was used, and when to stop.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Endpoint, Owner};
use rand::RngCore;

use crate::auth::{
    Asker, Challenge, Challenger, Credentials, Verdict, next_nonce, write_challenges,
};
use crate::message::Headers;
use crate::{Flow, Identity, Method, Request, Response, StatusCode};

/// The most challenges that one request answers, and that are kept for a Call-ID: a server could name another realm each
/// time.
const MAX_CHALLENGES: usize = 6;
/// The most Call-IDs and nonces that are remembered; of more the older half goes.
const MAX_KNOWN: usize = 4096;

/// A challenge that was answered on the way to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Challenged {
    asker: Asker,
    realm: String,
    nonce: String,
    stale: bool,
}

#[derive(Debug)]
struct Known {
    asker: Asker,
    challenge: Challenge,
    credentials: Credentials,
}

#[derive(Debug, Default)]
struct Session {
    known: Vec<Known>,
    used: u64,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// For requests to that address, beside those of the account.
    password: Option<(crate::Uri, Credentials)>,
    sessions: BTreeMap<String, Session>,
    /// By realm and nonce: how often it was used, and when last.
    counts: BTreeMap<(String, String), (u32, u64)>,
    clock: u64,
}

impl Access {
    fn session(&mut self, call_id: &str) -> &mut Session {
        self.clock += 1;
        if self.sessions.len() >= MAX_KNOWN && !self.sessions.contains_key(call_id) {
            let old = middle(self.sessions.values().map(|one| one.used));
            self.sessions.retain(|_, one| one.used > old);
        }
        let session = self.sessions.entry(call_id.to_owned()).or_default();
        session.used = self.clock;
        session
    }

    /// The next count of a nonce, from 1 (RFC 7616 §3.4).
    fn count(&mut self, challenge: &Challenge) -> u32 {
        self.clock += 1;
        if self.counts.len() >= MAX_KNOWN {
            let old = middle(self.counts.values().map(|(_, used)| *used));
            self.counts.retain(|_, (_, used)| *used > old);
        }
        let key = (challenge.realm.clone(), challenge.nonce.clone());
        let (count, used) = self.counts.entry(key).or_default();
        *count = count.saturating_add(1);
        *used = self.clock;
        *count
    }
}

fn middle(used: impl Iterator<Item = u64>) -> u64 {
    let mut all: Vec<u64> = used.collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

impl Endpoint {
    /// Who sent a request. 401 where its user is guarded and nothing proves that the sender may reach him; ACK, CANCEL
    /// and what is in a dialog are never challenged (RFC 3261 §22.1).
    pub(super) fn identify(
        &mut self,
        request: &Request,
        flow: &Flow,
        now: Instant,
    ) -> Result<Identity, Box<Response>> {
        let trusted = self.config.trusted.contains(&flow.remote.ip());
        let asserted = || if trusted { Identity::asserted(request) } else { Identity::Unverified };
        let challenged = match request.method {
            Method::Invite
            | Method::Message
            | Method::Options
            | Method::Refer
            | Method::Subscribe => true,
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Info
            | Method::Notify
            | Method::Prack
            | Method::Publish
            | Method::Register
            | Method::Update
            | Method::Other(_) => false,
        };
        if !challenged || request.headers.to_tag().is_some() {
            return Ok(asserted());
        }
        let user = self.served_by(request).map(|served| served.user.clone());
        let Some(guard) = user.and_then(|user| self.guards.get(&user)) else {
            return Ok(asserted());
        };
        let rng = &mut self.rng;
        let challenger =
            self.challenger.get_or_insert_with(|| Challenger::new(rng.next_u64(), now));
        match challenger.check(request, guard, now) {
            Verdict::Person(username) => {
                Ok(Identity::Authenticated { username, realm: guard.realm.clone() })
            }
            Verdict::Shared => Ok(asserted()),
            Verdict::Nobody { stale } => {
                let mut response = request.response(StatusCode::UNAUTHORIZED, None);
                let challenges = challenger.challenges(guard, stale, now);
                write_challenges(&mut response.headers, &challenges);
                Err(Box::new(response))
            }
        }
    }

    /// The password that whom we call wants himself: requests to this address answer his 401 with it and nobody else's.
    /// `None` forgets it.
    pub fn set_password(&mut self, password: Option<(crate::Uri, Credentials)>) {
        self.access.password = password;
    }

    /// Who sent the request of a server transaction.
    pub(super) fn identity_of(&self, server: u64) -> Identity {
        self.servers.get(&server).map(|server| server.identity.clone()).unwrap_or_default()
    }

    /// Writes the credentials that this Call-ID is known to need (RFC 3261 §22.3).
    pub(super) fn write_credentials(&mut self, request: &mut Request) {
        let Some(call_id) = request.headers.call_id().map(str::to_owned) else { return };
        let Some(session) = self.access.sessions.get(&call_id) else { return };
        if session.known.is_empty() {
            return;
        }
        let known: Vec<(Asker, Challenge, Credentials)> = session
            .known
            .iter()
            .map(|one| (one.asker, one.challenge.clone(), one.credentials.clone()))
            .collect();
        self.access.session(&call_id);
        for asker in [Asker::Server, Asker::Proxy] {
            request.headers.remove(asker.answer());
        }
        let uri = request.uri.to_string();
        for (asker, challenge, credentials) in known {
            let count = self.access.count(&challenge);
            let cnonce = self.token();
            let value = challenge.answer(&credentials, &request.method, &uri, &cnonce, count);
            request.headers.push(asker.answer(), value);
        }
    }

    /// What was proven under this Call-ID is proven to nobody else.
    pub(super) fn forget_credentials(&mut self, request: &Request) {
        if let Some(call_id) = request.headers.call_id() {
            self.access.sessions.remove(call_id);
        }
    }

    /// A success may name the nonce of the next request (RFC 7616 §3.5).
    pub(super) fn note_next_nonce(&mut self, response: &Response) {
        let headers = &response.headers;
        let Some(session) = headers.call_id().and_then(|id| self.access.sessions.get_mut(id))
        else {
            return;
        };
        for asker in [Asker::Server, Asker::Proxy] {
            let mut of_asker = session.known.iter_mut().filter(|one| one.asker == asker);
            // The header names no realm: with several nobody knows whose it is.
            if let Some(nonce) = headers.get(asker.info()).and_then(next_nonce)
                && let Some(known) = of_asker.next()
                && of_asker.next().is_none()
            {
                known.challenge.nonce = nonce;
            }
        }
    }

    /// 401 or 407 that we have credentials for: the request goes out again with CSeq + 1 (RFC 3261 §22.2), once for
    /// each server that asks, and once more where only its nonce was too old.
    pub(super) fn answer_challenge(&mut self, id: u64, response: &Response, now: Instant) -> bool {
        if !matches!(response.status.code(), 401 | 407) {
            return false;
        }
        let Some(client) = self.clients.get(&id) else { return false };
        let Some(call_id) = client.request.headers.call_id().map(str::to_owned) else {
            return false;
        };
        let credentials = self.credentials_for(&client.request);
        let asked: Vec<(Asker, Challenge, Credentials)> =
            Challenge::answerable(&response.headers, &credentials)
                .into_iter()
                .map(|(asker, challenge, credentials)| (asker, challenge, credentials.clone()))
                .collect();
        let asked = self.with_password(asked, &client.request, response);
        let mut challenged = client.challenged.clone();
        let owner = client.owner.clone();
        let in_vain = asked.iter().any(|(asker, challenge, _)| {
            let mut before =
                challenged.iter().filter(|one| one.asker == *asker && one.realm == challenge.realm);
            let again = before.clone().next().is_some();
            let renewed = before.clone().any(|one| one.stale);
            let same = before.any(|one| one.nonce == challenge.nonce);
            same || renewed || (again && !challenge.stale)
        });
        let too_many = challenged.len() + asked.len() > MAX_CHALLENGES;
        if asked.is_empty() || in_vain || too_many || !self.is_wanted(&owner) {
            self.refused(&call_id, &response.headers);
            return false;
        }
        let session = self.access.session(&call_id);
        for (asker, challenge, credentials) in asked {
            challenged.push(Challenged {
                asker,
                realm: challenge.realm.clone(),
                nonce: challenge.nonce.clone(),
                stale: challenge.stale,
            });
            let same = |one: &Known| one.asker == asker && one.challenge.realm == challenge.realm;
            session.known.retain(|one| !same(one));
            // A peer could name another realm each time: the oldest goes.
            if session.known.len() >= MAX_CHALLENGES {
                session.known.remove(0);
            }
            session.known.push(Known { asker, challenge, credentials });
        }
        self.send_again(id, owner, challenged, now)
    }

    /// The password for whom it is goes before those of the account; proxies on the way get those of the account.
    fn with_password(
        &self,
        mut asked: Vec<(Asker, Challenge, Credentials)>,
        request: &Request,
        response: &Response,
    ) -> Vec<(Asker, Challenge, Credentials)> {
        let Some((target, credentials)) = &self.access.password else { return asked };
        if request.uri.as_sip().is_none_or(|uri| !uri.same_address(target)) {
            return asked;
        }
        asked.retain(|(asker, _, _)| *asker == Asker::Proxy);
        let credentials = std::slice::from_ref(credentials);
        let answers = Challenge::answerable(&response.headers, credentials).into_iter();
        let answers = answers.filter(|(asker, _, _)| *asker == Asker::Server);
        asked.extend(answers.map(|(asker, challenge, one)| (asker, challenge, one.clone())));
        asked
    }

    /// A request that was refused goes out again with the next CSeq and another branch.
    pub(super) fn send_again(
        &mut self,
        id: u64,
        owner: Owner,
        challenged: Vec<Challenged>,
        now: Instant,
    ) -> bool {
        let Some(client) = self.clients.get_mut(&id) else { return false };
        // It went there and was answered: the other addresses are still another way.
        let rest = std::mem::take(&mut client.rest);
        let (flow, mut request) = (client.flow, client.request.clone());
        let Ok(cseq) = request.headers.cseq() else { return false };
        let number = self.next_cseq(&owner, cseq.number);
        request.headers.pop_via();
        request.headers.set("CSeq", format!("{number} {}", request.method));
        let again = self.start_client(request, flow, owner.clone(), now);
        if let Some(client) = self.clients.get_mut(&again) {
            client.challenged = challenged;
            client.rest = rest;
        }
        self.client_replaced(&owner, id, again, now);
        true
    }

    /// What was refused is not offered again beforehand.
    fn refused(&mut self, call_id: &str, headers: &Headers) {
        let Some(session) = self.access.sessions.get_mut(call_id) else { return };
        session.known.retain(|known| {
            let mut asked = headers.get_all(known.asker.challenge()).filter_map(Challenge::parse);
            !asked.any(|challenge| challenge.realm == known.challenge.realm)
        });
    }
}
