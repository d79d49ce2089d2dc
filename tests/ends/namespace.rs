//! Network namespaces: a story runs in one of its own, with a second one behind a link that can be cut. They go with the
//! processes in them; nothing of the machine's own network is touched.

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use super::process::Program;

/// The story's own end of the link.
pub const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
/// The first address behind the link.
pub const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));

const INSIDE: &str = "PARLOUR_INSIDE_A_NAMESPACE";

/// Runs a test's story in a namespace: the test program is started there again for this one test.
#[track_caller]
pub fn in_a_namespace(test: &str, story: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"]);
        story();
        return;
    }
    // A user who may do nothing else may be root in a namespace of his own.
    let kind = ["--net", "--user --map-root-user --net"].into_iter().find(|kind| {
        let probe = Command::new("unshare").args(kind.split(' ')).arg("true").output();
        probe.is_ok_and(|output| output.status.success())
    });
    let Some(kind) = kind else {
        panic!(
            "no network namespace can be made here: this test needs unshare of util-linux, and root, CAP_SYS_ADMIN or \
             user namespaces"
        );
    };
    let mut command = Command::new("unshare");
    command.args(kind.split(' ')).arg(env::current_exe().expect("a test has a path"));
    command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let status = command.status().expect("unshare was there before");
    assert!(status.success(), "{test} failed in its namespace: see above");
}

/// What lies behind the link: a namespace with one address.
pub struct Near {
    /// Nothing but a process that the namespace lives by; it ends when its standard input does.
    holder: Program,
}

impl Near {
    /// Makes it, and the link to it.
    pub fn begin() -> Self {
        let holder = Program::start("namespace", Command::new("unshare").args(["--net", "cat"]));
        let id = holder.id().to_string();
        let here = std::fs::read_link("/proc/self/ns/net").unwrap();
        let there = format!("/proc/{id}/ns/net");
        let own = super::process::within(std::time::Duration::from_secs(5), || {
            std::fs::read_link(&there).is_ok_and(|there| there != here)
        });
        assert!(own, "no namespace came about\n{}", holder.tail());
        let far = format!("{FAR}/24");
        run("ip", &["link", "add", "far0", "type", "veth", "peer", "name", "near0", "netns", &id]);
        run("ip", &["addr", "add", &far, "dev", "far0"]);
        run("ip", &["link", "set", "far0", "up"]);
        let near = Self { holder };
        near.ip(&["link", "set", "lo", "up"]);
        near.address(NEAR);
        near.link("up");
        near
    }

    /// What starts a program there.
    pub fn launcher(&self) -> Vec<String> {
        ["nsenter", "--net", "--target", &self.holder.id().to_string()].map(str::to_owned).to_vec()
    }

    /// The link `up` or `down`, as its owner sees it.
    pub fn link(&self, state: &str) {
        self.ip(&["link", "set", "near0", state]);
    }

    /// Gives the end of the link this address and no other.
    pub fn address(&self, ip: IpAddr) {
        self.ip(&["addr", "flush", "dev", "near0"]);
        self.ip(&["addr", "add", &format!("{ip}/24"), "dev", "near0"]);
    }

    fn ip(&self, arguments: &[&str]) {
        let launcher = self.launcher();
        let all: Vec<&str> = launcher[1..]
            .iter()
            .map(String::as_str)
            .chain(["ip"])
            .chain(arguments.iter().copied())
            .collect();
        run(&launcher[0], &all);
    }
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {errors}", arguments.join(" "));
}
