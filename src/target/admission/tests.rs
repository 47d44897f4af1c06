use std::time::Duration;

use super::*;

fn gate() -> Arc<Gate> {
    let limits = Limits {
        connections: 5,
        connections_per_address: 4,
        strangers: 3,
        strangers_per_address: 2,
        control_connections: 2,
        control_connections_per_address: 1,
        ..Limits::default()
    };
    Gate::new(limits, Arc::default())
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn strangers_are_counted_for_each_address_and_in_all() {
    let gate = gate();
    let first = gate.admit(address("192.0.2.1")).unwrap();
    let _second = gate.admit(address("192.0.2.1")).unwrap();
    assert_eq!(
        gate.admit(address("::ffff:192.0.2.1")).unwrap_err(),
        Full::AddressStrangers
    );
    let _third = gate.admit(address("192.0.2.2")).unwrap();
    // Nobody whom to send away for the newcomer: none of them has begun yet.
    assert_eq!(
        gate.admit(address("192.0.2.3")).unwrap_err(),
        Full::Strangers
    );
    drop(first);
    assert!(gate.admit(address("192.0.2.3")).is_ok());
}

/// Lets a connection in that stays until it is ended.
fn settle(gate: &Arc<Gate>, from: &str) -> Result<tokio::task::JoinHandle<()>, Full> {
    let admitted = gate.admit(address(from))?;
    let place = admitted.place();
    let task = tokio::spawn(async move {
        let _admitted = admitted;
        std::future::pending().await
    });
    gate.may_end(place, task.abort_handle());
    Ok(task)
}

/// Whether the connection was ended to make room for another.
async fn is_ended(task: tokio::task::JoinHandle<()>) -> bool {
    let ended = tokio::time::timeout(Duration::from_secs(5), task).await;
    ended.is_ok_and(|ended| ended.is_err_and(|error| error.is_cancelled()))
}

#[tokio::test]
async fn the_crowd_makes_room_for_one_who_is_alone() {
    let gate = gate();
    let oldest = settle(&gate, "192.0.2.1").unwrap();
    let second = settle(&gate, "192.0.2.1").unwrap();
    let other = settle(&gate, "192.0.2.2").unwrap();
    let alone = settle(&gate, "192.0.2.3").unwrap();
    assert!(is_ended(oldest).await);
    assert_eq!(gate.lock().strangers, 3);
    // Everybody has one now: nobody has to make room for an equal, but for somebody new.
    assert_eq!(settle(&gate, "192.0.2.1").unwrap_err(), Full::Strangers);
    let newcomer = settle(&gate, "192.0.2.4").unwrap();
    tokio::task::yield_now().await;
    let ended = [&second, &other, &alone].map(|task| task.is_finished());
    // The one that came first of all.
    assert_eq!(ended, [true, false, false]);
    for task in [second, other, alone, newcomer] {
        task.abort();
        let _ = task.await;
    }
    let counts = gate.lock();
    assert_eq!(counts.strangers, 0);
    assert!(counts.by_network.is_empty());
}

/// Lets a connection in that has proven that it holds a grant.
fn log_in(gate: &Arc<Gate>, from: &str) -> Result<Admitted, Full> {
    let mut admitted = gate.admit(address(from)).unwrap();
    admitted.initiator().map(|()| admitted)
}

#[test]
fn a_login_frees_the_strangers_place() {
    let gate = gate();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(log_in(&gate, "2001:db8::1").unwrap());
    }
    assert_eq!(log_in(&gate, "2001:db8::2").unwrap_err(), Full::Address);
    held.push(log_in(&gate, "2001:db8:0:1::2").unwrap());
    assert_eq!(log_in(&gate, "192.0.2.3").unwrap_err(), Full::Connections);
    assert_eq!(gate.lock().initiators, 5);
    held.clear();
    let counts = gate.lock();
    assert_eq!((counts.initiators, counts.strangers), (0, 0));
    assert!(counts.by_network.is_empty());
}

/// Not by strangers, and not by those who hold a grant.
#[tokio::test]
async fn an_operator_finds_a_place_in_a_house_that_is_full() {
    let gate = gate();
    let mut held = Vec::new();
    for from in [
        "192.0.2.1",
        "192.0.2.1",
        "192.0.2.1",
        "192.0.2.1",
        "192.0.2.2",
    ] {
        held.push(log_in(&gate, from).unwrap());
    }
    for from in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        settle(&gate, from).unwrap();
    }
    let mut operator = gate.admit(address("192.0.2.3")).unwrap();
    assert!(operator.operator());
    assert_eq!(gate.lock().operators, 1);
    drop((held, operator));
    assert_eq!(gate.lock().operators, 0);
}

#[tokio::test]
async fn of_one_address_the_oldest_makes_room_once_it_has_had_its_time() {
    let gate = gate();
    let oldest = settle(&gate, "192.0.2.1").unwrap();
    let second = settle(&gate, "192.0.2.1").unwrap();
    assert_eq!(
        settle(&gate, "192.0.2.1").unwrap_err(),
        Full::AddressStrangers
    );
    std::thread::sleep(Duration::from_millis(500));
    let _newest = settle(&gate, "192.0.2.1").unwrap();
    assert!(is_ended(oldest).await);
    assert!(!second.is_finished());
    assert_eq!(gate.lock().strangers, 2);
}

#[test]
fn operators_beyond_the_limit_are_not_to_stay() {
    let gate = gate();
    let mut here = [(); 3].map(|()| {
        let mut admitted = gate.admit(address("192.0.2.1")).unwrap();
        (admitted.operator(), admitted)
    });
    assert_eq!(
        here.each_ref().map(|(stays, _)| *stays),
        [true, false, false]
    );
    // Asked again, it is no other.
    assert!(here[0].1.operator());
    assert_eq!(gate.lock().operators, 3);
    let mut other = gate.admit(address("192.0.2.2")).unwrap();
    assert!(!other.operator(), "in all");
    drop((here, other));
    let mut again = gate.admit(address("192.0.2.2")).unwrap();
    assert!(again.operator());
    drop(again);
    assert!(gate.lock().by_network.is_empty());
}
