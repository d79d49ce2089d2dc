//! The machine: which cores the two sides get, and how busy everything else was (Linux, from /proc).

use std::fs;
use std::process::{self, Command, Stdio};

/// How server and generator are kept apart.
#[derive(Clone, Debug)]
pub struct Pinning {
    /// What stands before the server's command line.
    pub server: Vec<String>,
    /// In words.
    pub text: String,
}

/// Gives this process (and all threads it will start) one core, and names what gives the server another.
pub fn pin() -> Pinning {
    let cores = allowed_cores();
    let [server, .., generator] = cores.as_slice() else {
        return Pinning { server: Vec::new(), text: "one core only: nothing is pinned".into() };
    };
    let own = process::id().to_string();
    let generator_text = generator.to_string();
    let server_text = server.to_string();
    let mut prefix = Vec::new();
    let mut text = Vec::new();
    if run("taskset", &["-a", "-c", "-p", &generator_text, &own]) {
        prefix.extend(["taskset", "-c", &server_text].map(str::to_owned));
        text.push(format!("server on core {server}, generator on core {generator}"));
    } else {
        text.push("NOT pinned to cores (taskset does not work here)".to_owned());
    }
    if run("chrt", &["-a", "-f", "-p", "6", &own]) {
        // Children inherit the class; the server gets its own, lower one.
        prefix.splice(0..0, ["chrt", "-f", "5"].map(str::to_owned));
        text.push("both in the real-time class".to_owned());
    } else {
        text.push("NOT in the real-time class (chrt is not allowed here)".to_owned());
    }
    Pinning { server: prefix, text: text.join(", ") }
}

/// How many cores the bench may use.
pub fn core_count() -> usize {
    allowed_cores().len()
}

/// Processor time that the whole machine has used so far, in nanoseconds, idle and waiting left out.
pub fn busy() -> u64 {
    // Clock ticks that /proc shows are hundredths of a second on every Linux.
    const TICK: u64 = 10_000_000;
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let fields: Vec<u64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    fields.iter().sum::<u64>().saturating_sub(idle) * TICK
}

/// Processor time of this process so far, its children left out, in nanoseconds.
pub fn own_cpu() -> u64 {
    cpu_of(process::id())
}

/// Processor time of all threads of a process so far, in nanoseconds; threads that ended are not in it.
pub fn cpu_of(process: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    let times = tasks.map_while(Result::ok).map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0)
    });
    times.sum()
}

fn allowed_cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let mut cores = Vec::new();
    for range in list.unwrap_or_default().trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cores.extend(first..=last);
        }
    }
    cores
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
