//! The lines that are said to the teller: edited at a terminal, with history and completion; as they are from
//! a pipe.

use std::borrow::Cow;
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Context, Editor, Helper, Hinter, Validator};

use super::known::Known;

/// How many lines are remembered from one time to the next.
const REMEMBERED: usize = 1_000;

/// Where lines come from.
pub struct Lines {
    editor: Editor<Completion, FileHistory>,
    history: PathBuf,
}

/// A line, or why there is none.
pub enum Line {
    Said(String),
    /// It was taken back with Ctrl-C.
    TakenBack,
    /// There are no more.
    End,
}

impl Lines {
    /// From standard input; remembered in this file.
    pub fn open(known: Known, history: PathBuf) -> rustyline::Result<Self> {
        let settings = Config::builder().max_history_size(REMEMBERED)?.completion_type(CompletionType::List).build();
        let mut editor = Editor::with_config(settings)?;
        editor.set_helper(Some(Completion(known)));
        // There is none the first time.
        let _ = editor.load_history(&history);
        Ok(Self { editor, history })
    }

    /// The next line. Blocks.
    pub fn next(&mut self, prompt: &str) -> rustyline::Result<Line> {
        match self.editor.readline(prompt) {
            Ok(line) => {
                self.editor.add_history_entry(&line)?;
                Ok(Line::Said(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Line::TakenBack),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(error),
        }
    }

    /// Keeps what was said for the next time.
    pub fn remember(&mut self) {
        let folder = self.history.parent().map_or(Ok(()), std::fs::create_dir_all);
        let kept = folder.map_err(ReadlineError::from).and_then(|()| self.editor.save_history(&self.history));
        if let Err(error) = kept {
            tracing::warn!(%error, file = %self.history.display(), "what was said is not remembered");
        }
    }
}

/// Completes orders, accounts and transactions.
#[derive(Helper, Hinter, Validator)]
struct Completion(Known);

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.0.complete(&line[..at]))
    }
}

impl Highlighter for Completion {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}
