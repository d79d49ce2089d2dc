//! Via (RFC 3261 §20.42, RFC 3581).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::params::cut;
use super::uri::{HostPart, parse_host_port};
use super::{Host, Params, ParseError, Text};

/// One value of Via.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Via {
    /// The transport token as it came.
    pub transport: Text,
    /// Host of sent-by.
    pub host: Host,
    /// Port of sent-by.
    pub port: Option<u16>,
    /// Parameters.
    pub params: Params,
}

impl Via {
    /// Reads one value.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let whole: Arc<str> = text.into();
        Self::within(&whole, &whole)
    }

    /// Reads a part of a text.
    pub(super) fn within(whole: &Arc<str>, part: &str) -> Result<Self, ParseError> {
        let ViaPart { transport, host, port, params } = ViaPart::parse(part)?;
        Ok(Self {
            transport: Text::within(whole, transport),
            host: host.own(whole),
            port,
            params: Params::within(whole, params),
        })
    }

    /// The branch.
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch").filter(|branch| !branch.is_empty())
    }

    /// The source address a server saw; with or without brackets (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.value("received")?;
        value.trim_matches(['[', ']']).parse().ok()
    }

    /// Where responses are wanted instead of at the source, where that is an address (RFC 3261 §18.2.2).
    pub fn maddr(&self) -> Option<IpAddr> {
        self.params.value("maddr")?.trim_matches(['[', ']']).parse().ok()
    }

    /// The source port a server saw.
    pub fn rport(&self) -> Option<u16> {
        self.params.value("rport")?.parse().ok()
    }
}

/// One value of Via within a text.
pub(super) struct ViaPart<'a> {
    transport: &'a str,
    host: HostPart<'a>,
    port: Option<u16>,
    params: &'a str,
}

impl<'a> ViaPart<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ParseError> {
        let fault = || ParseError::Value("Via");
        let (head, params) = cut(text, b';');
        let rest = behind_protocol(head).ok_or_else(fault)?.trim_ascii();
        let space = rest.bytes().position(|byte| byte.is_ascii_whitespace()).ok_or_else(fault)?;
        let (transport, sent_by) = rest.split_at(space);
        if !transport.bytes().all(super::method::is_token_byte) {
            return Err(fault());
        }
        let (host, port) = parse_host_port(sent_by.trim_ascii_start())?;
        let params = params.unwrap_or_default();
        Params::check(params)?;
        Ok(Self { transport, host, port, params })
    }
}

/// What stands behind `SIP/2.0/`, with white space anywhere in it.
fn behind_protocol(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("SIP/2.0/") {
        return Some(rest);
    }
    let (name, rest) = cut(text, b'/');
    let (version, rest) = cut(rest?, b'/');
    let good = name.trim_ascii().eq_ignore_ascii_case("SIP") && version.trim_ascii() == "2.0";
    rest.filter(|_| good)
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_private_transports_and_ipv6_are_read() {
        let via = Via::parse("SIP  / 2.0 / UDP  192.0.2.2 : 5060 ;branch=390skdjuw").unwrap();
        assert_eq!((via.port, via.branch()), (Some(5060), Some("390skdjuw")));
        let via = Via::parse("SIP/2.0/UNKNOWN t1.example.com;branch=z9hG4bK1").unwrap();
        assert_eq!(via.transport, "UNKNOWN");
        let via = Via::parse("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255]").unwrap();
        assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()));
        assert!(Via::parse("SIP/7.0/UDP x").is_err());
        assert!(Via::parse("SIP/2.0/UDP").is_err());
    }
}
