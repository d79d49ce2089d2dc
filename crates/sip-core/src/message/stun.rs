//! STUN, as far as it keeps a way open: a binding request and its answer on the port of SIP (RFC 5389 §6, §7; RFC 5626 §8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

const MAGIC: u32 = 0x2112_A442;
const HEADER: usize = 20;
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;
const MAPPED_ADDRESS: u16 = 0x0001;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// Attributes below must be understood (RFC 5389 §15).
const OPTIONAL: u16 = 0x8000;

/// Ties an answer to its request: 96 random bits (RFC 5389 §6).
pub type StunId = [u8; 12];

/// A binding request without attributes: that is all that keeping a way open needs (RFC 5626 §8).
pub fn binding_request(id: &StunId) -> Bytes {
    written(REQUEST, id, &[])
}

/// The answer to a binding request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BindingResponse {
    /// That of the request.
    pub id: StunId,
    /// What the server says.
    pub outcome: BindingOutcome,
}

/// What a server says to a binding request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BindingOutcome {
    /// The address that the request came from, as the server sees it; `None` where it says none that can be read.
    Mapped(Option<SocketAddr>),
    /// It refuses, with this code from 300 to 699; 0 where it says none. A success with an attribute that must be
    /// understood and is not counts as one (RFC 5389 §7.3.3).
    Refused(u16),
}

impl BindingResponse {
    /// Reads a datagram; `None` for all that is no answer to a binding request.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let (head, mut rest) = datagram.split_at_checked(HEADER)?;
        let kind = u16_at(head, 0)?;
        let length = usize::from(u16_at(head, 2)?);
        let magic = head.get(4..8)?;
        if magic != MAGIC.to_be_bytes() || length != rest.len() || length % 4 != 0 {
            return None;
        }
        let id: StunId = head.get(8..HEADER)?.try_into().ok()?;
        let (mut mapped, mut plain, mut code, mut understood) = (None, None, 0, true);
        while !rest.is_empty() {
            let (attribute, length) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
            let value = rest.get(4..4 + length)?;
            match attribute {
                XOR_MAPPED_ADDRESS => mapped = mapped.or_else(|| address(value, Some(&id))),
                MAPPED_ADDRESS => plain = plain.or_else(|| address(value, None)),
                ERROR_CODE => code = error_code(value).unwrap_or(0),
                _ => understood &= attribute >= OPTIONAL,
            }
            rest = rest.get(4 + length.next_multiple_of(4)..)?;
        }
        let outcome = match kind {
            SUCCESS if understood => BindingOutcome::Mapped(mapped.or(plain)),
            SUCCESS => BindingOutcome::Refused(0),
            ERROR => BindingOutcome::Refused(code),
            _ => return None,
        };
        Some(Self { id, outcome })
    }

    /// As a server writes it.
    pub fn to_bytes(&self) -> Bytes {
        match &self.outcome {
            BindingOutcome::Mapped(None) => written(SUCCESS, &self.id, &[]),
            BindingOutcome::Mapped(Some(mapped)) => {
                let mut value = vec![0, if mapped.is_ipv4() { 1 } else { 2 }];
                value.extend((mapped.port() ^ (MAGIC >> 16) as u16).to_be_bytes());
                match mapped.ip() {
                    IpAddr::V4(ip) => value.extend(xored(ip.octets(), &self.id)),
                    IpAddr::V6(ip) => value.extend(xored(ip.octets(), &self.id)),
                }
                written(SUCCESS, &self.id, &[(XOR_MAPPED_ADDRESS, &value)])
            }
            BindingOutcome::Refused(code) => {
                let value = [0, 0, (code / 100) as u8, (code % 100) as u8];
                written(ERROR, &self.id, &[(ERROR_CODE, &value)])
            }
        }
    }
}

/// A message; the values of its attributes are whole words.
fn written(kind: u16, id: &StunId, attributes: &[(u16, &[u8])]) -> Bytes {
    let length: usize = attributes.iter().map(|(_, value)| 4 + value.len()).sum();
    let mut bytes = BytesMut::with_capacity(HEADER + length);
    bytes.put_u16(kind);
    bytes.put_u16(length as u16);
    bytes.put_u32(MAGIC);
    bytes.put_slice(id);
    for (attribute, value) in attributes {
        bytes.put_u16(*attribute);
        bytes.put_u16(value.len() as u16);
        bytes.put_slice(value);
    }
    bytes.freeze()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// MAPPED-ADDRESS, or XOR-MAPPED-ADDRESS where the id is given (RFC 5389 §15.1, §15.2).
fn address(value: &[u8], id: Option<&StunId>) -> Option<SocketAddr> {
    let port = u16_at(value, 2)?;
    let port = if id.is_some() { port ^ (MAGIC >> 16) as u16 } else { port };
    let ip = value.get(4..)?;
    let ip: IpAddr = match *value.get(1)? {
        1 => Ipv4Addr::from(plain(<[u8; 4]>::try_from(ip).ok()?, id)).into(),
        2 => Ipv6Addr::from(plain(<[u8; 16]>::try_from(ip).ok()?, id)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn plain<const N: usize>(octets: [u8; N], id: Option<&StunId>) -> [u8; N] {
    id.map_or(octets, |id| xored(octets, id))
}

/// The octets of an address, hidden from NATs that rewrite addresses wherever they see one.
fn xored<const N: usize>(mut octets: [u8; N], id: &StunId) -> [u8; N] {
    let mask = MAGIC.to_be_bytes().into_iter().chain(*id);
    octets.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
    octets
}

/// ERROR-CODE (RFC 5389 §15.6).
fn error_code(value: &[u8]) -> Option<u16> {
    let (class, number) = (value.get(2)? & 7, *value.get(3)?);
    let known = (3..=6).contains(&class) && number < 100;
    known.then(|| u16::from(class) * 100 + u16::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers of RFC 5769 §2.2 and §2.3, without what protects them.
    const ID: StunId = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    #[test]
    fn tp12_the_addresses_of_rfc_5769_come_out() {
        let four = [0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let six = [
            0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let software = b"test vector ";
        for (value, expected) in [
            (&four[..], "192.0.2.1:32853"),
            (&six[..], "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        ] {
            let mapped = Some(expected.parse().unwrap());
            let outcome = BindingOutcome::Mapped(mapped);
            let bytes = written(SUCCESS, &ID, &[(0x8022, software), (XOR_MAPPED_ADDRESS, value)]);
            let read = BindingResponse::parse(&bytes).unwrap();
            assert_eq!(read, BindingResponse { id: ID, outcome });
            assert_eq!(BindingResponse::parse(&read.to_bytes()).unwrap(), read);
        }
    }

    #[test]
    fn tp12_refusals_and_what_must_be_understood_are_no_success() {
        let refused = BindingResponse { id: ID, outcome: BindingOutcome::Refused(420) };
        assert_eq!(BindingResponse::parse(&refused.to_bytes()).unwrap(), refused);
        let strange = written(SUCCESS, &ID, &[(0x7fff, b"abcd")]);
        let read = BindingResponse::parse(&strange).unwrap();
        assert_eq!(read.outcome, BindingOutcome::Refused(0));
    }

    #[test]
    fn tp12_what_is_no_answer_is_none() {
        let mapped = Some("192.0.2.1:32853".parse().unwrap());
        let response = BindingResponse { id: ID, outcome: BindingOutcome::Mapped(mapped) };
        let good = response.to_bytes();
        for length in 0..good.len() {
            assert_eq!(BindingResponse::parse(&good[..length]), None, "{length}");
        }
        let request = binding_request(&ID);
        assert_eq!(request.len(), HEADER);
        assert_eq!(BindingResponse::parse(&request), None);
        for (at, byte) in [(0, 0x41), (4, 0x20), (3, 8), (23, 9)] {
            let mut bad = good.to_vec();
            bad[at] = byte;
            assert_eq!(BindingResponse::parse(&bad), None, "{at}");
        }
    }
}
