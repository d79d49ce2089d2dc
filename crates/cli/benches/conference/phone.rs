//! One participant's SIP over UDP: INVITE and ACK, texts both ways, BYE; each request again until it is answered
//! (RFC 3261 §17.1.2.2).

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, MILLISECOND};
use crate::leg::Leg;
use crate::server::Conference;
use crate::wire::{Incoming, Start};

/// What stands before the number of a text.
const MARK: &str = "line-";
/// T1 and T2 (RFC 3261 §17.1.1.1).
const T1: u64 = 500 * MILLISECOND;
const T2: u64 = 4000 * MILLISECOND;

/// Something that reached a participant.
#[derive(Debug)]
pub struct Event {
    /// Whom.
    pub phone: usize,
    /// When.
    pub at: u64,
    /// What.
    pub what: What,
}

/// What reached a participant.
#[derive(Debug)]
pub enum What {
    /// The call stands.
    Answered,
    /// The final answer to a MESSAGE or BYE.
    Done,
    /// A request was refused, with the status line.
    Refused(String),
    /// A request came a second time.
    Repeated,
    /// A text of ours, by its number.
    Text(u32),
}

/// One participant.
pub struct Phone {
    number: usize,
    clock: Clock,
    socket: UdpSocket,
    address: SocketAddr,
    leg: Arc<Leg>,
    call: Mutex<Call>,
}

struct Call {
    /// Where requests are sent.
    server: SocketAddr,
    /// Request-URI of the next request.
    target: String,
    /// To of the next request.
    to: String,
    cseq: u32,
    pending: Option<Pending>,
    /// Numbers of the requests that came in.
    taken: BTreeSet<u32>,
    answered: bool,
}

/// A request that waits for its final answer.
struct Pending {
    bytes: Vec<u8>,
    cseq: u32,
    due: u64,
    interval: u64,
}

impl Phone {
    /// A participant that has not called yet.
    pub fn new(
        number: usize,
        conference: &Conference,
        leg: Arc<Leg>,
        clock: Clock,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let address = socket.local_addr()?;
        let call = Mutex::new(Call {
            server: conference.address,
            target: conference.uri.clone(),
            to: format!("<{}>", conference.uri),
            cseq: 0,
            pending: None,
            taken: BTreeSet::new(),
            answered: false,
        });
        Ok(Self { number, clock, socket, address, leg, call })
    }

    /// Where it is reached by SIP.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends to this conference from now on.
    pub fn turn_to(&self, address: SocketAddr) {
        let mut call = self.call();
        call.server = address;
        call.target = format!("sip:floor@{address}");
    }

    /// Dials the conference; when the INVITE went out.
    pub fn dial(&self) -> io::Result<u64> {
        let body = self.offer()?;
        let more = format!(
            "Contact: <sip:{}>\r\nAllow: INVITE, ACK, CANCEL, BYE, MESSAGE, OPTIONS\r\n\
             Accept: application/sdp, text/plain\r\nContent-Type: application/sdp\r\n",
            self.user_at()
        );
        self.request("INVITE", &more, &body)
    }

    /// Says one text of `size` bytes to all; when it went out. None while the last one is not answered yet.
    pub fn say(&self, text: u32, size: usize) -> io::Result<Option<u64>> {
        if self.call().pending.is_some() {
            return Ok(None);
        }
        let mut body = format!("{MARK}{text:06} ");
        while body.len() < size {
            body.push(if body.len() % 8 == 7 { ' ' } else { 'a' });
        }
        self.request("MESSAGE", "Content-Type: text/plain;charset=UTF-8\r\n", &body).map(Some)
    }

    /// Hangs up.
    pub fn bye(&self) -> io::Result<u64> {
        self.request("BYE", "", "")
    }

    /// Whether a request of ours is not answered yet.
    pub fn is_waiting(&self) -> bool {
        self.call().pending.is_some()
    }

    /// Sends again what is due; whether it did.
    pub fn repeat(&self) -> bool {
        let mut call = self.call();
        let server = call.server;
        let Some(pending) = &mut call.pending else { return false };
        let now = self.clock.now();
        if now < pending.due {
            return false;
        }
        pending.interval = (pending.interval * 2).min(T2);
        pending.due = now + pending.interval;
        let _ = self.socket.send_to(&pending.bytes, server);
        true
    }

    /// Takes what comes until `stop`.
    pub fn receive(&self, events: &Sender<Event>, stop: &AtomicBool) {
        let mut buffer = [0; 8192];
        while !stop.load(Ordering::Relaxed) {
            let Ok((length, source)) = self.socket.recv_from(&mut buffer) else { continue };
            let at = self.clock.now();
            let Some(incoming) = Incoming::read(&buffer[..length]) else { continue };
            let what = match incoming.start() {
                Start::Request(method) => self.take_request(method, &incoming, source),
                Start::Response(status) => self.take_response(status, &incoming),
            };
            if let Some(what) = what {
                // The bench listens as long as phones run.
                let _ = events.send(Event { phone: self.number, at, what });
            }
        }
    }

    fn take_request(&self, method: &str, incoming: &Incoming, source: SocketAddr) -> Option<What> {
        if method == "ACK" {
            return None;
        }
        let answer = match method {
            "INVITE" => {
                let more = format!(
                    "Contact: <sip:{}>\r\nContent-Type: application/sdp\r\n",
                    self.user_at()
                );
                incoming.answer("200 OK", &more, &self.offer().ok()?)
            }
            "MESSAGE" | "BYE" | "OPTIONS" | "CANCEL" => incoming.answer("200 OK", "", ""),
            _ => incoming.answer("501 Not Implemented", "", ""),
        };
        let _ = self.socket.send_to(answer.as_bytes(), source);
        let (number, _) = incoming.cseq()?;
        if !self.call().taken.insert(number) {
            return Some(What::Repeated);
        }
        let (_, mark) = incoming.body.split_once(MARK).filter(|_| method == "MESSAGE")?;
        mark.get(..6)?.parse().ok().map(What::Text)
    }

    fn take_response(&self, status: u16, incoming: &Incoming) -> Option<What> {
        let (number, method) = incoming.cseq()?;
        let mut call = self.call();
        if status < 200 {
            // Where it rings nothing is sent again.
            if let Some(pending) = call.pending.as_mut().filter(|p| p.cseq == number) {
                pending.due = u64::MAX;
            }
            return None;
        }
        let was_pending = call.pending.take_if(|pending| pending.cseq == number).is_some();
        if method == "INVITE" {
            if status < 300 {
                call.target = incoming.contact()?.to_owned();
            }
            call.to = incoming.header("To")?.to_owned();
            let ack = self.compose(&call, "ACK", number, "", "");
            let _ = self.socket.send_to(ack.as_bytes(), call.server);
        }
        if status >= 300 {
            return Some(What::Refused(format!("{method}: {}", incoming.first_line())));
        }
        if method != "INVITE" {
            return was_pending.then_some(What::Done);
        }
        if std::mem::replace(&mut call.answered, true) {
            return Some(What::Repeated);
        }
        match incoming.audio() {
            Some(remote) => {
                self.leg.send_to(remote);
                Some(What::Answered)
            }
            None => Some(What::Refused("INVITE: answered without an audio address".to_owned())),
        }
    }

    fn request(&self, method: &str, more: &str, body: &str) -> io::Result<u64> {
        let mut call = self.call();
        call.cseq += 1;
        let bytes = self.compose(&call, method, call.cseq, more, body).into_bytes();
        let at = self.clock.now();
        self.socket.send_to(&bytes, call.server)?;
        let cseq = call.cseq;
        call.pending = Some(Pending { bytes, cseq, due: at + T1, interval: T1 });
        Ok(at)
    }

    fn compose(&self, call: &Call, method: &str, cseq: u32, more: &str, body: &str) -> String {
        let (number, address) = (self.number, self.address);
        format!(
            "{method} {target} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address};branch=z9hG4bKb{number}.{cseq}{method};rport\r\n\
             Max-Forwards: 70\r\n\
             From: \"Number {number}\" <sip:{user_at}>;tag=t{number}\r\n\
             To: {to}\r\n\
             Call-ID: c{number}@{address}\r\n\
             CSeq: {cseq} {method}\r\n\
             {more}Content-Length: {length}\r\n\r\n{body}",
            target = call.target,
            user_at = self.user_at(),
            to = call.to,
            length = body.len(),
        )
    }

    /// One stream of u-law, 20 ms, both ways.
    fn offer(&self) -> io::Result<String> {
        Ok(format!(
            "v=0\r\no=- {number} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n",
            number = self.number + 1,
            port = self.leg.port()?,
        ))
    }

    fn user_at(&self) -> String {
        format!("number{}@{}", self.number, self.address)
    }

    fn call(&self) -> MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
