//! The sound devices: placeholder until opened.
use rtrb::Producer;

use super::{MediaEvent, local::DeviceRings};

pub(super) struct Devices {
    _rings: Producer<Box<DeviceRings>>,
}

impl Devices {
    pub(super) fn start(rings: Producer<Box<DeviceRings>>) -> Self {
        Self { _rings: rings }
    }
    pub(super) fn poll_event(&self) -> Option<MediaEvent> {
        None
    }
    pub(super) fn microphone(&self) -> Result<String, String> {
        Err("no device".to_owned())
    }
    pub(super) fn speaker(&self) -> Result<String, String> {
        Err("no device".to_owned())
    }
}
