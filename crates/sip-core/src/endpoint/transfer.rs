//! REFER as the one who asks: blind and attended transfer of a call, and what is told of it (RFC 3515, RFC 3892, RFC 5589).

use std::time::Instant;

use super::refer::is_quiet;
use super::responses::Finish;
use super::subscriptions::Package;
use super::{Endpoint, Owner};
use crate::dialog::Dialog;
use crate::message::StatusFragment;
use crate::{
    AnyUri, CallKey, Confirmed, Event, Method, NameAddr, Outcome, ReferMethod, ReferTo, Replaces,
    Request, RequestId, SubscriptionKey, Uri,
};

/// What a REFER of ours needs.
#[derive(Debug)]
pub struct Refer<'a> {
    /// The call whose other end is to call somebody.
    pub call: &'a Confirmed,
    /// Whom.
    pub to: Target<'a>,
}

/// Whom the other end of a call is to call.
#[derive(Debug)]
pub enum Target<'a> {
    /// This address, as any caller would (blind transfer).
    Address(Uri),
    /// This person, whom a focus at the other end is to remove from its conference (RFC 4579 §5.11).
    Removal(Uri),
    /// The other end of this call of ours, whose place the new call takes (attended transfer).
    Call(&'a Confirmed),
}

/// A REFER of ours, as the subscription that it makes.
#[derive(Debug)]
pub(super) struct Asked {
    request: RequestId,
    call: CallKey,
    /// The CSeq it went out with.
    cseq: Option<u32>,
    /// The final status was told.
    told: bool,
}

impl Asked {
    /// Whether a NOTIFY's id means this REFER: its CSeq, or none where the notifier says none (RFC 3515 §2.4.6). One that
    /// waits for its turn is meant by none.
    pub(super) fn is_meant_by(&self, id: Option<&str>) -> bool {
        self.cseq.is_some_and(|cseq| id.is_none_or(|id| id == cseq.to_string()))
    }
}

impl Endpoint {
    /// Asks the other end of a call to call somebody. [`Event::Completed`] tells whether it will try,
    /// [`Event::ReferProgress`] what came of it. The call stays: hang it up once that worked.
    pub fn refer(&mut self, refer: Refer<'_>, now: Instant) -> RequestId {
        let id = self.new_request_id();
        let key = refer.call.0;
        let target = match refer.to {
            Target::Address(uri) => {
                let (method, address) = (ReferMethod::Invite, NameAddr::new(None, uri));
                Some(ReferTo { method, address, replaces: None })
            }
            Target::Removal(uri) => {
                let (method, address) = (ReferMethod::Bye, NameAddr::new(None, uri));
                Some(ReferTo { method, address, replaces: None })
            }
            Target::Call(other) => {
                let other = self.calls.get(&other.0).and_then(|other| other.dialog.as_ref());
                other.map(other_end)
            }
        };
        let local = self.calls.get(&key).and_then(|call| Some(call.dialog.as_ref()?.local.clone()));
        let (Some(target), Some(mut local)) = (target, local) else {
            self.unsent(key, id);
            return id;
        };
        local.params.remove("tag");
        let headers = vec![
            ("Refer-To", target.to_string()),
            ("Referred-By", local.to_string()),
            ("Accept", Package::Refer.document().to_owned()),
        ];
        let asked = Asked { request: id, call: key, cseq: None, told: false };
        let subscription = self.begin_asked(key, asked, now);
        let owner = Owner::Refer { subscription, call: key, request: id };
        self.enqueue_shared(key, Method::Refer, None, headers, owner, now);
        id
    }

    /// A REFER is on the wire, for the first time or after a challenge.
    pub(super) fn refer_sent(&mut self, key: SubscriptionKey, cseq: u32, now: Instant) {
        if let Some(asked) = self.asked_mut(key) {
            asked.cseq = Some(cseq);
            self.subscribe_sent(key, now);
        }
    }

    /// A REFER of ours has its outcome, which is told whatever became of its news: the last of them may overtake it.
    pub(super) fn refer_finished(
        &mut self,
        (key, request, call): (SubscriptionKey, RequestId, CallKey),
        finish: Finish,
    ) {
        if finish.is_provisional() {
            return;
        }
        let quiet = is_quiet(&finish);
        let outcome = finish.outcome();
        let taken = matches!(&outcome, Outcome::Answered(answer) if answer.status.is_success());
        let over = !taken || quiet;
        if let Some(asked) = self.asked_mut(key).filter(|_| over) {
            asked.told = true;
        }
        self.emit(Event::Completed { request, call: Some(call), outcome });
        if over {
            self.end_asked(key);
        }
    }

    /// A REFER of ours that could not be sent.
    pub(super) fn refer_unsent(&mut self, owner: Owner) {
        if let Owner::Refer { subscription, call, request } = owner {
            self.refer_finished((subscription, request, call), Finish::Unsendable);
        }
    }

    /// A NOTIFY of a REFER of ours: the status line in its body.
    pub(super) fn refer_notified(&mut self, key: SubscriptionKey, request: &Request, over: bool) {
        let kind = request.headers.content_type();
        let body = kind.filter(|kind| kind.is("message/sipfrag")).map(|_| &request.body[..]);
        let told = body.and_then(StatusFragment::parse);
        let is_final = told.as_ref().is_some_and(|told| !told.status.is_provisional());
        let Some(asked) = self.asked_mut(key).filter(|asked| !asked.told) else { return };
        if told.is_none() && !over {
            return;
        }
        asked.told = is_final || over;
        let (request, call, is_last) = (asked.request, asked.call, asked.told);
        let (status, phrase) = match told {
            Some(told) => (Some(told.status), told.phrase),
            None => (None, String::new()),
        };
        self.emit(Event::ReferProgress { request, call, status, phrase, is_last });
    }

    /// Nothing more will be told of a REFER of ours; its user hears that where he does not know.
    pub(super) fn refer_over(&mut self, asked: &Asked) {
        if !asked.told {
            let Asked { request, call, .. } = *asked;
            let phrase = String::new();
            self.emit(Event::ReferProgress { request, call, status: None, phrase, is_last: true });
        }
    }
}

/// The other end of a dialog of ours, as somebody else calls it to take our place (RFC 5589 §7).
fn other_end(dialog: &Dialog) -> ReferTo {
    let replaces = Replaces {
        call_id: dialog.id.call_id.clone(),
        to_tag: dialog.id.remote.0.clone(),
        from_tag: dialog.id.local.0.clone(),
        early_only: false,
    };
    let mut uri = dialog.remote_target.clone();
    uri.headers.clear();
    let address = NameAddr::new(None, AnyUri::Sip(uri));
    ReferTo { method: ReferMethod::Invite, address, replaces: Some(replaces) }
}
