//! The tokio driver of sip-core: UDP and TCP sockets, IPv4 and IPv6.
