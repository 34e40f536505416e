//! The shell: queries one after the other, with history and completion.

mod complete;
mod said;
mod typed;

use std::{
    env,
    ops::ControlFlow::{self, Break, Continue},
    path::PathBuf,
};

use rustyline::{Config, EditMode, Editor, error::ReadlineError, history::FileHistory};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    complete::Helper,
    said::{Said, said},
    typed::{Typed, Whole},
};
use super::{
    How,
    ask::{Asked, By, Known},
    write::Shape,
};
use crate::{
    cli::{EXIT_FAILED, EXIT_INTERRUPTED, report},
    sql::MAX_TEXT,
};

/// The queries that are remembered.
const HISTORY: usize = 1000;

type Line = Editor<Helper, FileHistory>;
type Edited = (Line, Result<String, ReadlineError>);

/// Asks what is typed until there is no more.
pub(super) async fn run(how: &How, asked: Asked) -> u8 {
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
    let mut shell = Shell {
        how,
        asked,
        shape: how.output,
        values: how.values.clone(),
        typed: Typed::default(),
    };
    report::note("a query ends with a semicolon; \\? has help, \\q leaves");
    let mut is_over = false;
    while !is_over {
        let prompt = match shell.typed.is_empty() {
            true => "sql> ",
            false => "...> ",
        };
        let reading = tokio::task::spawn_blocking(move || {
            let mut editor = editor;
            let line = editor.readline(prompt);
            (editor, line)
        });
        let Ok((back, line)): Result<Edited, _> = reading.await else {
            return EXIT_FAILED;
        };
        editor = back;
        match line {
            Ok(text) => is_over = shell.take(&text, &mut editor).await.is_break(),
            Err(ReadlineError::Interrupted) => shell.typed.clear(),
            Err(ReadlineError::Eof) => is_over = true,
            Err(error) => {
                report::note(format_args!("cannot read: {error}"));
                is_over = true;
            }
        }
    }
    if let Some(path) = &history
        && let Err(error) = save(&mut editor, path)
    {
        report::note(format_args!("{}: {error}", path.display()));
    }
    0
}

/// What goes on from line to line.
struct Shell<'a> {
    how: &'a How,
    asked: Asked,
    shape: Shape,
    values: Vec<(String, String)>,
    typed: Typed,
}

impl Shell<'_> {
    /// Takes what was typed, some lines if it was pasted, and does what it says; breaks
    /// where that is to leave.
    async fn take(&mut self, text: &str, editor: &mut Line) -> ControlFlow<()> {
        for line in text.split('\n') {
            for whole in self.typed.line(line) {
                let end = match whole {
                    Whole::Statement(text) => {
                        let _ = editor.add_history_entry(&text);
                        self.ask(&text).await
                    }
                    Whole::Command(command) => {
                        let _ = editor.add_history_entry(line.trim());
                        match said(&command) {
                            Said::Leave => return Break(()),
                            Said::Ask(text) => self.ask(&text).await,
                            other => {
                                self.set(other);
                                0
                            }
                        }
                    }
                    Whole::TooLong => {
                        report::note(format_args!(
                            "the query has more than {MAX_TEXT} bytes, and is forgotten"
                        ));
                        return Continue(());
                    }
                };
                // nor is what was typed with it wanted
                if end == EXIT_INTERRUPTED {
                    self.typed.clear();
                    return Continue(());
                }
            }
        }
        Continue(())
    }

    /// Asks, and says what went wrong: the shell goes on.
    async fn ask(&mut self, text: &str) -> u8 {
        let query = Known {
            query: text,
            values: &self.values,
            by: By::Shell,
        };
        self.how.answered(self.asked.ask(query), self.shape).await
    }

    /// What a command says that neither asks nor leaves.
    fn set(&mut self, said: Said) {
        match said {
            Said::Leave | Said::Ask(_) => {}
            Said::Shape(shape) => self.shape = shape,
            Said::Set(name, value) => {
                self.unset(&name);
                self.values.push((name, value));
            }
            Said::Unset(name) => {
                if !self.unset(&name) {
                    report::note(format_args!(":{name} has no value"));
                }
            }
            Said::Values if self.values.is_empty() => {
                report::note("no parameter has a value; \\set NAME VALUE gives it one");
            }
            Said::Values => {
                for (name, value) in &self.values {
                    report::lines(&format!(":{name} = {value}"));
                }
            }
            Said::Reset => self.typed.clear(),
            Said::Tell(text) => report::lines(text),
            Said::Wrong(text) => report::note(text),
        }
    }

    /// Whether it had a value.
    fn unset(&mut self, name: &str) -> bool {
        let before = self.values.len();
        self.values
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.values.len() < before
    }
}

fn editor() -> rustyline::Result<Line> {
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

fn save(editor: &mut Line, path: &PathBuf) -> rustyline::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // for its owner alone, as rustyline does it
    editor.save_history(path)
}
