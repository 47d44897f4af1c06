"""A wrong password: one clear line, three tries on a terminal, one on standard input."""

from bed.script import ends_with

WRONG = "00000-00000-00000-00000"


def run(case):
    script = case.script([("whole", "raw")])
    for password in (WRONG, "", "no password at all"):
        ends_with(script.run("--password-stdin", password=password), 2, "wrong password")
    three_tries(case.shell, script)
    ends_with(script.run(password=script.grant.password), 2, "--password-stdin")


def three_tries(shell, script):
    running = shell.spawn("python3", script.path, cwd=script.folder, terminal=True)
    for left in ("2 tries", "1 try"):
        running.wait_for("assword")
        running.type(WRONG + "\n")
        running.wait_for(left)
    running.type(WRONG + "\n")
    done = running.end()
    ends_with(done, 2)
    assert WRONG not in done.text, "the password was echoed"
