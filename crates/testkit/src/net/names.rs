//! The name system of the virtual network: what a test put there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sip_core::{DnsAnswer, NaptrRecord, Query, Question, ResolvedTarget, SrvRecord};

/// All names.
#[derive(Debug, Default)]
pub struct Names {
    addresses: BTreeMap<String, Vec<IpAddr>>,
    services: BTreeMap<String, Vec<SrvRecord>>,
    pointers: BTreeMap<String, Vec<NaptrRecord>>,
}

impl Names {
    /// One more address of a host.
    pub fn add_address(&mut self, name: &str, address: IpAddr) {
        self.addresses.entry(name.to_ascii_lowercase()).or_default().push(address);
    }

    /// One more host of a service.
    pub fn add_service(&mut self, name: &str, record: SrvRecord) {
        self.services.entry(name.to_ascii_lowercase()).or_default().push(record);
    }

    /// One more service of a domain.
    pub fn add_pointer(&mut self, name: &str, record: NaptrRecord) {
        self.pointers.entry(name.to_ascii_lowercase()).or_default().push(record);
    }

    /// The answer to somebody who sits at `local`, who has addresses of his own family only.
    pub fn answer(&self, query: &Query, local: SocketAddr) -> DnsAnswer {
        let name = query.name.to_ascii_lowercase();
        match query.question {
            Question::Addresses { .. } => {
                let literal: Option<IpAddr> = name.parse().ok();
                let known = self.addresses.get(&name).into_iter().flatten().copied();
                let all = literal.into_iter().chain(known);
                let fitting = all.filter(|remote| remote.is_ipv4() == local.is_ipv4());
                let targets = fitting.map(|remote| ResolvedTarget { remote, local });
                DnsAnswer::Addresses(targets.collect())
            }
            Question::Naptr => {
                DnsAnswer::Naptr(self.pointers.get(&name).cloned().unwrap_or_default())
            }
            Question::Srv => DnsAnswer::Srv(self.services.get(&name).cloned().unwrap_or_default()),
        }
    }
}
