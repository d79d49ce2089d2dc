//! Debian's Kamailio as registrar and proxy of one domain: digest over UDP, TCP and TLS on free ports of the loopback
//! interface, record-routing, every request that passes in its log. Its files live in a folder of the test.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::dns::{NameServer, Record};
use super::process::{Program, free_ports, within};

/// The domain that it serves.
pub const DOMAIN: &str = "sip.parlour.test";

/// What it does differently where a test wants it so.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The address it listens on.
    pub ip: IpAddr,
    /// The longest that a registration may last, in seconds.
    pub max_expires: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), max_expires: 3600 }
    }
}

/// One running Kamailio.
pub struct Kamailio {
    folder: PathBuf,
    /// UDP and TCP.
    pub address: SocketAddr,
    /// TLS.
    pub secure: SocketAddr,
    program: Program,
}

impl Kamailio {
    /// Starts one with these users and their passwords.
    pub fn start(folder: &Path, users: &[(&str, &str)]) -> Self {
        Self::start_with(folder, users, Rules::default())
    }

    /// Starts one that goes by these rules.
    pub fn start_with(folder: &Path, users: &[(&str, &str)], rules: Rules) -> Self {
        let folder = folder.join("kamailio");
        fs::create_dir_all(folder.join("run")).unwrap();
        let ip = rules.ip;
        let port = free_ports(ip, 2);
        let (address, secure) = (SocketAddr::new(ip, port), SocketAddr::new(ip, port + 1));
        certificates(&folder);
        write_users(&folder, users);
        fs::write(folder.join("kamailio.cfg"), config(&folder, address, secure, rules)).unwrap();
        fs::write(folder.join("tls.cfg"), tls_config(&folder)).unwrap();
        let program = run(&folder);
        let kamailio = Self { folder, address, secure, program };
        kamailio.until_it_listens();
        kamailio
    }

    /// Ends it and starts it again: what was registered is forgotten.
    pub fn restart(&mut self) {
        self.stop();
        self.program = run(&self.folder);
        self.until_it_listens();
    }

    /// Ends it, all of its processes.
    pub fn stop(&mut self) {
        assert!(self.ended(), "{}", self.program.tail());
    }

    /// Asks until it is gone: one that is still starting passes over what asks it to end.
    fn ended(&mut self) -> bool {
        let id = self.program.id().to_string();
        (0..20).any(|_| {
            let _ = Command::new("kill").args(["-TERM", &id]).stderr(Stdio::null()).status();
            self.program.wait(Duration::from_millis(500)).is_some()
        })
    }

    /// The certificate of the authority that signed its own.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The name system of the domain, where this transport is the wished one.
    pub fn names(&self, transport: &str) -> NameServer {
        let (service, tag, port) = match transport {
            "tls" => ("_sips._tcp", "SIPS+D2T", self.secure.port()),
            "tcp" => ("_sip._tcp", "SIP+D2T", self.address.port()),
            _ => ("_sip._udp", "SIP+D2U", self.address.port()),
        };
        let IpAddr::V4(ip) = self.address.ip() else { panic!("it listens by IPv4") };
        let service = format!("{service}.{DOMAIN}");
        let table = vec![
            (DOMAIN.to_owned(), Record::Naptr(10, 0, tag, service.clone())),
            (service, Record::Srv(0, 0, port, format!("proxy.{DOMAIN}"))),
            (format!("proxy.{DOMAIN}"), Record::A(ip)),
        ];
        NameServer::start_at(ip.into(), table)
    }

    /// What passed it so far: `METHOD from=URI to-tag=0|1 ruri=URI by=udp|tcp|tls`.
    pub fn passed(&self) -> Vec<String> {
        self.logged("PASSED ")
    }

    /// How many REGISTERs of this user it granted.
    pub fn granted(&self, user: &str) -> usize {
        let mark = format!("sip:{user}@{DOMAIN} ");
        self.logged("SAVED ").iter().filter(|line| line.starts_with(&mark)).count()
    }

    fn logged(&self, mark: &str) -> Vec<String> {
        let lines = self.program.lines();
        lines
            .iter()
            .filter_map(|line| Some(line[line.find(mark)? + mark.len()..].to_owned()))
            .collect()
    }

    /// Its last lines.
    pub fn tail(&self) -> String {
        self.program.tail()
    }

    fn until_it_listens(&self) {
        for address in [self.address, self.secure] {
            let up = within(Duration::from_secs(8), || TcpStream::connect(address).is_ok());
            assert!(up, "Kamailio does not listen on {address}\n{}", self.tail());
        }
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its children end with it only where it is asked to end, not where it is killed.
        if !self.ended() {
            let group = format!("-{}", self.program.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        }
    }
}

fn run(folder: &Path) -> Program {
    let mut command = Command::new("/usr/sbin/kamailio");
    command.arg("-f").arg(folder.join("kamailio.cfg")).args(["-m", "64", "-M", "8", "-DD", "-E"]);
    command.arg("-Y").arg(folder.join("run")).arg("-P").arg(folder.join("kamailio.pid"));
    // One that is stuck is ended with its children.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    Program::start("kamailio", &mut command)
}

fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder);
    let output = command.output().expect("openssl cannot be started: is it there?");
    assert!(output.status.success(), "openssl {arguments}: {output:?}");
}

/// An authority, and a certificate of the domain signed by it (RFC 5922 §7.1: the SIP URI and the DNS name).
fn certificates(folder: &Path) {
    let names = format!("subjectAltName=URI:sip:{DOMAIN},DNS:{DOMAIN}\n");
    fs::write(folder.join("names"), names).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=Test -days 2"));
    openssl(folder, &format!("req {key} -keyout server.key -out server.csr -subj /CN=proxy"));
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names \
         -out server.pem",
    );
}

fn write_users(folder: &Path, users: &[(&str, &str)]) {
    let db = folder.join("db");
    fs::create_dir_all(&db).unwrap();
    fs::write(db.join("version"), "table_name(string) table_version(int)\nsubscriber:7\n").unwrap();
    let mut table = String::from(
        "id(int,auto) username(string) domain(string) password(string) ha1(string,null) ha1b(string,null)\n",
    );
    for (number, (user, password)) in users.iter().enumerate() {
        table.push_str(&format!("{}:{user}:{DOMAIN}:{password}:-:-\n", number + 1));
    }
    fs::write(db.join("subscriber"), table).unwrap();
}

fn tls_config(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\n\
         private_key = {folder}/server.key\ncertificate = {folder}/server.pem\n\
         [client:default]\nmethod = TLSv1.2+\nverify_certificate = no\n"
    )
}

fn config(folder: &Path, address: SocketAddr, secure: SocketAddr, rules: Rules) -> String {
    let (folder, max_expires) = (folder.display(), rules.max_expires);
    let modules = [
        "jsonrpcs",
        "kex",
        "tm",
        "tmx",
        "sl",
        "rr",
        "pv",
        "maxfwd",
        "usrloc",
        "registrar",
        "textops",
        "siputils",
        "sanity",
        "auth",
        "db_text",
        "auth_db",
        "nathelper",
        "xlog",
        "tls",
    ];
    let loads: String = modules.map(|module| format!("loadmodule \"{module}.so\"\n")).concat();
    format!(
        r#"#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=3
enable_tls=yes
auto_aliases=no
alias="{DOMAIN}"
listen=udp:{address}
listen=tcp:{address}
listen=tls:{secure}
tcp_connection_lifetime=600
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
{loads}
modparam("jsonrpcs", "transport", 2)
modparam("jsonrpcs", "fifo_name", "{folder}/run/rpc")
modparam("rr", "enable_full_lr", 1)
modparam("rr", "append_fromtag", 1)
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_contacts", 5)
modparam("registrar", "gruu_enabled", 0)
modparam("registrar", "received_avp", "$avp(received)")
modparam("nathelper", "received_avp", "$avp(received)")
modparam("registrar", "min_expires", 5)
modparam("registrar", "max_expires", {max_expires})
modparam("auth_db", "db_url", "text://{folder}/db")
modparam("auth_db", "calculate_ha1", 1)
modparam("auth_db", "password_column", "password")
modparam("auth_db", "load_credentials", "")
modparam("auth_db", "use_domain", 0)
modparam("tls", "config", "{folder}/tls.cfg")

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (!sanity_check("1511", "7")) exit;
    force_rport();
    xlog("L_ERR", "PASSED $rm from=$fu to-tag=$(tt{{s.len}}) ruri=$ru by=$proto\n");
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ if (!t_relay()) sl_reply_error(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not here");
        exit;
    }}
    if (is_method("ACK")) exit;
    t_check_trans();
    remove_hf("Route");
    if (is_method("REGISTER")) {{
        if (!www_authenticate("{DOMAIN}", "subscriber")) {{ www_challenge("{DOMAIN}", "1"); exit; }}
        if ($au != $tU) {{ sl_send_reply("403", "Not yours"); exit; }}
        fix_nated_register();
        if (save("location")) xlog("L_ERR", "SAVED $tu expires=$hdr(Expires)\n"); else sl_reply_error();
        exit;
    }}
    # Who claims an address of ours proves it.
    if ($fd == "{DOMAIN}") {{
        if (!proxy_authenticate("{DOMAIN}", "subscriber")) {{ proxy_challenge("{DOMAIN}", "1"); exit; }}
        if ($au != $fU) {{ sl_send_reply("403", "Not yours"); exit; }}
        consume_credentials();
    }}
    if (is_method("INVITE|SUBSCRIBE|REFER")) record_route();
    # Not 403: upon that linphonec asks its user for another password, and reads nothing else meanwhile.
    if ($rd != "{DOMAIN}") {{ sl_send_reply("404", "No relaying"); exit; }}
    if ($rU == $null) {{ sl_send_reply("484", "Address Incomplete"); exit; }}
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    if (!t_relay()) sl_reply_error();
}}
"#
    )
}
