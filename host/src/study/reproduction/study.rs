//! Studies: experiments of papers, parsed from TOML.

use super::figures;
use crate::cli::FILE_LIMITS;
use crate::cli::studies::{STUDIES, names};
use crate::cli::{self, Cli, Command};
use crate::options::Options;
use crate::output::report::against::Against;
use crate::output::report::figure::CURVE_COUNT_MAX;
use crate::problem::dataset::Dataset;
use crate::units::shown::shown;
use crate::units::text::{self, MARK, TextError};
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// An experiment: one or more methods on one or more data sets.
#[derive(Clone, Debug)]
pub struct Study {
    /// Name of its file, without the extension.
    pub name: String,
    /// Title on the page.
    pub title: String,
    /// Claim of the paper.
    pub paper: String,
    /// Result of our measurement, in which figures such as `{rounds w1a 1/2}` are filled in.
    pub measured: String,
    /// Description of the setup.
    pub text: String,
    /// Options of all runs, as on the command line.
    pub options: String,
    /// Charts of each panel.
    pub against: Vec<Against>,
    /// True if each panel has a bar chart of the bytes to the target.
    pub bars: bool,
    /// Data sets.
    pub panels: Vec<Panel>,
    /// Panels without data, which are not run.
    pub skipped: Vec<Panel>,
}

/// One data set of a study.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its name, in text and in names of files.
    pub name: String,
    /// Its options, as on the command line.
    pub options: String,
    /// L_var of these data according to the paper.
    pub paper_l_var: Option<String>,
    /// Target for ‖∇f(x)‖² as a fraction of its first value; if absent, the lowest level that all curves reach.
    pub target: Option<f64>,
    /// Methods.
    pub curves: Vec<Curve>,
}

/// One method on one data set.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Name in the legend.
    pub label: String,
    /// Its own options, as on the command line.
    pub text: String,
    /// All options.
    pub options: Options,
    /// True if it is computed in f64, without workers and frames.
    pub float: bool,
}

/// The contents of a file.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    title: String,
    paper: String,
    measured: String,
    text: String,
    options: String,
    against: Vec<Against>,
    #[serde(default)]
    bars: bool,
    target: Option<f64>,
    panel: Vec<FilePanel>,
    curve: Vec<FileCurve>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FilePanel {
    name: String,
    options: String,
    paper_l_var: Option<String>,
    target: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileCurve {
    label: String,
    #[serde(default)]
    options: String,
    #[serde(default)]
    float: bool,
}

/// Reasons why a study cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// No study has this name.
    #[error(
        "unknown experiment `{}`; give {} or the path of a TOML file",
        shown(.0),
        names().collect::<Vec<_>>().join(", ")
    )]
    Unknown(OsString),
    /// A file cannot be opened, or is not text.
    #[error("cannot read {}: {source}; give the path of a TOML file", shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: TextError,
    },
    /// The file is not a study.
    #[error("experiment {name}: {problem}; compare it with those under experiments/")]
    Toml {
        /// The study.
        name: String,
        /// The reason, in one line.
        problem: String,
    },
    /// Options that `smidgen simulate` does not accept.
    #[error("experiment {name}, `{options}`: {problem}")]
    Options {
        /// The study.
        name: String,
        /// The options.
        options: String,
        /// The reason, in one line.
        problem: String,
    },
    /// More curves than a chart can show.
    #[error(
        "experiment {name} has {count} curves, but a chart can show {CURVE_COUNT_MAX}: empty `against` or remove curves"
    )]
    TooManyCurves {
        /// The study.
        name: String,
        /// Its curves.
        count: usize,
    },
    /// Only EF21 is implemented in f64.
    #[error(
        "experiment {name}, `{label}`: only ef21 with topk and all workers runs in f64; remove `float`"
    )]
    Float {
        /// The study.
        name: String,
        /// The curve.
        label: String,
    },
}

impl Study {
    /// Returns all bundled studies.
    ///
    /// # Panics
    /// If one of them is invalid.
    pub fn all() -> Vec<Self> {
        let parse = |(name, text): &(&str, &str)| Self::parse(name, text);
        STUDIES.iter().map(|study| parse(study).unwrap_or_else(|error| panic!("{error}"))).collect()
    }

    /// Returns the bundled study of this name, or reads the file at this path.
    pub fn load(name: impl AsRef<OsStr>) -> Result<Self, StudyError> {
        let name = name.as_ref();
        if let Some((name, text)) = STUDIES.iter().find(|(bundled, _)| *bundled == name) {
            return Self::parse(name, text);
        }
        let path = PathBuf::from(name);
        if path.extension().is_none_or(|ending| ending != "toml") {
            return Err(StudyError::Unknown(name.into()));
        }
        let stem = shown(path.file_stem().unwrap_or_default()).to_string();
        match text::read(&path, FILE_LIMITS) {
            Ok(text) => Self::parse(&stem, text.strip_prefix(MARK).unwrap_or(&text)),
            Err(source) => Err(StudyError::Unreadable { path, source }),
        }
    }

    /// Parses a study from TOML.
    pub fn parse(name: &str, text: &str) -> Result<Self, StudyError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count()) + 1;
            StudyError::Toml {
                name: name.into(),
                problem: format!("line {line}: {}", shown(error.message())),
            }
        })?;
        if file.curve.len() > CURVE_COUNT_MAX && !file.against.is_empty() {
            return Err(StudyError::TooManyCurves { name: name.into(), count: file.curve.len() });
        }
        let panels: Vec<&str> = file.panel.iter().map(|panel| &*panel.name).collect();
        figures::check(&file.measured, &panels, file.curve.len())
            .map_err(|error| StudyError::Toml { name: name.into(), problem: error.to_string() })?;
        let panels = file.panel.iter().map(|panel| file.panel(name, panel));
        Ok(Self {
            name: name.into(),
            panels: panels.collect::<Result<_, _>>()?,
            skipped: vec![],
            title: file.title,
            paper: file.paper,
            measured: file.measured,
            text: file.text,
            options: file.options,
            against: file.against,
            bars: file.bars,
        })
    }

    /// Sets the directory of data sets that are files.
    pub fn set_data_folder(&mut self, folder: &Path) {
        for curve in self.panels.iter_mut().flat_map(|panel| &mut panel.curves) {
            let dataset = &mut curve.options.dataset;
            if !Dataset::is_built_in(dataset) {
                *dataset = folder.join(&*dataset);
            }
        }
    }

    /// Moves the panels without data to `skipped`.
    pub fn skip_missing(&mut self) {
        self.skipped.extend(self.panels.extract_if(.., |panel| panel.missing().is_some()));
    }
}

impl Panel {
    /// Returns the file of its data if that does not exist.
    pub fn missing(&self) -> Option<&Path> {
        let dataset = &self.curves.first()?.options.dataset;
        (!Dataset::is_built_in(dataset) && !dataset.exists()).then_some(dataset)
    }
}

impl File {
    fn panel(&self, study: &str, panel: &FilePanel) -> Result<Panel, StudyError> {
        let curve = |curve: &FileCurve| {
            let text = format!("{} {} {}", self.options, panel.options, curve.options);
            let options = parse(&text).map_err(|problem| StudyError::Options {
                name: study.into(),
                options: text.split_whitespace().collect::<Vec<_>>().join(" "),
                problem,
            })?;
            if curve.float && !supports_float(&options) {
                return Err(StudyError::Float { name: study.into(), label: curve.label.clone() });
            }
            let (label, text) = (curve.label.clone(), curve.options.clone());
            Ok(Curve { label, text, options, float: curve.float })
        };
        Ok(Panel {
            name: panel.name.clone(),
            options: panel.options.clone(),
            paper_l_var: panel.paper_l_var.clone(),
            target: panel.target.or(self.target),
            curves: self.curve.iter().map(curve).collect::<Result<_, _>>()?,
        })
    }
}

/// Parses options of `smidgen simulate`.
fn parse(options: &str) -> Result<Options, String> {
    let arguments = ["smidgen", "simulate"].into_iter().chain(options.split_whitespace());
    match cli::parse(arguments.map(Into::into)) {
        Ok(Cli { command: Command::Simulate(options), .. }) => Ok(options),
        Ok(_) => unreachable!("the command is simulate"),
        Err(error) => Err(cli::sentence(&error)),
    }
}

/// Returns whether [`float`](super::float) implements these options.
fn supports_float(options: &Options) -> bool {
    options.method.info().has_float_twin
        && options.batch.is_none()
        && options.compressor.wire(options.seed).is_top_k()
        && options.participation.iter().all(|&p| p == 1.0)
        && !options.downlink.is_compressed()
        && !options.step.is_tuned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    const SMALL: &str = include_str!("small.toml");

    #[test]
    fn every_file_under_experiments_is_bundled() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let stems = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
        assert_eq!(stems.collect::<BTreeSet<_>>(), names().map(Into::into).collect());
        for study in Study::all() {
            assert!(!study.panels.is_empty() && study.panels.iter().all(|p| !p.curves.is_empty()));
            let panels: BTreeSet<_> = study.panels.iter().map(|panel| &panel.name).collect();
            assert_eq!(panels.len(), study.panels.len(), "{}: panels share a name", study.name);
        }
    }

    #[test]
    fn options_are_those_of_simulate() {
        let study = Study::parse("small", SMALL).unwrap();
        let curve = &study.panels[0].curves[1];
        let alone = "--rows 200 --k 2 --rounds 30 --step qm --dataset digits --workers 3 --step am";
        assert!(parse(alone).is_err(), "an option may be given only once");
        assert_eq!(curve.options, parse(&alone.replacen("--step qm ", "", 1)).unwrap());
        assert_eq!((curve.text.as_str(), study.panels[0].target), ("--step am", Some(0.9)));
    }

    #[test]
    fn errors_are_one_line() {
        let refused = |from: &str, to: &str| {
            assert!(SMALL.contains(from));
            let error =
                Study::parse("small", &SMALL.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
            error
        };
        assert!(refused("title", "titel").contains("small: line 1: unknown field `titel`"));
        let error = refused("--k 2", "--k 0");
        assert!(
            error.contains("`--rows 200 --k 0") && error.contains("invalid value '0'"),
            "{error}"
        );
        assert!(refused("--value-bits 32", "--method dcgd").contains("remove `float`"));
        let error = refused("{rounds digits 1/2}", "{rounds digits 1/4}");
        assert!(error.contains("small: `{rounds digits 1/4}` is not a figure"), "{error}");
        let error = Study::load("logistics").unwrap_err().to_string();
        assert!(error.contains("unknown experiment `logistics`; give logistic,"), "{error}");
    }

    #[test]
    fn files_are_relative_to_the_data_folder() {
        let text = SMALL.replace("--dataset digits", "--dataset nowhere");
        let mut study = Study::parse("small", &text).unwrap();
        study.set_data_folder(Path::new("some/folder"));
        assert_eq!(study.panels[0].missing(), Some(Path::new("some/folder/nowhere")));
        let mut study = Study::parse("small", SMALL).unwrap();
        study.set_data_folder(Path::new("some/folder"));
        assert_eq!(study.panels[0].missing(), None);
    }
}
