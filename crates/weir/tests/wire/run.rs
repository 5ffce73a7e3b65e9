//! Runs cases against the gateway.

use std::net::SocketAddr;
use std::time::Duration;

use super::case::{Case, Expect, Finding, Step};
use super::client::{Answer, Client};
use super::message::escaped;
use super::origin::{Origin, PROBE, Record};

/// The gateway and what stands behind it.
pub(crate) struct Bench {
    pub(crate) gateway: SocketAddr,
    pub(crate) origin: Origin,
    probes: usize,
}

impl Bench {
    pub(crate) fn new(gateway: SocketAddr, origin: Origin) -> Self {
        Self { gateway, origin, probes: 0 }
    }

    /// Runs `case`, its bytes sent whole or one by one; tells what is wrong with the outcome.
    pub(crate) fn run(&mut self, case: &Case, drip: bool) -> Result<(), String> {
        self.origin.answers(case.answers.clone());
        let mut play = Play { bench: self, case, drip, client: None, log: String::new(), probes: Vec::new() };
        let mut outcome = play.steps().and_then(|()| play.aftermath());
        let (log, probes) = (std::mem::take(&mut play.log), std::mem::take(&mut play.probes));
        let record = self.origin.record();
        if outcome.is_ok() {
            outcome = judge(case, &record, &probes);
        }
        outcome.map_err(|wrong| {
            let seen = record.requests.iter().map(|it| format!("  on connection {}:\n{}", it.connection, indent(&it.text())));
            let seen = seen.collect::<String>() + &record.violations.iter().map(|it| format!("  violation: {it}\n")).collect::<String>();
            let how = if drip { "byte by byte" } else { "whole" };
            format!("{} ({how}): {wrong}\n{log}the origin saw:\n{seen}", case.name)
        })
    }

    /// Asks for something harmless; the target asked for.
    fn probe(&mut self, client: &mut Client) -> Result<String, String> {
        self.probes += 1;
        let target = format!("{PROBE}{}", self.probes);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: wire.test\r\n\r\n").as_bytes(), false);
        let answer = client.answer(false)?;
        if answer.status != 200 || answer.body != target.as_bytes() {
            return Err(format!("{target} was answered with {answer:?}"));
        }
        Ok(target)
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {}\n", line.get(..400).unwrap_or(line))).collect()
}

/// A case being played.
struct Play<'a> {
    bench: &'a mut Bench,
    case: &'a Case,
    drip: bool,
    client: Option<Client>,
    /// What was sent and what came.
    log: String,
    probes: Vec<String>,
}

impl Play<'_> {
    fn steps(&mut self) -> Result<(), String> {
        for step in &self.case.steps {
            match step {
                Step::Send { bytes, whole, new } => {
                    if *new || self.client.is_none() {
                        self.client = Some(Client::connect(self.bench.gateway));
                    }
                    self.log.push_str(&format!("sent: {}\n", shortened(bytes)));
                    let drip = self.drip && !*whole;
                    self.client()?.send(bytes, drip);
                }
                Step::Shut => self.client()?.shut(),
                Step::HangUp => {
                    self.client = None;
                    // Whether the gateway still asks the origin is for nobody to see, so it gets the time to; else it would in the next case.
                    std::thread::sleep(Duration::from_millis(20));
                }
                Step::Expect(expect) => self.expect(expect)?,
                Step::Adds { bytes, then } => self.bench.origin.adds(bytes.clone(), *then),
            }
        }
        Ok(())
    }

    fn client(&mut self) -> Result<&mut Client, String> {
        self.client.as_mut().ok_or("there is no connection".to_owned())
    }

    fn expect(&mut self, expect: &Expect) -> Result<(), String> {
        let outcome = self.check(expect);
        if let Some(client) = &mut self.client {
            self.log.push_str(&format!("came: {}\n", shortened(&std::mem::take(&mut client.came))));
        }
        if outcome? {
            self.client = None;
        }
        Ok(())
    }

    /// Whether the connection has ended.
    fn check(&mut self, expect: &Expect) -> Result<bool, String> {
        let client = self.client()?;
        match expect {
            Expect::Closed => client.end().and_then(|rest| if rest.is_empty() { Ok(true) } else { Err(surplus(&rest)) }),
            Expect::Begins { status } => {
                let found = client.status()?;
                if found == *status { Ok(false) } else { Err(format!("expected {status}, got {found}")) }
            }
            Expect::Cut { status } => match client.answer(false) {
                Ok(answer) if answer.status == *status && answer.cut => Ok(true),
                Ok(answer) => Err(format!("expected {status}, cut off; got {answer:?}")),
                // Cut off before its first byte.
                Err(_) if client.has_ended() && client.rest().is_empty() => Ok(true),
                Err(wrong) => Err(wrong),
            },
            Expect::Answer { status, close, to_head, findings } => {
                let answer = client.answer(*to_head)?;
                if answer.status != *status || answer.cut {
                    return Err(format!("expected {status}, got {}{}", answer.status, if answer.cut { ", cut off" } else { "" }));
                }
                findings.iter().try_for_each(|finding| check_finding(&answer, finding))?;
                let says_close = answer.head.values("connection").iter().any(|it| it.ends_with(b"close"));
                if says_close != *close {
                    return Err(format!("the answer {} `close`", if says_close { "says" } else { "does not say" }));
                }
                if !close {
                    return Ok(false);
                }
                client.end().and_then(|rest| if rest.is_empty() { Ok(true) } else { Err(surplus(&rest)) })
            }
        }
    }

    /// What must hold after every case: the next requests get their own answers.
    fn aftermath(&mut self) -> Result<(), String> {
        if let Some(mut client) = self.client.take() {
            if !client.rest().is_empty() {
                return Err(surplus(client.rest()));
            }
            let probe = self.bench.probe(&mut client).map_err(|it| format!("afterwards, on the same connection: {it}"))?;
            self.probes.push(probe);
        }
        let mut fresh = Client::connect(self.bench.gateway);
        let probe = self.bench.probe(&mut fresh).map_err(|it| format!("afterwards, on another connection: {it}"))?;
        self.probes.push(probe);
        Ok(())
    }
}

fn surplus(bytes: &[u8]) -> String {
    format!("bytes that belong to no answer: {}", shortened(bytes))
}

fn check_finding(answer: &Answer, finding: &Finding) -> Result<(), String> {
    let values = |name: &str| answer.head.values(name).iter().map(|it| escaped(it)).collect::<Vec<_>>();
    match finding {
        Finding::Field(name, value) if values(name) != [value.as_str()] => Err(format!("expected {name}: {value}, got {:?}", values(name))),
        Finding::NoField(name) if !values(name).is_empty() => Err(format!("expected no {name}, got {:?}", values(name))),
        Finding::Body(body) if *body != answer.body => {
            Err(format!("expected the body {:?}, got {:?}", shortened(body), shortened(&answer.body)))
        }
        _ => Ok(()),
    }
}

fn judge(case: &Case, record: &Record, probes: &[String]) -> Result<(), String> {
    if let Some(violation) = record.violations.first() {
        return Err(format!("the origin was sent what no strict reader takes: {violation}"));
    }
    if let Some(complaint) = record.requests.iter().find_map(|it| it.complaint()) {
        return Err(complaint);
    }
    if record.probes != probes {
        return Err(format!("of the harmless requests {probes:?} the origin saw {:?}", record.probes));
    }
    if record.unsaid > 0 {
        return Err(format!("{} answers of the origin were not asked for", record.unsaid));
    }
    let least = case.seen.iter().filter(|it| !it.maybe).count();
    if !(least..=case.seen.len()).contains(&record.requests.len()) {
        return Err(format!("the origin saw {} requests, expected {}", record.requests.len(), case.seen.len()));
    }
    let mut before = None;
    for (request, expected) in record.requests.iter().zip(&case.seen) {
        let text = request.text();
        let fits = if expected.cut { is_beginning(&text, &expected.text) } else { text == expected.text };
        if !fits || request.cut != expected.cut {
            let cut = if expected.cut { ", cut off" } else { "" };
            return Err(format!("the origin was to see{cut}:\n{}", indent(&expected.text)));
        }
        let same = before == Some(request.connection);
        if expected.same.is_some_and(|expected| expected != same) {
            return Err(format!("the origin saw {} on {} connection", request.target, if same { "the same" } else { "another" }));
        }
        before = Some(request.connection);
    }
    Ok(())
}

/// Whether `text` is `whole`, but for the end of the body.
fn is_beginning(text: &str, whole: &str) -> bool {
    whole.strip_prefix(text.trim_end()).is_some_and(|rest| rest == "\n" || rest.starts_with("\n= ") || text.contains("\n= "))
}

/// As cases write bytes; of many only the ends.
fn shortened(bytes: &[u8]) -> String {
    if bytes.len() <= 1000 {
        return escaped(bytes);
    }
    let (start, end) = (&bytes[..400], &bytes[bytes.len() - 100..]);
    format!("{} ({} bytes) {}", escaped(start), bytes.len() - 500, escaped(end))
}
