//! A source file as text, and the same with everything blanked that is not code.

use std::path::Path;

/// One file.
pub struct Source {
    /// Its path below the root, with `/`.
    pub path: String,
    /// What is written in it.
    pub text: String,
    /// The code: comments, strings and characters are blanks; of the same length and lines as the text.
    pub code: Vec<char>,
    /// The code without what is compiled for tests alone.
    pub shipped: Vec<char>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let code = if is_rust(path) { code_of(text) } else { Vec::new() };
        let shipped = without_tests(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, shipped }
    }

    pub fn is_rust(&self) -> bool {
        is_rust(&self.path)
    }

    /// The modules that lead to this file of the library; `None` if it is not one of the library's.
    pub fn module(&self) -> Option<Vec<&str>> {
        let inside = self.path.strip_prefix("src/").filter(|path| !path.starts_with("bin/"))?;
        let mut modules: Vec<&str> = inside.strip_suffix(".rs")?.split('/').collect();
        if matches!(modules.last(), Some(&("mod" | "lib"))) {
            modules.pop();
        }
        Some(modules)
    }
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension() == Some("rs".as_ref())
}

/// The line, counted from 1, on which a place in code stands.
pub fn line_of(code: &[char], at: usize) -> usize {
    1 + code[..at].iter().filter(|c| **c == '\n').count()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands in code as a word of its own, or, if it is a path, as that path.
pub fn places_of(code: &[char], word: &str) -> Vec<usize> {
    let word: Vec<char> = word.chars().collect();
    let within = |at: usize| {
        let before = at.checked_sub(1).map(|at| code[at]);
        let after = code.get(at + word.len()).copied();
        before.is_some_and(is_word) || (word.last().is_some_and(|c| is_word(*c)) && after.is_some_and(is_word))
    };
    (0..(code.len() + 1).saturating_sub(word.len()))
        .filter(|at| code[*at..].starts_with(&word) && !within(*at))
        .collect()
}

/// Blanks comments, strings and characters.
pub fn code_of(text: &str) -> Vec<char> {
    let text: Vec<char> = text.chars().collect();
    let mut code = text.clone();
    let mut at = 0;
    while at < text.len() {
        let end = end_of_other(&text, at).unwrap_or(at);
        for place in &mut code[at..end] {
            if *place != '\n' {
                *place = ' ';
            }
        }
        at = end.max(at + 1);
    }
    code
}

/// Where the comment, string or character ends that begins at `at`; `None` if none begins there.
fn end_of_other(text: &[char], at: usize) -> Option<usize> {
    let rest = &text[at..];
    let after_word = at > 0 && is_word(text[at - 1]);
    let end = match rest {
        ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => end_of_block_comment(rest),
        ['"', ..] => end_of_quoted(rest, '"'),
        ['b' | 'c', '"', ..] if !after_word => 1 + end_of_quoted(&rest[1..], '"'),
        ['r', '"' | '#', ..] if !after_word => end_of_raw_string(rest, 1)?,
        ['b' | 'c', 'r', '"' | '#', ..] if !after_word => end_of_raw_string(rest, 2)?,
        // A lifetime is a quote without an end; a character is one character or an escape.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => end_of_quoted(rest, '\''),
        _ => return None,
    };
    Some(at + end)
}

fn end_of_block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn end_of_quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn end_of_raw_string(rest: &[char], hashes_at: usize) -> Option<usize> {
    let hashes = rest[hashes_at..].iter().take_while(|c| **c == '#').count();
    let quote = hashes_at + hashes;
    (rest.get(quote) == Some(&'"')).then_some(())?;
    let mut end: Vec<char> = vec!['"'];
    end.extend(std::iter::repeat_n('#', hashes));
    let length = rest[quote + 1..].windows(end.len()).position(|window| window == end);
    Some(length.map_or(rest.len(), |length| quote + 1 + length + end.len()))
}

/// Blanks every item under `#[cfg(test)]`.
fn without_tests(code: &[char]) -> Vec<char> {
    const MARK: &str = "#[cfg(test)]";
    let mut shipped = code.to_vec();
    let mark: Vec<char> = MARK.chars().collect();
    for at in 0..code.len() {
        if code[at..].starts_with(&mark) {
            let end = end_of_item(code, at + mark.len());
            for place in &mut shipped[at..end] {
                if *place != '\n' {
                    *place = ' ';
                }
            }
        }
    }
    shipped
}

fn end_of_item(code: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.iter().enumerate().skip(from) {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                let more = code[at + 1..].iter().find(|c| !c.is_whitespace());
                if depth == 0 && more != Some(&';') {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        code_of(text).into_iter().collect()
    }

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        let text = "a // b\nc /* d /* e */ f */ g \"h \\\" i\" j 'k' '\\'' l r#\"m \" n\"# o b\"p\"";
        let words = code(text);
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(words, ["a", "c", "g", "j", "l", "o"]);
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        for text in ["fn f<'a>(x: &'a str) -> &'a str { x }", "let r#type = br;", "&'static str, 'x: loop {}"] {
            assert_eq!(code(text), text);
        }
    }

    #[test]
    fn what_only_tests_compile_is_not_shipped() {
        let text = "use a::b;\n#[cfg(test)]\nuse x::{y, z};\n#[cfg(test)]\nmod tests { mod u { v } }\nfn c() {}";
        let shipped: String = Source::new("src/a.rs", text).shipped.into_iter().collect();
        assert_eq!(shipped.split_whitespace().collect::<Vec<_>>(), ["use", "a::b;", "fn", "c()", "{}"]);
    }

    #[test]
    fn a_word_is_found_only_as_a_word() {
        let text = code_of("clap::x clapper xclap (clap)");
        assert_eq!(places_of(&text, "clap"), [0, 23]);
    }
}
