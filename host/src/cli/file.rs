//! The file of `--config`: options by their long names, in TOML.
//!
//! The file becomes arguments of the command line, so that each option has one parser, one default and one
//! message, wherever it is given.

use crate::units::shown::shown;
use crate::units::text::{self, Limits, MARK, TextError};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Options that say something about the command line only.
const NOT_IN_FILES: [&str; 3] = ["config", "help", "version"];

/// More text than a file with options has.
pub(crate) const LIMITS: Limits = Limits { len: 1 << 20, line_len: 1 << 20 };

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not there, or not text.
    #[error("cannot read {}: {source}; give --config the path of a TOML file", shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: TextError,
    },
    /// Something in it is wrong.
    #[error("{}, line {line}: {problem}", shown(path))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        problem: Problem,
    },
}

/// What may be wrong with a line of a configuration file.
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
        /// The option whose name is most alike, if one is alike enough.
        nearest: Option<String>,
    },
    /// A date or a table, or a truth value for an option that is not a flag.
    #[error(
        "`{}` is neither a text, a number nor a list of those; write it as on the command line", shown(.0)
    )]
    Type(String),
    /// A flag has another value than a truth value.
    #[error("`{0}` is a flag: write {0} = true, or leave it out")]
    Flag(String),
    /// An integer has too many digits.
    #[error("`{0}` is a number that nothing here can have; give one with fewer digits")]
    Large(String),
    /// A mark that belongs to the beginning of a file.
    #[error(
        "an invisible byte-order mark stands in the middle of the file, as where files were joined; remove it"
    )]
    Mark,
    /// The option cannot have this value.
    #[error("{0}")]
    Value(String),
}

fn advice(nearest: Option<&str>, command: &str) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("`smidgen {command} --help` lists them"),
    }
}

/// The arguments that say what the file at `path` says, without the options that are `given` already.
///
/// `program` is the whole command line, of which `given` are the arguments of the subcommand `name`.
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
        if given.value_source(argument.get_id().as_str()) != Some(ValueSource::CommandLine) {
            arguments.extend(option);
        }
    }
    Ok(arguments)
}

/// The option whose long name is `key`.
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

/// The option that clap suggests for an unknown one.
fn suggestion(subcommand: &Command, unknown: &str) -> Option<String> {
    let arguments = [subcommand.get_name().into(), format!("--{unknown}")];
    let error = subcommand.clone().try_get_matches_from(arguments).err()?;
    match error.get(ContextKind::SuggestedArg)? {
        ContextValue::String(option) => Some(option.trim_start_matches('-').into()),
        _ => None,
    }
}

/// The option as on the command line, once for each value of a list; a flag that is not set is nothing there.
fn option(key: &str, value: &DeValue<'_>, is_flag: bool) -> Result<Vec<OsString>, Problem> {
    match value {
        DeValue::Boolean(is_set) if is_flag => {
            Ok(is_set.then(|| format!("--{key}").into()).into_iter().collect())
        }
        _ if is_flag => Err(Problem::Flag(key.into())),
        DeValue::String(text) => Ok(vec![format!("--{key}={text}").into()]),
        // The command line knows decimal digits only.
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

/// Lets clap judge one option alone, so that what it says can be said of one line.
fn check(program: &Command, name: &str, option: Vec<OsString>) -> Result<Vec<OsString>, Problem> {
    let alone = [program.get_name().into(), name.into()].into_iter().chain(option.clone());
    match program.clone().try_get_matches_from(alone) {
        Ok(_) => Ok(option),
        Err(error) => Err(Problem::Value(sentence(&error))),
    }
}

/// The first paragraph of clap's message, in one line; advice on the command line follows it.
pub(super) fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.trim_start_matches("error: ").split_whitespace().collect();
    shown(&words.join(" ")).to_string()
}
