//! Texts without audio: ten a second for their delay, then as fast as they are relayed for the server's capacity. The
//! floor answers each text and sends it on to all others from one socket, and knows nothing else.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::clock::MILLISECOND;
use crate::figures::Texts;
use crate::leg::Leg;
use crate::phone::{Event, What};
use crate::run::{Meter, Phones, Setting};
use crate::server::{Conference, Server};

/// So many texts are under way at a time: each speaker waits until all have the last one.
const SPEAKERS: usize = 8;
const TEXT_BYTES: usize = 200;
/// Numbers of the texts at full speed begin here: those of the calm part are below.
const FIRST_NUMBER: u32 = 100_000;
/// Six digits tell a text's number.
const LAST_NUMBER: u32 = 999_999;

/// Measures a host with `count` participants.
pub fn host(
    setting: Setting<'_>,
    count: usize,
    seconds: u64,
    cli: &Path,
    log: Option<&Path>,
) -> Result<Texts> {
    let (server, conference) = Server::host(cli, setting.pinning, log)?;
    thread::sleep(Duration::from_millis(300));
    let phones = Phones::start(&legs(count)?, &conference, setting.clock)?;
    phones.join_all()?;
    let texts = texts(&phones, setting, seconds, &server)?;
    phones.leave()?;
    server.stop();
    Ok(texts)
}

/// Measures the floor with `count` phones.
pub fn floor(setting: Setting<'_>, count: usize, seconds: u64) -> Result<Texts> {
    // The phones' ports are known before the floor's.
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let conference = Conference { uri: "sip:floor@127.0.0.1".to_owned(), address: nowhere };
    let phones = Phones::start(&legs(count)?, &conference, setting.clock)?;
    let ports: Vec<u16> = phones.phones.iter().map(|phone| phone.address().port()).collect();
    let (mut server, address) = Server::relay_floor(&ports, setting.pinning)?;
    for phone in &phones.phones {
        phone.turn_to(address);
    }
    let texts = texts(&phones, setting, seconds, &server)?;
    server.kill();
    Ok(texts)
}

fn legs(count: usize) -> io::Result<Vec<Arc<Leg>>> {
    (0..count).map(|_| Leg::open().map(Arc::new)).collect()
}

fn texts(phones: &Phones, setting: Setting<'_>, seconds: u64, server: &Server) -> Result<Texts> {
    let calm = phones.chat(Setting { chat_seconds: seconds, ..setting }, server)?;
    let mut texts = Texts { calm, ..Texts::default() };
    let others = phones.phones.len() - 1;
    // Who speaks, and who has not got it yet.
    let mut open: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    let mut number = FIRST_NUMBER;
    let mut idle: Vec<usize> = (0..phones.phones.len().min(SPEAKERS)).collect();
    let meter = Meter::start(setting.clock, server);
    let end = setting.clock.now() + seconds * 1000 * MILLISECOND;
    while setting.clock.now() < end {
        let mut busy = Vec::new();
        for speaker in idle.drain(..) {
            if number < LAST_NUMBER && phones.phones[speaker].say(number, TEXT_BYTES)?.is_some() {
                open.insert(number, (speaker, others));
                number += 1;
            } else {
                // Everybody has its last text before its own answer came.
                busy.push(speaker);
            }
        }
        idle = busy;
        // The phones' own threads have no core but this one.
        let wait = if idle.is_empty() { 20 } else { 1 };
        let Ok(event) = phones.events.recv_timeout(Duration::from_millis(wait)) else {
            texts.repeats += phones.repeat_due();
            continue;
        };
        take(&event, &mut open, &mut idle, &mut texts);
    }
    let (_, load, _) = meter.stop(server, phones.phones.len());
    texts.load = load;
    texts.deliveries_per_second = texts.deliveries as f64 / load.seconds;
    let core_seconds = load.server_percent / 100.0 * load.seconds;
    texts.deliveries_per_core = texts.deliveries as f64 / core_seconds;
    Ok(texts)
}

fn take(
    event: &Event,
    open: &mut BTreeMap<u32, (usize, usize)>,
    idle: &mut Vec<usize>,
    texts: &mut Texts,
) {
    match event.what {
        What::Text(number) => {
            let Some((speaker, missing)) = open.get_mut(&number) else { return };
            texts.deliveries += 1;
            *missing -= 1;
            if *missing == 0 {
                idle.push(*speaker);
                open.remove(&number);
            }
        }
        What::Refused(_) => {
            texts.refused += 1;
            open.retain(|_, (speaker, _)| *speaker != event.phone);
            idle.push(event.phone);
        }
        What::Repeated => texts.repeats += 1,
        What::Answered | What::Done => {}
    }
}

/// The floor itself: runs until it is killed. Its address goes to standard output, one line.
pub fn serve(phones: &[u16]) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let own = socket.local_addr()?;
    println!("{own}");
    io::stdout().flush()?;
    let mut buffer = [0; 8192];
    for number in 1_u32.. {
        let (body, source) = loop {
            let (length, source) = socket.recv_from(&mut buffer)?;
            if let Some((answer, body)) = taken(&buffer[..length]) {
                socket.send_to(answer.as_bytes(), source)?;
                break (body, source);
            }
        };
        let text = format!(
            "MESSAGE sip:all@127.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {own};branch=z9hG4bKf{number};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:floor@{own}>;tag=f\r\n\
             To: <sip:all@127.0.0.1>;tag=a\r\n\
             Call-ID: floor@{own}\r\n\
             CSeq: {number} MESSAGE\r\n\
             Content-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {length}\r\n\r\n{body}",
            length = body.len(),
        );
        for port in phones.iter().filter(|port| **port != source.port()) {
            socket.send_to(text.as_bytes(), (Ipv4Addr::LOCALHOST, *port))?;
        }
    }
    Ok(())
}

/// The answer to a text, and its body; nothing for the answers of phones.
fn taken(datagram: &[u8]) -> Option<(String, String)> {
    let text = str::from_utf8(datagram).ok()?.strip_prefix("MESSAGE ")?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (_, headers) = head.split_once("\r\n")?;
    let (kept, _) = headers.split_once("Content-Type")?;
    Some((format!("SIP/2.0 200 OK\r\n{kept}Content-Length: 0\r\n\r\n"), body.to_owned()))
}
