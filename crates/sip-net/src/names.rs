//! What the name system says (RFC 3263): services by DNS, addresses by the system's own resolver, which also knows the
//! hosts file and what else the administrator set up; or all of it by one given server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use sip_core::{NaptrRecord, SrvRecord};

/// One try at one server.
const TIMEOUT: Duration = Duration::from_secs(2);
/// After nobody answered, services are not asked for again so long: a machine without DNS must not wait at every call.
const SILENCE: Duration = Duration::from_secs(30);
/// The most records taken of one answer.
const MAX_RECORDS: usize = 64;

/// The name system.
pub(crate) struct Names {
    resolver: Option<TokioResolver>,
    /// Whether addresses are asked of that resolver too.
    only: bool,
    silent_until: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").field("only", &self.only).finish_non_exhaustive()
    }
}

impl Names {
    /// By the given server for everything, else by what the system is set up with.
    pub(crate) fn new(server: Option<SocketAddr>) -> Self {
        let builder = match server {
            Some(server) => {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                let server = NameServerConfig::new(server.ip(), true, connections.into());
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                let provider = TokioRuntimeProvider::default();
                Ok(TokioResolver::builder_with_config(config, provider))
            }
            None => TokioResolver::builder_tokio(),
        };
        let resolver = builder.and_then(|mut builder| {
            let options = builder.options_mut();
            options.timeout = TIMEOUT;
            options.attempts = 1;
            builder.build()
        });
        if let Err(error) = &resolver {
            tracing::warn!(%error, "no name server: services are not looked for");
        }
        Self { resolver: resolver.ok(), only: server.is_some(), silent_until: Mutex::new(None) }
    }

    /// NAPTR records of a domain.
    pub(crate) async fn naptr(&self, domain: &str) -> Vec<NaptrRecord> {
        let records = self.records(domain, RecordType::NAPTR).await;
        let naptrs = records.into_iter().filter_map(|record| match record.data {
            RData::NAPTR(naptr) => Some(NaptrRecord {
                order: naptr.order,
                preference: naptr.preference,
                flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
                services: String::from_utf8_lossy(&naptr.services).into_owned(),
                replacement: naptr.replacement.to_ascii(),
            }),
            _ => None,
        });
        naptrs.take(MAX_RECORDS).collect()
    }

    /// SRV records of a service.
    pub(crate) async fn srv(&self, name: &str) -> Vec<SrvRecord> {
        let records = self.records(name, RecordType::SRV).await;
        let srvs = records.into_iter().filter_map(|record| match record.data {
            RData::SRV(srv) => Some(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_ascii(),
            }),
            _ => None,
        });
        srvs.take(MAX_RECORDS).collect()
    }

    /// Addresses of a host, of both families.
    pub(crate) async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        if let Some(resolver) = self.resolver.as_ref().filter(|_| self.only) {
            return match resolver.lookup_ip(absolute(host)).await {
                Ok(found) => found.iter().take(MAX_RECORDS).collect(),
                Err(error) => {
                    tracing::debug!(%error, "a host was not found");
                    Vec::new()
                }
            };
        }
        match tokio::net::lookup_host((host, 0)).await {
            Ok(found) => found.map(|address| address.ip()).take(MAX_RECORDS).collect(),
            Err(error) => {
                tracing::debug!(%error, "a host was not found");
                Vec::new()
            }
        }
    }

    async fn records(&self, name: &str, kind: RecordType) -> Vec<Record> {
        let Some(resolver) = &self.resolver else { return Vec::new() };
        if !self.only && (is_local(name) || self.is_silent()) {
            return Vec::new();
        }
        match resolver.lookup(absolute(name), kind).await {
            Ok(lookup) => lookup.answers().to_vec(),
            Err(error) if error.is_no_records_found() => Vec::new(),
            Err(error) => {
                tracing::debug!(%error, "the name system does not answer");
                let until = Some(Instant::now() + SILENCE);
                *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
                Vec::new()
            }
        }
    }

    fn is_silent(&self) -> bool {
        let until = *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

/// A name that DNS does not know: of this machine or of this network.
fn is_local(name: &str) -> bool {
    // A service's name has two labels before the host.
    let host = match name.strip_prefix('_').and_then(|rest| rest.split_once("._")) {
        Some((_, rest)) => rest.split_once('.').map_or(rest, |(_, host)| host),
        None => name,
    };
    !host.contains('.') || host.ends_with(".local") || host.ends_with(".localhost")
}

/// Never completed by the system's search list: an address means the same everywhere.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_network_are_not_asked_of_dns() {
        for name in ["localhost", "printer", "_sip._udp.printer", "_sips._tcp.studio.local"] {
            assert!(is_local(name), "{name}");
        }
        for name in ["example.org", "_sip._udp.example.org", "_sips._tcp.a.example.org"] {
            assert!(!is_local(name), "{name}");
        }
    }
}
