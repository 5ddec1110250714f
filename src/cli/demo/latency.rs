//! Latencies, counted in buckets of at most three per cent, so that any number of them takes little room.

use std::time::Duration;

/// Each power of two of microseconds is divided into so many buckets.
const STEPS: u64 = 32;

/// Counts of latencies.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
}

impl Latencies {
    pub(super) fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket_of(micros);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
    }

    /// The latency that so many per cent do not exceed.
    pub(super) fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut counted = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            counted += count;
            if counted >= wanted {
                return Duration::from_micros(upper_bound(bucket as u64));
            }
        }
        Duration::ZERO
    }
}

/// Below `STEPS` each microsecond has its own bucket; above, the leading bits choose it.
fn bucket_of(micros: u64) -> usize {
    let bucket = if micros < STEPS {
        micros
    } else {
        let power = u64::from(micros.ilog2() - STEPS.ilog2());
        STEPS * power + (micros >> power)
    };
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

fn upper_bound(bucket: u64) -> u64 {
    if bucket < 2 * STEPS {
        return bucket;
    }
    let power = bucket / STEPS - 1;
    let leading = bucket - STEPS * power;
    ((leading + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_at_most_three_per_cent_off() {
        let mut latencies = Latencies::default();
        for micros in 1..=100_000 {
            latencies.add(Duration::from_micros(micros));
        }
        for (percent, exact) in [(50, 50_000), (99, 99_000), (100, 100_000)] {
            let found = latencies.percentile(percent).as_micros();
            assert!((exact..=exact * 103 / 100 + 1).contains(&found), "p{percent} is {found}");
        }
    }

    #[test]
    fn of_nothing_there_is_no_latency() {
        assert_eq!(Latencies::default().percentile(99), Duration::ZERO);
    }
}
