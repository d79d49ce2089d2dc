//! Digest answers to challenges, and challenges of ours (RFC 3261 §22, RFC 7616, RFC 8760). Credentials are never printed.

mod challenger;

use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use crate::message::{Headers, Method, Params};

pub use challenger::Guard;
pub(crate) use challenger::{Challenger, Verdict, write as write_challenges};

/// What we are known by at a server.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The secret.
    pub password: String,
    /// The realm they are for; `None`: any.
    pub realm: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// A digest algorithm.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// MD5.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512-256.
    Sha512_256,
}

impl Algorithm {
    fn parse(token: Option<&str>) -> Option<Self> {
        match token.map(str::to_ascii_lowercase).as_deref() {
            None | Some("md5") => Some(Self::Md5),
            Some("sha-256") => Some(Self::Sha256),
            Some("sha-512-256") => Some(Self::Sha512_256),
            Some(_) => None,
        }
    }

    const fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Sha512_256 => hex(&Sha512_256::digest(text)),
        }
    }
}

/// Who asks for credentials.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Asker {
    /// A proxy on the way.
    Proxy,
    /// The user agent or the registrar that the request is for.
    Server,
}

impl Asker {
    /// The header of its challenges.
    pub const fn challenge(self) -> &'static str {
        match self {
            Self::Proxy => "Proxy-Authenticate",
            Self::Server => "WWW-Authenticate",
        }
    }

    /// The header of our answers.
    pub const fn answer(self) -> &'static str {
        match self {
            Self::Proxy => "Proxy-Authorization",
            Self::Server => "Authorization",
        }
    }

    /// The header by which it names the next nonce (RFC 7616 §3.5).
    pub const fn info(self) -> &'static str {
        match self {
            Self::Proxy => "Proxy-Authentication-Info",
            Self::Server => "Authentication-Info",
        }
    }
}

/// The nonce to be used next, from the value of Authentication-Info or Proxy-Authentication-Info (RFC 7616 §3.5).
pub fn next_nonce(value: &str) -> Option<String> {
    let params = Params::parse(&semicolons(value)).ok()?;
    params.value("nextnonce").filter(|nonce| !nonce.is_empty()).map(str::to_owned)
}

/// One digest challenge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    /// Whose password is asked.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be given back.
    pub opaque: Option<String>,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Whether `qop=auth` is offered; else the form of RFC 2069 is used.
    pub qop_auth: bool,
    /// Whether only the nonce was too old.
    pub stale: bool,
}

impl Challenge {
    /// Reads one value of WWW-Authenticate or Proxy-Authenticate; `None` for other schemes and unknown algorithms.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let params = Params::parse(&semicolons(rest)).ok()?;
        let qop = params.value("qop");
        let qop_auth = qop
            .is_some_and(|qop| qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        if qop.is_some() && !qop_auth {
            return None;
        }
        Some(Self {
            realm: params.value("realm")?.to_owned(),
            nonce: params.value("nonce")?.to_owned(),
            opaque: params.value("opaque").map(str::to_owned),
            algorithm: Algorithm::parse(params.value("algorithm"))?,
            qop_auth,
            stale: params.value("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// What a response asks of us and these credentials can answer: of each realm the topmost challenge that is
    /// understood (RFC 8760 §2.4), of each kind of server (RFC 3261 §22.3).
    pub fn answerable<'a>(
        headers: &Headers,
        credentials: &'a [Credentials],
    ) -> Vec<(Asker, Self, &'a Credentials)> {
        let mut found: Vec<(Asker, Self, &Credentials)> = Vec::new();
        for asker in [Asker::Server, Asker::Proxy] {
            for challenge in headers.get_all(asker.challenge()).filter_map(Self::parse) {
                let known =
                    found.iter().any(|(by, one, _)| *by == asker && one.realm == challenge.realm);
                let fits = |one: &&Credentials| {
                    one.realm.as_ref().is_none_or(|realm| *realm == challenge.realm)
                };
                if !known && let Some(credentials) = credentials.iter().find(fits) {
                    found.push((asker, challenge, credentials));
                }
            }
        }
        found
    }

    /// The value of Authorization or Proxy-Authorization.
    pub fn answer(
        &self,
        credentials: &Credentials,
        method: &Method,
        uri: &str,
        cnonce: &str,
        count: u32,
    ) -> String {
        let nc = format!("{count:08x}");
        let proof = Proof {
            username: &credentials.username,
            realm: &self.realm,
            password: &credentials.password,
            nonce: &self.nonce,
            method,
            uri,
            qop: self.qop_auth.then_some((&nc, cnonce)),
        };
        let response = proof.response(self.algorithm);
        let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut value = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\", algorithm={}",
            quote(&credentials.username),
            self.realm,
            self.nonce,
            self.algorithm.token()
        );
        if self.qop_auth {
            value.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{opaque}\""));
        }
        value
    }
}

/// What a digest is made of.
struct Proof<'a> {
    username: &'a str,
    realm: &'a str,
    password: &'a str,
    nonce: &'a str,
    method: &'a Method,
    uri: &'a str,
    /// Count and cnonce where `qop=auth`.
    qop: Option<(&'a str, &'a str)>,
}

impl Proof<'_> {
    /// The `response` parameter (RFC 7616 §3.4.1).
    fn response(&self, algorithm: Algorithm) -> String {
        let Self { username, realm, password, nonce, method, uri, qop } = self;
        let hash = |text: &str| algorithm.hash(text);
        let (first, second) =
            (hash(&format!("{username}:{realm}:{password}")), hash(&format!("{method}:{uri}")));
        match qop {
            Some((nc, cnonce)) => hash(&format!("{first}:{nonce}:{nc}:{cnonce}:auth:{second}")),
            None => hash(&format!("{first}:{nonce}:{second}")),
        }
    }
}

/// Commas outside of quotes become semicolons, so that Params can read them.
fn semicolons(text: &str) -> String {
    let mut quoted = false;
    let swap = |c| {
        if c == '"' {
            quoted = !quoted;
        }
        if c == ',' && !quoted { ';' } else { c }
    };
    text.chars().map(swap).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mufasa(password: &str) -> Credentials {
        Credentials { username: "Mufasa".into(), password: password.into(), realm: None }
    }

    fn response(value: &str) -> &str {
        let at = value.find("response=\"").unwrap() + 10;
        &value[at..at + value[at..].find('"').unwrap()]
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        let text = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
            nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
        let challenge = Challenge::parse(text).unwrap();
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let method = Method::Other("GET".into());
        let value =
            challenge.answer(&mufasa("Circle of Life"), &method, "/dir/index.html", cnonce, 1);
        assert_eq!(
            response(&value),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
        let challenge = Challenge::parse(&text.replace("SHA-256", "MD5")).unwrap();
        let value =
            challenge.answer(&mufasa("Circle of Life"), &method, "/dir/index.html", cnonce, 1);
        assert_eq!(response(&value), "8ca523f5e9506fed4657c9700eebdbec");
        // The same inputs, worked out by another implementation.
        let challenge = Challenge::parse(&text.replace("SHA-256", "SHA-512-256")).unwrap();
        let value =
            challenge.answer(&mufasa("Circle of Life"), &method, "/dir/index.html", cnonce, 1);
        assert_eq!(
            response(&value),
            "430d05014cecc49cab6fbe03176d41a1da86cbfe24a16580e22aaad928d960d0"
        );
    }

    #[test]
    fn the_form_without_qop_is_that_of_rfc_2617() {
        let challenge = Challenge::parse(
            "Digest realm=\"testrealm@host.com\",nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"",
        );
        let value = challenge.unwrap().answer(
            &mufasa("Circle Of Life"),
            &Method::Other("GET".into()),
            "/dir/index.html",
            "",
            1,
        );
        assert_eq!(response(&value), "670fd8c2df070c60b045671b8b24ff02");
        assert!(!value.contains("qop"));
    }

    #[test]
    fn au2_au5_the_topmost_known_challenge_of_a_realm_is_answered_and_basic_never() {
        let mut headers = Headers::default();
        for value in [
            "Basic realm=\"x\"",
            "Digest realm=\"x\", nonce=\"c\", algorithm=FUTURE",
            "Digest realm=\"x\", nonce=\"b\", algorithm=SHA-256",
            "Digest realm=\"x\", nonce=\"d\", algorithm=SHA-512-256",
            "Digest realm=\"x\", nonce=\"a\", algorithm=MD5",
            "Digest realm=\"y\", nonce=\"e\", algorithm=MD5",
        ] {
            headers.push("WWW-Authenticate", value);
        }
        let credentials = [mufasa("p")];
        let found = Challenge::answerable(&headers, &credentials);
        let nonces: Vec<&str> = found.iter().map(|(_, one, _)| one.nonce.as_str()).collect();
        assert_eq!(nonces, ["b", "e"]);
        assert!(Challenge::parse("Basic realm=\"x\"").is_none());
    }

    #[test]
    fn the_nonce_for_the_next_request_is_read() {
        assert_eq!(next_nonce("qop=auth, nextnonce=\"a,b\", nc=00000001").as_deref(), Some("a,b"));
        assert_eq!(next_nonce("rspauth=\"x\""), None);
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", mufasa("Circle")).contains("Circle"));
    }
}
