use super::*;

const PEER: &str = "10.0.0.9";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn found(rule: &ClientIp, peer: &str, forwarded: &[&str], named: &[&str]) -> String {
    match find(rule, ip(peer), forwarded.iter().map(|it| it.as_bytes()), named.iter().map(|it| it.as_bytes())) {
        Client::At(address) => address.to_string(),
        Client::Unknown => "403".to_owned(),
    }
}

#[test]
fn hops_are_counted_from_the_right() {
    for (hops, forwarded, expected) in [
        (1, &["203.0.113.1"][..], "203.0.113.1"),
        (1, &["6.6.6.6, 203.0.113.1"], "203.0.113.1"),
        (2, &["6.6.6.6, 203.0.113.1, 10.0.0.1"], "203.0.113.1"),
        // Several fields are one list.
        (2, &["6.6.6.6", "203.0.113.1", "10.0.0.1"], "203.0.113.1"),
        (2, &["203.0.113.1", "10.0.0.1"], "203.0.113.1"),
        // Fewer than that, or no address there: nothing of it is believed.
        (2, &["203.0.113.1"], PEER),
        (1, &[], PEER),
        (1, &["203.0.113.1, unknown"], PEER),
        (1, &["203.0.113.1:80"], PEER),
        (u32::MAX, &["203.0.113.1"], PEER),
        (1, &["2001:db8::1"], "2001:db8::1"),
        (1, &["::ffff:203.0.113.1"], "203.0.113.1"),
        (1, &[" , ,203.0.113.1 , "], "203.0.113.1"),
    ] {
        assert_eq!(found(&ClientIp::TrustedHops { hops, append: true }, PEER, forwarded, &[]), expected, "{hops} {forwarded:?}");
    }
}

#[test]
fn trusted_proxies_are_skipped_from_the_right() {
    let ranges = ["10.0.0.0/8", "2001:db8::/32"].map(|text| IpRange::parse(text).expect("a range")).to_vec();
    let rule = ClientIp::TrustedRanges { ranges, append: true };
    for (peer, forwarded, expected) in [
        (PEER, &["203.0.113.1"][..], "203.0.113.1"),
        (PEER, &["6.6.6.6, 203.0.113.1, 10.1.1.1, 2001:db8::5"], "203.0.113.1"),
        (PEER, &["6.6.6.6, 203.0.113.1", "10.1.1.1"], "203.0.113.1"),
        // A peer that is not trusted is the client, whatever it says.
        ("198.51.100.1", &["203.0.113.1"], "198.51.100.1"),
        (PEER, &["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
        (PEER, &[], PEER),
        (PEER, &["203.0.113.1, nonsense, 10.1.1.1"], PEER),
        // Written left of an untrusted address: never looked at.
        (PEER, &["nonsense, 203.0.113.1"], "203.0.113.1"),
        ("::ffff:10.0.0.9", &["203.0.113.1"], "203.0.113.1"),
    ] {
        assert_eq!(found(&rule, peer, forwarded, &[]), expected, "{peer} {forwarded:?}");
    }
}

#[test]
fn a_header_of_ones_own_must_be_there_once_and_be_an_address() {
    let rule = |fail_closed| ClientIp::Header { name: weir_model::HeaderName::new("x-real-ip").expect("a name"), fail_closed };
    for (named, expected) in [
        (&["203.0.113.1"][..], "203.0.113.1"),
        (&[" 2001:db8::1 "], "2001:db8::1"),
        (&[], "403"),
        (&["203.0.113.1, 203.0.113.2"], "403"),
        (&["203.0.113.1", "203.0.113.2"], "403"),
        (&["localhost"], "403"),
    ] {
        assert_eq!(found(&rule(true), PEER, &["6.6.6.6"], named), expected, "{named:?}");
        let open = if expected == "403" { PEER } else { expected };
        assert_eq!(found(&rule(false), PEER, &["6.6.6.6"], named), open, "{named:?}");
    }
}

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    for rule in [ClientIp::Peer, ClientIp::Direct] {
        assert_eq!(found(&rule, PEER, &["6.6.6.6"], &["6.6.6.6"]), PEER);
    }
    assert!(appends(&ClientIp::Peer) && !appends(&ClientIp::Direct));
    assert!(!appends(&ClientIp::TrustedHops { hops: 1, append: false }));
}
