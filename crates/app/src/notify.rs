//! Desktop notifications: a call, and lines while the window is not in front. A thread of its own talks to the desktop,
//! which may be slow; where there is none nothing is lost.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use engine::IncomingId;

use crate::clean::first_line;

/// The longest text of a notification, in characters.
const MAX_CHARS: usize = 120;
/// Lines of one conference are told at most this often.
const GAP: Duration = Duration::from_secs(5);
/// How long the end of the program waits for notifications to be withdrawn.
const FAREWELL: Duration = Duration::from_millis(300);

/// What the window knows.
#[derive(Clone, Debug)]
pub enum Order {
    /// A call rings.
    Rings {
        /// Which.
        incoming: IncomingId,
        /// Who.
        name: String,
        /// From where.
        uri: String,
    },
    /// It rings no more.
    RingsNoMore {
        /// Which.
        incoming: IncomingId,
        /// Nobody answered it.
        missed: bool,
    },
    /// A line that the user has not seen.
    Line {
        /// The conference, or the address of somebody outside of one.
        group: String,
        /// What the group is called.
        title: String,
        /// Who wrote it.
        name: String,
        /// What.
        text: String,
    },
    /// The lines of a group were seen.
    Seen {
        /// As in [`Order::Line`].
        group: String,
    },
    /// The program ends: what asks for an answer is withdrawn.
    End(Sender<()>),
}

/// The way to the desktop.
#[derive(Clone, Debug)]
pub struct Notifier(Sender<Order>);

impl Notifier {
    /// Starts its thread.
    pub fn start() -> Self {
        let (orders, received) = channel();
        let spawned = std::thread::Builder::new()
            .name("notifications".to_owned())
            .spawn(move || run(&received, &mut Desktop::default()));
        if let Err(error) = spawned {
            tracing::info!(%error, "no notifications");
        }
        Self(orders)
    }

    /// Tells it something. It never waits.
    pub fn tell(&self, order: Order) {
        let _ = self.0.send(order);
    }

    /// Withdraws what asks for an answer; waits a moment for it.
    pub fn end(&self) {
        let (done, wait) = channel();
        self.tell(Order::End(done));
        let _ = wait.recv_timeout(FAREWELL);
    }
}

/// What one notification on the desktop is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Topic {
    Call(IncomingId),
    Lines(String),
}

/// What to do on the desktop.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Act {
    Show { topic: Topic, title: String, body: String, is_call: bool },
    Close(Topic),
}

#[derive(Debug)]
struct Unseen {
    count: usize,
    shown: Instant,
    waiting: Option<Act>,
}

/// Decides what is shown, and when.
#[derive(Debug, Default)]
struct Board {
    calls: BTreeMap<IncomingId, String>,
    lines: BTreeMap<String, Unseen>,
}

impl Board {
    fn order(&mut self, order: Order, now: Instant) -> Vec<Act> {
        match order {
            Order::Rings { incoming, name, uri } => {
                let name = first_line(&name, MAX_CHARS);
                self.calls.insert(incoming, name.clone());
                let (title, body) = (format!("{name} is calling"), first_line(&uri, MAX_CHARS));
                vec![Act::Show { topic: Topic::Call(incoming), title, body, is_call: true }]
            }
            Order::RingsNoMore { incoming, missed } => {
                let Some(name) = self.calls.remove(&incoming) else { return Vec::new() };
                let topic = Topic::Call(incoming);
                if !missed {
                    return vec![Act::Close(topic)];
                }
                let title = format!("Missed call from {name}");
                vec![Act::Show { topic, title, body: String::new(), is_call: false }]
            }
            Order::Line { group, title, name, text } => self.line(group, &title, &name, &text, now),
            Order::Seen { group } => match self.lines.remove(&group) {
                Some(_) => vec![Act::Close(Topic::Lines(group))],
                None => Vec::new(),
            },
            Order::End(_) => {
                let calls = std::mem::take(&mut self.calls).into_keys();
                calls.map(|incoming| Act::Close(Topic::Call(incoming))).collect()
            }
        }
    }

    fn line(
        &mut self,
        group: String,
        title: &str,
        name: &str,
        text: &str,
        now: Instant,
    ) -> Vec<Act> {
        let (title, name) = (first_line(title, 60), first_line(name, 60));
        let topic = Topic::Lines(group.clone());
        let Some(unseen) = self.lines.get_mut(&group) else {
            self.lines.insert(group, Unseen { count: 1, shown: now, waiting: None });
            let title = if title == name { name } else { format!("{name} in {title}") };
            let body = first_line(text, MAX_CHARS);
            return vec![Act::Show { topic, title, body, is_call: false }];
        };
        unseen.count += 1;
        let body = first_line(&format!("{name}: {}", first_line(text, MAX_CHARS)), MAX_CHARS);
        let title = format!("{title}: {} new messages", unseen.count);
        unseen.waiting = Some(Act::Show { topic, title, body, is_call: false });
        self.due(now)
    }

    /// What waited long enough.
    fn due(&mut self, now: Instant) -> Vec<Act> {
        let ready =
            self.lines.values_mut().filter(|unseen| now.duration_since(unseen.shown) >= GAP);
        ready
            .filter_map(|unseen| {
                let act = unseen.waiting.take()?;
                unseen.shown = now;
                Some(act)
            })
            .collect()
    }

    fn wake(&self) -> Option<Instant> {
        let waiting = self.lines.values().filter(|unseen| unseen.waiting.is_some());
        waiting.map(|unseen| unseen.shown + GAP).min()
    }
}

fn run(orders: &Receiver<Order>, desktop: &mut Desktop) {
    let mut board = Board::default();
    loop {
        let wait = board
            .wake()
            .map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
        let (acts, done) = match orders.recv_timeout(wait) {
            Ok(Order::End(done)) => {
                (board.order(Order::End(done.clone()), Instant::now()), Some(done))
            }
            Ok(order) => (board.order(order, Instant::now()), None),
            Err(RecvTimeoutError::Timeout) => (board.due(Instant::now()), None),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        acts.into_iter().for_each(|act| desktop.act(act));
        if let Some(done) = done {
            let _ = done.send(());
        }
    }
}

/// The desktop's server of notifications.
#[derive(Default)]
struct Desktop {
    shown: BTreeMap<Topic, notify_rust::NotificationHandle>,
    /// Whether it reads markup in a body, once it was asked.
    markup: Option<bool>,
}

impl Desktop {
    fn act(&mut self, act: Act) {
        match act {
            Act::Close(topic) => {
                if let Some(handle) = self.shown.remove(&topic) {
                    handle.close();
                }
            }
            Act::Show { topic, title, body, is_call } => {
                let body = if self.reads_markup() { escape(&body) } else { body };
                let mut notification = notify_rust::Notification::new();
                notification.appname("Parlour").summary(&title).body(&body).icon("parlour");
                notification.hint(notify_rust::Hint::Category(
                    if is_call { "call.incoming" } else { "im.received" }.to_owned(),
                ));
                if is_call {
                    notification.urgency(notify_rust::Urgency::Critical);
                    notification.timeout(notify_rust::Timeout::Never);
                }
                // The same id: it replaces what stands there.
                if let Some(before) = self.shown.get(&topic) {
                    notification.id(before.id());
                }
                match notification.show() {
                    Ok(handle) => {
                        self.shown.insert(topic, handle);
                    }
                    Err(error) => tracing::info!(%error, "no notification"),
                }
            }
        }
    }

    fn reads_markup(&mut self) -> bool {
        if self.markup.is_none() {
            let asked = notify_rust::get_capabilities();
            self.markup = asked.ok().map(|all| all.iter().any(|one| one == "body-markup"));
        }
        self.markup.unwrap_or(false)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(board: &mut Board, text: &str, now: Instant) -> Vec<Act> {
        let (title, name) = ("Weekly ops".to_owned(), "Carol".to_owned());
        board.order(Order::Line { group: "c".into(), title, name, text: text.to_owned() }, now)
    }

    fn shown(acts: &[Act]) -> (&str, &str) {
        let [Act::Show { title, body, .. }] = acts else { panic!("{acts:?}") };
        (title, body)
    }

    #[test]
    fn lines_of_a_conference_share_one_notification_at_least_five_seconds_apart() {
        let (mut board, start) = (Board::default(), Instant::now());
        let first = line(&mut board, "one\nand more", start);
        assert_eq!(shown(&first), ("Carol in Weekly ops", "one"));
        assert!(line(&mut board, "two", start + Duration::from_secs(1)).is_empty());
        assert!(line(&mut board, "three", start + Duration::from_secs(2)).is_empty());
        assert_eq!(board.wake(), Some(start + GAP));
        let later = board.due(start + GAP);
        assert_eq!(shown(&later), ("Weekly ops: 3 new messages", "Carol: three"));
        assert_eq!(board.wake(), None);
        let seen = board.order(Order::Seen { group: "c".into() }, start + GAP);
        assert_eq!(seen, [Act::Close(Topic::Lines("c".into()))]);
        assert_eq!(shown(&line(&mut board, "four", start + GAP)).1, "four");
    }

    #[test]
    fn a_call_is_withdrawn_when_it_stops_ringing_and_replaced_when_it_was_missed() {
        let (mut board, now) = (Board::default(), Instant::now());
        let ring = |id| Order::Rings {
            incoming: IncomingId(id),
            name: "Ca\u{202e}rol".into(),
            uri: "sip:carol@192.0.2.7:5094".into(),
        };
        assert_eq!(shown(&board.order(ring(1), now)).0, "Carol is calling");
        board.order(ring(2), now);
        let no_more = |id, missed| Order::RingsNoMore { incoming: IncomingId(id), missed };
        let closed = board.order(no_more(1, false), now);
        assert_eq!(closed, [Act::Close(Topic::Call(IncomingId(1)))]);
        let missed = board.order(no_more(2, true), now);
        let [Act::Show { topic, title, is_call, .. }] = missed.as_slice() else { panic!() };
        assert_eq!(topic, &Topic::Call(IncomingId(2)));
        assert_eq!((title.as_str(), *is_call), ("Missed call from Carol", false));
        assert!(board.order(no_more(3, true), now).is_empty());
    }

    #[test]
    fn the_end_withdraws_what_still_rings() {
        let (mut board, now) = (Board::default(), Instant::now());
        let (name, uri) = ("Bob".to_owned(), "sip:b@x".to_owned());
        board.order(Order::Rings { incoming: IncomingId(7), name, uri }, now);
        let (done, _wait) = channel();
        assert_eq!(board.order(Order::End(done), now), [Act::Close(Topic::Call(IncomingId(7)))]);
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("<b>x</b> & y"), "&lt;b&gt;x&lt;/b&gt; &amp; y");
    }
}
