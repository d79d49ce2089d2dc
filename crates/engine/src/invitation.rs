//! The text that invites people into a conference, and its address read from such a text.

use std::net::IpAddr;

use sip_core::Uri;

/// What an invitation says.
#[derive(Clone, Debug)]
pub(crate) struct Invitation<'a> {
    /// What the conference is about.
    pub(crate) subject: &'a str,
    /// Who hosts it.
    pub(crate) host: &'a str,
    /// Where to call.
    pub(crate) uri: &'a Uri,
    /// What callers type, if anything.
    pub(crate) pin: Option<&'a str>,
    /// Whether callers have to give a password; that is not told here.
    pub(crate) has_password: bool,
    /// Whether the address is of a provider, which passes calls on to us.
    pub(crate) has_account: bool,
}

impl Invitation<'_> {
    /// A few lines; the address stands between angle brackets, so that it is found also where the lines are joined.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n{BEFORE}{}{BEHIND}\n", self.subject, self.uri.bare());
        if let Some(pin) = self.pin {
            text.push_str(&format!("PIN: {pin}\n"));
        }
        if self.has_password {
            text.push_str(&format!("Ask {} for the password.\n", self.host));
        }
        text.push_str(&self.reach());
        text
    }

    /// Who can call it, as far as the address tells.
    fn reach(&self) -> String {
        let host = self.host;
        match self.uri.host.ip() {
            _ if self.has_account => "It works for everybody who can make SIP calls.".to_owned(),
            Some(ip) if ip.is_loopback() => format!("It works on the computer of {host} only."),
            Some(ip) if is_private(ip) => format!(
                "It works for people in the same network as {host}. Others have to be called by {host}."
            ),
            Some(_) | None => format!(
                "It works for everybody whose network lets calls through to the computer of {host}."
            ),
        }
    }
}

/// The address of an invitation that was pasted as it is, with its line ends or without them.
pub fn invitation_address(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(BEFORE)?;
    let (address, _) = rest.split_once(BEHIND)?;
    let scheme = address.get(..4)?;
    let is_one = scheme.eq_ignore_ascii_case("sip:") || scheme.eq_ignore_ascii_case("sips");
    is_one.then_some(address)
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

const BEFORE: &str = "Join: <";
const BEHIND: &str = ">";

#[cfg(test)]
mod tests {
    use super::*;

    fn text(uri: &str, pin: Option<&str>, has_account: bool) -> String {
        let uri = Uri::parse(uri).unwrap();
        let (subject, host) = ("Weekly ops, with Bob", "Alice");
        let has_password = pin.is_none();
        Invitation { subject, host, uri: &uri, pin, has_password, has_account }.text()
    }

    #[test]
    fn it_says_where_with_what_and_for_whom() {
        assert_eq!(
            text("sip:conf-1@192.168.1.7:5062", Some("4711"), false),
            "Weekly ops, with Bob\nJoin: <sip:conf-1@192.168.1.7:5062>\nPIN: 4711\n\
             It works for people in the same network as Alice. Others have to be called by Alice."
        );
        for (uri, has_account, words) in [
            ("sip:c@127.0.0.1", false, "on the computer of Alice only"),
            ("sip:c@[fd00::1]:5060", false, "in the same network"),
            ("sip:c@198.51.100.7", false, "lets calls through"),
            ("sip:c@example.org", true, "everybody who can make SIP calls"),
        ] {
            let text = text(uri, None, has_account);
            assert!(text.contains(words) && text.contains("Ask Alice for the password"), "{text}");
        }
    }

    #[test]
    fn its_address_is_found_with_line_ends_and_without() {
        let text = text("sip:conf-1@192.168.1.7:5062", Some("4711"), false);
        for pasted in [text.clone(), text.replace('\n', ""), text.replace('\n', "\r\n")] {
            assert_eq!(invitation_address(&pasted), Some("sip:conf-1@192.168.1.7:5062"));
            let (uri, name) = crate::parse_target(&pasted).unwrap();
            assert_eq!((uri.to_string().as_str(), name), ("sip:conf-1@192.168.1.7:5062", None));
        }
        for other in ["sip:a@b", "Join: sip:a@b", "Join: <http://a>", "Join: <sip:a@b", "Join: <é>"]
        {
            assert_eq!(invitation_address(other), None, "{other}");
        }
    }
}
