//! Keys pressed on a phone (RFC 4733): each press is told once, however often it is sent.

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
