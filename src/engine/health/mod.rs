//! How this process is: whether it is alive and ready, and what it waits for.
//!
//! A task looks at everything some times a second and keeps what it saw, so that asking costs nothing and
//! waits for nobody. What it promises: *live* is false only if a role has ended or stands still, since that
//! has the process killed; *ready* is false as long as there is anything to wait for, and while it leaves.

mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock;
use crate::lane::{Lanes, PartitionState};
use crate::position::{Offset, Partition};
use crate::projection::worker::{Flow, WorkerStatus};

pub use watch::watch;

/// A role that stands still for longer is stuck: the group evicts a member after a minute.
const STUCK: Duration = Duration::from_mins(2);

/// How this process is. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<State>);

#[derive(Debug, Default)]
struct State {
    seen: Mutex<Seen>,
    leaving: AtomicBool,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// The roles, and when they were looked at.
    roles: Option<(Instant, Vec<RoleHealth>)>,
    dependencies: Option<Vec<Dependency>>,
    /// What the partitions of each command processor do.
    lanes: BTreeMap<String, BTreeMap<Partition, PartitionState>>,
}

/// How a process is.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether it works, or is to be started anew.
    pub live: bool,
    /// Whether it may be given work.
    pub ready: bool,
    /// Whether it is about to leave.
    pub leaving: bool,
    /// Its roles.
    pub roles: Vec<RoleHealth>,
    /// What it stands on.
    pub dependencies: Vec<Dependency>,
}

/// How a role is.
#[derive(Clone, Debug, Serialize)]
pub struct RoleHealth {
    /// `commands`, `router`, `saga`, `projections` or another.
    pub role: &'static str,
    /// The aggregate or the view.
    pub name: String,
    /// Its consumer group.
    pub group: String,
    /// Whether it has not ended and does not stand still.
    pub live: bool,
    /// How many partitions it owns here.
    pub partitions: usize,
    /// What it waits for; nothing if it is ready.
    pub waits_for: Vec<Wait>,
    /// What else is to be known of a view.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewHealth>,
}

/// How a view is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ViewHealth {
    /// How many offsets are still to be read here.
    pub lag: i64,
    /// Partitions that are on their way back to where they were before a reset.
    pub replaying: usize,
    /// Aggregates that it no longer follows.
    pub parked: u64,
    /// Whether it was reset to something else than its first event.
    pub partial: bool,
}

/// What is waited for.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Wait {
    /// To be given partitions by the group.
    Assignment,
    /// A partition's state, from the log.
    Restore {
        /// The partition.
        partition: Partition,
        /// What it is doing.
        doing: String,
        /// The offset that it is at.
        #[serde(skip_serializing_if = "Option::is_none")]
        done: Option<Offset>,
        /// The offset that it goes to.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<Offset>,
    },
    /// A record that cannot be read yet.
    Schema {
        /// The partition, with its aggregate where the role has several.
        partition: String,
        /// Why.
        reason: String,
    },
    /// Somebody who looks after a partition that stopped.
    Operator {
        /// The partition, with its aggregate where the role has several.
        partition: String,
        /// Why it stopped, and what to do.
        reason: String,
    },
    /// Where a partition goes on, from the database.
    Position {
        /// The partition, with its aggregate.
        partition: String,
    },
    /// A view to get back to where it was before a reset.
    Replay {
        /// The partition, with its aggregate.
        partition: String,
        /// How many offsets are still to be read, if that is known.
        lag: Option<i64>,
    },
    /// The log.
    Log {
        /// What it said.
        reason: String,
    },
    /// The database.
    Database {
        /// What it said.
        reason: String,
    },
    /// The schema registry.
    Registry {
        /// What it said.
        reason: String,
    },
}

/// Something that the process stands on.
#[derive(Clone, Debug, Serialize)]
pub struct Dependency {
    /// `registry` or `database`.
    pub name: &'static str,
    /// Why it cannot be reached; none if it can.
    pub away: Option<String>,
    /// Whether the process is not ready without it.
    pub needed: bool,
}

impl Dependency {
    fn wait(&self) -> Option<Wait> {
        let reason = self.away.clone().filter(|_| self.needed)?;
        Some(if self.name == "registry" { Wait::Registry { reason } } else { Wait::Database { reason } })
    }
}

impl Report {
    /// Everything that is waited for, with who waits.
    pub fn waits(&self) -> impl Iterator<Item = (Option<&RoleHealth>, Wait)> + '_ {
        let of_roles = self.roles.iter().flat_map(|role| role.waits_for.iter().map(move |it| (Some(role), it.clone())));
        of_roles.chain(self.dependencies.iter().filter_map(|it| Some((None, it.wait()?))))
    }
}

impl Health {
    /// What was seen last. Not ready before anything was.
    #[must_use]
    pub fn report(&self) -> Report {
        let Seen { roles, dependencies, .. } = self.seen().clone();
        let leaving = self.0.leaving.load(Ordering::Relaxed);
        let all_seen = roles.is_some() && dependencies.is_some();
        // Nobody looks any more: the runtime is stuck.
        let is_looked_at = roles.as_ref().is_none_or(|(at, _)| at.elapsed() < STUCK);
        let roles = roles.map(|(_, roles)| roles).unwrap_or_default();
        let live = is_looked_at && roles.iter().all(|role| role.live);
        let dependencies = dependencies.unwrap_or_default();
        let mut report = Report { live, ready: false, leaving, roles, dependencies };
        report.ready = live && !leaving && all_seen && report.waits().next().is_none();
        report
    }

    /// The process is about to leave: no new work is to come.
    pub fn leave(&self) {
        self.0.leaving.store(true, Ordering::Relaxed);
    }

    /// Keeps what was seen of the roles.
    pub(super) fn see_roles(&self, roles: Vec<RoleHealth>) {
        self.seen().roles = Some((clock::instant(), roles));
    }

    fn see_dependencies(&self, dependencies: Vec<Dependency>) {
        self.seen().dependencies = Some(dependencies);
    }

    /// Keeps what was seen of the lanes of an aggregate's commands.
    pub(super) fn see_lanes(&self, aggregate: &str, partitions: BTreeMap<Partition, PartitionState>) {
        self.seen().lanes.insert(aggregate.to_owned(), partitions);
    }

    fn lanes(&self) -> BTreeMap<String, BTreeMap<Partition, PartitionState>> {
        self.seen().lanes.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RoleHealth {
    pub(super) fn of_lanes(name: &str, lanes: &Lanes) -> Self {
        let (role, group) = (lanes.kind(), lanes.group().to_owned());
        let partitions = lanes.partitions();
        let mut waits_for = Vec::new();
        if !lanes.has_joined() {
            waits_for.push(Wait::Assignment);
        }
        waits_for.extend(partitions.iter().filter_map(|(partition, state)| wait_of(*partition, state)));
        measure(role, name, &partitions);
        let live = !lanes.has_ended() && lanes.still_for() < STUCK;
        let owned = partitions.len();
        Self { role, name: name.to_owned(), group, live, partitions: owned, waits_for, view: None }
    }

    pub(super) fn of_view(name: &str, group: String, ended: bool, status: &WorkerStatus) -> Self {
        let mut waits_for = Vec::new();
        if !status.assigned {
            waits_for.push(Wait::Assignment);
        }
        waits_for.extend(status.log.clone().map(|reason| Wait::Log { reason }));
        waits_for.extend(status.database.clone().map(|reason| Wait::Database { reason }));
        let mut view = ViewHealth { lag: 0, replaying: 0, parked: status.parked, partial: status.partial };
        for it in &status.partitions {
            let partition = it.source.to_string();
            view.lag += it.lag.unwrap_or(0);
            view.replaying += usize::from(it.replaying);
            match &it.flow {
                Flow::Starting => waits_for.push(Wait::Position { partition }),
                Flow::Waiting(reason) => waits_for.push(Wait::Schema { partition, reason: reason.clone() }),
                Flow::Stopped(reason) => waits_for.push(Wait::Operator { partition, reason: reason.clone() }),
                Flow::Running if it.replaying => waits_for.push(Wait::Replay { partition, lag: it.lag }),
                Flow::Running => {}
            }
        }
        let partitions = status.partitions.len();
        let role = "projections";
        Self { role, name: name.to_owned(), group, live: !ended, partitions, waits_for, view: Some(view) }
    }
}

fn wait_of(partition: Partition, state: &PartitionState) -> Option<Wait> {
    match state {
        PartitionState::Running { .. } => None,
        PartitionState::Restoring(progress) => {
            let (done, target) = progress.reading.unzip();
            Some(Wait::Restore { partition, doing: progress.doing.clone(), done, target })
        }
        PartitionState::Waiting(reason) => {
            Some(Wait::Schema { partition: partition.to_string(), reason: reason.clone() })
        }
        PartitionState::Stopped(reason) => {
            Some(Wait::Operator { partition: partition.to_string(), reason: reason.clone() })
        }
    }
}

/// Counts partitions by what they do, and how far restores are.
#[expect(clippy::cast_precision_loss, reason = "a metric; nothing is computed from it")]
fn measure(kind: &'static str, processor: &str, partitions: &BTreeMap<Partition, PartitionState>) {
    let (mut counts, mut done, mut target) = ([0.0; 4], 0, 0);
    for state in partitions.values() {
        let kind = match state {
            PartitionState::Running { .. } => 0,
            PartitionState::Restoring(_) => 1,
            PartitionState::Waiting(_) => 2,
            PartitionState::Stopped(_) => 3,
        };
        counts[kind] += 1.0;
        if let PartitionState::Restoring(progress) = state
            && let Some((at, until)) = progress.reading
        {
            (done, target) = (done + at.0, target + until.0);
        }
    }
    let of = processor.to_owned();
    for (state, count) in ["running", "restoring", "waiting", "stopped"].into_iter().zip(counts) {
        metrics::gauge!("headwater_partitions", "kind" => kind, "processor" => of.clone(), "state" => state).set(count);
    }
    metrics::gauge!("headwater_restore_done_offsets", "kind" => kind, "processor" => of.clone()).set(done as f64);
    metrics::gauge!("headwater_restore_target_offsets", "kind" => kind, "processor" => of).set(target as f64);
}
