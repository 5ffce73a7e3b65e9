//! A Gateway that serves and an API that is asked, whose writes fail at times: what goes on meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::core::WatchEvent;
use serde_json::{Value, json};

use crate::api::{Answer, Api, MAPS, version};
use crate::common::{PATIENCE, Weir, repository};
use crate::ledger::object;
use crate::server::{answering, run};

/// A `weir run` of the example, and what its API acknowledged.
pub(crate) struct Served {
    pub(crate) weir: Weir,
    pub(crate) api: Api,
    host: String,
    said: PathBuf,
    kept: BTreeMap<String, u64>,
    steps: u64,
}

impl Served {
    /// A new one with a few objects; what it complains of goes to the file `said`.
    pub(crate) async fn start(data: &Path, said: &Path) -> Self {
        let mut served = Self::open(data, said).await;
        for _ in 0..8 {
            served.create().await.done();
        }
        served
    }

    async fn open(data: &Path, said: &Path) -> Self {
        let mut command = run(data);
        command.arg("-f").arg(repository().join("examples/connection-limit")).stderr(File::create(said).expect("made"));
        let mut weir = Weir::spawn(&mut command, data);
        weir.wait_for("curl -H");
        let api = answering(data).await;
        let gateway = api.get("/apis/gateway.networking.k8s.io/v1/namespaces/envoy-gateway-system/gateways/eg").await.done();
        let host = gateway["status"]["addresses"][0]["value"].as_str().expect("an address").to_owned();
        Self { weir, api, host, said: said.to_owned(), kept: BTreeMap::new(), steps: 0 }
    }

    /// One more object.
    pub(crate) async fn create(&mut self) -> Answer {
        self.steps += 1;
        let name = format!("kept-{}", self.steps);
        let answer = self.api.create(&object(&name, self.steps)).await;
        if let Answer::Done(_) = answer {
            self.kept.insert(name, self.steps);
        }
        answer
    }

    /// Creates objects until one is refused; gives the refusal.
    pub(crate) async fn exhaust(&mut self) -> String {
        for _ in 0..2000 {
            if let Answer::Refused(status, message) = self.create().await {
                assert_eq!(status, 500, "{message}");
                return message;
            }
        }
        panic!("nothing was refused");
    }

    /// Every write is refused with a message that has all of this; whatever else is asked is answered.
    pub(crate) async fn is_read_only(&mut self, wanted: &[&str]) {
        let name = self.kept.keys().next().expect("some are kept").clone();
        let answers = [
            self.create().await,
            self.api.merge(&name, &json!({ "data": { "step": "none" } })).await,
            self.api.apply(&name, &object(&name, 0)).await,
            self.api.delete(&name).await,
        ];
        for answer in answers {
            let Answer::Refused(status, message) = answer else { panic!("not refused: {answer:?}") };
            assert!(status == 500 && wanted.iter().all(|it| message.contains(it)), "{status} {message}");
        }
        self.has_all().await;
        self.asks("/while-read-only");
    }

    /// Exactly what was acknowledged is shown.
    pub(crate) async fn has_all(&self) {
        let list = self.api.get(MAPS).await.done();
        let found: BTreeMap<&str, &Value> =
            list["items"].as_array().expect("a list").iter().map(|it| (it["metadata"]["name"].as_str().expect("a name"), it)).collect();
        assert!(found.keys().copied().eq(self.kept.keys().map(String::as_str)), "{:?} {:?}", found.keys(), self.kept.keys());
        for (name, step) in &self.kept {
            assert_eq!(found[name.as_str()]["data"], object(name, *step)["data"], "{name}");
        }
    }

    /// A write is taken again, by itself.
    pub(crate) async fn takes_writes(&mut self) {
        let start = Instant::now();
        while let Answer::Refused(_, message) = self.create().await {
            assert!(start.elapsed() < PATIENCE, "{message}");
        }
        self.has_all().await;
        self.asks("/after");
    }

    /// Who watches from now on.
    pub(crate) async fn watch(&self) -> BoxStream<'static, WatchEvent<Value>> {
        let list = self.api.get(MAPS).await.done();
        self.api.watch(MAPS, version(&list)).await.expect("it answers")
    }

    /// The watch tells of what was acknowledged, up to the last object, and of nothing else.
    pub(crate) async fn was_told(&self, watch: &mut BoxStream<'static, WatchEvent<Value>>) {
        let last = format!("kept-{}", self.steps);
        let told = async {
            loop {
                match watch.next().await.expect("the watch goes on") {
                    WatchEvent::Added(object) => {
                        let name = object["metadata"]["name"].as_str().expect("a name");
                        assert!(self.kept.contains_key(name), "{name} was never acknowledged");
                        if name == last {
                            return;
                        }
                    }
                    WatchEvent::Bookmark(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("told");
    }

    /// The Gateway answers; the pods' logs tell of it.
    pub(crate) fn asks(&self, path: &str) {
        let mut stream = TcpStream::connect((self.host.as_str(), 80)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("settable");
        let request = format!("GET {path} HTTP/1.1\r\nHost: connection-limit-app.alfabytes.xyz\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    /// Starts again with all that was acknowledged.
    pub(crate) async fn again(self) -> Self {
        let (data, kept, steps) = (self.weir.data.clone(), self.kept.clone(), self.steps);
        drop(self.weir);
        let mut next = Self { kept, steps, ..Self::open(&data, &self.said).await };
        next.has_all().await;
        next.takes_writes().await;
        next
    }

    /// The end, and what was said before: nothing of a panic.
    pub(crate) fn end(&mut self, signal: &str) -> String {
        self.weir.signal(signal);
        let status = self.weir.wait();
        assert!(signal == "KILL" || status.code() == Some(0), "{status}");
        let said = std::fs::read_to_string(&self.said).expect("readable");
        assert!(!said.contains("panicked"), "{said}");
        said
    }
}
