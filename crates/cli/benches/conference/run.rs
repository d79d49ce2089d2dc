//! One run: the load on a server, its phases, what is read before and after each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::clock::{Clock, MILLISECOND};
use crate::figures::{self, Audio, Chat, Hosted, Load, Spread, Window};
use crate::leg::{Leg, Packet};
use crate::machine::{self, Pinning};
use crate::phone::{Event, Phone, What};
use crate::sender::{self, Sent};
use crate::server::{Conference, Server, ServerThread};
use crate::sound::TONE;

/// From one join to the next: no multiple of a packet's time, so that all phases of the mix are met.
const JOIN_EVERY: u64 = 37 * MILLISECOND;
/// Texts in a second, and their bytes.
const TEXTS: u64 = 10;
const TEXT_BYTES: usize = 200;
/// Before measuring, buffers settle.
const SETTLE: Duration = Duration::from_secs(2);
/// After the last text, so long is waited for what is still under way.
const DRAIN: u64 = 2000 * MILLISECOND;

/// The same for all runs.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Cores and classes.
    pub pinning: &'a Pinning,
    /// The clock of all times.
    pub clock: Clock,
    /// Length of the audio measure.
    pub seconds: u64,
    /// Length of the chat measure.
    pub chat_seconds: u64,
}

/// The audio load of one run, on its threads.
struct Stream {
    legs: Vec<Arc<Leg>>,
    bursting: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    sending: JoinHandle<Sent>,
    receiving: Vec<JoinHandle<Vec<Packet>>>,
}

/// Measures the floor with `count` legs.
pub fn floor(setting: Setting<'_>, count: usize) -> Result<Audio> {
    let (mut server, ports) = Server::floor(count, setting.pinning)?;
    let stream = Stream::start(count, setting.clock)?;
    for (leg, port) in stream.legs.iter().zip(ports) {
        leg.send_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    thread::sleep(SETTLE);
    let (window, load, _) = stream.listen(setting, &server);
    let (received, sent) = stream.finish()?;
    server.kill();
    Ok(figures::audio(&received, &sent, window, load))
}

/// Measures a host with `count` participants.
pub fn host(setting: Setting<'_>, count: usize, cli: &Path, log: Option<&Path>) -> Result<Hosted> {
    let (server, conference) = Server::host(cli, setting.pinning, log)?;
    thread::sleep(Duration::from_millis(300));
    let memory_before_kb = server.memory();
    let stream = Stream::start(count, setting.clock)?;
    let phones = Phones::start(&stream.legs, &conference, setting.clock)?;
    let (invited, answered) = phones.join_all()?;
    thread::sleep(SETTLE);
    let memory = server.memory().saturating_sub(memory_before_kb);
    let (window, load, busiest_threads) = stream.listen(setting, &server);
    let threads = server.threads().len();
    let chat = (setting.chat_seconds > 0).then(|| phones.chat(setting, &server)).transpose()?;
    let memory_after_chat_kb = server.memory();
    phones.leave()?;
    let (received, sent) = stream.finish()?;
    server.stop();

    let since_invite = |times: Vec<Option<u64>>| {
        let waits = times.iter().zip(&invited).filter_map(|(at, from)| at.map(|at| at - from));
        Spread::of(waits.collect())
    };
    let first = |wanted: fn(&Packet) -> bool| {
        received.iter().map(|p| p.iter().find(|p| wanted(p)).map(|p| p.at)).collect::<Vec<_>>()
    };
    // The first one hears the tone never, it sends it.
    let mixed = |packet: &Packet| packet.heard.tone[3] > TONE.unsigned_abs() / 2;
    Ok(Hosted {
        answer_ms: since_invite(answered.into_iter().map(Some).collect()),
        first_packet_ms: since_invite(first(|_| true)),
        first_mixed_ms: since_invite(first(mixed)),
        audio: figures::audio(&received, &sent, window, load),
        chat,
        memory_before_kb,
        memory_after_chat_kb,
        memory_per_participant_kb: memory as f64 / count as f64,
        threads,
        busiest_threads,
    })
}

impl Stream {
    fn start(count: usize, clock: Clock) -> Result<Self> {
        let bursting = Arc::new(AtomicBool::new(false));
        let stop = Arc::new(AtomicBool::new(false));
        let mut legs = Vec::new();
        let mut receiving = Vec::new();
        for _ in 0..count {
            let leg = Arc::new(Leg::open()?);
            legs.push(Arc::clone(&leg));
            let stop = Arc::clone(&stop);
            receiving.push(small_thread(move || leg.receive(clock, &stop))?);
        }
        let sending = {
            let (legs, bursting, stop) = (legs.clone(), Arc::clone(&bursting), Arc::clone(&stop));
            small_thread(move || sender::send(&legs, clock, &bursting, &stop))?
        };
        Ok(Self { legs, bursting, stop, sending, receiving })
    }

    /// The measure of audio: a burst a second, and what the processors do.
    fn listen(
        &self,
        setting: Setting<'_>,
        server: &Server,
    ) -> (Window, Load, BTreeMap<String, f64>) {
        self.bursting.store(true, Ordering::Relaxed);
        let meter = Meter::start(setting.clock, server);
        thread::sleep(Duration::from_secs(setting.seconds));
        let (window, load, threads) = meter.stop(server, self.legs.len());
        self.bursting.store(false, Ordering::Relaxed);
        (window, load, threads)
    }

    fn finish(self) -> Result<(Vec<Vec<Packet>>, Sent)> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sending.join().ok().context("the sender failed")?;
        let mut received = Vec::new();
        for thread in self.receiving {
            received.push(thread.join().ok().context("a receiver failed")?);
        }
        Ok((received, sent))
    }
}

/// What the processors had done at the start of a stretch.
pub struct Meter {
    clock: Clock,
    from: u64,
    server: u64,
    threads: Vec<ServerThread>,
    own: u64,
    busy: u64,
}

impl Meter {
    /// Begins to measure.
    pub fn start(clock: Clock, server: &Server) -> Self {
        Self {
            clock,
            server: server.cpu(),
            threads: server.threads(),
            own: machine::own_cpu(),
            busy: machine::busy(),
            from: clock.now(),
        }
    }

    /// What was done since; of the server also by the name of the thread.
    pub fn stop(self, server: &Server, count: usize) -> (Window, Load, BTreeMap<String, f64>) {
        let window = Window { from: self.from, to: self.clock.now() };
        let length = (window.to - window.from) as f64;
        let used = server.cpu().saturating_sub(self.server) as f64;
        let own = machine::own_cpu().saturating_sub(self.own) as f64;
        let busy = machine::busy().saturating_sub(self.busy) as f64;
        let load = Load {
            seconds: length / 1e9,
            server_percent: used / length * 100.0,
            generator_percent: own / length * 100.0,
            foreign_percent: ((busy - used - own) / length * 100.0).max(0.0),
            cpu_per_participant_minute: used / length * 60.0 / count as f64,
        };
        let mut by_name: BTreeMap<String, f64> = BTreeMap::new();
        for thread in server.threads() {
            let before = self.threads.iter().find(|t| t.id == thread.id).map_or(0, |t| t.cpu);
            let percent = thread.cpu.saturating_sub(before) as f64 / length * 100.0;
            *by_name.entry(thread.name).or_default() += percent;
        }
        by_name.retain(|_, percent| *percent >= 0.05);
        (window, load, by_name)
    }
}

/// All participants' SIP, on their threads.
pub struct Phones {
    /// Each.
    pub phones: Vec<Arc<Phone>>,
    /// What reaches them.
    pub events: Receiver<Event>,
    stop: Arc<AtomicBool>,
    clock: Clock,
}

impl Drop for Phones {
    fn drop(&mut self) {
        // The threads end by themselves within their read timeout.
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Phones {
    /// Ready to dial.
    pub fn start(legs: &[Arc<Leg>], conference: &Conference, clock: Clock) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, events) = mpsc::channel();
        let mut phones = Vec::new();
        for (number, leg) in legs.iter().enumerate() {
            let phone = Arc::new(Phone::new(number, conference, Arc::clone(leg), clock)?);
            phones.push(Arc::clone(&phone));
            let (sender, stop) = (sender.clone(), Arc::clone(&stop));
            small_thread(move || phone.receive(&sender, &stop))?;
        }
        Ok(Self { phones, events, stop, clock })
    }

    /// Everybody dials, evenly spread; when each INVITE and each 200 was.
    pub fn join_all(&self) -> Result<(Vec<u64>, Vec<u64>)> {
        let mut invited = Vec::new();
        let start = self.clock.now();
        for (phone, number) in self.phones.iter().zip(0..) {
            self.clock.sleep_until(start + number * JOIN_EVERY);
            self.repeat_due();
            invited.push(phone.dial()?);
        }
        let mut answered = BTreeMap::new();
        let deadline = self.clock.now() + 10_000 * MILLISECOND;
        while answered.len() < self.phones.len() {
            self.repeat_due();
            ensure!(
                self.clock.now() < deadline,
                "{} of {} calls were answered",
                answered.len(),
                self.phones.len()
            );
            match self.events.recv_timeout(Duration::from_millis(50)) {
                Ok(Event { phone, at, what: What::Answered }) => _ = answered.insert(phone, at),
                Ok(Event { phone, what: What::Refused(why), .. }) => {
                    bail!("participant {phone} was refused: {why}")
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok((invited, answered.into_values().collect()))
    }

    /// Texts, ten a second, everybody in turn.
    pub fn chat(&self, setting: Setting<'_>, server: &Server) -> Result<Chat> {
        let mut chat = Chat::default();
        while self.events.try_recv().is_ok() {}
        let meter = Meter::start(self.clock, server);
        let start = self.clock.now();
        let mut said: BTreeMap<u32, (usize, u64)> = BTreeMap::new();
        let mut turn = 0;
        for (text, number) in (0..setting.chat_seconds * TEXTS).zip(0..) {
            self.clock.sleep_until(start + text * 1000 * MILLISECOND / TEXTS);
            chat.own_repeats += self.repeat_due();
            for _ in 0..self.phones.len() {
                let speaker = turn % self.phones.len();
                turn += 1;
                if let Some(at) = self.phones[speaker].say(number, TEXT_BYTES)? {
                    said.insert(number, (speaker, at));
                    break;
                }
            }
        }
        let (_, load, _) = meter.stop(server, self.phones.len());
        let mut heard = BTreeSet::new();
        let mut times = Vec::new();
        let deadline = self.clock.now() + DRAIN;
        while let Some(rest) = deadline.checked_sub(self.clock.now()) {
            chat.own_repeats += self.repeat_due();
            let wait = rest.min(50 * MILLISECOND);
            let Ok(event) = self.events.recv_timeout(Duration::from_nanos(wait)) else { continue };
            match event.what {
                What::Text(number) => {
                    let Some((speaker, at)) = said.get(&number) else { continue };
                    if *speaker == event.phone || !heard.insert((number, event.phone)) {
                        chat.duplicates += 1;
                    } else {
                        times.push(event.at.saturating_sub(*at));
                    }
                }
                What::Refused(_) => chat.refused += 1,
                What::Repeated => chat.host_repeats += 1,
                What::Answered | What::Done => {}
            }
        }
        chat.load = load;
        chat.said = said.len();
        chat.expected = said.len() * (self.phones.len() - 1);
        chat.lost = chat.expected - times.len();
        chat.delivery_ms = Spread::of(times);
        Ok(chat)
    }

    /// Everybody hangs up.
    pub fn leave(&self) -> Result<()> {
        for phone in &self.phones {
            phone.bye()?;
        }
        let deadline = self.clock.now() + 3000 * MILLISECOND;
        while self.phones.iter().any(|phone| phone.is_waiting()) {
            if self.clock.now() > deadline {
                let left = self.phones.iter().filter(|phone| phone.is_waiting()).count();
                println!("  ! {left} BYEs were not answered within 3 s");
                break;
            }
            self.repeat_due();
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Sends again what is due; how many did.
    pub fn repeat_due(&self) -> usize {
        self.phones.iter().filter(|phone| phone.repeat()).count()
    }
}

fn small_thread<T, F>(run: F) -> Result<JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    // Hundreds of these wait for packets; the usual two megabytes each would be much.
    Ok(thread::Builder::new().stack_size(128 * 1024).spawn(run)?)
}
