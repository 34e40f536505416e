//! `trailgate completions`: what a shell offers while a command is typed.

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Command, FromArgMatches, ValueEnum};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::Shells,
};

use super::{
    EXIT_FAILED,
    connect::{Connect, block_on},
    input, profile, report,
    standing::Field,
    table::Column,
};
use crate::{
    event::{AttributeKey, RECORD_FIELDS},
    proto::v1::{ListScopesRequest, Scope},
};

const EXAMPLES: &str = "\
Examples:
  source <(trailgate completions bash)     # in ~/.bashrc
  source <(trailgate completions zsh)      # in ~/.zshrc
  trailgate completions fish | source      # in ~/.config/fish/config.fish

Options and their values are completed, field names of conditions, methods of the API and
named endpoints, and accounts and Regions as the gateway of --endpoint has them.";

/// The variable that a shell sets to be told what to offer.
const VARIABLE: &str = "COMPLETE";

/// How long the gateway may take to say its scopes: whoever pressed a key waits.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Paths into records that are often asked for, below the fields at the top.
const PATHS: [&str; 12] = [
    "additionalEventData.MFAUsed",
    "requestParameters.bucketName",
    "requestParameters.instanceId",
    "requestParameters.roleArn",
    "requestParameters.userName",
    "responseElements.ConsoleLogin",
    "userIdentity.accessKeyId",
    "userIdentity.arn",
    "userIdentity.invokedBy",
    "userIdentity.sessionContext.sessionIssuer.userName",
    "userIdentity.type",
    "userIdentity.userName",
];

/// What `trailgate completions` is asked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

impl Completions {
    /// Writes what the shell is to read.
    pub(super) fn run(&self) -> ExitCode {
        let shell = match self.shell {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        };
        let shells = Shells::builtins();
        let Some(completer) = shells.completer(shell) else {
            report::note(format_args!("{shell} is not known here"));
            return ExitCode::from(EXIT_FAILED);
        };
        let mut text = Vec::new();
        let name = "trailgate";
        let written = completer
            .write_registration(VARIABLE, name, name, name, &mut text)
            .and_then(|()| {
                let text = match self.shell {
                    Shell::Bash => whole_words(&String::from_utf8_lossy(&text)),
                    Shell::Zsh | Shell::Fish => String::from_utf8_lossy(&text).into_owned(),
                };
                let mut to = io::stdout().lock();
                to.write_all(text.as_bytes())?;
                to.flush()
            });
        ExitCode::from(report::written(written))
    }
}

/// Where the script for bash takes the words of the line, and where it is done with what
/// it was offered.
const WORDS: &str = r#"    local words=("${COMP_WORDS[@]}")
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        words[COMP_CWORD]="$2"
    fi
"#;
const INDEX: &str = "    local _CLAP_COMPLETE_INDEX=${COMP_CWORD}\n";
const DONE: &str = "    if [[ $? != 0 ]]; then\n        unset COMPREPLY\n";

/// Bash splits words at colons and equals signs, and an endpoint has some: they are put
/// together again, and what it has of the last word already is taken off what is offered.
const JOINED: &str = r#"    local words=() lead="" word place last _CLAP_COMPLETE_INDEX=${COMP_CWORD}
    for ((place = 0; place < ${#COMP_WORDS[@]}; place++)); do
        word="${COMP_WORDS[place]}"
        last=$(( ${#words[@]} - 1 ))
        if (( place == COMP_CWORD )) && [[ "$word" != [:=]* ]]; then
            word="$2"
        fi
        if (( last > 0 )) && [[ "$word" == [:=]* || "${words[last]}" == *[:=] ]] \
            && ! { (( place == COMP_CWORD )) && [[ "${COMP_LINE:0:COMP_POINT}" == *[[:space:]] ]]; }; then
            if (( place == COMP_CWORD )); then
                lead="${words[last]}"
                [[ "$word" == [:=]* ]] && lead+="$word"
            fi
            words[last]+="$word"
        else
            words+=("$word")
        fi
        if (( place == COMP_CWORD )); then
            _CLAP_COMPLETE_INDEX=$(( ${#words[@]} - 1 ))
        fi
    done
"#;
const CUT: &str = r#"    local _CLAP_COMPLETE_CODE=$?
    COMPREPLY=("${COMPREPLY[@]#"$lead"}")
    if [[ $_CLAP_COMPLETE_CODE != 0 ]]; then
        unset COMPREPLY
"#;

fn whole_words(script: &str) -> String {
    let script = script.replacen(INDEX, "", 1).replacen(WORDS, JOINED, 1);
    script.replacen(DONE, CUT, 1)
}

/// Answers a shell that asks what to offer, and ends there; else goes on.
pub(super) fn answer(command: fn() -> Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// Fields, where a condition or a field is typed.
pub(super) fn fields() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let attributes = AttributeKey::ALL.iter().map(|key| key.as_str());
        let names = attributes.chain(RECORD_FIELDS).chain(PATHS);
        offered(typed, names.map(str::to_owned))
    })
}

/// What a table can show, of names with commas between them.
pub(super) fn columns() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let paths = RECORD_FIELDS.iter().chain(&PATHS);
        let paths = paths.map(|&path| path.to_owned());
        offered(typed, Column::names().chain(paths))
    })
}

/// What is told of a scope, of names with commas between them.
pub(super) fn standing() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| offered(typed, Field::names().map(str::to_owned)))
}

/// Methods of the API.
pub(super) fn methods() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let methods = input::methods();
        let sendable = methods
            .iter()
            .filter(|method| !method.is_client_streaming());
        offered(typed, sendable.map(|method| method.name().to_owned()))
    })
}

/// Named endpoints.
pub(super) fn endpoints() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let file = given("--cli-config").or_else(|| env::var("TRAILGATE_CLI_CONFIG").ok());
        let names = profile::names(file.as_ref().map(std::path::Path::new));
        offered(typed, names.into_iter().map(|name| format!("@{name}")))
    })
}

/// Accounts that the gateway has.
pub(super) fn accounts() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        offered(typed, scopes().into_iter().map(|scope| scope.account_id))
    })
}

/// Regions that the gateway has.
pub(super) fn regions() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        offered(typed, scopes().into_iter().map(|scope| scope.region))
    })
}

/// Those that begin as it is typed, each once.
fn offered(typed: &OsStr, all: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let mut fitting: Vec<String> = all.filter(|name| name.starts_with(&*typed)).collect();
    fitting.sort_unstable();
    fitting.dedup();
    fitting.into_iter().map(CompletionCandidate::new).collect()
}

/// The scopes of the gateway that the command line names so far; none where it does
/// not say them at once.
fn scopes() -> Vec<Scope> {
    let ask = async {
        let client = connect()?.open().ok()?;
        let request = ListScopesRequest::default();
        client.list_scopes(request, PATIENCE).await.ok()
    };
    let within = block_on(async { tokio::time::timeout(PATIENCE, ask).await.ok() });
    let answer = within.flatten().flatten();
    answer.map(|answer| answer.scopes).unwrap_or_default()
}

/// How the gateway is called, as far as it is typed: the rest may be half a word.
fn connect() -> Option<Connect> {
    let flags = [
        "--endpoint",
        "--cli-config",
        "--ca-cert",
        "--client-cert",
        "--client-key",
        "--token-file",
    ];
    let mut words = vec!["trailgate".to_owned()];
    for flag in flags {
        words.extend(given(flag).map(|value| format!("{flag}={value}")));
    }
    let command = Connect::augment_args(Command::new("trailgate"));
    let matches = command.try_get_matches_from(words).ok()?;
    Connect::from_arg_matches(&matches).ok()
}

/// What the command line that is typed gives an option.
fn given(flag: &str) -> Option<String> {
    let words: Vec<String> = env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let pairs = words
        .iter()
        .zip(words.iter().skip(1).map(Some).chain([None]));
    let mut values = pairs.filter_map(|(word, next)| {
        let rest = word.strip_prefix(flag)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value.to_owned()),
            None if rest.is_empty() => next.cloned(),
            None => None,
        }
    });
    values.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_for_bash_has_all_that_is_changed_in_it() {
        let shells = Shells::builtins();
        let mut text = Vec::new();
        let bash = shells.completer("bash").unwrap();
        bash.write_registration(VARIABLE, "a", "a", "a", &mut text)
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        for part in [INDEX, WORDS, DONE] {
            assert_eq!(text.matches(part).count(), 1, "{text}");
        }
    }
}
