//! A conference with everybody in it, from which most tests begin.

use std::net::SocketAddr;
use std::time::Duration;

use conference::ChatRate;

use crate::{Guest, Host, Net, Node, Phone, Script};

/// A host and the phones it called, all connected, on a network that loses nothing yet.
pub struct Room {
    /// The network.
    pub net: Net,
    /// The host, Alice.
    pub host: Node<Host>,
    /// The phones, in the order of their scripts.
    pub phones: Vec<Node<Phone>>,
}

impl Room {
    /// Alice's conference with these phones: the first at 192.0.2.21:5060, the next at 192.0.2.22:5060 and so on.
    pub fn new(seed: u64, scripts: Vec<Script>) -> Self {
        let addresses = (21..).map(|last| SocketAddr::from(([192, 0, 2, last], 5060)));
        Self::at(seed, scripts.into_iter().zip(addresses).collect())
    }

    /// Alice's conference with phones at addresses of the test's choice.
    pub fn at(seed: u64, scripts: Vec<(Script, SocketAddr)>) -> Self {
        let mut net = Net::new(seed);
        let host = Host::join(&mut net, "Alice", HOST, ChatRate::default());
        let phones: Vec<Node<Phone>> = scripts
            .into_iter()
            .map(|(script, address)| Phone::join(&mut net, script, address))
            .collect();
        for phone in &phones {
            let (uri, name) = (net.at(*phone).uri(), net.at(*phone).name().map(str::to_owned));
            net.act(host, |host| host.invite(&uri, name.as_deref()));
        }
        let all = phones.len() + 1;
        let met = net.run_until(Duration::from_secs(10), |net| net.at(host).connected() == all);
        assert!(met, "not everybody came: {:?}", net.at(host).roster());
        let mut room = Self { net, host, phones };
        room.net.run_for(Duration::from_secs(6));
        room
    }

    /// One more, of our own kind, who dials in.
    pub fn guest(&mut self, name: &str, user: &str, address: SocketAddr) -> Node<Guest> {
        let all = self.net.at(self.host).connected() + 1;
        let guest = Guest::join(&mut self.net, name, user, address);
        let conference = Host::conference_uri(HOST);
        self.net.act(guest, |guest| guest.dial(&conference));
        let host = self.host;
        let limit = Duration::from_secs(10);
        let met = self.net.run_until(limit, |net| net.at(host).connected() == all);
        assert!(met, "{name} did not come: {:?}", self.net.at(host).roster());
        self.net.run_for(Duration::from_secs(6));
        guest
    }
}

/// Where Alice is.
pub const HOST: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10)), 5060);
