"""Where a run begins."""

import os
import signal
import sys

from closing import CLOSE_LIMIT
from flags import parse_flags
from host import Host
from layout import base_folder
from leftovers import clean, clean_leftovers, dead_runs
from outcome import DONE, HOST_LACKS, REFUSED, STOP_WORDS, USAGE, Stop
from preflight import prepare, report_checks, require_root
from report import print_report
from run import Run, say_closed, show
from selfcheck import check_self
from server import ask_grant, tls_context
from state import load_state
from table import duration
from talk import Talk, ask_secrets, read_line
from waiting import full_sentence

SCRIPT_MAX_BYTES = 1 << 20


def main(plan, sealed, signature, script, arguments):
    """Returns the exit status; says what ended the run in one sentence."""
    flags = parse_flags(arguments)
    talk = Talk(as_json=flags.format == "json", yes=flags.yes, keys_from_stdin=flags.password_stdin)
    try:
        check_self(read_script(script), signature)
        return act(Host(), talk, plan, sealed, flags)
    except Stop as stop:
        status, sentence = stop.status, stop.sentence
    except KeyboardInterrupt:
        status, sentence = USAGE, "Interrupted. Nothing was mounted."
    talk.fail(sentence)
    if talk.as_json:
        print_report(STOP_WORDS.get(status, "closed"), plan, plan["expires_at"], [])
    return status


def read_script(path):
    try:
        with open(path, "rb") as file:
            return file.read(SCRIPT_MAX_BYTES)
    except OSError as error:
        raise Stop(REFUSED, "The script cannot read itself to check its signature ({}).".format(error.strerror))


def act(host, talk, plan, sealed, flags):
    """Does what the flags ask for."""
    folder = base_folder(flags.into)
    if flags.check:
        password = read_line(0) if flags.password_stdin else None
        status, found = report_checks(host, talk, plan, folder, flags.overlay_size << 20, sealed, password)
        if talk.as_json:
            word = "checked" if status == DONE else STOP_WORDS[status]
            print_report(word, plan, plan["expires_at"], [], found)
        return status
    require_root()
    state = load_state(host, plan["grant"])
    if flags.unmount:
        return end_run(host, talk, plan, state)
    if state.is_running():
        status = already(host, talk, plan, load_state(host, plan["grant"]))
        return DONE if flags.status else status
    if flags.status:
        return nothing_mounted(talk, plan, "none")
    clean_leftovers(host, talk, plan, folder)
    prepare(host, talk, folder)
    secrets = ask_secrets(talk, sealed, plan, flags.password_stdin)
    contexts = tls_context(plan, "iscsi", secrets), tls_context(plan, "http/1.1", secrets)
    talk.progress("Asking the server about the grant.")
    expires_at, _ = ask_grant(plan, contexts[1])
    run = Run(host, talk, plan, secrets, contexts, folder, flags.overlay_size << 20)
    if flags.detach:
        return in_background(lambda mounted: run.go(expires_at, lambda status: leave_terminal(run, mounted, status)))
    return run.go(expires_at, lambda status: None)


def already(host, talk, plan, state):
    """A run is there: shows it. Returns the status for who wanted another one."""
    talk.say(
        "Already attached, by process {}{}.".format(
            state.get("pid"), ", below " + state["folder"] if state.get("folder") else ""
        )
    )
    volumes = state.get("volumes", [])
    show(talk, plan, volumes, state.get("trees", []))
    for name in state.get("full", []):
        talk.say(full_sentence(state, name))
    expires_at = state.get("expires_at", plan["expires_at"])
    talk.say("{} left. To close: --unmount.".format(duration(expires_at - host.now()).capitalize()))
    if talk.as_json:
        print_report(state.get("state", "attaching"), plan, expires_at, volumes)
    return REFUSED


def nothing_mounted(talk, plan, word):
    """Says so, with `word` as the report's state."""
    talk.say("Nothing of this grant is mounted on this machine.")
    if talk.as_json:
        print_report(word, plan, plan["expires_at"], [])
    return DONE


def end_run(host, talk, plan, state):
    """Asks the run that is there to close, or closes for one that died."""
    if state.is_running():
        host.signal(state["pid"], signal.SIGTERM)
        # The run itself keeps within CLOSE_LIMIT; a few seconds more for its last words.
        if not host.wait_for(lambda: not state.is_running(), CLOSE_LIMIT + 10):
            raise Stop(
                HOST_LACKS,
                "Process {} does not close. End it with kill -9 and run --unmount again.".format(state["pid"]),
            )
        left = load_state(host, plan["grant"]).get("left", [])
        say_closed(talk, left)
        clean_now = not left
    else:
        dead = next((dead for dead in dead_runs(host) if dead.grant == plan["grant"]), None)
        if dead is None:
            return nothing_mounted(talk, plan, "closed")
        clean_now = clean(host, talk, dead)
    if talk.as_json:
        print_report("closed" if clean_now else "left", plan, plan["expires_at"], [])
    return DONE if clean_now else HOST_LACKS


def in_background(work):
    """Runs `work` in a process of its own; returns its status as soon as it has mounted, or when it ends before."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        # The work closes what it has begun; this process only waits for it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        os.close(writing)
        told = os.read(reading, 1)
        return told[0] if told else exit_status(os.waitpid(pid, 0)[1])
    os.close(reading)

    def mounted(status):
        sys.stdout.flush()
        sys.stderr.flush()
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)
        os.write(writing, bytes([status]))
        os.close(writing)

    return work(mounted)


def leave_terminal(run, mounted, status):
    """The last words to who started it, before the run goes on in the background."""
    left = duration(run.state["expires_at"] - run.host.now()).capitalize()
    run.talk.say("It stays mounted in the background. {} left. To close: --unmount.".format(left))
    mounted(status)


def exit_status(waited):
    """The status of a process that ended before it had mounted; killed, it has neither mounted nor closed."""
    if os.WIFEXITED(waited):
        return os.WEXITSTATUS(waited)
    raise Stop(
        HOST_LACKS,
        "The process in the background was killed by signal {} before anything was mounted. "
        "Run the script with --unmount to clean up after it.".format(os.WTERMSIG(waited)),
    )
