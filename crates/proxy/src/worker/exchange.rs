//! One request and its answer.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use weir_http1::{Body, Parsed};

use super::answer::{self, Details, Reply};
use super::connection::{Downstream, Interrupt, Link, Next};
use super::decide::{Decision, decide};
use super::pump::{Broken, Sink};
use super::stream::Stream;
use super::timers::NEVER;
use super::trailers::Trailers;
use super::upstream::{Endpoint, Upstream};
use super::work::{Flow, NO_RULE, Plan, Work};
use crate::access_log;

/// The most answers with a status below 200 that a backend may send before the real one.
const MAX_INTERIMS: u8 = 8;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why an exchange with a backend failed.
enum Failure {
    /// The client has gone, or broke the grammar of its body.
    Client(Broken),
    /// No connection to the endpoint.
    Connect(io::Error),
    /// The endpoint closed the connection, or failed.
    Reset,
    /// The endpoint does not speak HTTP/1 as it should.
    Protocol,
    /// It took too long.
    Expired,
    /// The connection must end now.
    Killed,
}

/// Answers a head that could not be read, and closes.
pub(crate) async fn refuse(connection: &mut Downstream, work: &mut Work) -> Next {
    begin(connection, work);
    work.request.is_head = false;
    work.flow.close = true;
    let next = respond(connection, work).await;
    finish(connection, work);
    if next == Next::Again { Next::Linger } else { next }
}

/// Serves the request in `work.request`, whose head is the first `length` bytes of `work.input`.
pub(crate) async fn run(connection: &mut Downstream, work: &mut Work, length: usize) -> Next {
    begin(connection, work);
    let endpoint = {
        match decide(&connection.link, &mut connection.slot, work, length) {
            Decision::Forward(endpoint) => Some(Active::new(endpoint)),
            Decision::Reply(reply) => {
                work.reply = Some(reply);
                None
            }
        }
    };
    work.input.consume(length);
    // After a refused upgrade, what follows may be of the other protocol.
    work.flow.close |= work.request.connection.close || (endpoint.is_none() && work.request.connection.upgrade);
    work.upload.reset(work.request.body, false);
    let mut next = None;
    if let Some(endpoint) = &endpoint {
        next = forward(connection, work, &endpoint.0).await;
    }
    let next = match next {
        Some(next) => next,
        None => respond(connection, work).await,
    };
    finish(connection, work);
    next
}

/// Counts an exchange at its endpoint while it lasts, however it ends.
struct Active(Rc<Endpoint>);

impl Active {
    fn new(endpoint: Rc<Endpoint>) -> Self {
        endpoint.active.set(endpoint.active.get() + 1);
        Self(endpoint)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
    }
}

fn begin(connection: &mut Downstream, work: &mut Work) {
    let Downstream { stream, link, .. } = connection;
    work.started = Instant::now();
    link.requests += 1;
    let config = link.socket.config();
    let listener = link.place(&config);
    let settings = &config.port.client_of(listener).settings;
    work.logged = config.port.access_log;
    work.plan = Plan {
        rule: NO_RULE,
        listener,
        deadline: NEVER,
        stream_deadline: link.tick_after(settings.connection.max_stream_duration),
        upload_deadline: link.tick_after(settings.timeouts.request),
        fingerprints: stream.session().and_then(|session| session.fingerprints.clone()),
        ..Plan::default()
    };
    let last = settings.connection.max_requests_per_connection.is_some_and(|most| link.requests >= most);
    work.flow = Flow { attempt_deadline: NEVER, close: last, ..Flow::default() };
    work.plan.config = Some(config);
    work.client = link.peer;
    work.record.reset();
    work.upload.reset(Body::None, false);
}

/// Counts and logs.
fn finish(connection: &Downstream, work: &mut Work) {
    let link = &connection.link;
    let Work { record, plan, upload, download, logged, started, flow, client, .. } = work;
    let duration = started.elapsed();
    record.received = upload.moved;
    if flow.answered {
        record.sent = download.moved;
    }
    let (received, sent) = (upload.traffic, download.traffic);
    if let Some(stats) = link.socket.socket.port.stats.get(link.worker.index) {
        stats.requests.add(1);
        stats.classes.count(record.status);
        stats.time.record(duration);
        stats.received.add(received.0);
        stats.sent.add(sent.1);
    }
    let cluster = plan.config.as_ref().and_then(|config| config.port.rules.get(plan.rule)).map(|rule| &rule.cluster);
    if let Some(cluster) = cluster
        && record.upstream.is_some()
        && let Some(stats) = cluster.stats.get(link.worker.index)
    {
        stats.requests.add(1);
        stats.classes.count(record.status);
        stats.time.record(duration);
        stats.sent.add(received.1);
        stats.received.add(flow.heard + sent.0);
    }
    if *logged {
        let context = access_log::Context {
            clock: &link.worker.clock,
            started: *started,
            duration,
            cluster: cluster.map(|cluster| &*cluster.name),
            local: link.socket.socket.address,
            peer: *client,
            server_name: connection.stream.session().and_then(|session| session.server_name.as_deref()),
        };
        link.socket.log.write(|out| record.write(&context, out));
    }
}

/// Answers the request here, with the reply in `work`.
async fn respond(connection: &mut Downstream, work: &mut Work) -> Next {
    if !prepare_reply(&connection.link, work) {
        return Next::Close;
    }
    let Downstream { stream, link, .. } = connection;
    let download = &mut work.download;
    let (written, last) = (&mut download.traffic.1, work.flow.close);
    let sent = link.wait(|cx| {
        while let Some(rest) = download.head.get(*written as usize..).filter(|rest| !rest.is_empty()) {
            let write = if last { stream.poll_write_last(cx, rest) } else { std::pin::Pin::new(&mut *stream).poll_write(cx, rest) };
            match write {
                Poll::Ready(Ok(count)) if count > 0 => *written += count as u64,
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        std::pin::Pin::new(&mut *stream).poll_flush(cx).map(|flushed| flushed.is_ok())
    });
    match (sent.await, work.flow.close) {
        (Ok(true), false) => Next::Again,
        (Ok(true), true) if !work.upload.is_read() || !work.input.is_empty() => Next::Linger,
        (Ok(true), true) => Next::Finish,
        _ => Next::Close,
    }
}

/// Writes the reply into the download. False: there is none.
fn prepare_reply(link: &Link, work: &mut Work) -> bool {
    let Some(reply) = work.reply.take() else { return false };
    // A body that nobody reads makes the next request's place unknown.
    work.flow.close |= reply.close || !work.upload.is_read() || link.should_end();
    let close = work.flow.close;
    answer::reply(work, &reply, close);
    work.record.status = reply.status;
    work.record.flags = reply.flags;
    work.record.details = reply.details;
    work.record.sent = reply.body.len() as u64;
    link.set_deadline(stream_idle(link, work));
    true
}

/// Carries the request to `endpoint` and its answer back. None: there is a reply of our own in `work` instead.
async fn forward(connection: &mut Downstream, work: &mut Work, endpoint: &Rc<Endpoint>) -> Option<Next> {
    work.record.upstream = Some(endpoint.address);
    work.upstream = endpoint.take_idle();
    loop {
        let reused = work.upstream.is_some();
        let mut outcome = if reused { Ok(()) } else { connect(connection, work, endpoint).await };
        if outcome.is_ok() {
            outcome = attempt(connection, work, endpoint).await;
        }
        match outcome {
            Ok(()) if work.flow.close => {
                // A backend that did not want the whole request does not keep the client from sending it.
                let heard = work.flow.uploaded && !work.flow.upload_broken && work.input.is_empty();
                return Some(if heard { Next::Finish } else { Next::Linger });
            }
            Ok(()) => return Some(Next::Again),
            // The endpoint closed an idle connection just as it was used: it has seen nothing, so a request that may be repeated is.
            Err(Failure::Reset) if reused && work.flow.heard == 0 && is_replayable(work) => work.upstream = None,
            Err(failure) => return fail(connection, work, failure),
        }
    }
}

/// Whether the request may be sent again: idempotent (RFC 9110, section 9.2.2) and without a body that is gone by now.
fn is_replayable(work: &Work) -> bool {
    let method = work.request_head.split(|byte| *byte == b' ').next().unwrap_or_default();
    work.request.body == Body::None && matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE")
}

async fn connect(connection: &mut Downstream, work: &mut Work, endpoint: &Rc<Endpoint>) -> Result<(), Failure> {
    let link = &connection.link;
    let Some(cluster) = work.plan.config.as_ref().and_then(|config| config.port.rules.get(work.plan.rule)).map(|rule| rule.cluster.clone())
    else {
        return Err(Failure::Protocol);
    };
    link.set_deadline(link.worker.tick_after(link.worker.settings.timeouts.connect).min(work.plan.deadline).min(work.plan.stream_deadline));
    // In a box: connecting is rare, and its state would be part of every idle connection's memory.
    let mut connecting = Box::pin(endpoint.connect(cluster.clone(), link.worker.index));
    let connected = link.wait(|cx| connecting.as_mut().poll(cx)).await;
    if !matches!(connected, Ok(Ok(_)))
        && let Some(stats) = cluster.stats.get(link.worker.index)
    {
        stats.connect_fail.add(1);
    }
    match connected {
        Ok(Ok(upstream)) => {
            work.upstream = Some(upstream);
            Ok(())
        }
        Ok(Err(error)) => Err(Failure::Connect(error)),
        Err(Interrupt::Killed) => Err(Failure::Killed),
        Err(Interrupt::Expired) if link.worker.clock.tick(Instant::now()) >= work.plan.deadline => Err(Failure::Expired),
        Err(Interrupt::Expired) => Err(Failure::Connect(io::ErrorKind::TimedOut.into())),
    }
}

/// One attempt on the connection in `work`, which is kept for later if it can be used again.
async fn attempt(connection: &mut Downstream, work: &mut Work, endpoint: &Endpoint) -> Result<(), Failure> {
    let Downstream { stream, link, .. } = connection;
    prepare_attempt(link, work);
    let outcome = link.wait(|cx| {
        let before = work.moved();
        let poll = poll(cx, work, stream, link);
        if poll.is_pending() {
            if work.moved() != before {
                set_deadline(link, work);
            }
            note_wait(link, work);
        }
        poll
    });
    let outcome = outcome.await;
    // Else it would be taken for slow when it waits for another request.
    if work.flow.slow && !matches!(outcome, Err(Interrupt::Killed)) {
        link.set_busy();
    }
    match outcome {
        Ok(Ok(())) => {
            keep(link, work, endpoint);
            Ok(())
        }
        Ok(Err(failure)) => Err(failure),
        Err(Interrupt::Expired) => Err(Failure::Expired),
        Err(Interrupt::Killed) => Err(Failure::Killed),
    }
}

fn prepare_attempt(link: &Link, work: &mut Work) {
    let expects = work.request.expects_continue && work.request.body != Body::None && work.input.is_empty();
    work.flow = Flow {
        interim: expects.then_some(0),
        close: work.flow.close,
        attempt_deadline: work.plan.attempt.map_or(NEVER, |limit| link.worker.tick_after(limit)),
        ..Flow::default()
    };
    work.upload.reset(work.request.body, work.request.body == Body::Chunked);
    if work.request.body == Body::Chunked {
        work.upload.pass_trailers(Trailers::of_request(&work.plan, &work.request));
    }
    work.upload.head.extend_from_slice(&work.request_head);
    if work.logged {
        work.record.upstream_local = work.upstream.as_mut().and_then(Upstream::local);
    }
    set_deadline(link, work);
}

/// Keeps the connection to the backend for the next exchange, if nothing of this one is left on it.
fn keep(link: &Link, work: &mut Work, endpoint: &Endpoint) {
    let worker = &link.worker;
    let response = &work.response;
    let reusable = !work.plan.upgrade
        && !response.connection.close
        && response.body != Body::UntilClose
        && work.flow.uploaded
        && !work.flow.upload_broken;
    if let Some(upstream) = work.upstream.take()
        && reusable
        && work.output.is_empty()
    {
        endpoint.give_idle(upstream, worker.now(), worker.settings.max_idle_upstream);
    }
    work.output.reset(&worker.works.spares);
}

fn set_deadline(link: &Link, work: &Work) {
    let upload = if work.flow.uploaded { NEVER } else { work.plan.upload_deadline };
    let deadline = stream_idle(link, work).min(work.plan.deadline).min(work.flow.attempt_deadline);
    link.set_deadline(deadline.min(work.plan.stream_deadline).min(upload));
}

/// Notes whether it is the client that is waited for: for more of its request, or to take more of the answer.
fn note_wait(link: &Link, work: &mut Work) {
    let sends = !work.flow.uploaded && work.upload.is_dry();
    let takes = work.flow.answered && !work.download.is_dry();
    let slow = (sends || takes)
        && !work.flow.tunnel
        && work.plan.client().is_none_or(|client| {
            let chosen = client.settings.timeouts.chosen;
            !(chosen.stream_idle || sends && chosen.request)
        });
    if slow {
        link.set_slow(work.upload.traffic.0 + work.download.traffic.1);
    } else if work.flow.slow {
        link.set_busy();
    }
    work.flow.slow = slow;
}

/// The tick at which an exchange in which nothing moves ends.
fn stream_idle(link: &Link, work: &Work) -> u32 {
    let settings = work.plan.client().map(|client| &client.settings);
    settings.map_or(NEVER, |settings| link.tick_after(settings.timeouts.stream_idle))
}

/// Moves the exchange on as far as it goes; ready when the answer has been passed on whole.
fn poll(cx: &mut Context<'_>, work: &mut Work, client: &mut Stream, link: &Link) -> Poll<Result<(), Failure>> {
    // Taken for the time of this call, so that it can be borrowed beside the rest.
    let Some(mut upstream) = work.upstream.take() else { return Poll::Ready(Err(Failure::Reset)) };
    let poll = poll_with(cx, work, client, &mut upstream.stream, link);
    work.upstream = Some(upstream);
    poll
}

fn poll_with(
    cx: &mut Context<'_>,
    work: &mut Work,
    client: &mut Stream,
    backend: &mut TcpStream,
    link: &Link,
) -> Poll<Result<(), Failure>> {
    if work.flow.tunnel {
        return poll_tunnel(cx, work, client, backend, link);
    }
    let spares = &link.worker.works.spares;
    if !work.flow.uploaded {
        if poll_continue(cx, &mut work.flow, client).is_err() {
            return Poll::Ready(Err(Failure::Client(Broken::Read)));
        }
        match work.upload.poll(cx, &mut work.input, spares, client, backend) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => work.flow.uploaded = true,
            // It may have answered before it closed.
            Poll::Ready(Err(Broken::Write)) => (work.flow.uploaded, work.flow.upload_broken, work.flow.close) = (true, true, true),
            Poll::Ready(Err(broken)) => return Poll::Ready(Err(Failure::Client(broken))),
        }
    }
    while !work.flow.answered {
        match work.output.poll_read(cx, backend) {
            Poll::Pending => {
                return if is_gone(cx, &mut work.flow, client, link) {
                    Poll::Ready(Err(Failure::Client(Broken::Read)))
                } else {
                    Poll::Pending
                };
            }
            Poll::Ready(Ok(count)) if count > 0 => {
                work.flow.heard += count as u64;
                if let Err(failure) = read_answer(work, link) {
                    return Poll::Ready(Err(failure));
                }
                if work.flow.tunnel {
                    return poll_tunnel(cx, work, client, backend, link);
                }
            }
            Poll::Ready(_) => return Poll::Ready(Err(Failure::Reset)),
        }
    }
    match work.download.poll(cx, &mut work.output, spares, backend, client) {
        Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        Poll::Ready(Err(Broken::Write)) => Poll::Ready(Err(Failure::Client(Broken::Write))),
        Poll::Ready(Err(Broken::Read)) => Poll::Ready(Err(Failure::Reset)),
        Poll::Ready(Err(Broken::Invalid(_))) => Poll::Ready(Err(Failure::Protocol)),
        Poll::Pending if work.download.is_dry() && is_gone(cx, &mut work.flow, client, link) => {
            Poll::Ready(Err(Failure::Client(Broken::Read)))
        }
        Poll::Pending => Poll::Pending,
    }
}

/// Passes bytes both ways, until one side ends; what that one has said before is still passed on.
fn poll_tunnel(
    cx: &mut Context<'_>,
    work: &mut Work,
    client: &mut Stream,
    backend: &mut TcpStream,
    link: &Link,
) -> Poll<Result<(), Failure>> {
    let spares = &link.worker.works.spares;
    let down = work.download.poll(cx, &mut work.output, spares, backend, client);
    if down.is_ready() {
        return Poll::Ready(Ok(()));
    }
    work.upload.poll(cx, &mut work.input, spares, client, backend).map(|_| Ok(()))
}

/// Tells a client that waits for it to send the body.
fn poll_continue(cx: &mut Context<'_>, flow: &mut Flow, client: &mut Stream) -> io::Result<()> {
    while let Some(written) = flow.interim {
        match std::pin::Pin::new(&mut *client).poll_write(cx, CONTINUE.get(written..).unwrap_or_default()) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(count)) => flow.interim = Some(written + count).filter(|written| *written < CONTINUE.len() && count > 0),
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
    match std::pin::Pin::new(client).poll_flush(cx) {
        Poll::Ready(Err(error)) => Err(error),
        _ => Ok(()),
    }
}

/// Reads the answer's head out of what has come so far.
fn read_answer(work: &mut Work, link: &Link) -> Result<(), Failure> {
    while !work.output.is_empty() {
        match work.response.parse(work.output.filled(), work.request.is_head) {
            Err(_) => return Err(Failure::Protocol),
            Ok(Parsed::Partial) => return if work.output.make_room() { Ok(()) } else { Err(Failure::Protocol) },
            Ok(Parsed::Complete(length)) if work.response.status == 101 && work.plan.upgrade => {
                answer::switch(work, length);
                (work.flow.tunnel, work.flow.answered, work.flow.close) = (true, true, true);
                // A route's timeouts are for answers; a conversation lasts as long as it is not silent.
                (work.plan.deadline, work.flow.attempt_deadline) = (NEVER, NEVER);
                note_answer(work);
                return Ok(());
            }
            // Nobody asked for an upgrade.
            Ok(Parsed::Complete(_)) if work.response.status == 101 => return Err(Failure::Protocol),
            Ok(Parsed::Complete(length)) if work.response.status < 200 => {
                work.flow.interims += 1;
                if work.flow.interims > MAX_INTERIMS {
                    return Err(Failure::Protocol);
                }
                work.output.consume(length);
            }
            Ok(Parsed::Complete(length)) => {
                // An answer before the request's end: what is left of the request is still passed on, and then the connection ends.
                // After a refused upgrade, what follows may be of the other protocol.
                work.flow.close |= !work.flow.uploaded || link.should_end() || work.plan.upgrade;
                let close = work.flow.close;
                answer::begin(work, length, close);
                work.flow.answered = true;
                note_answer(work);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn note_answer(work: &mut Work) {
    work.record.status = work.response.status;
    work.record.details = Details::Text("via_upstream");
    work.record.upstream_time = work.logged.then(|| work.started.elapsed());
}

/// Whether the client has closed while it is waited for the backend. It may have sent its next request already: then one cannot see.
fn is_gone(cx: &mut Context<'_>, flow: &mut Flow, client: &mut Stream, link: &Link) -> bool {
    if !flow.uploaded || flow.upload_broken || flow.blind {
        return false;
    }
    // Most backends answer before it is worth the while to have the client watched.
    if client.put_off() {
        link.look_again();
        return false;
    }
    match client.poll_closed(cx) {
        Poll::Pending => false,
        Poll::Ready(Some(closed)) => closed,
        Poll::Ready(None) => {
            flow.blind = true;
            false
        }
    }
}

/// Says what went wrong: to the client if it can still be told (then none), and to the log.
fn fail(connection: &Downstream, work: &mut Work, failure: Failure) -> Option<Next> {
    work.upstream = None;
    let (reply, cut_short) = match failure {
        Failure::Killed if connection.link.is_shed() => {
            (work.record.flags, work.record.details) = ("OM", Details::Text("slow_client_at_a_full_limit"));
            return Some(Next::Close);
        }
        Failure::Killed => {
            (work.record.flags, work.record.details) = ("DC", Details::Text("connection_draining"));
            return Some(Next::Close);
        }
        Failure::Client(Broken::Invalid(invalid)) => {
            let details = Details::Shared(invalid.to_string().into());
            (Reply::new(400, "DPE", details, "the request's body is malformed\n"), "http1.codec_error")
        }
        Failure::Client(_) => {
            (work.record.flags, work.record.details) = ("DC", Details::Text("downstream_remote_disconnect"));
            if !work.flow.answered {
                work.record.status = 0;
            }
            return Some(Next::Close);
        }
        Failure::Connect(error) => {
            work.record.upstream_failure = Some(error.to_string());
            let details = Details::Text("upstream_reset_before_response_started{connection_failure}");
            let body = "upstream connect error or disconnect/reset before headers. reset reason: connection failure\n";
            (Reply::new(503, "UF", details, body), "")
        }
        Failure::Reset => {
            let details = Details::Text("upstream_reset_before_response_started{connection_termination}");
            let body = "upstream connect error or disconnect/reset before headers. reset reason: connection termination\n";
            (Reply::new(503, "UC", details, body), "upstream_reset_after_response_started{connection_termination}")
        }
        Failure::Protocol => {
            let details = Details::Text("upstream_reset_before_response_started{protocol_error}");
            let body = "upstream connect error or disconnect/reset before headers. reset reason: protocol error\n";
            (Reply::new(502, "UPE", details, body), "upstream_reset_after_response_started{protocol_error}")
        }
        Failure::Expired => {
            let now = connection.link.worker.clock.tick(Instant::now());
            let by_listener = if !work.flow.uploaded && now >= work.plan.upload_deadline {
                Some((408, "-", "request_overall_timeout"))
            } else {
                (now >= work.plan.stream_deadline).then_some((408, "DT", "max_duration_timeout"))
            };
            if let Some((status, flags, details)) = by_listener {
                (Reply::new(status, flags, Details::Text(details), "the request took too long\n").closing(), details)
            } else {
                let (flags, details) = if now >= work.plan.deadline {
                    ("UT", "response_timeout")
                } else if now >= work.flow.attempt_deadline {
                    ("UT", "upstream_per_try_timeout")
                } else {
                    ("SI", "stream_idle_timeout")
                };
                (Reply::new(504, flags, Details::Text(details), "upstream request timeout\n"), details)
            }
        }
    };
    work.output.reset(&connection.link.worker.works.spares);
    if work.flow.answered && work.download.traffic.1 > 0 {
        // The answer has begun: all that can be done is not to end it properly, so that the client sees that it is not whole.
        (work.record.flags, work.record.details) = (reply.flags, Details::Text(cut_short));
        return Some(Next::Close);
    }
    // Read and written anew, but not a byte of it sent: the client can still be told.
    work.flow.answered = false;
    work.reply = Some(reply);
    None
}
