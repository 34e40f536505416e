//! The shell: queries one after the other, with history and completion.

mod complete;

use std::{env, path::PathBuf};

use rustyline::{Config, EditMode, Editor, error::ReadlineError, history::FileHistory};
use tokio::signal::unix::{SignalKind, signal};

use self::complete::Helper;
use super::{
    How,
    ask::{Asked, Known},
    write::Shape,
};
use crate::cli::{EXIT_FAILED, report};
use clap::ValueEnum;

/// The queries that are remembered.
const HISTORY: usize = 1000;

const HELP: &str = "\
A query ends with a semicolon, and may have many lines. Ctrl-C ends a query under way.
  \\d           the tables and views
  \\d NAME      the columns of one
  \\o FORMAT    table, csv or json
  \\q           leave (so does Ctrl-D)";

type Edited = (Editor<Helper, FileHistory>, Result<String, ReadlineError>);

/// Asks what is typed until there is no more.
pub(super) async fn run(how: &How, mut asked: Asked) -> u8 {
    let mut editor = match editor() {
        Ok(editor) => editor,
        Err(error) => {
            report::note(format_args!("no shell can be opened here: {error}"));
            return EXIT_FAILED;
        }
    };
    // Ctrl-C ends a query, or nothing: not the shell, between a line and its query
    let _kept = signal(SignalKind::interrupt());
    let history = history();
    if let Some(path) = &history {
        // there may be none yet
        let _ = editor.load_history(path);
    }
    let mut shape = how.output;
    let mut query = String::new();
    report::note("\\? has help, \\q leaves");
    loop {
        let prompt = if query.is_empty() { "sql> " } else { "...> " };
        let reading = tokio::task::spawn_blocking(move || {
            let mut editor = editor;
            let line = editor.readline(prompt);
            (editor, line)
        });
        let Ok((back, line)): Result<Edited, _> = reading.await else {
            return EXIT_FAILED;
        };
        editor = back;
        let line = match line {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                query.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                report::note(format_args!("cannot read: {error}"));
                break;
            }
        };
        if query.is_empty()
            && let Some(command) = line.trim().strip_prefix('\\')
        {
            let _ = editor.add_history_entry(line.trim());
            match said(command) {
                Said::Leave => break,
                Said::Ask(text) => ask(how, &mut asked, &text, shape).await,
                Said::Shape(other) => shape = other,
                Said::Tell(text) => report::note(text),
            }
            continue;
        }
        query.push_str(&line);
        query.push('\n');
        if query.trim().is_empty() {
            query.clear();
        } else if query.trim_end().ends_with(';') {
            let text = std::mem::take(&mut query);
            let _ = editor.add_history_entry(text.trim_end());
            ask(how, &mut asked, &text, shape).await;
        }
    }
    if let Some(path) = &history
        && let Err(error) = save(&mut editor, path)
    {
        report::note(format_args!("{}: {error}", path.display()));
    }
    0
}

/// What a line that begins with a backslash says.
enum Said {
    Leave,
    Ask(String),
    Shape(Shape),
    Tell(String),
}

fn said(command: &str) -> Said {
    let (command, rest) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    let rest = rest.trim();
    match (command, rest) {
        ("q", _) => Said::Leave,
        ("?", _) => Said::Tell(HELP.to_owned()),
        ("d", "") => Said::Ask("SHOW TABLES".to_owned()),
        ("d", name) => Said::Ask(format!("DESCRIBE {name}")),
        ("o", name) => match Shape::from_str(name, true) {
            Ok(shape) if !shape.is_binary() => Said::Shape(shape),
            _ => Said::Tell(format!("\\o {name}: give table, csv or json")),
        },
        _ => Said::Tell(format!("\\{command} is not known; \\? has help")),
    }
}

/// Asks, and says what went wrong: the shell goes on.
async fn ask(how: &How, asked: &mut Asked, text: &str, shape: Shape) {
    let query = Known {
        query: text,
        values: &how.values,
    };
    how.answered(asked.ask(query), shape).await;
}

fn editor() -> rustyline::Result<Editor<Helper, FileHistory>> {
    let config = Config::builder()
        .max_history_size(HISTORY)?
        .history_ignore_dups(true)?
        .edit_mode(EditMode::Emacs)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Helper::default()));
    Ok(editor)
}

/// Where queries are remembered; `None`: nowhere.
fn history() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let state = set("XDG_STATE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(set("HOME")?).join(".local/state"));
    Some(state.or_else(home)?.join("trailgate/sql_history"))
}

fn save(editor: &mut Editor<Helper, FileHistory>, path: &PathBuf) -> rustyline::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // for its owner alone, as rustyline does it
    editor.save_history(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_a_backslash_are_commands() {
        assert!(matches!(said("q"), Said::Leave));
        assert!(matches!(said("d"), Said::Ask(text) if text == "SHOW TABLES"));
        assert!(matches!(said("d  cloudtrail"), Said::Ask(text) if text == "DESCRIBE cloudtrail"));
        assert!(matches!(said("o csv"), Said::Shape(Shape::Csv)));
        assert!(matches!(said("o parquet"), Said::Tell(_)));
        assert!(matches!(said("x"), Said::Tell(text) if text.contains("\\x")));
    }
}
