//! Kept instruction counts, and how new ones compare.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A rise beyond this is a regression; a fall beyond it deserves to be kept. In percent.
pub const LIMIT_PERCENT: u64 = 5;

/// Instruction counts by benchmark.
pub type Counts = BTreeMap<String, u64>;

/// The file of kept figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// One for each toolchain that was measured.
    #[serde(default)]
    pub figures: Vec<Kept>,
}

/// The counts of one toolchain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The compiler's version, such as `1.95.0`. Another one makes other instructions.
    pub rustc: String,
    /// The target, such as `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// The counts.
    pub instructions: Counts,
}

/// How a benchmark compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the limit.
    Within,
    /// More instructions than the limit allows.
    Worse,
    /// Fewer by more than the limit: worth keeping, or the next rise goes unseen.
    Better,
    /// There is no figure to compare with.
    New,
    /// There is a figure, but no such benchmark.
    Gone,
}

impl Verdict {
    /// Says whether the command must not succeed.
    pub fn fails(self) -> bool {
        matches!(self, Verdict::Worse | Verdict::New | Verdict::Gone)
    }
}

/// One line of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The benchmark.
    pub name: String,
    /// The figure kept for it.
    pub kept: Option<u64>,
    /// The count now.
    pub now: Option<u64>,
    /// How they compare.
    pub verdict: Verdict,
}

/// What can be wrong with the files.
#[derive(Debug, thiserror::Error)]
pub enum FiguresError {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(String, #[source] std::io::Error),
    /// The kept figures are not as they should be.
    #[error("{0}: {1}")]
    Kept(String, String),
    /// A summary is not as it should be.
    #[error("{0} is no summary of a benchmark: {1}")]
    Summary(String, String),
}

impl Figures {
    /// Reads a file; an absent one holds no figures.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self, FiguresError> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| FiguresError::Kept(path.display().to_string(), error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(FiguresError::File(path.display().to_string(), error)),
        }
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FiguresError> {
        let text = toml::to_string(self)
            .map_err(|error| FiguresError::Kept(path.display().to_string(), error.to_string()))?;
        let text = format!(
            "# Instructions, as counted by Callgrind. Written by `tests/bench/run --bless`.\n\n{text}"
        );
        std::fs::write(path, text).map_err(|error| FiguresError::File(path.display().to_string(), error))
    }

    /// Returns the counts kept for a toolchain.
    pub fn of(&self, rustc: &str, target: &str) -> Option<&Counts> {
        self.figures
            .iter()
            .find(|kept| kept.rustc == rustc && kept.target == target)
            .map(|kept| &kept.instructions)
    }

    /// Keeps counts for a toolchain, in the place of what was kept for this target before: older compilers are not
    /// measured again.
    pub fn keep(&mut self, rustc: &str, target: &str, instructions: Counts) {
        self.figures.retain(|kept| kept.target != target);
        self.figures.push(Kept {
            rustc: rustc.to_owned(),
            target: target.to_owned(),
            instructions,
        });
        self.figures.sort_by(|left, right| left.target.cmp(&right.target));
    }
}

/// Compares counts with those kept, by name.
pub fn compare(kept: &Counts, now: &Counts) -> Vec<Line> {
    let mut names: Vec<&String> = kept.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let (kept, now) = (kept.get(name).copied(), now.get(name).copied());
            Line {
                name: name.clone(),
                kept,
                now,
                verdict: verdict(kept, now),
            }
        })
        .collect()
}

fn verdict(kept: Option<u64>, now: Option<u64>) -> Verdict {
    match (kept, now) {
        (Some(kept), Some(now)) if now * 100 > kept * (100 + LIMIT_PERCENT) => Verdict::Worse,
        (Some(kept), Some(now)) if now * 100 < kept * (100 - LIMIT_PERCENT) => Verdict::Better,
        (Some(_), Some(_)) => Verdict::Within,
        (None, _) => Verdict::New,
        (Some(_), None) => Verdict::Gone,
    }
}

/// Reads the counts from the summaries that Gungraun left in a folder.
///
/// # Errors
/// When a summary cannot be read or counts no instructions.
pub fn read_summaries(folder: &Path) -> Result<Counts, FiguresError> {
    let mut counts = Counts::new();
    let file = |error| FiguresError::File(folder.display().to_string(), error);
    for entry in std::fs::read_dir(folder).map_err(file)? {
        let path = entry.map_err(file)?.path();
        if path.is_dir() {
            counts.extend(read_summaries(&path)?);
        } else if path.file_name().is_some_and(|name| name == "summary.json") {
            let name = path.display().to_string();
            let text =
                std::fs::read_to_string(&path).map_err(|error| FiguresError::File(name.clone(), error))?;
            let (benchmark, count) =
                read_summary(&text).map_err(|problem| FiguresError::Summary(name, problem))?;
            counts.insert(benchmark, count);
        }
    }
    Ok(counts)
}

/// Reads one summary: the benchmark's name and its instructions.
fn read_summary(text: &str) -> Result<(String, u64), String> {
    let summary: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let name = summary["function_name"].as_str().ok_or("it names no function")?;
    let callgrind = summary["profiles"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|profile| profile["tool"] == "Callgrind")
        .ok_or("Callgrind did not run")?;
    let count = callgrind["data"]["total"]["metrics"]["Ir"]["values"]["new"]
        .as_u64()
        .ok_or("it counts no instructions")?;
    Ok((name.to_owned(), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(&str, u64)]) -> Counts {
        all.iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    fn verdict_of(kept: u64, now: u64) -> Verdict {
        compare(&counts(&[("x", kept)]), &counts(&[("x", now)]))[0].verdict
    }

    #[test]
    fn a_rise_of_more_than_five_percent_fails() {
        assert_eq!(verdict_of(1000, 1050), Verdict::Within);
        assert_eq!(verdict_of(1000, 1051), Verdict::Worse);
        assert!(Verdict::Worse.fails());
        assert!(!Verdict::Within.fails());
    }

    #[test]
    fn a_fall_passes_with_a_hint_to_keep_it() {
        assert_eq!(verdict_of(1000, 950), Verdict::Within);
        assert_eq!(verdict_of(1000, 949), Verdict::Better);
        assert!(!Verdict::Better.fails());
    }

    #[test]
    fn a_benchmark_without_a_figure_and_a_figure_without_a_benchmark_fail() {
        let lines = compare(
            &counts(&[("gone", 1), ("kept", 1)]),
            &counts(&[("kept", 1), ("new", 1)]),
        );
        let verdicts: Vec<_> = lines
            .iter()
            .map(|line| (line.name.as_str(), line.verdict))
            .collect();
        let expected = [
            ("gone", Verdict::Gone),
            ("kept", Verdict::Within),
            ("new", Verdict::New),
        ];
        assert_eq!(verdicts, expected);
        assert!(Verdict::Gone.fails() && Verdict::New.fails());
    }

    #[test]
    fn figures_are_kept_by_toolchain_and_come_back_as_they_went() {
        let mut figures = Figures::default();
        figures.keep("1.95.0", "x86_64-unknown-linux-gnu", counts(&[("x", 10)]));
        figures.keep("1.95.0", "aarch64-unknown-linux-gnu", counts(&[("x", 20)]));
        let read: Figures = toml::from_str(&toml::to_string(&figures).expect("TOML")).expect("figures");
        assert_eq!(read, figures);
        assert_eq!(
            read.of("1.95.0", "aarch64-unknown-linux-gnu"),
            Some(&counts(&[("x", 20)]))
        );
        assert_eq!(read.of("1.96.0", "x86_64-unknown-linux-gnu"), None);
        // A new compiler takes the place of the old one.
        figures.keep("1.96.0", "x86_64-unknown-linux-gnu", counts(&[("x", 9)]));
        assert_eq!(figures.figures.len(), 2);
        assert_eq!(figures.of("1.95.0", "x86_64-unknown-linux-gnu"), None);
    }

    #[test]
    fn the_kept_figures_can_be_read_and_are_not_empty() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("figures.toml");
        let figures = Figures::read(&file).expect("figures");
        assert!(figures.figures.iter().all(|kept| !kept.instructions.is_empty()));
        assert!(!figures.figures.is_empty());
    }

    #[test]
    fn a_summary_is_read_and_what_is_none_is_told() {
        let summary = r#"{"function_name": "x", "profiles": [{"tool": "Callgrind", "data": {"parts": [],
            "total": {"metrics": {"Ir": {"values": {"new": 7, "old": 8}}}, "regressions": []}}}]}"#;
        assert_eq!(read_summary(summary), Ok(("x".to_owned(), 7)));
        for (wrong, told) in [
            ("{", "EOF"),
            ("{}", "names no function"),
            (r#"{"function_name": "x", "profiles": []}"#, "did not run"),
            (
                r#"{"function_name": "x", "profiles": [{"tool": "Callgrind"}]}"#,
                "no instructions",
            ),
        ] {
            assert!(
                read_summary(wrong).is_err_and(|error| error.contains(told)),
                "{wrong}"
            );
        }
    }
}
