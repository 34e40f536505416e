//! Requests in files: `--generate-cli-skeleton`, and `--cli-input-json` and
//! `--cli-input-yaml` that take what was filled in.
//!
//! All of it is made from the descriptors of the contract: a new field is in the
//! skeleton, and is taken, without a line here.

mod contract;
mod fill;
mod node;
mod skeleton;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use clap::{Args, ValueEnum};
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage};

pub(super) use self::contract::{message, method, methods};
use self::node::Syntax;
use super::{EXIT_FAILED, EXIT_INPUT, report};

/// For help texts.
pub(super) const HELP: &str = "\
Requests in files: --generate-cli-skeleton writes one to fill in, and --cli-input-json or
--cli-input-yaml take it: protobuf's JSON, by names such as startTime or start_time, with
times and spans as one types them. What is left empty there (\"\", [], 0, false, null, an
enum's first name, an object of such) is not given. Options of the command line come
before what the file has; conditions on it take the place of all filters in the file.";

/// The longest file, in bytes. A gateway takes requests of 1 MiB; JSON and YAML
/// spell the same in up to some four times as many.
const MAX_FILE: u64 = 4 << 20;

/// The request in a file, or a file to fill in.
#[derive(Debug, Default, Args)]
pub(super) struct Input {
    /// Take the request from JSON: file://PATH, - for stdin, or the text itself;
    /// options given beside it come first
    #[arg(
        long,
        value_name = "JSON",
        allow_hyphen_values = true,
        conflicts_with = "cli_input_yaml",
        help_heading = "Request"
    )]
    cli_input_json: Option<String>,
    /// The same from YAML
    #[arg(
        long,
        value_name = "YAML",
        allow_hyphen_values = true,
        help_heading = "Request"
    )]
    cli_input_yaml: Option<String>,
    /// Write the request as it would be, with every field, or a sample answer; no
    /// gateway is asked [default: input]
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        num_args = 0..=1,
        default_missing_value = "input",
        help_heading = "Request"
    )]
    generate_cli_skeleton: Option<Skeleton>,
}

/// What a skeleton is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Skeleton {
    /// The request, in JSON
    Input,
    /// The request, in YAML, with what each field means
    YamlInput,
    /// A sample of the API's answer, in protobuf's JSON as "trailgate call" writes it
    Output,
}

/// Where a request came from that was in a file, for messages about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Origin {
    /// The option and its value; empty: there was no file.
    pub(super) from: String,
    /// Fields of the request that the file has and no option overrides.
    fields: BTreeSet<String>,
    /// Places in the request, and those in the file where they are others.
    moved: Vec<(String, String)>,
}

impl Origin {
    /// Whether this field of the request is the file's.
    pub(super) fn has(&self, field: &str) -> bool {
        let end = field.find(['.', '[']).unwrap_or(field.len());
        let root = field.get(..end).unwrap_or(field);
        self.fields.contains(root)
    }

    /// Options say this field.
    pub(super) fn hide(&mut self, field: &str) {
        self.fields.remove(field);
    }

    /// The place of a field of the request, if it is in the file.
    pub(super) fn place(&self, field: &str) -> Option<String> {
        self.has(field).then(|| {
            let moved = self.moved.iter().filter_map(|(sent, file)| {
                let rest = field.strip_prefix(sent.as_str())?;
                Some((sent.len(), format!("{file}{rest}")))
            });
            // the innermost says it all
            let moved = moved.max_by_key(|(len, _)| *len).map(|(_, place)| place);
            let place = moved.unwrap_or_else(|| field.to_owned());
            format!("{}: {place}", self.from)
        })
    }
}

/// A request as far as a file has it.
#[derive(Debug)]
pub(super) struct Given<T> {
    pub(super) request: T,
    pub(super) origin: Origin,
}

impl Input {
    /// Whether only a skeleton is asked for.
    pub(super) const fn is_skeleton(&self) -> bool {
        self.generate_cli_skeleton.is_some()
    }

    /// The request of this type of the contract that the file has; an empty one
    /// without a file. `Err` is the exit status, after saying what is wrong.
    pub(super) fn request<T: Message + Default>(&self, name: &str) -> Result<Given<T>, u8> {
        self.request_or(name, None)
    }

    /// The same of a request that has a sibling, which asks the same in another way: a
    /// file that was written for that is taken, too, if all that it says can be asked.
    pub(super) fn request_or<T: Message + Default>(
        &self,
        name: &str,
        sibling: Option<&str>,
    ) -> Result<Given<T>, u8> {
        let kind = known(name)?;
        let sibling = sibling.map(known).transpose()?;
        let Given { request, origin } = self.read(&kind, sibling.as_ref())?;
        let request = request.transcode_to().map_err(|error| {
            report::note(format_args!("{}: {error}", origin.from));
            EXIT_INPUT
        })?;
        Ok(Given { request, origin })
    }

    /// As [`Input::request`], of any message.
    pub(super) fn dynamic(&self, kind: &MessageDescriptor) -> Result<Given<DynamicMessage>, u8> {
        self.read(kind, None)
    }

    fn read(
        &self,
        kind: &MessageDescriptor,
        sibling: Option<&MessageDescriptor>,
    ) -> Result<Given<DynamicMessage>, u8> {
        let (flag, syntax, given) = match (&self.cli_input_json, &self.cli_input_yaml) {
            (Some(text), _) => ("--cli-input-json", Syntax::Json, text),
            (None, Some(text)) => ("--cli-input-yaml", Syntax::Yaml, text),
            (None, None) => {
                return Ok(Given {
                    request: DynamicMessage::new(kind.clone()),
                    origin: Origin::default(),
                });
            }
        };
        let (from, text) = match source(given) {
            Source::File(path) => (format!("{flag} {given}"), file(path)),
            Source::Stdin => (format!("{flag} -"), text(io::stdin().lock())),
            Source::Literal => (flag.to_owned(), Ok(given.clone())),
        };
        let filled = text.and_then(|text| {
            let node = node::read(&text, syntax).map_err(|wrong| match source(given) {
                Source::Literal if Path::new(given).is_file() => {
                    format!("{given:?} is no {syntax}, and there is a file of that name: write file://{given}")
                }
                // a name, and no file of it
                Source::Literal if !given.contains(['{', ':', '\n']) => {
                    format!("{given:?} is no {syntax}; write file://PATH for a file, - for stdin, or the text itself")
                }
                _ => wrong,
            })?;
            fill::fill(kind, &node, sibling)
        });
        match filled {
            Ok(filled) => Ok(Given {
                origin: Origin {
                    from,
                    fields: filled
                        .message
                        .fields()
                        .map(|(field, _)| field.name().to_owned())
                        .collect(),
                    moved: filled.moved,
                },
                request: filled.message,
            }),
            Err(wrong) => {
                report::note(format_args!("{from}: {wrong}"));
                Err(EXIT_INPUT)
            }
        }
    }

    /// Writes the skeleton that was asked for: of this request, or of the answer
    /// to it; the exit status to end with.
    pub(super) fn write(&self, request: &impl Message, name: &str, answer: &str) -> u8 {
        let (Ok(kind), Ok(answer)) = (known(name), known(answer)) else {
            return EXIT_FAILED;
        };
        let mut message = DynamicMessage::new(kind);
        if let Err(error) = message.transcode_from(request) {
            report::note(format_args!("{name}: {error}"));
            return EXIT_FAILED;
        }
        self.write_dynamic(&message, &answer)
    }

    /// As [`Input::write`], of any message.
    pub(super) fn write_dynamic(&self, request: &DynamicMessage, answer: &MessageDescriptor) -> u8 {
        let text = match self.generate_cli_skeleton {
            Some(Skeleton::Output) => skeleton::sample(answer),
            Some(Skeleton::YamlInput) => skeleton::yaml(request),
            Some(Skeleton::Input) | None => skeleton::json(request),
        };
        let mut to = io::stdout().lock();
        report::written(to.write_all(text.as_bytes()).and_then(|()| to.flush()))
    }
}

/// A message of the contract by its name, as far as the binary is whole.
fn known(name: &str) -> Result<MessageDescriptor, u8> {
    message(name).ok_or_else(|| {
        report::note(format_args!("the contract of this binary has no {name}"));
        EXIT_FAILED
    })
}

/// `to` with what `from` has in the fields that both messages have, by name: one
/// question, asked in another way.
pub(super) fn recast<A: Message, B: Message + Default>(
    from: (&A, &str),
    to: (&B, &str),
) -> Option<B> {
    let dynamic = |kind: &str| message(kind).map(DynamicMessage::new);
    let (mut source, mut target) = (dynamic(from.1)?, dynamic(to.1)?);
    source.transcode_from(from.0).ok()?;
    target.transcode_from(to.0).ok()?;
    for field in source.descriptor().fields() {
        let Some(same) = target.descriptor().get_field_by_name(field.name()) else {
            continue;
        };
        match source.has_field(&field) {
            true => target
                .try_set_field(&same, source.get_field(&field).into_owned())
                .ok()?,
            false => target.clear_field(&same),
        }
    }
    target.transcode_to().ok()
}

enum Source<'a> {
    File(&'a Path),
    Stdin,
    Literal,
}

fn source(given: &str) -> Source<'_> {
    match given.strip_prefix("file://") {
        Some(path) => Source::File(Path::new(path)),
        None if given == "-" => Source::Stdin,
        None => Source::Literal,
    }
}

fn file(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    text(file)
}

/// All of a text, without the mark that some editors begin a file with.
fn text(from: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!(
            "longer than {MAX_FILE} bytes, the most that is read"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("byte {at} is no UTF-8; save the file as UTF-8")
    })?;
    match text.strip_prefix('\u{feff}') {
        Some(rest) => Ok(rest.to_owned()),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests;
