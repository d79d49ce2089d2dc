//! A line once more, to those only who did not get it.

use super::Focus;
use crate::{DeliveryState, Event, MessageId, Now};

impl Focus {
    /// To one, or to all who missed it.
    pub(super) fn resend(&mut self, line: MessageId, recipient: Option<&str>, now: Now) {
        if !self.lines.contains_key(&line) {
            let text = "That message is too old to be sent again".to_owned();
            self.tell(Event::Notice { text });
            return;
        }
        let missed = self.failed.iter().filter(|(failed, _)| *failed == line);
        let missed: Vec<String> = missed.map(|(_, entity)| entity.clone()).collect();
        let of_one = |entity: &str| missed.iter().filter(|one| *one == entity).cloned().collect();
        let again: Vec<String> = recipient.map_or_else(|| missed.clone(), of_one);
        if again.is_empty() {
            let text = "That message has not failed there: it is not sent again".to_owned();
            self.tell(Event::Notice { text });
        }
        for entity in again {
            self.resend_to(line, &entity, now);
        }
    }

    fn resend_to(&mut self, line: MessageId, entity: &str, now: Now) {
        let Some(written) = self.lines.get(&line).cloned() else { return };
        let person = self.people.values().find(|person| person.shown.entity == entity);
        match person.filter(|person| person.gone_at.is_none()).map(|person| person.shown.id) {
            Some(id) => self.relay_to(id, line, &written, now),
            None => self.delivery(line, entity, DeliveryState::Left, None, String::new()),
        }
    }
}
