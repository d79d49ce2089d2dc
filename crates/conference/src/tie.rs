//! To which leg a request from outside of every dialog belongs (sip-chat §0.6, §3.3). A name alone never ties.

use sip_core::{Flow, Identity, Request, Transport, Uri};

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
    tie_through(request, flow, legs, |_| false)
}

/// The one leg, by connection or source address and port (rule 2), or by user part and source address where that
/// address carries one leg only (rule 4). What came through a next hop, which is everybody's behind it, ties by the
/// whole From address and the same hop only (rule 3).
pub(crate) fn tie_through<K: Copy>(
    request: &Request,
    flow: &Flow,
    legs: &[LegAddress<K>],
    is_routed: impl Fn(K) -> bool,
) -> Option<K> {
    let own = |leg: &&LegAddress<K>| match flow.transport {
        Transport::Tcp | Transport::Tls => {
            leg.flow.transport == flow.transport && leg.flow.connection == flow.connection
        }
        Transport::Udp => leg.flow.transport == Transport::Udp && leg.flow.remote == flow.remote,
    };
    let mut on_flow = legs.iter().filter(own);
    let from = request.headers.from_header().ok();
    let from = from.as_ref().and_then(|from| from.uri.as_sip());
    let is_relayed = request.headers.vias().is_ok_and(|vias| vias.len() > 1);
    if is_relayed || on_flow.clone().any(|leg| is_routed(leg.key)) {
        let from = from?;
        let mut named = on_flow.filter(|leg| {
            let same = leg.uri.as_ref().is_some_and(|known| same_person(known, from));
            same && is_routed(leg.key)
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
    let alone = by_address.next().is_none() && !is_routed(leg.key);
    let same_user =
        leg.uri.as_ref().and_then(Uri::user_unescaped).is_some_and(|known| known == user);
    (alone && same_user).then_some(leg.key)
}

/// User and host; ports are dropped by some phones.
fn same_person(one: &Uri, two: &Uri) -> bool {
    let hosts = (one.host.to_string(), two.host.to_string());
    one.user.is_some()
        && one.user_unescaped() == two.user_unescaped()
        && hosts.0.eq_ignore_ascii_case(&hosts.1)
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
        LegAddress { key, flow, uri, identity: Identity::Unverified }
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

    fn through(vias: usize, from: &str, source: &str, legs: &[LegAddress<u32>]) -> Option<u32> {
        let mut headers = Headers::default();
        for n in 0..vias {
            headers.push("Via", format!("SIP/2.0/UDP h{n};branch=z9hG4bK{n}"));
        }
        headers.push("From", from);
        let uri = AnyUri::parse("sip:conf@x").unwrap();
        let request = Request { method: Method::Message, uri, headers, body: Default::default() };
        tie_through(&request, &leg(0, source, "x").flow, legs, |key| key == 1)
    }

    #[test]
    fn what_comes_through_a_proxy_ties_by_the_whole_address_and_the_same_hop_only() {
        let hop = "192.0.2.5:5060";
        let legs = [leg(1, hop, "bob"), leg(2, "192.0.2.9:5060", "carol")];
        let mallory = "<sip:mallory@somewhere>;tag=1";
        assert_eq!(through(1, mallory, hop, &legs), None, "the proxy's own port is no proof");
        assert_eq!(through(2, mallory, hop, &legs), None);
        assert_eq!(through(2, "<sip:bob@somewhere>;tag=1", hop, &legs), Some(1));
        assert_eq!(through(2, "<sip:bob@elsewhere>;tag=1", hop, &legs), None);
        assert_eq!(through(2, "<sip:bob@somewhere>;tag=1", "192.0.2.6:5060", &legs), None);
        assert_eq!(through(1, "<sip:bob@z>;tag=1", "192.0.2.5:9999", &legs), None);
        assert_eq!(through(2, "<sip:carol@somewhere>;tag=1", "192.0.2.9:5060", &legs), None);
        assert_eq!(through(1, "<sip:carol@z>;tag=1", "192.0.2.9:5060", &legs), Some(2));
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
