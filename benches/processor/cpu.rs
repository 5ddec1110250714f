//! The processor time that processes used, from `/proc`: on a busy machine it says more than the time of day.

use std::time::Duration;

/// How `/proc` counts, whatever the kernel's own clock.
const TICK: Duration = Duration::from_millis(10);

/// What process `id` has used so far, in user and kernel mode; not what its children used. Zero where there
/// is no `/proc`.
pub fn used_by(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The second field is the name in parentheses, which may hold anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u32 = after_name.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<u32>().ok()).sum();
    TICK * ticks
}
