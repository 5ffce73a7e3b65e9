use super::*;

#[test]
fn the_first_restart_comes_at_once_and_then_delays_double() {
    let delays: Vec<Option<u64>> = (0..9).map(|crashes| backoff(crashes).map(|d| d.as_secs())).collect();
    assert_eq!(delays, [None, None, Some(10), Some(20), Some(40), Some(80), Some(160), Some(300), Some(300)]);
    assert_eq!(backoff(u32::MAX), Some(LONGEST_BACKOFF));
    assert_eq!((go_duration(Duration::from_secs(40)), go_duration(Duration::from_secs(160))), ("40s".into(), "2m40s".into()));
}
