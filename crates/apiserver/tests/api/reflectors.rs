//! kube-rs's reflectors through many watches: each lists once, whatever happens meanwhile, and holds what the server holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::ListParams;
use kube::runtime::reflector::{Store, reflector, store};
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::client::{MAPS, World, map};

/// What all objects of a kind come to: names and versions.
type State = BTreeMap<String, Option<String>>;

/// A reflector that runs.
struct Running<K: kube::Resource<DynamicType = ()> + 'static> {
    store: Store<K>,
    config: Config,
    lists: Arc<AtomicUsize>,
    faults: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

trait Kind: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
where
    Self: Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
}
impl Kind for ConfigMap {}
impl Kind for Secret {}

impl<K: Kind> Running<K> {
    fn start(world: &World, config: Config) -> Self {
        let (store, writer) = store();
        let (lists, faults) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (Arc::clone(&lists), Arc::clone(&faults));
        let events = reflector(writer, watcher(kube::Api::<K>::namespaced(world.client.clone(), "default"), config.clone()));
        let task = tokio::spawn(events.for_each(move |event| {
            match event {
                Ok(Event::Init) => drop(counts.0.fetch_add(1, Ordering::Relaxed)),
                Err(_) => drop(counts.1.fetch_add(1, Ordering::Relaxed)),
                Ok(_) => {}
            }
            std::future::ready(())
        }));
        Self { store, config, lists, faults, task }
    }

    fn state(&self) -> State {
        self.store.state().iter().map(|object| (object.name_any(), object.resource_version())).collect()
    }

    /// Waits until it holds what a list says; then it must have listed once, and met no error.
    async fn judge(self, world: &World) {
        let same = ListParams { label_selector: self.config.label_selector.clone(), ..ListParams::default() };
        let list = kube::Api::<K>::namespaced(world.client.clone(), "default").list(&same).await.unwrap();
        let truth: State = list.iter().map(|object| (object.name_any(), object.resource_version())).collect();
        assert!(!truth.is_empty());
        let caught_up = async {
            while self.state() != truth {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), caught_up).await.expect("it holds what the server holds");
        let counts = (self.lists.load(Ordering::Relaxed), self.faults.load(Ordering::Relaxed));
        assert_eq!(counts, (1, 0), "{:?}", self.config);
        self.task.abort();
    }
}

/// Changes that turn the server's memory of the kind over some times: objects of a size, for it is bounded in bytes, too. So slowly that watches,
/// which last a second, end and begin meanwhile.
async fn churn(world: &World, writer: usize) {
    let path = format!("{MAPS}/busy-{writer}");
    world.post(MAPS, &map(&format!("busy-{writer}"), json!({}))).await.expect(201);
    for n in 0..100 {
        let text = format!("{n:040000}");
        world.merge(&path, &json!({"data": {"k": text}})).await.expect(200);
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

#[tokio::test]
async fn reflectors_list_once_while_everything_changes_and_watches_end() {
    let world = World::new().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "quiet"}});
    world.post("/api/v1/namespaces/default/secrets", &secret).await.expect(201);
    let mut quiet = map("quiet", json!({}));
    quiet["metadata"]["labels"] = json!({"quiet": "yes"});
    world.post(MAPS, &quiet).await.expect(201);
    let (mut maps, mut secrets) = (Vec::new(), Vec::new());
    for config in [Config::default().page_size(2), Config::default().streaming_lists()] {
        let config = config.timeout(1);
        maps.push(Running::<ConfigMap>::start(&world, config.clone()));
        maps.push(Running::start(&world, config.clone().labels("quiet=yes")));
        secrets.push(Running::<Secret>::start(&world, config));
    }
    for running in &maps {
        running.store.wait_until_ready().await.unwrap();
    }
    futures::future::join_all((0..4).map(|writer| churn(&world, writer))).await;
    world.merge(&format!("{MAPS}/quiet"), &json!({"data": {"k": "last"}})).await.expect(200);
    for running in maps {
        running.judge(&world).await;
    }
    for running in secrets {
        running.judge(&world).await;
    }
}
