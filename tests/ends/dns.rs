//! A name server on a free port, which answers from a table (RFC 1035, 2782, 3403) and remembers
//! what it was asked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What a name has.
#[derive(Clone, Debug)]
pub enum Record {
    /// An address.
    A(Ipv4Addr),
    /// Order, preference, service such as `SIPS+D2T`, and the name to ask for SRV.
    Naptr(u16, u16, &'static str, String),
    /// Priority, weight, port, host.
    Srv(u16, u16, u16, String),
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Self::A(_) => 1,
            Self::Naptr(..) => 35,
            Self::Srv(..) => 33,
        }
    }

    fn data(&self) -> Vec<u8> {
        let numbers = |numbers: &[u16]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
        match self {
            Self::A(address) => address.octets().to_vec(),
            Self::Naptr(order, preference, service, replacement) => {
                let mut data: Vec<u8> = numbers(&[*order, *preference]);
                for text in ["s", service, ""] {
                    data.push(text.len() as u8);
                    data.extend(text.as_bytes());
                }
                data.extend(name(replacement));
                data
            }
            Self::Srv(priority, weight, port, host) => {
                let mut data: Vec<u8> = numbers(&[*priority, *weight, *port]);
                data.extend(name(host));
                data
            }
        }
    }
}

/// The server. It ends with the test's process.
pub struct NameServer {
    /// Where it answers, by UDP.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

impl NameServer {
    /// Starts one that knows these names; of all others it says that there are none.
    pub fn start(table: Vec<(String, Record)>) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), table)
    }

    /// Starts one at this address.
    pub fn start_at(ip: IpAddr, table: Vec<(String, Record)>) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<(String, u16)>>>::default();
        let kept = Arc::clone(&asked);
        thread::spawn(move || {
            let mut query = [0; 1500];
            while let Ok((length, source)) = socket.recv_from(&mut query) {
                if let Some((answer, question)) = answer(&query[..length], &table) {
                    kept.lock().unwrap().push(question);
                    let _ = socket.send_to(&answer, source);
                }
            }
        });
        Self { address, asked }
    }

    /// Names in lower case and types of records that were asked for: 1 A, 28 AAAA, 33 SRV, 35 NAPTR.
    pub fn asked(&self) -> Vec<(String, u16)> {
        self.asked.lock().unwrap().clone()
    }

    /// Asks it itself, as a client would: how many records there are, and the bytes of the answer.
    pub fn ask(&self, wanted: &str, kind: u16) -> (u16, Vec<u8>) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(name(wanted));
        query.extend(kind.to_be_bytes());
        query.extend([0, 1]);
        socket.send_to(&query, self.address).unwrap();
        let mut answer = vec![0; 1500];
        let length = socket.recv(&mut answer).expect("the name server answers");
        answer.truncate(length);
        (u16::from_be_bytes([answer[6], answer[7]]), answer)
    }
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> =
        labels.flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes())).collect();
    wire.push(0);
    wire
}

/// The answer to a query of one question, and the question.
fn answer(query: &[u8], table: &[(String, Record)]) -> Option<(Vec<u8>, (String, u16))> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    let wanted = labels.join(".");
    let of_name: Vec<&Record> =
        table.iter().filter(|(known, _)| *known == wanted).map(|(_, record)| record).collect();
    let found: Vec<&&Record> = of_name.iter().filter(|record| record.kind() == kind).collect();
    // Response, authoritative, recursion available; 3: there is no such name.
    let mut out = vec![query[0], query[1], 0x85, if of_name.is_empty() { 0x83 } else { 0x80 }];
    out.extend([0, 1, 0, found.len() as u8, 0, 0, 0, 0]);
    out.extend(query.get(12..at + 4)?);
    for record in found {
        let data = record.data();
        // The name of the question, the type, the class, a minute to live.
        out.extend([0xc0, 12]);
        out.extend(record.kind().to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    Some((out, (wanted, kind)))
}
