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

#[tokio::test]
async fn the_crowd_makes_room_for_one_who_is_alone() {
    let gate = gate();
    let oldest = settle(&gate, "192.0.2.1").unwrap();
    let second = settle(&gate, "192.0.2.1").unwrap();
    let other = settle(&gate, "192.0.2.2").unwrap();
    let alone = settle(&gate, "192.0.2.3").unwrap();
    assert!(oldest.await.unwrap_err().is_cancelled());
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
    assert_eq!((counts.connections, counts.strangers), (0, 0));
    assert!(counts.by_network.is_empty());
}

#[test]
fn a_login_frees_the_strangers_place_but_not_the_connections() {
    let gate = gate();
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut admitted = gate.admit(address("2001:db8::1")).unwrap();
        admitted.logged_in();
        held.push(admitted);
    }
    assert_eq!(
        gate.admit(address("2001:db8::2")).unwrap_err(),
        Full::Address
    );
    let _fifth = gate.admit(address("2001:db8:0:1::2")).unwrap();
    assert_eq!(
        gate.admit(address("192.0.2.3")).unwrap_err(),
        Full::Connections
    );
    held.clear();
    assert_eq!(gate.lock().by_network.len(), 1);
}

#[test]
fn the_control_plane_has_limits_of_its_own() {
    let gate = gate();
    let mut first = gate.admit(address("192.0.2.1")).unwrap();
    let mut second = gate.admit(address("192.0.2.1")).unwrap();
    first.control().unwrap();
    assert_eq!(second.control(), Err(Full::AddressControl));
    let mut other = gate.admit(address("192.0.2.2")).unwrap();
    other.control().unwrap();
    drop(first);
    assert_eq!(second.control(), Ok(()));
    let mut third = gate.admit(address("192.0.2.3")).unwrap();
    assert_eq!(third.control(), Err(Full::Control));
    drop((second, other, third));
    let counts = gate.lock();
    let all = (counts.connections, counts.strangers, counts.control);
    assert_eq!(all, (0, 0, 0));
    assert!(counts.by_network.is_empty());
}
