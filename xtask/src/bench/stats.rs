//! Samples of one program in one scenario.

use serde::{Deserialize, Serialize};

/// What came out for one program.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Series {
    /// In the scenario's unit: milliseconds or KiB.
    pub(super) values: Vec<f64>,
    /// Processor time of a launch in milliseconds, both processors together.
    pub(super) cpu_ms: f64,
    /// Largest resident set of the program or a child, KiB.
    pub(super) peak_kib: u64,
}

impl Series {
    /// The value below which this part of the samples lies; 0.5 is the median.
    pub(super) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let index = (sorted.len() as f64 * part) as usize;
        sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(super) fn p10(&self) -> f64 {
        self.quantile(0.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_do_not_depend_on_the_order_of_samples() {
        let series = Series { values: vec![5.0, 1.0, 4.0, 2.0, 3.0], ..Series::default() };
        assert_eq!((series.p10(), series.median(), series.quantile(1.0)), (1.0, 3.0, 5.0));
    }

    #[test]
    fn a_single_sample_is_every_quantile() {
        let series = Series { values: vec![7.0], ..Series::default() };
        assert_eq!((series.p10(), series.median()), (7.0, 7.0));
    }
}
