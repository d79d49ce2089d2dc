//! Times as messages have them: RFC 3339 in envelopes and reports, RFC 3261 §20.17 in SIP.

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// `2026-11-22T23:05:07.120Z`; a whole second has no fraction.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let fraction = match at.millisecond() {
        0 => String::new(),
        milliseconds => format!(".{milliseconds:03}"),
    };
    let (month, day) = (u8::from(at.month()), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z", at.year())
}

/// `Sun, 22 Nov 2026 23:05:07 GMT`
pub(crate) fn sip(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let short = |name: String| name.chars().take(3).collect::<String>();
    let (day, month) = (short(at.weekday().to_string()), short(at.month().to_string()));
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{day}, {:02} {month} {} {hour:02}:{minute:02}:{second:02} GMT", at.day(), at.year())
}

/// A time of RFC 3339, with any fraction and zone.
pub(crate) fn read(text: &str) -> Option<OffsetDateTime> {
    let (date, rest) = text.trim().split_once(['T', 't'])?;
    let mut parts = date.split('-');
    let year: i32 = parts.next()?.parse().ok()?;
    let month = Month::try_from(parts.next()?.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year, month, parts.next()?.parse().ok()?).ok()?;
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let time = Time::from_hms_milli(hour, minute, second.min(59), digits.parse().ok()?).ok()?;
    let offset = match zone.strip_prefix(['+', '-']) {
        None => UtcOffset::UTC,
        Some(digits) => {
            let (hours, minutes) = digits.split_once(':')?;
            let (hours, minutes): (i8, i8) = (hours.parse().ok()?, minutes.parse().ok()?);
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            UtcOffset::from_hms(sign * hours.clamp(0, 23), sign * minutes.clamp(0, 59), 0).ok()?
        }
    };
    Some(date.with_time(time).assume_offset(offset))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_written_in_both_ways_and_read_again() {
        let at = datetime!(2026-11-22 23:05:07.120 UTC);
        assert_eq!(rfc3339(at), "2026-11-22T23:05:07.120Z");
        assert_eq!(read(&rfc3339(at)), Some(at));
        let whole = datetime!(2026-01-02 03:04:05 UTC);
        assert_eq!(rfc3339(whole), "2026-01-02T03:04:05Z");
        assert_eq!(sip(at), "Sun, 22 Nov 2026 23:05:07 GMT");
        assert_eq!(sip(whole), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(rfc3339(datetime!(2026-11-23 00:05:07 +01:00)), "2026-11-22T23:05:07Z");
    }

    #[test]
    fn zones_and_fractions_are_read_and_nonsense_is_not() {
        let at = datetime!(2026-11-22 23:05:07.120 UTC);
        for text in [
            "2026-11-23T00:05:07.12+01:00",
            "2026-11-22t18:05:07.120999-05:00",
            " 2026-11-22T23:05:07.12z ",
        ] {
            assert_eq!(read(text), Some(at), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-13-01T00:00:00Z",
            "2026-11-22T23:05Z",
            "2026-11-22T23:05:07",
            "2026-11-22T99:05:07Z",
            "2026-11-22T23:05:07+1",
            "2026-11-22T23:05:07.xZ",
            "T:Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
