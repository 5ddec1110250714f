//! The thread of a worker that follows the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fold::{Fold, Folded};
use super::lag::LagMeter;
use super::link::{Control, Located};
use super::partition::{At, Owned, State};
use super::queue::{News, Queue};
use super::size::RecordSize;
use super::{WorkerParts, WorkerSettings};
use crate::clock;
use crate::log::{Group, LogError, Member, Polled, Record, Topic, TopicPartition};
use crate::position::Offset;
use crate::projection::{Progress, Projection, SourcePartition, StopReason, Stream, ViewError, WorkerError};

const POLL: Duration = Duration::from_millis(100);
/// A second eviction within this time is no accident.
const CALM: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(1);
/// How long a partition that was reset or taken over rests, so that two owners do not race.
const AGAIN: Duration = Duration::from_millis(50);
/// How long the thread waits for room in the queue before it pauses its partitions.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Follower<P: Projection> {
    fold: Fold<P>,
    parts: WorkerParts,
    settings: WorkerSettings,
    control: Arc<Control>,
    queue: Queue,
    topics: BTreeMap<Topic, &'static str>,
    owned: Vec<Owned>,
    lag: LagMeter,
    size: RecordSize,
    /// Whether partitions that run are paused, until there is room in the queue.
    is_paused: bool,
    /// Whether the task is asked where partitions go on.
    is_locating: bool,
    /// Why the live generation is not for this projection to fold onto.
    unfit: Option<ViewError>,
}

impl<P: Projection> Follower<P> {
    pub fn new(
        fold: Fold<P>,
        parts: WorkerParts,
        settings: WorkerSettings,
        control: Arc<Control>,
        queue: Queue,
    ) -> Self {
        let shape = fold.shape();
        let topic = |name: &str| shape.stream.topic(parts.topology.aggregate(name));
        let topics = shape.sources.iter().map(|&name| (topic(name), name)).collect();
        Self {
            fold,
            parts,
            settings,
            control,
            queue,
            topics,
            owned: Vec::new(),
            lag: LagMeter::new(),
            size: RecordSize::default(),
            is_paused: false,
            is_locating: false,
            unfit: None,
        }
    }

    /// Follows until it is stopped, or the log fails for good.
    pub fn run(mut self) -> Result<(), WorkerError> {
        let group = Group {
            name: self.parts.topology.projection_group(P::NAME),
            instance: self.parts.instance.clone(),
            topics: self.topics.keys().cloned().collect(),
        };
        let mut evicted_at = None;
        while self.goes_on() {
            let outcome = self.follow_as_member(&group);
            self.drop_under_way();
            self.owned.clear();
            match outcome {
                Ok(()) => {}
                // Somebody else may own the partitions by now; join again as a new member. But not
                // again and again: two that share one instance would evict each other for ever.
                Err(LogError::Fenced(reason)) if evicted_at.is_none_or(|at: Instant| clock::elapsed(at) > CALM) => {
                    tracing::warn!(view = P::NAME, reason, "evicted from the group; joining again");
                    evicted_at = Some(clock::instant());
                }
                Err(error) if error.is_temporary() => self.wait_for_log(&error),
                Err(error) => return Err(error.into()),
            }
        }
        self.unfit.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Without the task, whose runtime has ended, nothing can be written any more.
    fn goes_on(&self) -> bool {
        self.unfit.is_none() && !self.control.is_stopped() && !self.queue.is_closed()
    }

    fn wait_for_log(&self, error: &LogError) {
        tracing::warn!(view = P::NAME, %error, "the log gives nothing; trying again");
        self.control.set_status(|status| status.log = Some(error.to_string()));
        clock::pause(RETRY);
    }

    fn follow_as_member(&mut self, group: &Group) -> Result<(), LogError> {
        let mut member = self.parts.log.join(group)?;
        self.follow(&mut *member)?;
        member.leave()
    }

    fn follow(&mut self, member: &mut dyn Member) -> Result<(), LogError> {
        while self.goes_on() {
            self.take_news(member)?;
            self.go_on(member)?;
            match member.poll(POLL, self.size.records(self.settings.poll_events)) {
                Ok(polled) => {
                    self.control.set_status(|status| status.log = None);
                    self.take(member, polled)?;
                }
                Err(LogError::OutOfRange { partition, offset, low, .. }) if self.may_begin_at(offset, low) => {
                    self.begin_at(member, &partition, low)?;
                }
                Err(LogError::OutOfRange { partition, offset, low, end }) => {
                    self.stop(member, StopReason::Lost { partition: partition.clone(), offset, low, end }, &partition)?;
                }
                Err(error) if error.is_temporary() => self.wait_for_log(&error),
                Err(error) => return Err(error),
            }
            if let Err(error) = self.lag.measure(&*self.parts.log, P::NAME, &mut self.owned) {
                tracing::debug!(view = P::NAME, %error, "the lag is not known");
            }
            self.show(member);
        }
        self.queue.finish(clock::instant() + self.settings.hand_over);
        Ok(())
    }

    fn take(&mut self, member: &mut dyn Member, polled: Polled) -> Result<(), LogError> {
        match polled {
            Polled::Records(records) => self.take_records(member, &records),
            Polled::Assigned(partitions) => {
                metrics::counter!("headwater_view_rebalances_total", "view" => P::NAME).increment(1);
                let now = clock::instant();
                for place in partitions {
                    let Some(&aggregate) = self.topics.get(&place.topic) else { continue };
                    let source = SourcePartition { aggregate, partition: place.partition };
                    self.owned.push(Owned::new(source, place, now));
                }
                self.owned.sort_by_key(|it| it.source);
                Ok(())
            }
            Polled::Revoked(partitions) => {
                // What is folded already is worth the short wait; the others would fold it again.
                if !self.queue.finish(clock::instant() + self.settings.hand_over) {
                    self.drop_under_way();
                    self.start_anew(member)?;
                }
                self.owned.retain(|it| !partitions.contains(&it.place));
                member.release(&partitions)
            }
            Polled::Lost(partitions) => {
                self.owned.retain(|it| !partitions.contains(&it.place));
                self.drop_under_way();
                self.start_anew(member)?;
                member.release(&partitions)
            }
        }
    }

    fn take_records(&mut self, member: &mut dyn Member, records: &[Record]) -> Result<(), LogError> {
        let mut paused = Vec::new();
        self.size.learn(records);
        let mut last = 0;
        for record in records {
            let is_it = |it: &Owned| it.place.partition == record.partition && it.place.topic == record.topic;
            // Records of one partition mostly follow each other.
            if !self.owned.get(last).is_some_and(is_it) {
                let Some(found) = self.owned.iter().position(is_it) else { continue };
                last = found;
            }
            let owned = &mut self.owned[last];
            let (source, place) = (owned.source, owned.place.clone());
            let Some(at) = owned.running().filter(|at| record.offset >= at.next) else { continue };
            let folded = self.fold.fold(source, &place, at, record);
            if let Folded::Taken = folded {
                continue;
            }
            if let Some(advance) = at.advance() {
                self.fold.advance(source, advance);
            }
            let state = match folded {
                Folded::Stopped(reason) => State::Stopped(reason),
                Folded::NotYet(reason) => State::Waiting { at: *at, retry_at: clock::instant() + RETRY, reason },
                Folded::Taken => continue,
            };
            owned.halt(P::NAME, state);
            paused.push(place);
        }
        if !paused.is_empty() {
            member.pause(&paused)?;
        }
        self.send(member)
    }

    /// Sends what was folded; pauses everything if there is no room for too long.
    fn send(&mut self, member: &mut dyn Member) -> Result<(), LogError> {
        for owned in &mut self.owned {
            if let Some(advance) = owned.at().and_then(At::advance) {
                self.fold.advance(owned.source, advance);
            }
        }
        let (batch, measured) = self.fold.take();
        if batch.advances().is_empty() {
            return Ok(());
        }
        self.queue.send(batch, measured, self.size.polled, clock::instant() + PATIENCE);
        if self.queue.is_blocked() {
            self.is_paused = true;
            self.pause_running(member)?;
        }
        Ok(())
    }

    fn pause_running(&mut self, member: &mut dyn Member) -> Result<(), LogError> {
        let running: Vec<TopicPartition> =
            self.owned.iter_mut().filter_map(|it| it.running().is_some().then(|| it.place.clone())).collect();
        if running.is_empty() { Ok(()) } else { member.pause(&running) }
    }

    /// Lets go on whatever waited and may go on now.
    fn go_on(&mut self, member: &mut dyn Member) -> Result<(), LogError> {
        let mut resumed = Vec::new();
        self.queue.unblock(clock::instant());
        if self.queue.is_blocked() {
            return Ok(());
        }
        // Also when the room was found elsewhere, such as in a hand-over.
        if std::mem::take(&mut self.is_paused) {
            let running = |it: &mut Owned| it.running().map(|at| at.next).map(|next| (it.place.clone(), next));
            resumed.extend(self.owned.iter_mut().filter_map(running));
        }
        let now = clock::instant();
        for owned in &mut self.owned {
            if let State::Waiting { at, retry_at, .. } = owned.state
                && retry_at <= now
            {
                resumed.push((owned.place.clone(), at.next));
                owned.state = State::Running(at);
            }
        }
        let is_due = |it: &Owned| matches!(it.state, State::Starting { retry_at, asked: false } if retry_at <= now);
        if !self.is_locating && self.owned.iter().any(is_due) && self.queue.locate() {
            self.is_locating = true;
            for owned in &mut self.owned {
                if let State::Starting { asked, .. } = &mut owned.state {
                    *asked = true;
                }
            }
        }
        resume(member, &resumed)
    }

    fn take_news(&mut self, member: &mut dyn Member) -> Result<(), LogError> {
        let News { moved, progress, located, unfit } = self.queue.take_news();
        self.unfit = self.unfit.take().or(unfit);
        if let Some(located) = located {
            self.is_locating = false;
            self.start(member, located)?;
        }
        let reset = progress.is_some_and(|progress| self.hear(&progress));
        if moved || reset {
            tracing::info!(view = P::NAME, "reset, rebuilt or taken over by another worker: beginning anew");
            self.drop_under_way();
            self.start_anew(member)?;
        }
        Ok(())
    }

    /// Starts the partitions for which it was asked where they go on.
    fn start(&mut self, member: &mut dyn Member, located: Located) -> Result<(), LogError> {
        let retry_at = clock::instant() + RETRY;
        let Located { progress, parked } = located;
        let positions = progress.positions;
        if !positions.is_empty() && progress.generation != self.fold.generation() {
            // Nothing of the one before may go on; what was located may be of either.
            self.drop_under_way();
            self.fold.set_generation(progress.generation);
            return self.start_anew(member);
        }
        let mut resumed = Vec::new();
        for owned in self.owned.iter_mut().filter(|it| matches!(it.state, State::Starting { asked: true, .. })) {
            if let Some(position) = positions.iter().find(|position| position.source == owned.source) {
                owned.start(position);
                self.fold.start(owned.source, &parked);
                resumed.push((owned.place.clone(), position.next_offset));
            } else {
                owned.state = State::Starting { retry_at, asked: false };
            }
        }
        // Whatever came now would find no room.
        if self.queue.is_blocked() {
            self.is_paused = true;
            return Ok(());
        }
        resume(member, &resumed)
    }

    /// Whether one of the partitions was reset, or another generation is live.
    fn hear(&mut self, progress: &Progress) -> bool {
        self.control.set_status(|status| (status.parked, status.partial) = (progress.parked, progress.partial));
        #[expect(clippy::cast_precision_loss, reason = "a metric; nothing is computed from it")]
        metrics::gauge!("headwater_view_parked_aggregates", "view" => P::NAME).set(progress.parked as f64);
        let has_begun = self.owned.iter().any(|it| !matches!(it.state, State::Starting { .. }));
        let mut reset = has_begun && progress.generation != self.fold.generation();
        for owned in &mut self.owned {
            if let Some(position) = progress.positions.iter().find(|it| it.source == owned.source) {
                reset |= owned.hear(position);
            }
        }
        reset
    }

    fn drop_under_way(&mut self) {
        self.queue.discard(clock::instant() + self.settings.hand_over);
        self.fold.begin_anew();
        self.is_locating = false;
    }

    /// Lets all partitions, also stopped ones, read from the database where they go on.
    fn start_anew(&mut self, member: &mut dyn Member) -> Result<(), LogError> {
        let paused = self.pause_running(member);
        let retry_at = clock::instant() + AGAIN;
        for owned in &mut self.owned {
            owned.state = State::Starting { retry_at, asked: false };
        }
        paused
    }

    /// Attempts are not kept for ever: a new view of them begins with the first that is.
    fn may_begin_at(&self, offset: Offset, low: Offset) -> bool {
        self.fold.shape().stream == Stream::Attempts && offset < low
    }

    fn begin_at(&mut self, member: &mut dyn Member, place: &TopicPartition, low: Offset) -> Result<(), LogError> {
        tracing::warn!(view = P::NAME, %place, offset = low.0, "attempts before this one are no longer kept");
        let found = self.owned.iter_mut().find(|it| it.place == *place);
        let Some(at) = found.and_then(Owned::running) else { return Ok(()) };
        at.next = low;
        resume(member, &[(place.clone(), low)])
    }

    fn stop(&mut self, member: &mut dyn Member, reason: StopReason, place: &TopicPartition) -> Result<(), LogError> {
        if let Some(owned) = self.owned.iter_mut().find(|it| it.place == *place) {
            owned.halt(P::NAME, State::Stopped(reason));
        }
        member.pause(std::slice::from_ref(place))
    }

    fn show(&self, member: &mut dyn Member) {
        let partitions: Vec<_> = self.owned.iter().map(Owned::status).collect();
        // A member for whom there are no partitions belongs to the group all the same.
        let joined = self.control.status().assigned || member.fence().is_ok();
        self.control.set_status(|status| (status.partitions, status.assigned) = (partitions, joined));
    }
}

fn resume(member: &mut dyn Member, from: &[(TopicPartition, Offset)]) -> Result<(), LogError> {
    if from.is_empty() { Ok(()) } else { member.resume(from) }
}
