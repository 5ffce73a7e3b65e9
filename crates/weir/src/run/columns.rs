//! What `kubectl get clienttrafficpolicy` shows here and nowhere else: whether the policy is in force, and how full its fullest limit is.

use jiff::Timestamp;
use serde_json::{Value, json};
use weir_apiserver::LiveColumns;
use weir_apiserver::table::{Column, age};
use weir_model::{LimitReport, ObjectName};
use weir_proxy::DataPlane;

/// Columns that read the data plane.
pub(crate) struct LimitColumns {
    data_plane: DataPlane,
}

impl LimitColumns {
    pub(crate) fn new(data_plane: DataPlane) -> Self {
        Self { data_plane }
    }
}

impl LiveColumns for LimitColumns {
    fn columns(&self, group: &str, resource: &str) -> Option<Vec<Column>> {
        let is_ours = group == "gateway.envoyproxy.io" && resource == "clienttrafficpolicies";
        is_ours.then(|| {
            vec![
                column("Name", "string", "name", "Name of the policy."),
                column("Accepted", "string", "", "Whether the policy is in force at everything it targets."),
                column("Active", "integer", "", "Connections open now, at the fullest of the policy's limits."),
                column("Limit", "integer", "", "How many connections may be open there at once."),
                column("Refused", "integer", "", "Connections that the policy's limits have refused since the data plane started."),
                column("Age", "date", "", "Time since the policy was created."),
            ]
        })
    }

    fn cells(&self, _group: &str, _resource: &str, object: &Value) -> Vec<Value> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = ObjectName::new(text("/metadata/namespace"), text("/metadata/name"));
        let report = self.data_plane.report();
        let limits: Vec<&LimitReport> =
            report.limits.iter().filter(|(limit, _)| limit.policy == name).map(|(_, numbers)| numbers).collect();
        let (active, limit, refused) = match fullest(&limits) {
            Some(it) => {
                (json!(it.current), json!(it.max), json!(limits.iter().map(|limit| limit.refused.over_connection_limit).sum::<u64>()))
            }
            None => (Value::Null, Value::Null, Value::Null),
        };
        let age = age::since(&object["metadata"]["creationTimestamp"], Timestamp::now());
        vec![json!(text("/metadata/name")), json!(accepted(object)), active, limit, refused, json!(age)]
    }
}

fn column(name: &str, kind: &str, format: &str, description: &str) -> Column {
    Column { name: name.to_owned(), kind: kind.to_owned(), format: format.to_owned(), description: description.to_owned(), priority: 0 }
}

/// `True` when every target accepts the policy; else the first reason why not; nothing before a controller has looked at it.
fn accepted(object: &Value) -> &str {
    let ancestors = object.pointer("/status/ancestors").and_then(Value::as_array).into_iter().flatten();
    let conditions =
        ancestors.filter_map(|ancestor| ancestor["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Accepted"));
    let mut answer = "";
    for condition in conditions {
        if condition["status"] != "True" {
            return condition["reason"].as_str().unwrap_or("False");
        }
        answer = "True";
    }
    answer
}

/// Of the policy's limits the one that is fullest, by share.
fn fullest<'r>(limits: &[&'r LimitReport]) -> Option<&'r LimitReport> {
    // a.current / a.max against b.current / b.max, without fractions.
    let share = |a: &LimitReport, b: &LimitReport| u128::from(a.current) * u128::from(b.max);
    limits.iter().copied().max_by(|a, b| share(a, b).cmp(&share(b, a)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{LimitScope, Refusals};

    fn limit(current: u64, max: u64) -> LimitReport {
        let gateway = ObjectName::new("ns", "eg");
        LimitReport { gateway, scope: LimitScope::Gateway, current, max, refused: Refusals::default() }
    }

    #[test]
    fn the_fullest_limit_is_shown() {
        let (large, small) = (limit(50, 1000), limit(4, 5));
        assert_eq!(fullest(&[&large, &small]), Some(&small));
        assert_eq!(fullest(&[]), None);
    }

    #[test]
    fn one_target_that_refuses_is_what_the_user_must_see() {
        let entry = |status: &str, reason: &str| json!({"conditions": [{"type": "Accepted", "status": status, "reason": reason}]});
        assert_eq!(accepted(&json!({})), "");
        assert_eq!(accepted(&json!({"status": {"ancestors": [entry("True", "Accepted")]}})), "True");
        let mixed = json!({"status": {"ancestors": [entry("True", "Accepted"), entry("False", "Conflicted")]}});
        assert_eq!(accepted(&mixed), "Conflicted");
    }
}
