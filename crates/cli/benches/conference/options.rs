//! What the bench is asked for on its command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures conferences of `parlour-cli host` beside a floor that only mixes.
#[derive(Debug, Parser)]
#[command(name = "conference")]
pub struct Options {
    /// How many participants, one conference for each number.
    #[arg(long, value_delimiter = ',', default_value = "10,100")]
    pub n: Vec<usize>,
    /// How long the audio is measured, in seconds.
    #[arg(long, default_value_t = 15)]
    pub seconds: u64,
    /// How long texts are sent (ten a second), in seconds; 0 leaves the chat out.
    #[arg(long, default_value_t = 8)]
    pub chat_seconds: u64,
    /// How long texts are sent as fast as they are relayed, without audio, in seconds; 0 leaves that out.
    #[arg(long, default_value_t = 5)]
    pub relay_seconds: u64,
    /// Also write all figures here, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Where the host's log (standard error) goes; without it the log is dropped.
    #[arg(long)]
    pub host_log: Option<PathBuf>,
    /// Measure the floor only.
    #[arg(long)]
    pub floor_only: bool,
    /// Run as the floor for this many legs (the bench starts itself so).
    #[arg(long, hide = true)]
    pub floor: Option<usize>,
    /// Run as the floor of the relay for phones at these ports (the bench starts itself so).
    #[arg(long, hide = true, value_delimiter = ',')]
    pub floor_relay: Vec<u16>,
    /// cargo bench passes it.
    #[arg(long, hide = true)]
    pub bench: bool,
    /// cargo test passes it: there is nothing to check quickly, so the program ends at once.
    #[arg(long, hide = true)]
    pub test: bool,
    /// The filter that cargo bench may pass on; not used.
    #[arg(hide = true)]
    pub filter: Option<String>,
}
