//! What has to be seen from inside.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use weir_limits::Cell;
use weir_model::{Limit, LimitScope, ObjectName};

use self::support::{Bench, Client, GET, Origin, forward, gateway, limit_name, listener_name, model, with_limit};
use crate::Settings;

/// A place to write to that takes its time: as long as [`Cell`] is written into it, it holds the ledger's lock.
struct Slow {
    begun: mpsc::Sender<()>,
    end: mpsc::Receiver<()>,
}

impl Write for Slow {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        // Only the first time there is somebody to tell, and something to wait for.
        let _ = self.begun.send(());
        let _ = self.end.recv();
        Ok(())
    }
}

fn hold_lock(cell: &Cell, slow: &mut Slow) {
    write!(slow, "{cell:?}").expect("text");
}

async fn ask(client: &mut Client) {
    client.send(GET).await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn requests_go_on_while_the_ledger_is_locked() {
    let origin = Origin::plain().await;
    let mut limited = with_limit(model(vec![forward("b")], &[("b", &[origin.address])]), 10);
    let name = weir_model::LimitName { target: "ns/route".into(), ..limit_name() };
    let route = Some(ObjectName::new("ns", "route"));
    let limit = Limit { name: name.clone(), gateway: gateway(), scope: LimitScope::Route, value: 10, cells: vec![listener_name()], route };
    limited.limits.insert(name, Arc::new(limit));
    let bench = Bench::with_settings(limited, Settings { workers: 2, ..Settings::default() }).await;
    let mut clients = [bench.client().await, bench.client().await];
    for client in &mut clients {
        ask(client).await;
    }

    let (begun, has_begun) = mpsc::channel();
    let (finish, end) = mpsc::channel();
    let team = bench.plane.handle.shared.team.clone();
    let holder = std::thread::spawn(move || hold_lock(&team.hall, &mut Slow { begun, end }));
    has_begun.recv().expect("the lock is held");
    let (plane, reported) = (bench.plane.clone(), Arc::new(AtomicBool::new(false)));
    let has_reported = reported.clone();
    let report = std::thread::spawn(move || {
        plane.report();
        has_reported.store(true, Ordering::SeqCst);
    });
    for _ in 0..300 {
        for client in &mut clients {
            ask(client).await;
        }
    }
    assert!(!reported.load(Ordering::SeqCst), "what needs the lock waits");
    drop(finish);
    holder.join().expect("the lock is given back");
    report.join().expect("what needs the lock goes on");
    assert_eq!(bench.plane.report().limits[&limit_name()].current, 2);
}
