//! What may end a session or the program: it is asked first where somebody would lose something.

use super::*;

impl Window {
    pub(super) fn running(&self) -> Option<Running<'_>> {
        let screen = &self.sessions.running()?.screen;
        Some(Running { kind: screen.kind, subject: &screen.subject, others: screen.others() })
    }

    /// What is to be asked before that, if anything.
    fn question(&self, intent: &Intent) -> Option<Question> {
        let question = Question::before(intent.clone(), self.running());
        let unsent = self.sessions.with_unsent().filter(|_| *intent == Intent::Quit);
        match (question, unsent) {
            (Some(question), Some(_)) => Some(question.losing_text()),
            (None, Some(session)) => Some(Question::unsent(&session.screen.subject)),
            (question, None) => question,
        }
    }

    /// Does it, or asks first.
    pub(super) fn want(&mut self, intent: Intent) -> Task<Message> {
        self.question = self.question(&intent);
        match self.question {
            Some(_) => Task::none(),
            None => self.act(intent),
        }
    }

    /// What is asked says for how many; that changed, perhaps.
    pub(super) fn ask_again(&mut self) {
        let again = self.question.as_ref().and_then(|asked| self.question(&asked.intent));
        if again.is_some() {
            self.question = again;
        }
    }

    pub(super) fn act(&mut self, intent: Intent) -> Task<Message> {
        match intent {
            Intent::Answer(incoming) => {
                self.send(Command::Answer { incoming });
            }
            Intent::CallAgain(uri) => {
                self.send(Command::Call { uri });
            }
            Intent::Dial(mut targets) => {
                let command = match targets.len() {
                    1 => Command::Call { uri: targets.remove(0) },
                    _ => Command::Host { subject: String::new(), invite: targets },
                };
                if self.send(command) {
                    self.home.dialled();
                }
            }
            Intent::Quit => return self.close(),
        }
        Task::none()
    }

    /// The keyboard goes to where one writes.
    pub(super) fn focus(&self) -> Task<Message> {
        let shown = self.sessions.shown();
        iced::widget::operation::focus(shown.map_or(home::CALL_BAR, |_| conference::COMPOSER))
    }

    pub(super) fn answered(&mut self, message: question::Message) -> Task<Message> {
        let Some(question) = self.question.take() else { return Task::none() };
        match (message, question.intent) {
            (question::Message::Stayed, _) => self.focus(),
            (question::Message::Confirmed, intent) => self.act(intent),
            (question::Message::Added, Intent::Answer(incoming)) => {
                self.send(Command::AddToConference { incoming });
                Task::none()
            }
            (question::Message::Added, Intent::CallAgain(uri)) => {
                if self.send(Command::Invite { uri }) {
                    self.show_running();
                }
                Task::none()
            }
            (question::Message::Added, Intent::Dial(targets)) => {
                let taken = targets.into_iter().all(|uri| self.send(Command::Invite { uri }));
                if taken {
                    self.home.dialled();
                    self.show_running();
                }
                Task::none()
            }
            (question::Message::Added, Intent::Quit) => Task::none(),
        }
    }

    /// Hangs up and ends the engine, from a thread of its own; the window is gone meanwhile.
    pub(super) fn close(&mut self) -> Task<Message> {
        if std::mem::replace(&mut self.closing, true) {
            return Task::none();
        }
        let (handle, notifier) = (self.handle.clone(), self.notifier.clone());
        let (done, farewell) = mpsc::unbounded();
        let spawned = std::thread::Builder::new().name("farewell".to_owned()).spawn(move || {
            handle.shutdown();
            notifier.end();
            let _ = done.unbounded_send(Message::Farewell(false));
            std::thread::sleep(LAST_WORDS);
            let _ = done.unbounded_send(Message::Farewell(true));
        });
        if spawned.is_err() {
            return iced::exit();
        }
        let hide = window::latest().and_then(|id| window::set_mode(id, window::Mode::Hidden));
        Task::batch([hide, Task::stream(farewell)])
    }

    /// Ends once the engine has told everything: the last event and the last row of the history are out by then.
    pub(super) fn leave_program(&self, at_once: bool) -> Task<Message> {
        let all_done = self.engine_gone && self.said_farewell;
        if self.closing && (at_once || all_done) { iced::exit() } else { Task::none() }
    }
}
