//! How many replicas each ReplicaSet shall have: rolling update, recreate, scaling.

use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Numbers;
use super::sets::{New, Sets};

/// More replicas than any node has addresses for. Numbers are cut to it so that sums of them do not overflow.
const MOST: i32 = 1 << 24;

/// Resolves percentages: surge is rounded up, unavailable down, and if both come to nothing one may be unavailable.
pub(crate) fn numbers(spec: &DeploymentSpec) -> Numbers {
    let replicas = spec.replicas.unwrap_or(1).clamp(0, MOST);
    let strategy = spec.strategy.as_ref();
    if strategy.and_then(|s| s.type_.as_deref()) == Some("Recreate") {
        return Numbers { replicas, recreate: true, max_surge: 0, max_unavailable: 0 };
    }
    let rolling = strategy.and_then(|s| s.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".to_owned());
    let max_surge = resolve(rolling.and_then(|r| r.max_surge.as_ref()).unwrap_or(&quarter), replicas, true).min(MOST);
    let unavailable = resolve(rolling.and_then(|r| r.max_unavailable.as_ref()).unwrap_or(&quarter), replicas, false);
    let unavailable = if max_surge == 0 && unavailable == 0 { 1 } else { unavailable };
    Numbers { replicas, recreate: false, max_surge, max_unavailable: unavailable.min(replicas) }
}

fn resolve(value: &IntOrString, of: i32, up: bool) -> i32 {
    match value {
        IntOrString::Int(n) => (*n).max(0),
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let hundredths = percent.max(0).saturating_mul(i64::from(of.max(0)));
            let whole = if up { (hundredths + 99) / 100 } else { hundredths / 100 };
            i32::try_from(whole).unwrap_or(i32::MAX)
        }
    }
}

/// The new ReplicaSet may grow until all together reach replicas plus surge.
fn new_target(sets: &Sets<'_>) -> i32 {
    let Numbers { replicas, max_surge, .. } = sets.numbers;
    let (new, total) = (sets.new_replicas(), sets.new_replicas() + sets.old_replicas());
    let room = (replicas.saturating_add(max_surge) - total).max(0);
    new + room.min((replicas - new).max(0))
}

/// One step of a rolling update. The next step follows when the ReplicaSets have moved.
pub(super) fn roll(sets: &mut Sets<'_>) {
    let replicas = sets.numbers.replicas;
    let target = new_target(sets);
    match &mut sets.new {
        New::None => {
            sets.new = New::Create(target);
            return;
        }
        New::Found(new) => {
            let target = if new.want > replicas { replicas } else { target };
            if target != new.want {
                new.scale(target);
                return;
            }
        }
        New::Create(_) => return,
    }
    shrink_old(sets);
}

/// Old replicas go as far as the Deployment stays available: those that are not available anyway first.
fn shrink_old(sets: &mut Sets<'_>) {
    let Numbers { replicas, max_unavailable, .. } = sets.numbers;
    let New::Found(new) = &sets.new else { return };
    if sets.old_replicas() == 0 {
        return;
    }
    let least = replicas - max_unavailable;
    let (new_want, new_available) = (new.want, new.available());
    let total = sets.old_replicas() + new_want;
    let mut removable = total - least - (new_want - new_available);
    for set in &mut sets.old {
        let sick = (set.want - set.available()).clamp(0, removable.max(0));
        if set.want > 0 && sick > 0 {
            set.scale(set.want - sick);
            removable -= sick;
        }
    }
    let available: i32 = sets.old.iter().map(|s| s.available().min(s.want)).sum::<i32>() + new_available;
    let mut excess = (available - least).min(removable);
    for set in &mut sets.old {
        let step = set.want.min(excess.max(0));
        if step > 0 {
            set.scale(set.want - step);
            excess -= step;
        }
    }
}

/// Old replicas all go first; the new ones come when no pod of the old ones is left.
pub(super) fn recreate(sets: &mut Sets<'_>, pods: &[&Pod]) {
    let replicas = sets.numbers.replicas;
    if sets.old_replicas() > 0 {
        sets.old.iter_mut().filter(|s| s.want > 0).for_each(|s| s.scale(0));
        return;
    }
    let old: Vec<&str> = sets.old.iter().filter_map(|s| s.object.metadata.uid.as_deref()).collect();
    let running = |pod: &&&Pod| {
        let ended = pod.status.as_ref().and_then(|s| s.phase.as_deref()).is_some_and(|p| p == "Succeeded" || p == "Failed");
        !ended && old.iter().any(|uid| crate::meta::owned_by(&pod.metadata, Some(uid)))
    };
    if pods.iter().any(|pod| running(&pod)) {
        return;
    }
    match &mut sets.new {
        New::None => sets.new = New::Create(replicas),
        New::Found(new) if new.want != replicas => new.scale(replicas),
        _ => {}
    }
}

/// `spec.replicas` changed, or the Deployment is paused: the ReplicaSets grow or shrink in proportion and nothing is rolled out.
pub(super) fn scale(sets: &mut Sets<'_>) {
    let Numbers { replicas, max_surge, .. } = sets.numbers;
    if let New::Found(new) = &mut sets.new
        && sets.old.iter().all(|s| s.want == 0)
    {
        new.scale(replicas);
        return;
    }
    let active: Vec<usize> = sets.old.iter().enumerate().filter(|(_, s)| s.want > 0).map(|(i, _)| i).collect();
    let new_active = sets.new_replicas() > 0;
    if let ([only], false) = (active.as_slice(), new_active) {
        if let Some(set) = sets.old.get_mut(*only) {
            set.scale(replicas);
        }
        return;
    }
    if let New::Found(new) = &sets.new
        && new.want == replicas
        && new.available() == replicas
    {
        sets.old.iter_mut().filter(|s| s.want > 0).for_each(|s| s.scale(0));
        return;
    }
    proportional(sets, if replicas > 0 { replicas.saturating_add(max_surge) } else { 0 });
}

/// Spreads a change over all active ReplicaSets by their sizes; the rest of the division goes to the largest.
fn proportional(sets: &mut Sets<'_>, allowed: i32) {
    let mut all: Vec<&mut super::sets::Set<'_>> = sets.old.iter_mut().filter(|s| s.want > 0).collect();
    if let New::Found(new) = &mut sets.new
        && new.want > 0
    {
        all.push(new);
    }
    let total: i32 = all.iter().map(|s| s.want).sum();
    let change = allowed - total;
    if change == 0 || total == 0 {
        all.into_iter().for_each(|s| s.scale(s.want));
        return;
    }
    all.sort_by_key(|s| std::cmp::Reverse(s.want));
    let mut left = change;
    for set in &mut all {
        let share = (f64::from(change) * f64::from(set.want) / f64::from(total)).round() as i32;
        let share = if change > 0 { share.min(left) } else { share.max(left).max(-set.want) };
        left -= share;
        set.scale(set.want + share);
    }
    if let Some(largest) = all.first_mut() {
        largest.scale(largest.want + left);
    }
}
