//! Inputs that are there at the same time, and how the two sides are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::ask::{self, Request};
use super::controller::{Controller, Options};
use super::input::{self, Input, Settings};
use super::side::{Side, both};
use super::watch::Watches;
use super::world::{self, COLLECTIONS, World};
use crate::api::verdict::difference;
use crate::kube::build::Programs;

/// How often sides that differ are looked at again.
const AGAIN: usize = 6;
/// The inputs that are there at once.
const LARGEST: usize = 50;
/// Groups up to this size are looked at after a restart, too.
const SMALL: usize = 20;
/// More differences than this are not shown, only named.
const MOST_SHOWN: usize = 40;

/// Inputs for one controller.
#[derive(Debug)]
pub(super) enum Group {
    /// A folder, applied as its README says.
    Example(PathBuf),
    /// Golden inputs with the same settings.
    Golden(Settings, Vec<Input>),
}

/// What was compared, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Summary {
    inputs: usize,
    /// By what was refused, why.
    refused: BTreeMap<String, String>,
    objects: usize,
    statuses: usize,
    provisioned: usize,
    events: usize,
    different: Vec<String>,
}

impl Group {
    /// All examples whose names contain one of `filters`.
    pub(super) fn examples(folder: &Path, filters: &[String]) -> Result<Vec<Self>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(folder).context("cannot read the examples")? {
            let path = entry?.path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() && (filters.is_empty() || filters.iter().any(|filter| name.contains(filter))) {
                folders.push(path);
            }
        }
        folders.sort();
        Ok(folders.into_iter().map(Self::Example).collect())
    }

    /// Groups of inputs with these settings, none too large: what there is to write grows with the inputs, and with it how often all of them
    /// are translated.
    pub(super) fn golden(settings: &Settings, mut inputs: Vec<Input>) -> Vec<Self> {
        let mut groups = Vec::new();
        while !inputs.is_empty() {
            let rest = inputs.split_off(inputs.len().min(LARGEST));
            groups.push(Self::Golden(settings.clone(), std::mem::replace(&mut inputs, rest)));
        }
        groups
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Example(folder) => format!("examples/{}", folder.file_name().unwrap_or_default().to_string_lossy()),
            Self::Golden(_, inputs) => match inputs.as_slice() {
                [only] => only.name.clone(),
                many => format!("{} and {} more", many.first().map_or("", |it| it.name.as_str()), many.len().saturating_sub(1)),
            },
        }
    }

    /// How many inputs.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Example(_) => 1,
            Self::Golden(_, inputs) => inputs.len(),
        }
    }

    /// Applies everything to both sides and compares; deletes the Gateways and compares again; then the rest, if others come after.
    pub(super) fn compare(&self, sides: &[Side; 2], programs: &Programs, summary: &mut Summary, clear: bool) -> Result<()> {
        let start = Instant::now();
        let looks = both(sides, Look::start)?;
        let refused = both(sides, |side| self.apply(side, programs))?;
        let applied = start.elapsed();
        let controllers = both(sides, |side| Controller::start(&side.weir, &side.target, &self.options()))?;
        let name = self.controller_name();
        let worlds = agreed(sides, &looks, |world| world.unheard(name) == 0)?;
        let settled = start.elapsed();
        summary.inputs += self.size();
        summary.add(&worlds);
        summary.refusals(refused);
        summary.compare(&self.name(), &worlds)?;
        let controllers = self.restarted(sides, &looks, controllers, &worlds, summary)?;
        let delete = |paths: Vec<String>| {
            let requests: Vec<Request> = paths.into_iter().map(Request::delete).collect();
            both(sides, |side| ask::all(&side.target, &requests)).map(drop)
        };
        delete(worlds[1].gateways())?;
        let worlds = agreed(sides, &looks, |world| world.provisioned() == 0)?;
        summary.compare(&format!("{}, without its Gateways", self.name()), &worlds)?;
        let gone = start.elapsed();
        if clear {
            delete(worlds[1].given())?;
            both(sides, |side| Look::of(&looks, side).settled(side, |world| world.given().is_empty()))?;
        }
        for controller in controllers {
            controller.end()?;
        }
        let seconds = [applied, settled, gone, start.elapsed()].map(|it| format!("{:.1}", it.as_secs_f32()));
        println!(
            "{}: applied after {} s, at rest after {}, Gateways gone after {}, all after {}",
            self.name(),
            seconds[0],
            seconds[1],
            seconds[2],
            seconds[3]
        );
        Ok(())
    }

    /// Others in their place, that have read everything and found nothing to write. That is the same for all inputs, so small groups do.
    fn restarted(
        &self,
        sides: &[Side; 2],
        looks: &[Look; 2],
        controllers: [Controller; 2],
        worlds: &[World; 2],
        summary: &mut Summary,
    ) -> Result<[Controller; 2]> {
        if self.size() > SMALL {
            return Ok(controllers);
        }
        for controller in controllers {
            controller.end()?;
        }
        let controllers = both(sides, |side| {
            let controller = Controller::start(&side.weir, &side.target, &self.options())?;
            controller.leads()?;
            Ok(controller)
        })?;
        let after = both(sides, |side| Look::of(looks, side).settled(side, |_| true))?;
        for (side, (before, after)) in sides.iter().zip(worlds.iter().zip(&after)) {
            let (before, after) = (before.versions(), after.versions());
            let written = after.iter().filter(|(path, version)| before.get(*path) != Some(version)).map(|(path, _)| path);
            summary
                .different
                .extend(written.map(|path| format!("{}: {path} was written by a restart on {}", self.name(), side.target.name)));
        }
        Ok(controllers)
    }

    fn options(&self) -> Options<'_> {
        match self {
            Self::Example(_) => Options::default(),
            Self::Golden(settings, _) => Options { file: Some(settings.file()), cluster_domain: settings.cluster_domain.as_deref() },
        }
    }

    fn controller_name(&self) -> &str {
        match self {
            Self::Example(_) => Settings::CONTROLLER_NAME,
            Self::Golden(settings, _) => settings.controller_name(),
        }
    }

    /// Applies everything; what the server refuses, and why.
    fn apply(&self, side: &Side, programs: &Programs) -> Result<BTreeMap<String, String>> {
        let inputs = match self {
            Self::Example(folder) => {
                side.bash(programs, &format!("kubectl apply --server-side --force-conflicts -f {}", folder.display()))?;
                return Ok(BTreeMap::new());
            }
            Self::Golden(_, inputs) => inputs,
        };
        let mut refused = BTreeMap::new();
        let last = inputs.iter().flat_map(|it| &it.objects).map(|(second, _)| *second).max().unwrap_or(0);
        for turn in 0..=last {
            if turn > 0 {
                let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is after 1970")?;
                std::thread::sleep(Duration::from_millis(1020 - u64::from(time.subsec_millis())));
            }
            let objects: Vec<(&str, &Value)> = inputs
                .iter()
                .flat_map(|input| input.objects.iter().map(|(second, object)| (input.name.as_str(), *second, object)))
                .filter(|(_, second, _)| *second == turn)
                .map(|(name, _, object)| (name, object))
                .collect();
            let requests: Vec<Request> = objects.iter().map(|(_, it)| Request::post(&input::collection(it), it)).collect();
            for ((name, object), (status, answer)) in objects.iter().zip(ask::all(&side.target, &requests)?) {
                if status >= 300 {
                    refused.insert(format!("{name}: {}", input::title(object)), format!("{status} {}", ask::refusal(&answer)));
                }
            }
        }
        Ok(refused)
    }
}

/// What was there before a group, and what tells of changes since.
struct Look {
    before: BTreeSet<String>,
    watches: Mutex<Watches>,
}

impl Look {
    fn start(side: &Side) -> Result<Self> {
        let collections: Vec<&str> = COLLECTIONS.into_iter().filter(|path| !world::is_restless(path)).collect();
        let watches = Mutex::new(Watches::open(&side.target, &collections)?);
        Ok(Self { before: World::read(&side.target, &BTreeSet::new())?.uids(), watches })
    }

    fn of<'l>(looks: &'l [Self; 2], side: &Side) -> &'l Self {
        let [real, ours] = looks;
        if side.is_real() { real } else { ours }
    }

    fn settled(&self, side: &Side, enough: impl Fn(&World) -> bool) -> Result<World> {
        let mut watches = self.watches.lock().map_err(|_| anyhow!("somebody who watched panicked"))?;
        side.settled(&mut watches, &self.before, enough)
    }
}

/// Both sides at rest. Where they differ they are looked at again: one may have paused for breath.
fn agreed(sides: &[Side; 2], looks: &[Look; 2], enough: impl Fn(&World) -> bool + Sync) -> Result<[World; 2]> {
    let mut worlds = both(sides, |side| Look::of(looks, side).settled(side, &enough))?;
    for _ in 0..AGAIN {
        if worlds[0].texts() == worlds[1].texts() {
            break;
        }
        worlds = both(sides, |side| Look::of(looks, side).settled(side, &enough))?;
    }
    Ok(worlds)
}

impl Summary {
    /// Counts what is there.
    fn add(&mut self, worlds: &[World; 2]) {
        self.statuses += worlds[1].statuses();
        self.provisioned += worlds[1].provisioned();
        self.events += worlds[1].events();
    }

    /// What both refuse in the same words is as it should be.
    fn refusals(&mut self, [real, ours]: [BTreeMap<String, String>; 2]) {
        for title in real.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
            match (real.get(title), ours.get(title)) {
                (Some(real), Some(ours)) if real == ours => {}
                (real, ours) => {
                    let text = |it: Option<&String>| it.map_or("accepted", String::as_str).to_owned();
                    println!("== {title}\n    kube-apiserver: {}\n    weir: {}", text(real), text(ours));
                    self.different.push(title.clone());
                }
            }
        }
        self.refused.extend(real);
    }

    /// Prints what differs.
    fn compare(&mut self, context: &str, [real, ours]: &[World; 2]) -> Result<()> {
        let (real, ours) = (real.texts(), ours.texts());
        self.objects += ours.values().map(Vec::len).sum::<usize>();
        for title in real.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
            let text = |side: &BTreeMap<String, Vec<String>>| side.get(title).map_or(String::new(), |texts| texts.join("\n"));
            let (real, ours) = (text(&real), text(&ours));
            if real != ours {
                if self.different.len() < MOST_SHOWN {
                    print!("== {context}: {title} (- the real server, + ours)\n{}", difference(&real, &ours)?);
                }
                self.different.push(format!("{context}: {title}"));
            }
        }
        Ok(())
    }

    /// Prints the counts.
    pub(super) fn print(&self) {
        if !self.refused.is_empty() {
            println!("refused by both:");
            self.refused.iter().for_each(|(title, why)| println!("  {title}: {why}"));
        }
        if !self.different.is_empty() {
            println!("FAILED:");
            self.different.iter().for_each(|title| println!("  {title}"));
        }
        println!(
            "{} inputs on both servers: {} objects compared, among them {} with statuses of the controller's, {} that Gateways were provisioned \
             with, {} Events; {} objects refused by both; {} differ",
            self.inputs,
            self.objects,
            self.statuses,
            self.provisioned,
            self.events,
            self.refused.len(),
            self.different.len()
        );
    }

    /// Whether nothing differs.
    pub(super) fn good(&self) -> bool {
        self.different.is_empty()
    }
}
