//! The plots of a simulation, as SVG.

use std::path::Path;

use anyhow::{Context as _, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::day::Day;
use super::timing::Timing;

const SIZE: (u32, u32) = (800, 420);

/// Writes all of them into a folder, which is made if it is not there.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn draw(folder: &Path, day: &Day, timing: &Timing) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let relays = points(day.loads.iter().copied());
    line(folder, "loads", ("relays, by load", "load over capacity, of the mean"), &relays)?;
    let hours = points(day.hours.iter().copied());
    line(folder, "hours", ("hour", "most loaded relay in the hour, of the mean"), &hours)?;
    #[expect(clippy::cast_precision_loss, reason = "drawn")]
    let crowd = points(day.crowd.iter().map(|holders| *holders as f64));
    line(folder, "crowd", ("minute of the crowd", "relays that hold what it wants"), &crowd)?;
    #[expect(clippy::cast_precision_loss, reason = "drawn")]
    let draws: Vec<(f64, f64)> = timing
        .draws
        .iter()
        .map(|(relays, draw)| ((*relays as f64).log10(), draw.as_secs_f64() * 1e6))
        .collect();
    line(folder, "draws", ("relays, powers of ten", "one draw, in microseconds"), &draws)
}

#[expect(clippy::cast_precision_loss, reason = "drawn")]
fn points(values: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    values.enumerate().map(|(at, value)| (at as f64, value)).collect()
}

fn line(folder: &Path, name: &str, axes: (&str, &str), points: &[(f64, f64)]) -> Result<()> {
    let path = folder.join(format!("{name}.svg"));
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    chart(&area, axes, points)
        .and_then(|()| area.present().map_err(|error| anyhow::anyhow!("{error}")))
        .with_context(|| format!("draw {}", path.display()))
}

fn chart(area: &DrawingArea<SVGBackend<'_>, Shift>, axes: (&str, &str), points: &[(f64, f64)]) -> Result<()> {
    let last = points.last().map_or(1.0, |point| point.0);
    let first = points.first().map_or(0.0, |point| point.0);
    let most = points.iter().map(|point| point.1).fold(0.0, f64::max);
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(first..last.max(first + 1.0), 0.0..most.max(1e-9) * 1.1)?;
    chart.configure_mesh().x_desc(axes.0).y_desc(axes.1).light_line_style(WHITE).draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), &BLUE))?;
    Ok(())
}
