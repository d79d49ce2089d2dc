//! Measures conferences of `parlour-cli host` on this machine: processor time, added delay, gaps, memory, joins, chat;
//! and in the same sitting the floor, a program that only mixes. docs/performance.md says what the figures mean.
//!
//! `cargo bench -p cli --bench conference -- --n 10,100 --seconds 15 --json FILE`

mod clock;
mod figures;
mod floor;
mod leg;
mod machine;
mod options;
mod phone;
mod relay;
mod report;
mod run;
mod sender;
mod server;
mod sound;
mod wire;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::json;

use figures::Figures;
use options::Options;
use run::Setting;

fn main() -> ExitCode {
    let options = Options::parse();
    if options.test {
        return ExitCode::SUCCESS;
    }
    let outcome = match options.floor {
        Some(legs) => floor::run(legs).context("the floor failed"),
        None if !options.floor_relay.is_empty() => {
            relay::serve(&options.floor_relay).context("the relay's floor failed")
        }
        None => measure(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conference bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    ensure!(options.n.iter().all(|n| (2..=1000).contains(n)), "--n takes 2 to 1000 participants");
    ensure!(options.seconds >= 2, "--seconds: at least 2");
    ensure!(cfg!(target_os = "linux"), "processor time and memory are read from Linux' /proc");
    let cli =
        env::var_os("PARLOUR_CLI").map_or(env!("CARGO_BIN_EXE_parlour-cli").into(), PathBuf::from);
    // Counted first: pinning leaves this process one of them.
    let cores = machine::core_count();
    let pinning = machine::pin();
    println!("{cores} cores; {}", pinning.text);
    let setting = Setting {
        pinning: &pinning,
        clock: clock::Clock::start(),
        seconds: options.seconds,
        chat_seconds: options.chat_seconds,
    };
    let mut all = Vec::new();
    for &participants in &options.n {
        println!("\n{participants} participants");
        println!("  floor: {} s of audio ...", options.seconds);
        let floor = run::floor(setting, participants)?;
        report::floor(&floor);
        let host = if options.floor_only {
            None
        } else {
            println!(
                "  host: joins, {} s of audio, {} s of chat ...",
                options.seconds, options.chat_seconds
            );
            Some(run::host(setting, participants, &cli, options.host_log.as_deref())?)
        };
        let host_by_floor = host.as_ref().map(|host| {
            host.audio.load.cpu_per_participant_minute / floor.load.cpu_per_participant_minute
        });
        if let (Some(host), Some(ratio)) = (&host, host_by_floor) {
            report::host(host, ratio);
        }
        let relay = relay(options, setting, participants, &cli)?;
        all.push(Figures { participants, floor, host, host_by_floor, relay });
    }
    if let Some(path) = &options.json {
        let everything = json!({
            "cores": cores,
            "pinning": pinning.text,
            "runs": all,
        });
        fs::write(path, format!("{everything:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nAll figures: {}", path.display());
    }
    // A figure that is worse is for the reader to judge; sound that stops is a failure.
    for run in all.iter().filter(|run| run.participants <= 100) {
        let gaps = run.host.as_ref().map_or(0, |host| host.audio.own_gaps());
        ensure!(gaps == 0, "{gaps} gaps of more than 40 ms with {} participants", run.participants);
    }
    Ok(())
}

/// The chat alone, of the floor and of the host.
fn relay(
    options: &Options,
    setting: Setting<'_>,
    participants: usize,
    cli: &std::path::Path,
) -> Result<Option<figures::Relay>> {
    if options.relay_seconds == 0 || options.floor_only {
        return Ok(None);
    }
    println!("  relay: {} s of texts without audio, twice ...", options.relay_seconds);
    let floor = relay::floor(setting, participants, options.relay_seconds)?;
    let log = options.host_log.as_deref();
    let host = relay::host(setting, participants, options.relay_seconds, cli, log)?;
    let relay = figures::Relay { floor, host };
    report::relay(&relay);
    Ok(Some(relay))
}
