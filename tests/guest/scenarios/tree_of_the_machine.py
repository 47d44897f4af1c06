"""The lost machine's own tree below VM-POINT/root: a path from there is found where it was."""

PLACES = ("", "/boot", "/boot/efi", "/var/log", "/home")


def run(case):
    shell = case.shell
    script = case.script([("machine", "raw")])
    report = script.attach()
    top = report.volume("ROOT")["path"].rpartition("/")[0]
    for place in PLACES:
        found = shell.read(f"{top}/root{place}/where").decode().strip()
        assert found == (place.strip("/") or "."), f"{place} holds {found}"
    assert shell.read(f"{top}/root/home/user/letter.txt") == b"one file back\n"
    assert shell.read("/etc/hosts").startswith(b"127.0.0.1"), "something lies on /etc/hosts"
    assert not shell.must("ls", f"{top}/root/srv"), "something lies on /srv"
    for line in shell.sh(f"findmnt -R -n -l -o TARGET,OPTIONS {top}/root").splitlines():
        place, options = line.rsplit(" ", 1)
        missing = {"ro", "nosuid", "nodev", "noexec"} - set(options.split(","))
        assert not missing, f"{place} is mounted without {missing}"
    # Mounts are shared here, as systemd has it: nothing of the tree is seen elsewhere.
    places = shell.sh(f"findmnt -n -l -o TARGET | grep ^{top}/Volume").split()
    assert sorted(places) == sorted(volume["path"] for volume in report.volumes), places
    status = script.run("--status").text
    assert f"{top}/root" in status, status
    script.close()
