//! Challenges of ours (RFC 3261 §22, RFC 7616, RFC 8760 §2.3): who may reach a served user, nonces that need no memory
//! until they are used, and a bounded memory of those that were.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{Algorithm, Asker, Credentials, Proof, hex, semicolons};
use crate::message::{Headers, Params};
use crate::{Request, Uri};

/// How long a nonce is good.
const LIFETIME: Duration = Duration::from_secs(300);
/// The most nonces in use that are remembered; of more the older half is no longer good.
const MAX_USED: usize = 4096;
/// The most answers in one request that are looked at.
const MAX_ANSWERS: usize = 4;
/// What is offered, best first (RFC 8760 §2.3).
const OFFERED: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Md5];

/// Who may reach a served user.
#[derive(Clone, Eq, PartialEq)]
pub struct Guard {
    /// Globally unique: with a host name of ours (RFC 3261 §22.1).
    pub realm: String,
    /// People with a name and a password of their own: these are proofs of who they are.
    pub people: Vec<Credentials>,
    /// A password that any name may use, such as a conference's: it lets in and proves no name.
    pub shared: Option<String>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// What the credentials of a request are worth.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It is this person.
    Person(String),
    /// Somebody who knows the shared password.
    Shared,
    /// Nobody; `stale` where only the nonce was too old.
    Nobody { stale: bool },
}

/// How often a nonce was used.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    highest: u32,
    /// Bit n: `highest - n` was used. Requests of one phone may overtake each other.
    before: u64,
}

impl Used {
    /// Notes a count; false where it was used or is too old to tell.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let by = count - self.highest;
            self.before = if by < 64 { self.before << by } else { 0 };
            self.before |= 1;
            self.highest = count;
            return true;
        }
        let back = self.highest - count;
        let fresh = count > 0 && back < 64 && self.before & (1 << back) == 0;
        if fresh {
            self.before |= 1 << back;
        }
        fresh
    }
}

/// Makes challenges and checks what comes back.
pub(crate) struct Challenger {
    secret: u64,
    began: Instant,
    serial: u64,
    used: BTreeMap<u64, Used>,
    /// Nonces before this one are not known any more.
    least: u64,
}

impl Challenger {
    /// `secret` must be unpredictable.
    pub(crate) fn new(secret: u64, now: Instant) -> Self {
        Self { secret, began: now, serial: 0, used: BTreeMap::new(), least: 0 }
    }

    /// The values of WWW-Authenticate, best first.
    pub(crate) fn challenges(&mut self, guard: &Guard, stale: bool, now: Instant) -> Vec<String> {
        self.serial += 1;
        let age = now.saturating_duration_since(self.began).as_secs();
        let nonce = self.nonce(self.serial, age, &guard.realm);
        let realm = &guard.realm;
        let stale = if stale { ", stale=true" } else { "" };
        OFFERED
            .iter()
            .map(|algorithm| {
                let token = algorithm.token();
                format!(
                    "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={token}, qop=\"auth\"{stale}"
                )
            })
            .collect()
    }

    /// What the Authorization of a request is worth.
    pub(crate) fn check(&mut self, request: &Request, guard: &Guard, now: Instant) -> Verdict {
        let mut stale = false;
        for value in request.headers.get_all(Asker::Server.answer()).take(MAX_ANSWERS) {
            match self.check_one(value, request, guard, now) {
                Some(Verdict::Nobody { stale: this }) => stale |= this,
                Some(found) => return found,
                None => {}
            }
        }
        Verdict::Nobody { stale }
    }

    fn check_one(
        &mut self,
        value: &str,
        request: &Request,
        guard: &Guard,
        now: Instant,
    ) -> Option<Verdict> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        let params = Params::parse(&semicolons(rest)).ok()?;
        if !scheme.eq_ignore_ascii_case("Digest") || params.value("realm") != Some(&guard.realm) {
            return None;
        }
        let algorithm = Algorithm::parse(params.value("algorithm"))?;
        let (nonce, uri) = (params.value("nonce")?, params.value("uri")?);
        let (serial, age) = self.read_nonce(nonce, &guard.realm)?;
        if !OFFERED.contains(&algorithm) || !is_for(uri, request) {
            return None;
        }
        let (count, qop) = match params.value("qop") {
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let text = params.value("nc").filter(|text| text.len() == 8)?;
                let count = u32::from_str_radix(text, 16).ok()?;
                (count, Some((text, params.value("cnonce")?)))
            }
            Some(_) => return None,
            // Without a count a nonce is good once.
            None => (1, None),
        };
        let username = unquoted(params.value("username")?);
        let given = params.value("response")?;
        let fits = |password: &str| {
            let method = &request.method;
            let realm = &guard.realm;
            let proof = Proof { username: &username, realm, password, nonce, method, uri, qop };
            same(&proof.response(algorithm), given)
        };
        let person = guard.people.iter().find(|one| one.username == username);
        let verdict = match (person, &guard.shared) {
            (Some(person), _) if fits(&person.password) => Verdict::Person(username.clone()),
            // A name that has a password of its own cannot be had for the shared one.
            (None, Some(shared)) if fits(shared) => Verdict::Shared,
            _ => return None,
        };
        let now = now.saturating_duration_since(self.began);
        let is_old = now.saturating_sub(Duration::from_secs(age)) > LIFETIME;
        if is_old || serial < self.least || !self.take(serial, count) {
            return Some(Verdict::Nobody { stale: true });
        }
        Some(verdict)
    }

    fn take(&mut self, serial: u64, count: u32) -> bool {
        if self.used.len() >= MAX_USED && !self.used.contains_key(&serial) {
            let middle = self.used.keys().nth(MAX_USED / 2).copied().unwrap_or_default();
            self.used = self.used.split_off(&middle);
            self.least = middle;
            if serial < middle {
                return false;
            }
        }
        self.used.entry(serial).or_default().take(count)
    }

    fn nonce(&self, serial: u64, age: u64, realm: &str) -> String {
        let seal = |text: &[u8]| {
            let mut hash = Sha256::new();
            hash.update(self.secret.to_be_bytes());
            hash.update(text);
            hash.finalize()
        };
        let inner = seal(format!("{serial}.{age}.{realm}").as_bytes());
        let outer = seal(&inner);
        format!("{serial:x}.{age:x}.{}", hex(&outer[..16]))
    }

    /// Serial and age of a nonce of ours.
    fn read_nonce(&self, nonce: &str, realm: &str) -> Option<(u64, u64)> {
        let mut parts = nonce.split('.');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let (serial, age) = (number()?, number()?);
        same(&self.nonce(serial, age, realm), nonce).then_some((serial, age))
    }
}

/// Whether the digest was made for this request. Proxies rewrite the host of a Request-URI, not its user part.
fn is_for(uri: &str, request: &Request) -> bool {
    if uri == request.uri.to_string() {
        return true;
    }
    let ours = request.uri.as_sip().and_then(Uri::user_unescaped);
    Uri::parse(uri).is_ok_and(|uri| uri.user_unescaped() == ours)
}

fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// Compares without telling by its time where the difference is.
fn same(one: &str, two: &str) -> bool {
    let (one, two) = (one.as_bytes(), two.as_bytes());
    let differs = one.iter().zip(two).fold(0, |sum, (one, two)| sum | (one ^ two));
    one.len() == two.len() && differs == 0
}

/// Writes them into a 401.
pub(crate) fn write(headers: &mut Headers, challenges: &[String]) {
    for challenge in challenges {
        headers.push(Asker::Server.challenge(), challenge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn au3_each_count_is_good_once_even_out_of_order() {
        let mut used = Used::default();
        let taken = [1, 3, 2, 3, 2, 0, 200, 100, 199].map(|count| used.take(count));
        assert_eq!(taken, [true, true, true, false, false, false, true, false, true]);
    }
}
