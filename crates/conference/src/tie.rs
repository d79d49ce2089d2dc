//! To which leg a request from outside of every dialog belongs (sip-chat §0.6, §3.3). A name alone never ties.

use std::net::SocketAddr;

use sip_core::{Flow, Headers, Identity, Request, Transport, Uri};

/// What is known of a leg's way.
#[derive(Clone, Debug)]
pub(crate) struct LegAddress<K> {
    pub(crate) key: K,
    /// The leg's own flow.
    pub(crate) flow: Flow,
    /// The peer's address in its From or To.
    pub(crate) uri: Option<Uri>,
    /// Who the leg was proven to be when it came.
    pub(crate) identity: Identity,
    /// Whether a proxy stays on its way.
    pub(crate) is_routed: bool,
    /// Where the last hop to us sees the peer, as far as is known.
    pub(crate) beyond_hop: Option<SocketAddr>,
}

/// From where the last hop to us got a request: the second Via, which that hop completed (RFC 3261 §18.2.1, RFC 3581). What
/// stands below anybody could have written.
pub(crate) fn beyond_hop(headers: &Headers) -> Option<SocketAddr> {
    let vias = headers.vias().ok()?;
    let via = vias.get(1)?;
    let received = via.params.value("received").map(|text| text.trim_matches(['[', ']']));
    let ip = match received {
        Some(text) => text.parse().ok()?,
        None => via.host.ip()?,
    };
    let port = via.params.value("rport").and_then(|port| port.parse().ok());
    Some(SocketAddr::new(ip, port.or(via.port).unwrap_or(5060)))
}

/// The one leg of who is proven to have sent a request (rule 1): the leg that came with the same proof, or the one at the
/// address that a trusted hop asserts. `None` where nothing is proven: then the other rules hold. What is proven to be
/// somebody else's is nobody's here, whatever its From and its way say.
pub(crate) fn tie_proven<K: Copy>(
    identity: &Identity,
    legs: &[LegAddress<K>],
) -> Option<Option<K>> {
    let fits = |leg: &&LegAddress<K>| match identity {
        Identity::Authenticated { .. } => leg.identity == *identity,
        Identity::Asserted(uri) => match &leg.identity {
            Identity::Asserted(known) => same_person(known, uri),
            Identity::Authenticated { .. } => false,
            Identity::Unverified => leg.uri.as_ref().is_some_and(|known| same_person(known, uri)),
        },
        Identity::Unverified => false,
    };
    if *identity == Identity::Unverified {
        return None;
    }
    let mut all = legs.iter().filter(fits);
    let leg = all.next().filter(|_| all.next().is_none());
    Some(leg.map(|leg| leg.key))
}

/// The one leg of a peer that is reached without any proxy.
pub(crate) fn tie<K: Copy>(request: &Request, flow: &Flow, legs: &[LegAddress<K>]) -> Option<K> {
    tie_through(request, flow, legs, None)
}

/// The one leg, by connection or source address and port (rule 2), or by user part and source address where that
/// address carries one leg only (rule 4). What came through a next hop, which is everybody's behind it, ties by the
/// whole From address and the same hop only (rule 3), and that only where the hop knows: it lets nobody have an address
/// of the `domain` whose registrar it is without his password; of an address elsewhere it knows but where it saw it.
pub(crate) fn tie_through<K: Copy>(
    request: &Request,
    flow: &Flow,
    legs: &[LegAddress<K>],
    domain: Option<&Uri>,
) -> Option<K> {
    let own = |leg: &&LegAddress<K>| match flow.transport {
        Transport::Tcp | Transport::Tls => {
            leg.flow.transport == flow.transport && leg.flow.connection == flow.connection
        }
        Transport::Udp => leg.flow.transport == Transport::Udp && leg.flow.remote == flow.remote,
    };
    // A hop is its address and port: a large INVITE goes to it by TCP where a text comes by UDP (RFC 3261 §18.1.1). What
    // went by TLS comes by TLS only.
    let is_plain = |flow: &Flow| flow.transport != Transport::Tls;
    let hop = |leg: &&LegAddress<K>| {
        let same_place = leg.flow.remote == flow.remote;
        own(leg) || leg.is_routed && same_place && is_plain(&leg.flow) && is_plain(flow)
    };
    let mut on_flow = legs.iter().filter(own);
    let from = request.headers.from_header().ok();
    let from = from.as_ref().and_then(|from| from.uri.as_sip());
    let is_relayed = request.headers.vias().is_ok_and(|vias| vias.len() > 1);
    if is_relayed || on_flow.clone().any(|leg| leg.is_routed) {
        let from = from?;
        let is_vouched_for = domain.is_some_and(|domain| same_host(domain, from));
        let seen = beyond_hop(&request.headers);
        let mut named = legs.iter().filter(hop).filter(|leg| {
            let same = leg.uri.as_ref().is_some_and(|known| same_person(known, from));
            let is_there = seen.is_some() && leg.beyond_hop == seen;
            same && leg.is_routed && (is_vouched_for || is_there)
        });
        let leg = named.next()?;
        return named.next().is_none().then_some(leg.key);
    }
    if let Some(leg) = on_flow.next() {
        return on_flow.next().is_none().then_some(leg.key);
    }
    let user = from?.user_unescaped()?;
    let mut by_address = legs.iter().filter(|leg| leg.flow.remote.ip() == flow.remote.ip());
    let leg = by_address.next()?;
    let alone = by_address.next().is_none() && !leg.is_routed;
    let same_user =
        leg.uri.as_ref().and_then(Uri::user_unescaped).is_some_and(|known| known == user);
    (alone && same_user).then_some(leg.key)
}

/// User and host; ports are dropped by some phones.
fn same_person(one: &Uri, two: &Uri) -> bool {
    one.user.is_some() && one.user_unescaped() == two.user_unescaped() && same_host(one, two)
}

fn same_host(one: &Uri, two: &Uri) -> bool {
    one.host.to_string().eq_ignore_ascii_case(&two.host.to_string())
}

#[cfg(test)]
mod tests {
    use sip_core::{AnyUri, ConnectionId, Headers, Method};

    use super::*;

    fn leg(key: u32, remote: &str, user: &str) -> LegAddress<u32> {
        let local = "192.0.2.1:5060".parse().unwrap();
        let remote = remote.parse().unwrap();
        let flow = Flow { transport: Transport::Udp, local, remote, connection: None };
        let uri = Uri::parse(&format!("sip:{user}@somewhere")).ok();
        let identity = Identity::Unverified;
        LegAddress { key, flow, uri, identity, is_routed: false, beyond_hop: None }
    }

    fn tied(from: &str, source: &str, legs: &[LegAddress<u32>]) -> Option<u32> {
        let mut headers = Headers::default();
        headers.push("From", from);
        let uri = AnyUri::parse("sip:conf@x").unwrap();
        let request = Request { method: Method::Message, uri, headers, body: Default::default() };
        tie(&request, &leg(0, source, "x").flow, legs)
    }

    #[test]
    fn the_legs_own_port_ties_whatever_the_name_says() {
        let legs = [leg(1, "192.0.2.9:5070", "bob")];
        assert_eq!(tied("<sip:x@y>;tag=1", "192.0.2.9:5070", &legs), Some(1));
    }

    #[test]
    fn another_port_of_an_address_ties_with_the_right_user_only_and_with_one_leg_only() {
        let one = [leg(1, "192.0.2.9:5070", "bob")];
        assert_eq!(tied("<sip:bob@z>;tag=1", "192.0.2.9:9999", &one), Some(1));
        assert_eq!(tied("<sip:eve@z>;tag=1", "192.0.2.9:9999", &one), None);
        let two = [leg(1, "192.0.2.9:5070", "bob"), leg(2, "192.0.2.9:5071", "carol")];
        assert_eq!(tied("<sip:bob@z>;tag=1", "192.0.2.9:9999", &two), None);
        assert_eq!(tied("<sip:bob@z>;tag=1", "192.0.2.9:5071", &two), Some(2));
    }

    #[test]
    fn a_name_alone_never_ties() {
        let legs = [leg(1, "192.0.2.9:5070", "bob")];
        assert_eq!(tied("<sip:bob@somewhere>;tag=1", "192.0.2.8:5070", &legs), None);
    }

    #[test]
    fn a_connection_that_two_legs_share_ties_neither() {
        let mut legs = [leg(1, "192.0.2.9:5070", "bob"), leg(2, "192.0.2.9:5070", "carol")];
        assert_eq!(tied("<sip:bob@z>;tag=1", "192.0.2.9:5070", &legs), None);
        for leg in &mut legs {
            leg.flow.transport = Transport::Tcp;
            leg.flow.connection = Some(ConnectionId(4));
        }
        assert_eq!(tied("<sip:bob@z>;tag=1", "192.0.2.9:5070", &legs), None);
    }

    /// Tied where the hop is the registrar of `somewhere`, and it saw the sender at this address.
    fn through(seen: &str, from: &str, source: &str, legs: &[LegAddress<u32>]) -> Option<u32> {
        let mut headers = Headers::default();
        headers.push("Via", "SIP/2.0/UDP hop;branch=z9hG4bK1");
        if let Some((ip, port)) = seen.split_once(':') {
            let via = format!("SIP/2.0/UDP h:9;received={ip};rport={port};branch=z9hG4bK2");
            headers.push("Via", via);
            // Whatever the sender wrote below it.
            headers.push("Via", "SIP/2.0/UDP 192.0.2.77:5060;branch=z9hG4bK3");
        }
        headers.push("From", from);
        let uri = AnyUri::parse("sip:conf@x").unwrap();
        let request = Request { method: Method::Message, uri, headers, body: Default::default() };
        let domain = Uri::parse("sip:conf@somewhere").unwrap();
        tie_through(&request, &leg(0, source, "x").flow, legs, Some(&domain))
    }

    #[test]
    fn what_comes_through_a_proxy_ties_by_the_whole_address_and_the_same_hop_only() {
        let (hop, direct, seen) = ("192.0.2.5:5060", "", "198.51.100.1:5060");
        let mut legs = [leg(1, hop, "bob"), leg(2, "192.0.2.9:5060", "carol")];
        legs[0].is_routed = true;
        let mallory = "<sip:mallory@somewhere>;tag=1";
        assert_eq!(through(direct, mallory, hop, &legs), None, "the proxy's port is no proof");
        assert_eq!(through(seen, mallory, hop, &legs), None);
        assert_eq!(through(seen, "<sip:bob@somewhere>;tag=1", hop, &legs), Some(1));
        assert_eq!(through(seen, "<sip:bob@elsewhere>;tag=1", hop, &legs), None);
        assert_eq!(through(seen, "<sip:bob@somewhere>;tag=1", "192.0.2.6:5060", &legs), None);
        assert_eq!(through(direct, "<sip:bob@z>;tag=1", "192.0.2.5:9999", &legs), None);
        assert_eq!(through(seen, "<sip:carol@somewhere>;tag=1", "192.0.2.9:5060", &legs), None);
        assert_eq!(through(direct, "<sip:carol@z>;tag=1", "192.0.2.9:5060", &legs), Some(2));
    }

    /// A large INVITE goes to the proxy by TCP where the phone's texts come from it by UDP.
    #[test]
    fn a_proxy_is_the_same_hop_by_udp_and_by_tcp_but_not_by_tls() {
        let (hop, seen) = ("192.0.2.5:5060", "198.51.100.1:5060");
        let mut legs = [leg(1, hop, "bob")];
        legs[0].is_routed = true;
        legs[0].flow.connection = Some(ConnectionId(4));
        let bob = "<sip:bob@somewhere>;tag=1";
        for (transport, tied) in [(Transport::Tcp, Some(1)), (Transport::Tls, None)] {
            legs[0].flow.transport = transport;
            assert_eq!(through(seen, bob, hop, &legs), tied, "{transport:?}");
            assert_eq!(through(seen, "<sip:eve@somewhere>;tag=1", hop, &legs), None);
            assert_eq!(through(seen, bob, "192.0.2.5:5070", &legs), None, "another port");
            assert_eq!(through("", bob, hop, &legs), None, "the proxy's port is no proof");
        }
    }

    #[test]
    fn an_address_that_the_proxy_does_not_vouch_for_ties_only_where_the_proxy_saw_it() {
        let hop = "192.0.2.5:5060";
        let mut legs = [leg(1, hop, "bob")];
        legs[0].is_routed = true;
        legs[0].uri = Uri::parse("sip:dave@elsewhere").ok();
        let dave = "<sip:dave@elsewhere>;tag=1";
        assert_eq!(
            through("198.51.100.1:5060", dave, hop, &legs),
            None,
            "nobody knows where he is"
        );
        legs[0].beyond_hop = "198.51.100.1:5060".parse().ok();
        assert_eq!(through("198.51.100.1:5060", dave, hop, &legs), Some(1));
        assert_eq!(through("198.51.100.1:5061", dave, hop, &legs), None);
        assert_eq!(through("192.0.2.77:5060", dave, hop, &legs), None);
        assert_eq!(through("", dave, hop, &legs), None);
    }

    #[test]
    fn au8_a_proof_ties_to_the_leg_of_the_same_proof_and_to_no_other() {
        let person =
            |name: &str| Identity::Authenticated { username: name.into(), realm: "r".into() };
        let hop = |text: &str| Identity::Asserted(Uri::parse(text).unwrap());
        let mut legs = [leg(1, "192.0.2.9:5070", "bob"), leg(2, "192.0.2.9:5071", "carol")];
        legs[1].identity = person("carol");
        assert_eq!(tie_proven(&person("carol"), &legs), Some(Some(2)));
        assert_eq!(tie_proven(&person("bob"), &legs), Some(None), "a name in From is no proof");
        assert_eq!(tie_proven(&hop("sip:bob@SOMEWHERE:5062"), &legs), Some(Some(1)));
        assert_eq!(tie_proven(&hop("sip:carol@somewhere"), &legs), Some(None));
        assert_eq!(tie_proven(&Identity::Unverified, &legs), None::<Option<u32>>);
        legs[0].identity = person("carol");
        assert_eq!(tie_proven(&person("carol"), &legs), Some(None), "two legs, one person");
    }
}
