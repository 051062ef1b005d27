//! What a daemon measures, for Prometheus: a snapshot taken when it is asked for, so that nothing is kept up in between.
//!
//! Names, units and meanings are in docs/metrics.md. Labels are names of the operator's own configuration, never a caller's.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The media type of [`page`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One metric with its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    counts: bool,
    samples: Vec<Sample>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sample {
    label: Option<(&'static str, String)>,
    value: u64,
}

impl Sample {
    fn labelled(&self) -> Option<(&'static str, &str, u64)> {
        self.label.as_ref().map(|(label, text)| (*label, text.as_str(), self.value))
    }
}

impl Metric {
    /// A value that goes up and down.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, counts: false, samples: vec![Sample { label: None, value }] }
    }

    /// A count since the start; `_total` is appended to its name.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { counts: true, ..Self::gauge(name, help, value) }
    }

    /// The same with one sample per value of a label.
    #[must_use]
    pub fn by(mut self, label: &'static str, values: impl IntoIterator<Item = (String, u64)>) -> Self {
        let sample = |(text, value): (String, u64)| Sample { label: Some((label, escaped(&text))), value };
        self.samples = values.into_iter().map(sample).collect();
        self
    }
}

/// The library writes label values as they are.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// All metrics as OpenMetrics text.
#[must_use]
pub fn page(metrics: Vec<Metric>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(metrics)));
    let mut page = String::new();
    text::encode(&mut page, &registry).expect("a string takes all text");
    page
}

#[derive(Debug)]
struct Snapshot(Vec<Metric>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in &self.0 {
            let kind = if metric.counts { MetricType::Counter } else { MetricType::Gauge };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            match metric.samples.as_slice() {
                [Sample { label: None, value }] => encode(metric.counts, *value, family)?,
                many => {
                    for (label, text, value) in many.iter().filter_map(Sample::labelled) {
                        encode(metric.counts, value, family.encode_family(&[(label, text)])?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn encode(counts: bool, value: u64, encoder: MetricEncoder<'_>) -> fmt::Result {
    if counts {
        ConstCounter::new(value).encode(encoder)
    } else {
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_prometheus_expects_it() {
        let page = page(vec![
            Metric::gauge("odi_x_bytes", "How much.", u64::MAX),
            Metric::counter("odi_y", "How often.", 7).by("to", [("a\"b".to_owned(), 1), ("c".to_owned(), 2)]),
        ]);
        insta::assert_snapshot!(page, @r#"
        # HELP odi_x_bytes How much.
        # TYPE odi_x_bytes gauge
        odi_x_bytes 9223372036854775807
        # HELP odi_y How often.
        # TYPE odi_y counter
        odi_y_total{to="a\"b"} 1
        odi_y_total{to="c"} 2
        # EOF
        "#);
    }
}
