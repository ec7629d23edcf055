//! The two tables keep their promises to every SQLite client (README.md, "The two tables").
//!
//! The statements come from programs that know nothing of the daemon: the `sqlite3` shell, Python, and the library the
//! daemon is built with. They differ in version by years, so each promise is asked of all three. Beside every row that
//! is written to stands one that must not change.

mod bulk;
mod cancel;
mod change;
mod client;
mod insert;
mod refuse;
mod states;
mod upgrade;
