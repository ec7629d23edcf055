//! Numbers as people read them.

use std::time::Duration;

/// The value below which `share` of the durations lie (0.5: the median).
pub fn quantile(durations: &mut [Duration], share: f64) -> Duration {
    durations.sort_unstable();
    let place = (durations.len() as f64 * share).ceil() as usize;
    durations
        .get(place.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// The median of some numbers.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A duration in microseconds.
pub fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000_000.0
}
