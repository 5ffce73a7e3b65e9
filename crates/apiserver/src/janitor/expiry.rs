//! Events go an hour after they were last told, as on every cluster: without that they would pile up for ever.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use crate::api::Api;
use crate::store::Key;

/// The shelf of Events of both API groups.
const EVENTS: &str = "/events";
/// Seconds that an Event is kept; kube-apiserver's `--event-ttl`.
const KEPT: i64 = 3600;
/// Between two looks.
const ROUND: Duration = Duration::from_secs(60);
/// Deletions at a time: they share a transaction.
const AT_ONCE: usize = 64;

/// Runs until the server stops.
pub(super) async fn run(api: &Api) {
    loop {
        tokio::select! {
            () = api.stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => sweep(api, jiff::Timestamp::now().as_second()).await,
        }
    }
}

async fn sweep(api: &Api, now: i64) {
    let (events, _) = api.store.list(EVENTS, None);
    let old = events.into_iter().filter(|event| last_told(&event.value()).is_some_and(|told| told + KEPT <= now));
    let shelf = EVENTS.into();
    futures::stream::iter(old)
        .for_each_concurrent(AT_ONCE, async |event| {
            let key = Key::new(&shelf, event.namespace(), event.name());
            // One that has been told again meanwhile stays; one that cannot be deleted now is met again.
            let _ = api.replace(&key, &event, None).await;
        })
        .await;
}

/// When it last happened, in Unix seconds.
fn last_told(event: &Value) -> Option<i64> {
    let places = ["/lastTimestamp", "/series/lastObservedTime", "/eventTime", "/firstTimestamp", "/metadata/creationTimestamp"];
    let times = places.iter().filter_map(|place| event.pointer(place)?.as_str()?.parse::<jiff::Timestamp>().ok());
    times.map(jiff::Timestamp::as_second).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::hooks::Hooks;
    use crate::store::{Change, Expect, Store};

    #[tokio::test]
    async fn an_hour_after_it_was_last_told_an_event_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("state.redb")).unwrap();
        let api = Api::new(store, Hooks::default(), String::new(), String::new(), CancellationToken::new());
        for (name, last) in [("once", "1970-01-01T00:00:00Z"), ("again", "1970-01-01T00:30:00Z")] {
            let object = json!({
                "metadata": {"name": name, "namespace": "default", "creationTimestamp": "1970-01-01T00:00:00Z"}, "lastTimestamp": last,
            });
            let key = Key::new(&EVENTS.into(), "default", name);
            api.commit(Change { key, expect: Expect::Absent, object: Some(object), managed: Default::default(), guard: None })
                .await
                .unwrap();
        }
        let left = || api.store.list(EVENTS, None).0.iter().map(|e| e.name().to_owned()).collect::<Vec<_>>();
        sweep(&api, KEPT - 1).await;
        assert_eq!(left(), ["again", "once"]);
        sweep(&api, KEPT).await;
        assert_eq!(left(), ["again"]);
        sweep(&api, KEPT + 1800).await;
        assert!(left().is_empty());
    }
}
