//! As somebody who has only the program would use it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::world::{PATIENCE, free_port, within};

use super::{PROGRAM, ended, private, told};

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(child: &Child) {
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[tokio::test]
async fn simulate_run_enqueue_and_status_go_together_as_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let receiver = format!("127.0.0.1:{}", free_port());
    let mut simulate = Command::new(PROGRAM);
    simulate.env_clear().args([
        "simulate",
        "--push",
        &format!("http://{receiver}/weixin/callback"),
        "--listen",
        "127.0.0.1:0",
        "--opening",
        "100ms",
        "--faults",
        "0.2",
    ]);
    let mut simulator = Killed(simulate.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(simulator.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut after = |label: &str| {
        let line = lines.find(|line| line.trim_start().starts_with(label)).unwrap();
        line.trim_start()[label.len()..].trim().to_owned()
    };
    let (url, appid) = (after("api.base_url"), after("component.appid"));
    for (name, label) in [
        ("appsecret", "the appsecret"),
        ("callback_token", "callback token"),
        ("encoding_aes_key", "EncodingAESKey"),
    ] {
        std::fs::write(path(name), after(label)).unwrap();
        private(&path(name));
    }
    let config = format!(
        "[component]\nappid = {appid:?}\nappsecret_file = {:?}\n[database]\nurl = \"sqlite:{}\"\n\
         [callback]\nlisten = {receiver:?}\ntoken_file = {:?}\naes_key_file = {:?}\n\
         [api]\nbase_url = {url:?}\n[retry]\ninitial_backoff = \"10ms\"\nmax_backoff = \"50ms\"\n\
         [confirm]\ninitial_interval = \"50ms\"\nmax_interval = \"100ms\"\n",
        path("appsecret"),
        path("queue.db").display(),
        path("callback_token"),
        path("encoding_aes_key"),
    );
    std::fs::write(path("config.toml"), config).unwrap();
    let program = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .args(arguments)
            .arg("--config")
            .arg(path("config.toml"));
        command
    };
    text(&told(program(&["init"]), "").await);
    text(&told(program(&["check"]), "").await);
    let mut daemon = Killed(program(&["run"]).stderr(Stdio::null()).spawn().unwrap());
    let envs: String = (1..=30).map(|number| format!("shop-{number}\n")).collect();
    assert!(text(&told(program(&["enqueue", "--file", "-"]), &envs).await).contains("30"));
    assert!(text(&told(program(&["enqueue", "x--not-opened"]), "").await).contains('1'));

    let table = within(async {
        loop {
            let table = text(&told(program(&["status"]), "").await);
            if table.contains("\n1 failed, 30 online\n") {
                return table;
            }
        }
    })
    .await;
    assert!(
        table.contains("x--not-opened") && table.contains("85088"),
        "{table}"
    );
    signal(&daemon.0);
    assert_eq!(ended(&mut daemon.0).await.code(), Some(0));
    assert!(text(&told(program(&["status"]), "").await).contains("stopped"));
    signal(&simulator.0);
    let rest: Vec<String> = lines.collect();
    // Nobody inserted a ticket: the daemon asked for the push.
    assert!(
        rest.iter()
            .any(|line| line.ends_with(" pushed component_verify_ticket: success")),
        "{rest:?}"
    );
    let last = rest.last().unwrap();
    assert!(
        last.contains("(0 needless)") && last.ends_with(" 1 tokens"),
        "{last}"
    );
    assert_eq!(ended(&mut simulator.0).await.code(), Some(0));
}

/// A block of the README, with ports that are free, as one process: its last command takes the place of the shell.
fn shown(holds: &str, ports: &[(&str, String)], directory: &Path) -> Command {
    let readme = include_str!("../../../README.md");
    let mut blocks = readme.split("```").skip(1).step_by(2);
    let block = blocks.find(|block| block.starts_with("sh\n") && block.contains(holds));
    let (commands, last) = block.unwrap()[3..]
        .trim()
        .rsplit_once('\n')
        .unwrap_or(("", holds));
    let script = format!("set -eu\n{commands}\nexec {last}");
    let script = ports.iter().fold(script, |script, (shown, free)| {
        assert!(script.contains(shown), "{shown}: {script}");
        script.replace(shown, free)
    });
    let mut shell = Command::new("bash");
    let programs = Path::new(PROGRAM).parent().unwrap().display();
    shell
        .env_clear()
        .env("PATH", format!("{programs}:/usr/bin:/bin"))
        .args(["-c", &script])
        .current_dir(directory);
    shell
}

#[tokio::test]
async fn the_commands_of_the_readme_make_a_daemon_that_asks_for_a_ticket_and_is_pushed_one() {
    let directory = tempfile::tempdir().unwrap();
    let (platform, receiver) = (free_port().to_string(), free_port().to_string());
    let mut simulate = shown(
        "staticstored simulate --push http://127.0.0.1:8019/weixin/callback",
        &[
            ("8019", receiver.clone()),
            ("simulate", format!("simulate --listen 127.0.0.1:{platform}")),
        ],
        directory.path(),
    );
    let mut simulator = Killed(simulate.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(simulator.0.stdout.take().unwrap()).lines();
    let mut run = shown(
        "cat > config.toml",
        &[("8018", platform), ("8019", receiver)],
        directory.path(),
    );
    let daemon = Killed(run.stderr(Stdio::null()).spawn().unwrap());
    let pushed = tokio::task::spawn_blocking(move || {
        let mut lines = lines.map(Result::unwrap);
        lines
            .find(|line| line.contains(" pushed component_verify_ticket: "))
            .unwrap()
    });
    let pushed = within(pushed).await.unwrap();
    assert!(
        pushed.ends_with(" pushed component_verify_ticket: success"),
        "{pushed}"
    );
    signal(&daemon.0);
}

#[tokio::test]
async fn the_demo_ends_as_it_must() {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .args(["demo", "--environments", "40"])
        .stdout(Stdio::piped());
    let mut demo = Killed(command.spawn().unwrap());
    let mut out = demo.0.stdout.take().unwrap();
    let reader = tokio::task::spawn_blocking(move || std::io::read_to_string(&mut out).unwrap());
    let mut status = None;
    let done = super::unbounded(|| {
        status = demo.0.try_wait().unwrap();
        status.is_some()
    });
    tokio::time::timeout(PATIENCE * 4, done).await.unwrap();
    let said = reader.await.unwrap();
    assert_eq!(status.unwrap().code(), Some(0), "{said}");
    // Its daemon was given none.
    assert!(said.contains("\nWeixin pushed "), "{said}");
    assert!(
        said.contains("Each of the 40 requests ended as it had to; none was opened twice."),
        "{said}"
    );
}
