"""One run: attach, mount, show, wait, close. Whatever goes wrong on the way, it closes."""

import os

from attach import connect, make_overlays, mount_volumes
from closing import close_run
from listener import open_listener
from outcome import DONE, HOST_LACKS, IN_PART, Stop
from report import print_report
from state import State
from table import counted, volume_table
from tunnel_process import Tunnel
from waiting import FAREWELLS, Keyboard, Signals, Watch, wait_for_end


class Interrupted(Stop):
    """The user wants out before anything is mounted."""

    def __init__(self):
        super().__init__(DONE, "Interrupted.")


class Run:
    """What one run needs; `contexts` are the TLS contexts of the data plane and the control plane."""

    def __init__(self, host, talk, plan, secrets, contexts, folder, overlay_bytes):
        self.host = host
        self.talk = talk
        self.plan = plan
        self.secrets = secrets
        self.data_context, self.control_context = contexts
        self.folder = folder
        self.overlay_bytes = overlay_bytes
        self.state = State(host, plan["grant"])
        self.tunnel = None
        self.signals = None

    def go(self, expires_at, mounted):
        """Returns the exit status; calls `mounted` with the status so far when the volumes are there."""
        if not self.state.take_lock():
            raise Stop(HOST_LACKS, "Another run of this script has just started on this machine.")
        self.signals = Signals()
        plan = self.plan
        self.state.note(
            state="attaching",
            grant=plan["grant"],
            vm=plan["vm"],
            point=plan["point"],
            iqn=plan["iqn"],
            pid=os.getpid(),
            expires_at=expires_at,
            volumes=[],
        )
        try:
            status = self.attach()
            mounted(status)
            status = self.stay(status)
        except BaseException:
            self.close()
            raise
        left = self.close()
        if self.talk.as_json:
            print_report("left" if left else "closed", plan, self.watched_until, self.closed_volumes())
        return HOST_LACKS if left else status

    def attach(self):
        """Mounts and shows what is there; returns DONE or IN_PART."""
        plan, talk = self.plan, self.talk
        talk.say(
            "Attaching {} of {} ({}) from {} port {}.".format(
                counted(len(plan["disks"]), "disk"), plan["vm"], plan["point"], plan["host"], plan["port"]
            )
        )
        self.tunnel = Tunnel(plan, self.data_context, open_listener(self.host))
        devices = connect(self.host, self.state, plan, self.secrets, self.tunnel, self.checkpoint)
        overlays = make_overlays(self.host, talk, self.state, self.folder, self.overlay_bytes)
        volumes = mount_volumes(self.host, talk, self.state, plan, self.folder, devices, overlays, self.checkpoint)
        reports = [volume.report() for volume in volumes]
        self.state.note(state="mounted", volumes=reports)
        show(talk, plan, reports, self.state["trees"])
        if talk.as_json:
            print_report("mounted", plan, self.state["expires_at"], reports)
        if not any(report["mounted"] for report in reports):
            raise Stop(IN_PART, "Nothing could be mounted: the disks hold no file system that this machine can read.")
        is_all = not plan["not_served"] and all(volume.mounted or not volume.wanted for volume in volumes)
        return DONE if is_all else IN_PART

    def stay(self, status):
        """Waits for the end; returns the exit status."""
        watch = Watch(self.host, self.plan, self.state, self.talk, self.tunnel, self.control_context, self.signals)
        self.talk.progress(watch.time_and_way_out())
        reason_status, farewell = FAREWELLS[wait_for_end(watch, self.signals, Keyboard())]
        self.talk.say(farewell)
        return reason_status or status

    def close(self):
        """Undoes everything and says whether that worked; returns what is left."""
        self.watched_until = self.state["expires_at"]
        self.volumes = self.state["volumes"]
        left = close_run(self.host, self.state, self.talk, self.tunnel)
        say_closed(self.talk, left)
        self.state.release_lock()
        return left

    def closed_volumes(self):
        return [dict(volume, mounted=False, path=None) for volume in self.volumes]

    def checkpoint(self, stage="", count=""):
        """Ends the run here if the user wants out; else says what is done next, if that is a stage of its own."""
        if self.signals.came:
            raise Interrupted()
        if stage:
            self.talk.progress(stage, count)


def show(talk, plan, reports, trees=()):
    """The table, as wide as the terminal, where the volumes are together as on their machine, and what is not there."""
    talk.below("")
    talk.say()
    talk.show(volume_table(reports, talk.width(), talk.shown))
    talk.say()
    mounted = sum(1 for report in reports if report["mounted"])
    talk.say(
        "Mounted, read-only: {}{}.".format(
            counted(mounted, "volume"), ", not {}".format(len(reports) - mounted) if mounted < len(reports) else ""
        )
    )
    for path in trees:
        talk.say("As on the machine itself, each file at its path: " + path)
    for disk in plan["not_served"]:
        talk.say("Damaged, and not here: disk {} (LUN {}): {}".format(disk["name"], disk["lun"], disk["reason"]), "odd")


def say_closed(talk, left):
    talk.below("")
    for sentence in left:
        talk.say("Still there: " + sentence, "bad")
    if left:
        talk.say("Closed, but something is left: run the script with --unmount to try again.", "bad")
    else:
        talk.say("Closed. Nothing is left behind.", "good")
