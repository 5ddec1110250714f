//! How many records to take at once, so that they fit into memory however large they are.

use crate::log::Record;

/// About how much is taken from the log at once.
const BYTES: usize = 8 * 1024 * 1024;
const LEAST_RECORDS: usize = 8;

/// The size of the records that came lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordSize {
    average: usize,
    /// Bytes of the last poll.
    pub polled: usize,
}

impl RecordSize {
    /// Takes what was polled into account; large records count at once, small ones by and by.
    pub fn learn(&mut self, records: &[Record]) {
        let bytes = |record: &Record| record.value.as_ref().map_or(0, bytes::Bytes::len);
        self.polled = records.iter().map(bytes).sum();
        if let Some(average) = self.polled.checked_div(records.len()) {
            self.average = average.max(usize::midpoint(self.average, average));
        }
    }

    /// How many records to take, at most `most`.
    pub fn records(&self, most: usize) -> usize {
        let fitting = BYTES.checked_div(self.average).unwrap_or(most);
        fitting.clamp(LEAST_RECORDS.min(most), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::position::{Offset, Partition};

    fn records(bytes: usize) -> Vec<Record> {
        let record = Record {
            topic: "t".into(),
            partition: Partition(0),
            offset: Offset(0),
            timestamp: Timestamp(0),
            key: None,
            value: Some(vec![0; bytes].into()),
            traceparent: None,
        };
        vec![record; 4]
    }

    #[test]
    fn large_records_are_taken_a_few_at_a_time() {
        let mut size = RecordSize::default();
        assert_eq!(size.records(5_000), 5_000);
        size.learn(&records(100));
        assert_eq!(size.records(5_000), 5_000);
        size.learn(&records(1024 * 1024));
        assert_eq!(size.records(5_000), 8);
        for _ in 0..30 {
            size.learn(&records(100));
        }
        assert_eq!(size.records(5_000), 5_000);
    }
}
