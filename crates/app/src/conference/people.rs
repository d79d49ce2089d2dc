//! Who is here, who speaks, and where others can join.

use engine::{Participant, ParticipantState, SessionKind};
use iced::widget::{Column, Row, Space, column, container, hover, row, scrollable};
use iced::{Alignment, Element, Length};

use super::{Message, SPEAKS_ON, State, is_coming};
use crate::icon::Icon;
use crate::text;
use crate::theme::{Kind, Tokens};
use crate::ui::{action, avatar, count, icon_action, label, line, meter, middle, mono};

impl State {
    pub(super) fn people_panel<'a>(
        &'a self,
        tokens: Tokens,
        narrow: bool,
        width: Length,
    ) -> Element<'a, Message> {
        let head: Element<'a, Message> = if narrow {
            let words = format!("{}, {}", text::people(self.shown_people()), self.whose());
            label(words, 13.0, tokens.muted).into()
        } else {
            row![
                label("People", 14.0, tokens.text),
                count(tokens, self.shown_people(), tokens.raised, tokens.muted)
            ]
            .spacing(8)
            .align_y(Alignment::Center)
            .into()
        };
        let head = container(head).padding([0, 16]).height(48).align_y(Alignment::Center);
        let rows = self.people.iter().map(|person| self.person(tokens, person));
        let list =
            scrollable(Column::with_children(rows)).height(Length::Fill).style(tokens.scroll());
        let mut panel = column![head];
        if let Some(lobby) = self.lobby_list(tokens) {
            panel = panel.push(lobby).push(line(tokens));
        }
        panel = panel.push(list);
        if self.kind == SessionKind::Hosted && self.ended.is_none() && !narrow {
            let foot = column![
                label(text::reach(&self.conference), 13.0, tokens.muted),
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

    /// Who is here or being called.
    pub(super) fn shown_people(&self) -> usize {
        let gone = |person: &&Participant| person.state != ParticipantState::Disconnected;
        self.people.iter().filter(gone).count()
    }

    /// Whether somebody speaks now, or paused a moment ago.
    pub(super) fn speaks(&self, person: &Participant) -> bool {
        person.state == ParticipantState::Connected
            && !person.muted
            && !person.muted_by_host
            && self.spoke.get(&person.id).is_some_and(|at| at.elapsed() < SPEAKS_ON)
    }

    fn person<'a>(&'a self, tokens: Tokens, person: &'a Participant) -> Element<'a, Message> {
        let here = person.state == ParticipantState::Connected && self.ended.is_none();
        let gone = person.state == ParticipantState::Disconnected;
        let speaks = self.speaks(person);
        let color = self.color(tokens, &person.entity);
        let badge: Element<'a, Message> =
            container(avatar(tokens, &person.name, color, 36.0, speaks))
                .center_x(44)
                .center_y(44)
                .into();
        let ink = if gone { tokens.muted } else { tokens.text };
        let mut name = Row::new().push(label(middle(&person.name, 22), 15.0, ink));
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
        if let Some(sound) = self.sound(tokens, person, here) {
            first = first.push(sound);
        }
        let ink = match person.state {
            _ if speaks => tokens.ok,
            _ if person.is_self && self.muted => tokens.err,
            ParticipantState::Alerting => tokens.accent,
            _ => tokens.muted,
        };
        let mut second =
            row![label(text::state(person, speaks, person.is_self && self.muted), 13.0, ink)];
        let ability = text::chat(person);
        if !ability.is_empty() && here {
            second = second.push(label(format!(" · {ability}"), 13.0, tokens.muted));
        }
        let words = column![first.height(22).align_y(Alignment::Center), second];
        let content = row![badge, words.width(Length::Fill)].spacing(10).align_y(Alignment::Center);
        let content = container(content)
            .padding(iced::Padding { left: 12.0, right: 16.0, ..iced::Padding::ZERO })
            .height(60)
            .align_y(Alignment::Center);
        match self.act_on(tokens, person) {
            Some(act) => {
                let act = container(act).style(tokens.fill(tokens.panel)).padding([0, 4]);
                let act = container(act)
                    .align_right(Length::Fill)
                    .center_y(60)
                    .padding(iced::Padding { right: 8.0, ..iced::Padding::ZERO });
                // Who could not be reached shows it at once; whom one could remove only under the pointer.
                if gone { iced::widget::stack![content, act].into() } else { hover(content, act) }
            }
            None => content.into(),
        }
    }

    /// At the right of a name: meter, muted microphone, or for how long it has been ringing.
    fn sound<'a>(
        &'a self,
        tokens: Tokens,
        person: &Participant,
        here: bool,
    ) -> Option<Element<'a, Message>> {
        if is_coming(person) {
            let seconds = self.since.get(&person.id).map_or(0, |at| at.elapsed().as_secs());
            let timer = format!("{:02}:{:02}", seconds / 60, seconds % 60);
            return Some(mono(timer, 12.0, tokens.muted).into());
        }
        if !here {
            return None;
        }
        if person.muted || person.muted_by_host || (person.is_self && self.muted) {
            let ink = if person.is_self { tokens.err } else { tokens.muted };
            return Some(Icon::MicOff.view(18.0, ink).into());
        }
        let level = self.levels.get(&person.id).copied().unwrap_or(-127.0);
        Some(meter(tokens, level))
    }

    /// What the host can do about a person.
    fn act_on<'a>(&'a self, tokens: Tokens, person: &Participant) -> Option<Element<'a, Message>> {
        if self.kind != SessionKind::Hosted || person.is_self || self.ended.is_some() {
            return None;
        }
        let (icon, words, message) = match person.state {
            ParticipantState::Disconnected if text::can_retry(person) => {
                (Icon::Retry, "Retry", Message::RetryPressed(person.id))
            }
            ParticipantState::Disconnected => return None,
            ParticipantState::Alerting | ParticipantState::DialingOut => {
                (Icon::Close, "Stop calling", Message::RemovePressed(person.id))
            }
            ParticipantState::Connected | ParticipantState::OnHold => {
                (Icon::Close, "Remove", Message::RemovePressed(person.id))
            }
        };
        let act = action(tokens, Kind::Normal, Some(icon), words, Some(message));
        if !super::moderation::has_card(person) {
            return Some(act.into());
        }
        let more = Message::PersonPressed(person.id);
        let more = icon_action(tokens, Icon::ChevronDown, "More about this person", more);
        Some(row![more, act].spacing(4).into())
    }
}
