//! Somebody who only speaks bytes: what he sends is written by the test, what comes back is kept.

use std::net::SocketAddr;

use conference::Now;
use sip_core::{Input, Message, Output};

use crate::net::{Actor, Net, Node};

/// The stranger.
#[derive(Default)]
pub struct Stranger {
    heard: Vec<Vec<u8>>,
}

impl Stranger {
    /// Puts a stranger into the network.
    pub fn join(net: &mut Net, address: SocketAddr) -> Node<Self> {
        net.add(address, Self::default())
    }

    /// Every datagram that came.
    pub fn heard(&self) -> &[Vec<u8>] {
        &self.heard
    }

    /// The statuses of the responses that came, in order.
    pub fn statuses(&self) -> Vec<u16> {
        let responses = self.heard.iter().filter_map(|datagram| match Message::parse(datagram) {
            Ok(Message::Response(response)) => Some(response.status.code()),
            Ok(Message::Request(_)) | Err(_) => None,
        });
        responses.collect()
    }

    /// A MESSAGE as bytes, every header as given; `branch` makes it another request.
    pub fn message(
        target: &str,
        from: &str,
        source: SocketAddr,
        branch: &str,
        text: &str,
    ) -> Vec<u8> {
        format!(
            "MESSAGE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from};tag=t{branch}\r\nTo: <{target}>\r\nCall-ID: {branch}@x\r\n\
             CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )
        .into_bytes()
    }
}

impl Actor for Stranger {
    fn set_now(&mut self, _: Now) {}

    fn handle_input(&mut self, input: Input<'_>) {
        if let Input::Datagram { contents, .. } = input {
            self.heard.push(contents.to_vec());
        }
    }

    fn poll_output(&mut self) -> Output {
        Output::Timeout(None)
    }
}
