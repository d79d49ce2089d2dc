//! The rows of the call history.

use engine::{CallRecord, RecordKind};
use iced::widget::{Row, column, container, mouse_area, row};
use iced::{Alignment, Color, Element, Length};
use time::{OffsetDateTime, UtcOffset};

use super::texts::person;
use super::{Message, hash};
use crate::clean::one_line;
use crate::icon::Icon;
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, label, middle};

/// One row. The pointer on it fills it.
pub(super) fn record_row<'a>(
    tokens: Tokens,
    record: &'a CallRecord,
    is_hovered: bool,
) -> Element<'a, Message> {
    let missed = record.kind == RecordKind::Missed;
    let picture: Element<'a, Message> = if record.kind == RecordKind::Conference {
        container(Icon::Table.view(20.0, tokens.accent))
            .center(36)
            .style(tokens.card(tokens.accent_soft, Color::TRANSPARENT, 18.0, 0.0))
            .into()
    } else {
        avatar(tokens, person(&record.name), sender_color(tokens, &record.uri), 36.0, false)
    };
    let name = one_line(if record.name.is_empty() { &record.uri } else { &record.name }, 200);
    let below = label(text::record(record), 13.0, if missed { tokens.err } else { tokens.muted });
    let mut second = Row::new().spacing(6).align_y(Alignment::Center);
    if missed {
        second = second.push(Icon::PhoneIn.view(14.0, tokens.err));
    }
    let words = column![label(middle(&name, 50), 15.0, tokens.text), second.push(below)]
        .width(Length::Fill);
    let mut actions = Row::new();
    // A conference of ours had an address of its own that is gone.
    if record.kind != RecordKind::Conference {
        let kind = if is_hovered { Kind::Normal } else { Kind::Quiet };
        let call = Some(Message::CallAgain(record.id));
        actions = actions.push(action(tokens, kind, Some(Icon::Phone), "Call", call));
    }
    let content = row![
        picture,
        words,
        label(when(record.started_unix), 13.0, tokens.muted),
        container(actions).align_right(88)
    ]
    .spacing(12)
    .align_y(Alignment::Center);
    let fill = if is_hovered { tokens.panel } else { Color::TRANSPARENT };
    let content = container(content)
        .height(60)
        .align_y(Alignment::Center)
        .padding([0, 12])
        .style(tokens.card(fill, Color::TRANSPARENT, 8.0, 0.0));
    mouse_area(content)
        .on_enter(Message::Hovered(record.id, true))
        .on_exit(Message::Hovered(record.id, false))
        .into()
}

/// The colour of somebody outside of a conference: by his address.
pub fn sender_color(tokens: Tokens, entity: &str) -> Color {
    tokens.senders[hash(entity) % tokens.senders.len()]
}

/// "Today 10:02", "Yesterday 17:40", "2026-11-22 16:21".
pub(super) fn when(unix: i64) -> String {
    let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let Ok(then) = OffsetDateTime::from_unix_timestamp(unix) else { return String::new() };
    let (then, now) = (then.to_offset(offset), OffsetDateTime::now_utc().to_offset(offset));
    let clock = format!("{:02}:{:02}", then.hour(), then.minute());
    match (now.date() - then.date()).whole_days() {
        0 => format!("Today {clock}"),
        1 => format!("Yesterday {clock}"),
        _ => format!("{} {clock}", then.date()),
    }
}
