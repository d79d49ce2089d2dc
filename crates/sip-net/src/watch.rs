//! What happens to the machine: it sleeps, the process is stopped, addresses come and go.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::Received;

/// How often the addresses are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A second that lasted this long was none: whoever is asked each second was stopped.
const STOPPED: Duration = Duration::from_secs(3);

/// Notices that time passed of which the program knew nothing: the process was stopped, or the machine slept. In the
/// latter case the monotonic clock may have slept as well; the wall clock never does. That it is put forward by hand looks
/// the same, and costs no more than a few questions.
#[derive(Clone, Copy, Debug)]
pub struct StopWatch {
    monotonic: Instant,
    wall: SystemTime,
}

impl StopWatch {
    /// From now on.
    pub fn new(monotonic: Instant, wall: SystemTime) -> Self {
        Self { monotonic, wall }
    }

    /// To be asked each second, and before anything that came or ran out is looked at: for how long time was lost, where
    /// that is more than three seconds.
    pub fn check(&mut self, monotonic: Instant, wall: SystemTime) -> Option<Duration> {
        let passed = monotonic.saturating_duration_since(self.monotonic);
        // Put back, it says nothing.
        let by_wall = wall.duration_since(self.wall).unwrap_or_default();
        *self = Self { monotonic, wall };
        Some(passed.max(by_wall)).filter(|lost| *lost > STOPPED)
    }
}

/// Counts the changes of addresses: what was remembered of ways before one is of no use.
pub(crate) type Changes = Arc<AtomicU64>;

/// Looks at the addresses of all interfaces that work, and tells of those that are new or gone.
pub(crate) async fn watch_addresses(sender: mpsc::Sender<Received>, changes: Changes) {
    let Some(mut known) = addresses() else { return };
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if sender.is_closed() {
            return;
        }
        let Some(now) = addresses() else { continue };
        let change = compare(&known, &now);
        known = now;
        if let Some(gone) = change {
            changes.fetch_add(1, Ordering::Relaxed);
            if sender.send(Received::AddressesChanged { gone }).await.is_err() {
                return;
            }
        }
    }
}

/// An address of ours, and whether the interface that has it works: it is on and has a link.
type Known = BTreeSet<(IpAddr, bool)>;

/// Which addresses are ours no more, where anything happened that matters: one came, or works again, or is gone. That a
/// link is interrupted does not: over it nothing can be asked, and what goes over it may stand again when it is back.
fn compare(before: &Known, now: &Known) -> Option<Vec<IpAddr>> {
    let is_new = now.iter().any(|(ip, works)| *works && !before.contains(&(*ip, true)));
    let had: BTreeSet<IpAddr> = before.iter().map(|(ip, _)| *ip).collect();
    let have: BTreeSet<IpAddr> = now.iter().map(|(ip, _)| *ip).collect();
    let gone: Vec<IpAddr> = had.difference(&have).copied().collect();
    (is_new || !gone.is_empty()).then_some(gone)
}

/// `None` where the system does not say.
#[cfg(unix)]
fn addresses() -> Option<Known> {
    use nix::net::if_::InterfaceFlags;

    let works = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    let all = nix::ifaddrs::getifaddrs().ok()?;
    let known = all.filter_map(|one| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        let v6 = || address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
        Some((v4.or_else(v6)?, one.flags.contains(works)))
    });
    Some(known.collect())
}

/// The system is not asked here.
#[cfg(not(unix))]
fn addresses() -> Option<Known> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_stop_is_noticed_by_either_clock_and_once() {
        let (start, wall) = (Instant::now(), SystemTime::now());
        for (monotonic, by_wall, lost) in [
            (1, 1, None),
            (3, 3, None),
            (60, 60, Some(60)),
            // The machine slept, and its monotonic clock with it.
            (1, 3600, Some(3600)),
        ] {
            let mut watch = StopWatch::new(start, wall);
            let (now, then) = (start + secs(monotonic), wall + secs(by_wall));
            assert_eq!(watch.check(now, then), lost.map(secs), "{monotonic} {by_wall}");
            assert_eq!(watch.check(now + secs(1), then + secs(1)), None);
        }
    }

    #[test]
    fn a_wall_clock_that_is_put_back_is_no_stop() {
        let (start, wall) = (Instant::now(), SystemTime::now());
        let mut watch = StopWatch::new(start, wall);
        assert_eq!(watch.check(start + secs(1), wall - secs(3600)), None);
        assert_eq!(watch.check(start + secs(2), wall - secs(3599)), None);
    }

    fn known(all: &[(&str, bool)]) -> Known {
        all.iter().map(|(text, works)| (text.parse().unwrap(), *works)).collect()
    }

    #[test]
    fn new_addresses_and_lost_ones_and_a_link_that_is_back_are_told_and_a_broken_link_is_not() {
        let home = known(&[("127.0.0.1", true), ("10.0.0.5", true)]);
        let broken = known(&[("127.0.0.1", true), ("10.0.0.5", false)]);
        let lost = known(&[("127.0.0.1", true)]);
        let other = known(&[("127.0.0.1", true), ("192.0.2.7", true)]);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(compare(&home, &home), None);
        assert_eq!(compare(&home, &broken), None);
        assert_eq!(compare(&broken, &home), Some(vec![]));
        assert_eq!(compare(&home, &lost), Some(vec![ip("10.0.0.5")]));
        assert_eq!(compare(&lost, &home), Some(vec![]));
        assert_eq!(compare(&lost, &broken), None, "not before it works");
        assert_eq!(compare(&home, &other), Some(vec![ip("10.0.0.5")]));
    }

    #[test]
    #[cfg(unix)]
    fn the_system_tells_its_addresses() {
        let known = addresses().unwrap();
        assert!(known.contains(&(IpAddr::from([127, 0, 0, 1]), true)), "{known:?}");
    }
}
