//! Servers that are looked for before somebody is called: what we say of ourselves is the address that leads there.

use std::net::IpAddr;
use std::time::Instant;

use sip_core::{Flow, RequestId, Uri};

use super::Actor;
use super::transfer::Referred;
use crate::{Event, notice};

/// A server that is looked for, for a call.
pub(super) struct LookUp {
    /// The generation it was asked in: the answer to a question of an earlier one is nobody's any more.
    generation: u64,
    purpose: Purpose,
}

/// What it was looked up for.
pub(super) enum Purpose {
    /// A call of the user's.
    Call { target: Uri },
    /// Whom the other wants us to call.
    Referred { target: Uri, referred: Referred },
    /// A participant of the conference.
    Dial { act: Box<conference::SipAct> },
}

impl Actor {
    pub(super) fn look_up(&mut self, target: &Uri, purpose: Purpose) {
        if let Some(local) = self.local_by_account(target) {
            self.found_way(purpose, Some(local));
            return;
        }
        let request = self.endpoint.locate(&self.next_hop_to(target), Instant::now());
        let generation = self.generation;
        self.look_ups.insert(request, LookUp { generation, purpose });
    }

    /// The first way to whom a call is for: what it says of ourselves is the address that leads there. The INVITE finds
    /// its way itself, and takes another where that one leads nowhere.
    pub(super) fn looked_up(&mut self, request: RequestId, way: Option<Flow>) {
        let Some(LookUp { generation, purpose }) = self.look_ups.remove(&request) else { return };
        if generation != self.generation {
            return;
        }
        self.found_way(purpose, way.map(|flow| flow.local.ip()));
    }

    fn found_way(&mut self, purpose: Purpose, local: Option<IpAddr>) {
        match purpose {
            Purpose::Call { target } => {
                self.looks_up = false;
                match local {
                    Some(local) => self.call_at(target, local),
                    None => {
                        let reason = notice::not_found(&target.host.to_string());
                        self.tell(Event::Ended { reason });
                    }
                }
            }
            Purpose::Referred { target: uri, referred } => {
                self.call_referred(uri, &referred, local);
            }
            Purpose::Dial { act } => self.dial_at(*act, local),
        }
    }
}
