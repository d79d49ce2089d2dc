//! Who is here, who speaks, and where others can join.

use engine::{Participant, ParticipantState, SessionKind};
use iced::widget::{Column, Row, Space, column, container, row, scrollable};
use iced::{Alignment, Element, Length};

use super::{Message, SPEAKS_DBOV, State, is_coming};
use crate::icon::Icon;
use crate::text;
use crate::theme::Tokens;
use crate::ui::{avatar, count, icon_action, label, line, meter, middle, mono};

impl State {
    pub(super) fn people_panel<'a>(
        &'a self,
        tokens: Tokens,
        width: Length,
    ) -> Element<'a, Message> {
        let head = row![
            label("People", 14.0, tokens.text),
            count(tokens, self.people.len(), tokens.raised, tokens.muted)
        ]
        .spacing(8)
        .align_y(Alignment::Center);
        let head = container(head).padding([0, 16]).height(48).align_y(Alignment::Center);
        let rows = self.people.iter().map(|person| self.person(tokens, person));
        let list =
            scrollable(Column::with_children(rows)).height(Length::Fill).style(tokens.scroll());
        let mut panel = column![head, list];
        if self.kind == SessionKind::Hosted && self.ended.is_none() {
            let foot = column![
                label("People who can reach you can join", 13.0, tokens.muted),
                row![
                    mono(middle(&self.conference, 32), 12.0, tokens.text),
                    Space::new().width(Length::Fill),
                    icon_action(
                        tokens,
                        Icon::Copy,
                        "Copy the conference's address",
                        Message::ConferenceCopied
                    )
                ]
                .align_y(Alignment::Center)
            ];
            panel = panel.push(line(tokens)).push(container(foot).padding([10, 16]));
        }
        container(panel).width(width).height(Length::Fill).style(tokens.fill(tokens.panel)).into()
    }

    fn speaks(&self, person: &Participant) -> bool {
        let level = self.levels.get(&person.id).copied().unwrap_or(-127.0);
        person.state == ParticipantState::Connected && !person.muted && level >= SPEAKS_DBOV
    }

    /// "Bob speaks", "Bob and Carol speak"; empty while nobody does.
    pub(super) fn speakers(&self) -> String {
        let names: Vec<&str> = self
            .people
            .iter()
            .filter(|person| self.speaks(person))
            .map(|person| person.name.as_str())
            .collect();
        match names.as_slice() {
            [] => String::new(),
            [one] => format!("{one} speaks"),
            [first @ .., last] => format!("{} and {last} speak", first.join(", ")),
        }
    }

    fn person<'a>(&'a self, tokens: Tokens, person: &'a Participant) -> Element<'a, Message> {
        let level = self.levels.get(&person.id).copied().unwrap_or(-127.0);
        let here = person.state == ParticipantState::Connected;
        let speaks = self.speaks(person);
        let color = self.color(tokens, &person.entity);
        let badge: Element<'a, Message> =
            container(avatar(tokens, &person.name, color, 36.0, speaks))
                .center_x(44)
                .center_y(44)
                .into();
        let mut name = Row::new().push(label(middle(&person.name, 22), 15.0, tokens.text));
        let tag = match (person.is_self, person.is_host) {
            (true, true) => "you, host",
            (true, false) => "you",
            (false, true) => "host",
            (false, false) => "",
        };
        if !tag.is_empty() {
            name = name.push(label(tag, 12.0, tokens.muted));
        }
        let mut first =
            row![name.spacing(8).align_y(Alignment::Center), Space::new().width(Length::Fill)];
        if here {
            let sound: Element<'a, Message> = if person.muted {
                Icon::MicOff.view(18.0, tokens.muted).into()
            } else {
                meter(tokens, level)
            };
            first = first.push(sound);
        }
        let words = text::state(person, speaks);
        let mut second =
            Row::new().push(label(words, 13.0, if speaks { tokens.ok } else { tokens.muted }));
        let ability = text::chat(person);
        if !ability.is_empty() && here {
            second = second.push(label(format!(" · {ability}"), 13.0, tokens.muted));
        }
        let mut content =
            row![badge, column![first.align_y(Alignment::Center), second].width(Length::Fill)];
        if self.kind == SessionKind::Hosted
            && !person.is_self
            && (here || is_coming(person))
            && self.ended.is_none()
        {
            let words = if here { "Remove from the conference" } else { "Stop calling" };
            content = content.push(icon_action(
                tokens,
                Icon::Close,
                words,
                Message::RemovePressed(person.id),
            ));
        }
        let content = content.spacing(10).align_y(Alignment::Center);
        container(content).padding([0, 12]).height(60).align_y(Alignment::Center).into()
    }
}
