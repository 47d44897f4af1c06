"""A revoke ends it within seconds and says why; the script is refused from then on."""

from bed.script import CLOSE_LIMIT_SECONDS, ends_with


def run(case):
    script = case.script([("whole", "raw")])
    running, report = script.stay()
    assert report.volume("WHOLE-EXT4")["mounted"]
    case.servers[0].revoke(script.grant)
    done = running.end(CLOSE_LIMIT_SECONDS)
    ends_with(done, 2, "revoked")
    ends_with(script.run("--password-stdin", "--detach"), 2, "revoked")
