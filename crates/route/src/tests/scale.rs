//! Many routes.

use std::sync::Arc;

use super::fixture::{answer, expect, listener, request, route, table};
use crate::Table;

#[test]
fn ten_thousand_hosts_and_ten_thousand_paths_are_each_found() {
    let mut routes: Vec<Arc<_>> = (0..10_000).map(|i| route(&format!("h{i}"), i, "http", &[&format!("h{i}.com")], &[&["/"]])).collect();
    routes.extend((0..10_000).map(|i| route(&format!("p{i}"), i, "http", &["*"], &[&[&format!("/api/v{i}")]])));
    let table = table(&routes);
    assert_eq!(table.rules().count(), 20_000);
    for i in [0, 1, 4_999, 9_999] {
        expect(
            &table,
            &[(&format!("GET h{i}.com/x"), &[], &format!("h{i}/0")), (&format!("GET other.com/api/v{i}/x"), &[], &format!("p{i}/0"))],
        );
    }
}

#[test]
fn a_path_of_many_slashes_and_a_host_of_many_dots_are_answered() {
    let table = table(&[route("m", 0, "http", &["*.a.com"], &[&["/a"]]), route("n", 0, "http", &["*"], &[&["/"]])]);
    let path = "/".repeat(60_000);
    assert_eq!(answer(&table, &request(&format!("GET x.a.com{path}"), &[])), "404");
    let host = "a.".repeat(30_000);
    assert_eq!(answer(&table, &request(&format!("GET {host}a.com/"), &[])), "n/0", "no name is that long");
}

#[test]
fn a_new_table_takes_over_the_compiled_expressions() {
    let routes = [route("m", 0, "http", &["*"], &[&["~/a.*"], &["h~x=b.*"]])];
    let first = table(&routes);
    let second = first.recompile([&listener("http", "")], &routes);
    assert_eq!(first.expressions().count(), 2);
    for (text, regex) in first.expressions() {
        let again = second.expressions().find(|(other, _)| *other == text).map(|(_, regex)| regex);
        assert!(again.is_some_and(|again| Arc::ptr_eq(&regex, &again)), "{text} was compiled again");
    }
    let third = second.recompile([&listener("http", "")], &[]);
    drop((first, second));
    assert_eq!(third.expressions().count(), 0, "what nobody uses is let go");
    let _: Table = third;
}

#[test]
fn numbers_of_rules_that_are_gone_are_used_again() {
    let routes: Vec<_> = (0..3000).map(|i| route(&format!("r{i}"), 0, "http", &[&format!("h{i}.com")], &[&["/"]])).collect();
    let mut table = table(&routes);
    for _ in 0..3 {
        table = table.edit(routes.iter().map(|it| (&it.name, None)));
        assert!(table.is_sparse() && table.rules().next().is_none());
        assert_eq!(answer(&table, &request("GET h1.com/", &[])), "404");
        table = table.edit(routes.iter().map(|it| (&it.name, Some(it))));
        assert!(!table.is_sparse() && table.rules().all(|(id, ..)| id < 3000));
    }
}
