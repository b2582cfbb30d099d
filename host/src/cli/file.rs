//! The `--config` file: options by their long names, in TOML.
//!
//! The file is translated to arguments of the command line, so that an option has the same parser, default and error
//! messages in both places.

use crate::units::shown::shown;
use crate::units::text::{self, Limits, MARK, TextError};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Options that are valid only on the command line.
const NOT_IN_FILES: [&str; 3] = ["config", "help", "version"];

/// Maximum size of a configuration file, larger than any sensible one.
pub(crate) const LIMITS: Limits = Limits { len: 1 << 20, line_len: 1 << 20 };

/// Reasons why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It does not exist, or is not text.
    #[error("cannot read {}: {source}; give --config the path of a TOML file", shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: TextError,
    },
    /// A line is invalid.
    #[error("{}, line {line}: {problem}", shown(path))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The reason.
        problem: Problem,
    },
}

/// Reasons why a line of a configuration file is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not TOML.
    #[error("{0}; write options as in TOML, such as k = 4 or dataset = \"digits\"")]
    Syntax(String),
    /// No option has this name.
    #[error("unknown option `{}` of smidgen {command}; {}", shown(key), advice(nearest.as_deref(), command))]
    UnknownKey {
        /// The name in the file.
        key: String,
        /// The subcommand.
        command: String,
        /// The option with the most similar name, if one is similar enough.
        nearest: Option<String>,
    },
    /// The value is a date, a table, or a Boolean for an option that is not a flag.
    #[error(
        "the value of `{}` is not a string, a number or a list of these; write it as on the command line", shown(.0)
    )]
    Type(String),
    /// The value of a flag is not a Boolean.
    #[error("`{0}` is a flag: write {0} = true, or remove the line")]
    Flag(String),
    /// An integer has too many digits.
    #[error("the number for `{0}` is out of range; give one with fewer digits")]
    Large(String),
    /// There is a byte-order mark after the beginning of the file.
    #[error(
        "there is an invisible byte-order mark in the middle of the file, perhaps because files were joined; remove it"
    )]
    Mark,
    /// The option does not accept this value.
    #[error("{0}")]
    Value(String),
}

fn advice(nearest: Option<&str>, command: &str) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("`smidgen {command} --help` lists them"),
    }
}

/// Returns the options in the file at `path` as arguments, except those on the command line or in conflict with one.
///
/// `given` are the command-line arguments of the subcommand `name` of `program`.
pub(super) fn arguments(
    path: &Path,
    program: &Command,
    name: &str,
    given: &ArgMatches,
) -> Result<Vec<OsString>, ConfigError> {
    let text = text::read(path, LIMITS)
        .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
    let text = text.strip_prefix(MARK).unwrap_or(&text);
    let wrong = |position: usize, problem| ConfigError::Wrong {
        path: path.into(),
        line: 1 + text[..position].matches('\n').count(),
        problem,
    };
    if let Some(position) = text.find(MARK) {
        return Err(wrong(position, Problem::Mark));
    }
    let table = DeTable::parse(text).map_err(|error| {
        let position = error.span().map_or(text.len(), |span| span.start);
        wrong(position, Problem::Syntax(shown(error.message()).to_string()))
    })?;
    let subcommand = program.find_subcommand(name).expect("clap has found it");
    let mut arguments = vec![];
    for (key, value) in table.get_ref() {
        let position = key.span().start;
        let argument =
            argument(subcommand, key.get_ref()).map_err(|problem| wrong(position, problem))?;
        let is_flag = !argument.get_action().takes_values();
        let option = option(key.get_ref(), value.get_ref(), is_flag)
            .and_then(|option| check(program, name, option))
            .map_err(|problem| wrong(position, problem))?;
        if !subcommand.get_arguments().any(|other| {
            given.value_source(other.get_id().as_str()) == Some(ValueSource::CommandLine)
                && (other == argument || conflicts(subcommand, other, argument))
        }) {
            arguments.extend(option);
        }
    }
    Ok(arguments)
}

/// Returns whether clap refuses two options together.
fn conflicts(subcommand: &Command, one: &Arg, other: &Arg) -> bool {
    subcommand.get_arg_conflicts_with(one).contains(&other)
        || subcommand.get_arg_conflicts_with(other).contains(&one)
}

/// Returns the option whose long name is `key`.
fn argument<'c>(subcommand: &'c Command, key: &str) -> Result<&'c Arg, Problem> {
    let legal = || {
        let named = subcommand.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
        named.filter(|(long, _)| !NOT_IN_FILES.contains(long))
    };
    if let Some((_, arg)) = legal().find(|(long, _)| *long == key) {
        return Ok(arg);
    }
    let plain = key.to_lowercase().replace('_', "-");
    let nearest = match legal().find(|(long, _)| *long == plain) {
        Some((long, _)) => Some(long.into()),
        None => suggestion(subcommand, &plain),
    };
    let command = subcommand.get_name().into();
    Err(Problem::UnknownKey { key: key.into(), command, nearest })
}

/// Returns the option that clap suggests for an unknown one.
fn suggestion(subcommand: &Command, unknown: &str) -> Option<String> {
    let arguments = [subcommand.get_name().into(), format!("--{unknown}")];
    let error = subcommand.clone().try_get_matches_from(arguments).err()?;
    match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(option) => Some(option.trim_start_matches('-').into()),
        _ => None,
    }
}

/// Returns an option as arguments, one per value of a list; none for a flag that is false.
fn option(key: &str, value: &DeValue<'_>, is_flag: bool) -> Result<Vec<OsString>, Problem> {
    match value {
        DeValue::Boolean(is_set) if is_flag => {
            Ok(is_set.then(|| format!("--{key}").into()).into_iter().collect())
        }
        _ if is_flag => Err(Problem::Flag(key.into())),
        DeValue::String(text) => Ok(vec![format!("--{key}={text}").into()]),
        // The command line accepts only decimal integers.
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(vec![format!("--{key}={number}").into()]),
            Err(_) => Err(Problem::Large(key.into())),
        },
        DeValue::Float(number) => Ok(vec![format!("--{key}={number}").into()]),
        DeValue::Array(values) => {
            let options: Result<Vec<_>, _> =
                values.iter().map(|value| option(key, value.get_ref(), is_flag)).collect();
            Ok(options?.concat())
        }
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
            Err(Problem::Type(key.into()))
        }
    }
}

/// Has clap check an option by itself, so that its error can be attributed to a line.
fn check(program: &Command, name: &str, option: Vec<OsString>) -> Result<Vec<OsString>, Problem> {
    let alone = [program.get_name().into(), name.into()].into_iter().chain(option.clone());
    match program.clone().try_get_matches_from(alone) {
        Ok(_) => Ok(option),
        Err(error) => Err(Problem::Value(sentence(&error))),
    }
}

/// Returns the first paragraph of clap's message in one line. The paragraphs after it are advice on the command line.
pub(super) fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.trim_start_matches("error: ").split_whitespace().collect();
    shown(&words.join(" ")).to_string()
}
