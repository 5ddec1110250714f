//! Names of views, tables and columns: what any database takes as it is, without quotes.

/// Names stand in SQL as they are, with `__` and `headwater` for the engine's own.
const NAME_BYTES: usize = 40;

/// Reserved words of `PostgreSQL` 15 and `SQLite` 3, which a query would have to quote. Source: SQL Key
/// Words, appendix C of the `PostgreSQL` manual; `mkkeywordhash.c` of `SQLite`, those without a fallback.
const RESERVED: &str = " add all alter analyse analyze and any array as asc asymmetric authorization autoincrement between \
    binary both case cast check collate collation column commit concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp current_user default \
    deferrable delete desc distinct do drop else end escape except exists false fetch for foreign freeze from full \
    grant group having if ilike in index initially inner insert intersect into is isnull join lateral leading left \
    like limit localtime localtimestamp natural not nothing notnull null offset on only or order outer overlaps \
    placing primary references returning right select session_user set similar some symmetric table tablesample \
    then to trailing transaction true union unique update user using values variadic verbose when where window with ";

/// Why a name cannot be one.
pub fn problem_of_name(name: &str) -> Option<String> {
    let sound = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_')
        && name.len() <= NAME_BYTES;
    if !sound {
        return Some(format!(
            "{name:?} is no name; use at most {NAME_BYTES} lower case letters, digits and _, a letter first"
        ));
    }
    if RESERVED.contains(&format!(" {name} ")) {
        return Some(format!("{name} is a reserved word of SQL; take another name"));
    }
    let own = name.contains("__") || ["headwater", "sqlite_", "pg_"].iter().any(|own| name.starts_with(own));
    own.then(|| format!("the name {name} is the engine's; no __ within it, no headwater, sqlite_ or pg_ before it"))
}
