//! The command line: the built binary, with real databases in temporary directories.

mod check;
mod enqueue;
mod help;
mod push;
mod status;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use staticstored::store::{Access, connect};

/// A directory with a configuration that names a database in it.
struct Desk {
    directory: tempfile::TempDir,
}

/// What a command left behind.
#[derive(Debug)]
struct Told {
    status: i32,
    out: String,
    err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            status: output.status.code().unwrap(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Told {
    /// Its output, when it ended well and said nothing on standard error.
    #[track_caller]
    fn done(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// Its message, when it ended with this status.
    #[track_caller]
    fn refused(self, status: i32) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.err
    }
}

impl Desk {
    /// Without a database.
    fn bare() -> Self {
        let desk = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        desk.configure("");
        desk
    }

    /// With a database.
    fn new() -> Self {
        let desk = Self::bare();
        desk.run(&["init"]).done();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }

    /// Writes the configuration, with more lines at its end.
    fn configure(&self, more: &str) {
        let database = self.path("queue.db");
        let text = format!(
            "[component]\nappid = \"wx1\"\n[database]\nurl = \"sqlite:{}\"\n{more}",
            database.display()
        );
        self.write("config.toml", &text);
    }

    /// The program with our configuration and none of the environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.arg("--config").arg(self.path("config.toml"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Told {
        self.command(arguments).output().unwrap().into()
    }

    fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Told {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Runs statements as another program would.
    fn sql(&self, statements: &str) {
        let path = self.path("queue.db");
        block_on(async {
            let mut connection = connect(&path, Access::Write).await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
                .execute(&mut connection)
                .await
                .unwrap();
            sqlx::Connection::close(connection).await.unwrap();
        });
    }

    fn number(&self, query: &'static str) -> i64 {
        let path = self.path("queue.db");
        block_on(async {
            let mut connection = connect(&path, Access::Read).await.unwrap();
            sqlx::query_scalar(query)
                .fetch_one(&mut connection)
                .await
                .unwrap()
        })
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_staticstored"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn init_creates_the_database_for_owner_and_group_and_does_no_harm_when_repeated() {
    let desk = Desk::bare();
    assert!(desk.run(&["init"]).done().contains("was created, schema"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(desk.path("queue.db")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o660);
    desk.sql("INSERT INTO queue (env) VALUES ('a')");
    assert!(desk.run(&["init"]).done().contains("is there"));
    assert_eq!(desk.number("SELECT count(*) FROM queue"), 1);
}

#[test]
fn init_says_which_directory_is_missing_or_not_writable() {
    let desk = Desk::bare();
    let mut elsewhere = desk.command(&["init"]);
    let told = Told::from(
        elsewhere
            .env("STATICSTORED_DATABASE__URL", "sqlite:/nowhere/queue.db")
            .output()
            .unwrap(),
    );
    assert!(told.refused(1).contains("there is no directory /nowhere"));
    let mut elsewhere = desk.command(&["init"]);
    let told = Told::from(
        elsewhere
            .env("STATICSTORED_DATABASE__URL", "sqlite:/proc/queue.db")
            .output()
            .unwrap(),
    );
    assert!(told.refused(1).contains("the directory /proc is not writable"));
}

#[test]
fn no_command_but_init_creates_a_database() {
    let desk = Desk::bare();
    let ticket = desk.write("ticket", "ticket@@@x");
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["enqueue", "a"],
        &["retry", "--failed"],
        &["pause"],
        &["resume"],
        &["ticket", &ticket],
    ] {
        let told = desk.run(arguments).refused(1);
        assert!(told.contains("`staticstored init` creates it"), "{told}");
        assert!(!desk.path("queue.db").exists(), "{arguments:?}");
    }
}

#[test]
fn a_database_of_another_version_or_of_somebody_else_is_left_alone() {
    let desk = Desk::bare();
    desk.write("queue.db", "");
    assert!(
        desk.run(&["status"])
            .refused(1)
            .contains("`staticstored init` brings it there")
    );
    desk.write(
        "queue.db",
        &"this is no database, and long enough to be looked at. ".repeat(20),
    );
    assert!(
        desk.run(&["enqueue", "a"])
            .refused(1)
            .contains("file is not a database")
    );
    let desk = Desk::new();
    desk.sql(
        "INSERT INTO _sqlx_migrations SELECT 99999999999999, description, installed_on, success, checksum, \
         execution_time FROM _sqlx_migrations LIMIT 1",
    );
    assert!(desk.run(&["pause"]).refused(78).contains("newer staticstored"));
}

#[test]
fn a_configuration_that_cannot_be_used_ends_with_78_and_says_why() {
    let desk = Desk::new();
    desk.configure("[api]\nmax_in_flight = 0\nbase_url = \"http://10.0.0.1\"");
    let told = desk.run(&["pause"]).refused(78);
    assert!(
        told.contains("config.toml") && told.contains("api.max_in_flight = 0"),
        "{told}"
    );
    assert!(told.contains("api.base_url"), "{told}");
    let told = Told::from(
        program(&["status", "--config", "/nowhere/config.toml"])
            .output()
            .unwrap(),
    );
    assert!(told.refused(78).contains("/nowhere/config.toml cannot be read"));
}

#[test]
fn the_environment_wins_over_the_file() {
    let desk = Desk::new();
    let mut command = desk.command(&["status"]);
    command.env(
        "STATICSTORED_DATABASE__URL",
        format!("sqlite:{}", desk.path("other.db").display()),
    );
    assert!(
        Told::from(command.output().unwrap())
            .refused(1)
            .contains("other.db")
    );
    let mut command = desk.command(&["pause"]);
    command.env("STATICSTORED_API__MAX_IN_FLIGHT", "-1");
    assert!(
        Told::from(command.output().unwrap())
            .refused(78)
            .contains("STATICSTORED_API__MAX_IN_FLIGHT")
    );
}

#[test]
fn retry_requests_failed_ones_again_and_says_why_not_the_others() {
    let desk = Desk::new();
    desk.run(&["enqueue", "a", "b", "c", "d"]).done();
    let last = "finished_at = updated_at, next_attempt_at = NULL";
    desk.sql(&format!(
        "UPDATE status SET state = 'failed', {last} WHERE env IN ('a', 'b')"
    ));
    desk.sql(&format!(
        "UPDATE status SET state = 'online', domain = 'd', {last} WHERE env = 'c'"
    ));
    desk.sql("DELETE FROM queue WHERE env <> 'd'");
    let told = desk.run(&["retry", "a", "c", "d", "e"]);
    assert_eq!(told.out, "1 requested again\n");
    let message = told.refused(1);
    for part in ["c is online, not failed", "d is pending", "e was never requested"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(desk.run(&["retry", "--failed"]).done(), "1 requested again\n");
    assert_eq!(desk.run(&["retry", "--failed"]).done(), "0 requested again\n");
    assert_eq!(desk.number("SELECT count(*) FROM queue"), 3);
    desk.run(&["retry"]).refused(2);
    desk.run(&["retry", "a", "--failed"]).refused(2);
}

#[test]
fn pause_and_resume_write_the_one_column_of_service_that_is_the_users() {
    let desk = Desk::new();
    for (command, paused) in [("pause", 1), ("pause", 1), ("resume", 0)] {
        desk.run(&[command]).done();
        assert_eq!(desk.number("SELECT paused FROM service"), paused);
    }
}

#[test]
fn a_ticket_is_inserted_from_a_file_or_standard_input_and_never_shown() {
    let desk = Desk::new();
    let file = desk.write("ticket", "ticket@@@canary\n");
    for told in [
        desk.run(&["ticket", &file]),
        desk.run_with_input(&["ticket", "-"], b"ticket@@@canary"),
    ] {
        assert!(!told.done().contains("canary"));
    }
    assert_eq!(
        desk.number("SELECT count(*) FROM ticket WHERE component_verify_ticket = 'ticket@@@canary'"),
        2
    );
    for bad in [&b""[..], b"two canaries", b"\xff\xfe", &[b'x'; 513]] {
        let told = desk.run_with_input(&["ticket", "-"], bad).refused(1);
        assert!(
            told.contains("standard input holds no ticket") && !told.contains("canaries"),
            "{told}"
        );
    }
    assert!(
        desk.run(&["ticket", "/nowhere"])
            .refused(1)
            .contains("/nowhere cannot be read")
    );
    desk.run(&["ticket"]).refused(2);
}

#[test]
fn explain_says_meaning_class_and_remedy_of_known_codes_only() {
    let told = Told::from(program(&["explain", "-501005"]).output().unwrap()).done();
    for part in [
        "errcode  -501005",
        "meaning  ",
        "class    this environment",
        "remedy   ",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let told = Told::from(program(&["explain", "12345"]).output().unwrap()).refused(1);
    assert!(told.contains("12345 is not known"), "{told}");
    Told::from(program(&["explain", "many"]).output().unwrap()).refused(2);
}

#[test]
fn man_pages_and_completions_need_no_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man");
    Told::from(program(&["man", pages.to_str().unwrap()]).output().unwrap()).done();
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    assert!(page("staticstored.1").contains("staticstored"));
    assert!(page("staticstored-enqueue.1").contains("priority"));
    for shell in ["bash", "fish", "zsh"] {
        assert!(
            Told::from(program(&["completions", shell]).output().unwrap())
                .done()
                .contains("enqueue")
        );
    }
    Told::from(program(&["completions", "dos"]).output().unwrap()).refused(2);
    let blocked = Path::new("/proc/man");
    let told = Told::from(program(&["man", blocked.to_str().unwrap()]).output().unwrap());
    assert!(told.refused(1).contains("cannot be written to /proc/man"));
}
