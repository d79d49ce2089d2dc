//! What every phone of these tests can do, whatever it is controlled by.

use std::process::Command;

/// A phone with a user.
pub trait Phone {
    /// The user part of its address.
    fn user(&self) -> &str;

    /// Its own address.
    fn uri(&self) -> &str;

    /// Calls somebody.
    fn dial(&mut self, uri: &str);

    /// Its user writes to the conference; one line.
    fn text(&mut self, text: &str);

    /// Every text that its user was shown, in order.
    fn shown(&self) -> Vec<String>;

    /// Its user hangs up.
    fn hang_up(&mut self);
}

/// How a phone gets to its peers.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// The registrar and proxy, where it has an account there.
    pub server: Option<Server<'a>>,
}

/// A registrar that is its accounts' proxy too. The password of each account is its user's name.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The domain of its accounts.
    pub domain: &'a str,
    /// Where it listens.
    pub address: std::net::SocketAddr,
}

/// The version of an installed Debian package, as its authors number it: without Debian's own marks.
pub fn version_of(package: &str) -> String {
    let mut command = Command::new("dpkg-query");
    let output = command.args(["-W", "-f", "${Version}", package]).output().expect("dpkg is there");
    assert!(output.status.success(), "{package} is not installed");
    let version = String::from_utf8(output.stdout).unwrap();
    let version = version.split_once(':').map_or(version.as_str(), |(_, version)| version);
    let end = version.find(['-', '+', '~']).unwrap_or(version.len());
    version[..end].to_owned()
}
