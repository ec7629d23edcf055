//! `staticstored enqueue`

use super::Desk;

#[test]
fn it_says_how_many_were_new() {
    let desk = Desk::new();
    assert_eq!(
        desk.run(&["enqueue", "a", "b"]).done(),
        "2 new, 0 already queued\n"
    );
    assert_eq!(
        desk.run(&["enqueue", "b", "c", "c"]).done(),
        "1 new, 2 already queued\n"
    );
}

#[test]
fn a_list_comes_from_a_file_or_standard_input_and_joins_the_arguments() {
    let desk = Desk::new();
    let file = desk.write("list", "a\r\n\n  # a comment\nb");
    assert_eq!(
        desk.run(&["enqueue", "--file", &file, "c"]).done(),
        "3 new, 0 already queued\n"
    );
    assert_eq!(
        desk.run_with_input(&["enqueue", "--file", "-"], b"d\n").done(),
        "1 new, 0 already queued\n"
    );
    assert_eq!(
        desk.run_with_input(&["enqueue", "--file", "-"], b"").done(),
        "0 new, 0 already queued\n"
    );
}

#[test]
fn one_bad_line_refuses_all_and_is_named() {
    let desk = Desk::new();
    let told = desk
        .run_with_input(
            &["enqueue", "good", "--file", "-"],
            b"fine\nbad env\n\xff\nlast\n",
        )
        .refused(1);
    assert!(
        told.contains("nothing was inserted, because of standard input:"),
        "{told}"
    );
    assert!(
        told.contains("line 2: \"bad env\"") && told.contains("line 3: "),
        "{told}"
    );
    assert!(!told.contains("line 1") && !told.contains("line 4"), "{told}");
    assert_eq!(desk.number("SELECT count(*) FROM queue"), 0);
}

#[test]
fn a_bad_argument_is_a_usage_error() {
    let desk = Desk::new();
    for bad in ["a b", "", "é", &"x".repeat(129)] {
        let told = desk.run(&["enqueue", "good", bad]).refused(2);
        assert!(told.contains("1 to 128 characters"), "{told}");
    }
    assert!(desk.run(&["enqueue", "-"]).refused(2).contains("--file -"));
    desk.run(&["enqueue"]).refused(2);
    desk.run(&["enqueue", "a", "--priority", "high"]).refused(2);
    assert_eq!(desk.number("SELECT count(*) FROM queue"), 0);
}

#[test]
fn a_list_that_cannot_be_read_is_named() {
    let desk = Desk::new();
    assert!(
        desk.run(&["enqueue", "--file", "/nowhere"])
            .refused(1)
            .contains("/nowhere cannot be read")
    );
}

#[test]
fn the_higher_priority_wins() {
    let desk = Desk::new();
    for (priority, kept) in [("-3", -3), ("7", 7), ("2", 7)] {
        desk.run(&["enqueue", "a", "--priority", priority]).done();
        assert_eq!(desk.number("SELECT priority FROM queue WHERE env = 'a'"), kept);
    }
}

#[test]
fn thousands_go_in_at_once() {
    let desk = Desk::new();
    let list: String = (0..2500).map(|number| format!("env-{number}\n")).collect();
    let told = desk
        .run_with_input(&["enqueue", "--file", "-"], list.as_bytes())
        .done();
    assert_eq!(told, "2500 new, 0 already queued\n");
    assert_eq!(
        desk.number("SELECT count(*) FROM status WHERE state = 'pending'"),
        2500
    );
}
