//! Texts that come after their time: Date and Expires of a MESSAGE (RFC 3428 §7). Many phones write a Date that is none of
//! RFC 3261 §20.17, so it is read leniently.

use sip_core::Request;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// When a text was written whose time is over; `None` where it is not, or nobody says when it was written: then its time
/// counts from here.
pub fn expired(request: &Request, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let lasts = request.headers.expires()?;
    let written = read_date(request.headers.get("Date")?)?;
    let until = written.checked_add(lasts.try_into().ok()?)?;
    (until < now).then_some(written)
}

/// Day, month, year, time and zone, in whatever order they stand; without a zone it is UTC.
fn read_date(text: &str) -> Option<OffsetDateTime> {
    let text = text.get(..64).unwrap_or(text);
    let (mut day, mut month, mut year, mut time, mut zone) = (None, None, None, None, None);
    for word in text.split([' ', ',', '-', '\t']).filter(|word| !word.is_empty()) {
        let number = word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse::<i32>());
        match number {
            Some(Ok(number)) if word.len() <= 2 => day = day.or(u8::try_from(number).ok()),
            Some(Ok(number)) if word.len() == 4 && year.is_none() => year = Some(number),
            Some(_) => {}
            None if word.contains(':') => time = time.or(read_time(word)),
            None => {
                month = month.or(read_month(word));
                zone = zone.or(read_zone(word));
            }
        }
    }
    let date = Date::from_calendar_date(year?, month?, day?).ok()?;
    Some(date.with_time(time?).assume_offset(zone.unwrap_or(UtcOffset::UTC)))
}

fn read_time(word: &str) -> Option<Time> {
    let mut parts = word.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().flatten().unwrap_or(0).min(59);
    Time::from_hms(hour, minute, second).ok()
}

fn read_month(word: &str) -> Option<Month> {
    let names =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let start = word.get(..3)?.to_ascii_lowercase();
    let place = names.iter().position(|name| *name == start)?;
    Month::try_from(u8::try_from(place + 1).ok()?).ok()
}

/// `+0100`; a name of a zone is taken for GMT, the only one that may stand there.
fn read_zone(word: &str) -> Option<UtcOffset> {
    let digits = word.strip_prefix('+')?;
    let (hours, minutes) = (digits.get(..2)?.parse().ok()?, digits.get(2..4)?.parse().ok()?);
    UtcOffset::from_hms(hours, minutes, 0).ok()
}

#[cfg(test)]
mod tests {
    use sip_core::{AnyUri, Headers, Method};
    use time::macros::datetime;

    use super::*;

    fn read(date: &str, expires: &str) -> Option<OffsetDateTime> {
        let mut headers = Headers::default();
        if !date.is_empty() {
            headers.push("Date", date);
        }
        if !expires.is_empty() {
            headers.push("Expires", expires);
        }
        let uri = AnyUri::parse("sip:a@b").unwrap();
        let request = Request { method: Method::Message, uri, headers, body: Vec::new().into() };
        expired(&request, datetime!(2026-11-22 23:10:00 UTC))
    }

    #[test]
    fn ms10_a_text_is_expired_when_date_and_expires_are_over() {
        let written = datetime!(2026-11-22 23:05:07 UTC);
        for date in [
            "Sun, 22 Nov 2026 23:05:07 GMT",
            "Sun Nov 22 23:05:07 2026",
            "22-Nov-2026 23:05:07",
            "Sun, 22 November 2026 23:05:07",
            "Mon, 23 Nov 2026 00:05:07 +0100",
        ] {
            assert_eq!(read(date, "60"), Some(written), "{date}");
            assert_eq!(read(date, "600"), None, "{date}: not yet");
        }
    }

    #[test]
    fn ms10_without_a_date_the_time_counts_from_receipt() {
        assert_eq!(read("", "1"), None);
        assert_eq!(read("Sun, 22 Nov 2026 23:05:07 GMT", ""), None);
        for date in ["nonsense", "32 Nov 2026 23:05:07", "22 Nov 2026", "22 Nov 2026 99:99", "::"] {
            assert_eq!(read(date, "1"), None, "{date}");
        }
        let long = format!("{} 22 Nov 2026 23:05:07", "\u{e9}".repeat(100));
        assert_eq!(read(&long, "1"), None);
        assert_eq!(read("Sun, 22 Nov 2026 23:05:07 GMT", "99999999999999999999"), None);
    }
}
