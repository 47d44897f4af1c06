"""What a run would do on this machine, step by step, told before it does any of it."""

from iscsid import iscsid_pids
from isolation import RULES_FOLDER
from layout import free_name
from outcome import Stop
from packages import install_command
from proxy import proxy_for
from table import size


def steps(host, plan, folder, missing):
    """Sentences in the order of the deeds; `missing` are the programs that a run needs and that are not there."""
    found = []
    if missing:
        command = install_command(host, missing)
        found.append(
            "Ask, and after a yes run: {}".format(" ".join(command))
            if command
            else "End at once, for it lacks {}, and there is no apt, dnf, yum or zypper.".format(", ".join(missing))
        )
    found.append("Write udev rules below {} that keep this machine's own hands off the disks.".format(RULES_FOLDER))
    found.append(way_to_the_server(plan))
    found.append(
        "{}ake a node record for {} and log in; iscsid.conf stays as it is.".format(
            "M" if iscsid_pids(host) else "Start iscsid, m", plan["iqn"]
        )
    )
    found.append("Attach {}.".format(", ".join(disk_words(disk) for disk in plan["disks"])))
    found += ["Do without {}, which is damaged: {}".format(disk["name"], disk["reason"]) for disk in plan["not_served"]]
    found.append(
        "Open LVM, RAID, LUKS and BitLocker on throw-away overlays, under names of their own: those that this machine "
        "uses itself do not matter."
    )
    found.append("Mount what holds files read-only below {}.".format(place(host, plan, folder)))
    found.append("Undo all of it when it is closed, and look whether anything is left; packages stay installed.")
    return found


def way_to_the_server(plan):
    try:
        proxy = proxy_for(plan["host"], plan["port"])
    except Stop as stop:
        return "End at once: {}".format(stop.sentence)
    through = " through the HTTPS proxy {}:{}".format(proxy.hostname, proxy.port or 8080) if proxy else ""
    return "Open a TLS tunnel to {} port {}{}.".format(plan["host"], plan["port"], through)


def disk_words(disk):
    return "{} ({})".format(disk["name"], size(disk["size"]))


def place(host, plan, folder):
    try:
        return free_name(host, folder, plan)
    except Stop:
        return folder
