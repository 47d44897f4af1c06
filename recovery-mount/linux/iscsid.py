"""The initiator's daemon: is it there, start it, stop it if we started it."""

import signal

from outcome import HOST_LACKS, Stop

START_TIMEOUT = 20
INITIATOR_NAME = "/etc/iscsi/initiatorname.iscsi"
SYSTEMD = "/run/systemd/system"
SERVICE = "iscsid.service"


def ensure_iscsid(host, state):
    """Starts iscsid if it does not run, and notes that we did."""
    if iscsid_pids(host):
        return
    state.note(iscsid_started=True)
    if host.exists(SYSTEMD):
        host.run(["systemctl", "start", SERVICE], START_TIMEOUT)
    if not host.wait_for(lambda: iscsid_pids(host), 1):
        result = host.run(["iscsid"], START_TIMEOUT)
        if not host.wait_for(lambda: iscsid_pids(host), 5):
            raise Stop(
                HOST_LACKS,
                "iscsid does not start ({}). Start it by hand, then run this script again.".format(
                    result.err or "no reason given"
                ),
            )


def check_initiator_name(host):
    """iscsid cannot log in without a name; distributions make it at installation or at its first start."""
    text = host.read(INITIATOR_NAME) or ""
    if not any(line.startswith("InitiatorName=") for line in text.splitlines()):
        raise Stop(
            HOST_LACKS,
            '{} holds no InitiatorName. Write one: echo "InitiatorName=$(iscsi-iname)" > {}'.format(
                INITIATOR_NAME, INITIATOR_NAME
            ),
        )


def stop_iscsid(host, state):
    """Stops iscsid if we started it and nobody else uses it."""
    if not state.get("iscsid_started") or host.names("/sys/class/iscsi_session"):
        return
    if host.exists(SYSTEMD):
        host.run(["systemctl", "stop", SERVICE], START_TIMEOUT)
    pids = iscsid_pids(host)
    for pid in pids:
        host.signal(pid, signal.SIGTERM)
    if pids:
        host.wait_for(lambda: not iscsid_pids(host), 5)


def iscsid_pids(host):
    return [
        int(name)
        for name in host.names("/proc")
        if name.isdigit() and host.read("/proc/{}/comm".format(name)) == "iscsid"
    ]
