//! Keys pressed on a phone (RFC 4733): each press that comes is told once, however often it is sent; each of ours is sent
//! for a tenth of a second, with its end three times.

/// The receiving half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digits {
    last: Option<(u32, u8)>,
}

impl Digits {
    /// Takes the payload of an event packet; gives the key when it is a new press.
    pub fn receive(&mut self, timestamp: u32, payload: &[u8]) -> Option<char> {
        let event = *payload.first_chunk::<4>()?.first()?;
        let digit = *KEYS.get(usize::from(event))?;
        // All packets of a press bear the timestamp of its beginning; one that was overtaken by the next press is old.
        if let Some((last, _)) = self.last
            && (-OVERTAKEN..0).contains(&(timestamp.wrapping_sub(last) as i32))
        {
            return None;
        }
        if self.last.replace((timestamp, event)) == Some((timestamp, event)) {
            return None;
        }
        Some(char::from(digit))
    }
}

/// The sending half.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presses {
    keys: [u8; MOST_PRESSES],
    count: usize,
    next: usize,
    /// Turns since the beginning of the press at hand.
    turn: u16,
    /// Timestamp of its beginning.
    begin: u32,
}

/// One packet of a press.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Press {
    /// Timestamp of the press's beginning (RFC 4733 section 2.5.1.2).
    pub timestamp: u32,
    /// Whether it is the press's first packet.
    pub marker: bool,
    /// What the packet carries.
    pub payload: [u8; 4],
}

impl Presses {
    /// These keys, in order; others than `0`-`9`, `*`, `#` and `A`-`D` are left out, and so is what is beyond
    /// [`MOST_PRESSES`].
    pub fn new(keys: &str) -> Self {
        let mut presses = Self::default();
        let codes = keys.bytes().filter_map(|key| {
            let key = key.to_ascii_uppercase();
            KEYS.iter().position(|known| *known == key)
        });
        for code in codes.take(MOST_PRESSES) {
            presses.keys[presses.count] = code as u8;
            presses.count += 1;
        }
        presses
    }

    /// How many keys are still to be sent.
    pub fn left(&self) -> usize {
        self.count - self.next
    }

    /// The packet of the next 20 ms; `None` in the pause between two presses and when all are sent. `timestamp`: of
    /// the stream at this moment.
    pub fn next(&mut self, timestamp: u32) -> Option<Press> {
        let code = *self.keys[..self.count].get(self.next)?;
        let turn = self.turn;
        self.turn += 1;
        if turn == 0 {
            self.begin = timestamp;
        }
        if turn >= PRESS_TURNS + PAUSE_TURNS {
            self.turn = 0;
            self.next += 1;
        }
        if turn >= PRESS_TURNS + 2 {
            return None;
        }
        // Two more with the end, of the same length, in case one is lost.
        let is_end = turn + 1 >= PRESS_TURNS;
        let [high, low] = ((turn + 1).min(PRESS_TURNS) * TURN_UNITS).to_be_bytes();
        let end = if is_end { 0x80 } else { 0 };
        Some(Press {
            timestamp: self.begin,
            marker: turn == 0,
            payload: [code, end | VOLUME, high, low],
        })
    }
}

/// The most keys in a row.
pub const MOST_PRESSES: usize = 32;
/// 100 ms.
const PRESS_TURNS: u16 = 5;
const PAUSE_TURNS: u16 = 6;
/// 20 ms at the 8 kHz of the events that we offer.
const TURN_UNITS: u16 = 160;
/// -10 dBm0.
const VOLUME: u8 = 10;

/// Ten seconds at 48 kHz; further back lies another stream.
const OVERTAKEN: i32 = 480_000;
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_is_told_once_and_the_same_key_again_at_its_next_press() {
        let mut digits = Digits::default();
        assert_eq!(digits.receive(100, &[5, 10, 0, 160]), Some('5'));
        assert_eq!(digits.receive(100, &[5, 10, 1, 64]), None);
        assert_eq!(digits.receive(100, &[5, 0x8a, 3, 32]), None);
        assert_eq!(digits.receive(900, &[5, 10, 0, 160]), Some('5'));
        assert_eq!(digits.receive(1_700, &[11, 10, 0, 160]), Some('#'));
    }

    #[test]
    fn what_we_press_is_told_once_each_with_a_pause_between() {
        let (mut presses, mut digits) = (Presses::new("17#7x"), Digits::default());
        assert_eq!(presses.left(), 4);
        let (mut told, mut packets, mut ends) = (String::new(), 0, 0);
        for turn in 0..100u32 {
            let Some(press) = presses.next(turn * 960) else { continue };
            packets += 1;
            ends += u32::from(press.payload[1] & 0x80 != 0);
            assert_eq!(press.marker, press.timestamp == turn * 960);
            told.extend(digits.receive(press.timestamp, &press.payload));
        }
        assert_eq!((told.as_str(), presses.left()), ("17#7", 0));
        assert_eq!((packets, ends), (4 * 7, 4 * 3));
        assert_eq!(Presses::new(&"1".repeat(99)).left(), MOST_PRESSES);
    }

    #[test]
    fn a_packet_that_was_overtaken_by_the_next_press_tells_nothing() {
        let mut digits = Digits::default();
        assert_eq!(digits.receive(u32::MAX - 100, &[5, 10, 0, 160]), Some('5'));
        assert_eq!(digits.receive(700, &[6, 10, 0, 160]), Some('6'));
        assert_eq!(digits.receive(u32::MAX - 100, &[5, 0x8a, 3, 32]), None);
        assert_eq!(digits.receive(700, &[6, 0x8a, 3, 32]), None);
    }

    #[test]
    fn short_payloads_and_other_events_are_nothing() {
        let mut digits = Digits::default();
        assert_eq!(digits.receive(1, &[]), None);
        assert_eq!(digits.receive(1, &[5, 1]), None);
        assert_eq!(digits.receive(1, &[200, 1, 0, 0]), None);
    }
}
