"""A VM called like a piece of shell, with a newline: nothing of it runs, its folder is tame."""

VM = "w`touch pwned1`$(touch pwned2)'; touch pwned3 #\"\nimport os; os.mknod('pwned4')\n%s {0} \\"
UNTAMED = set("`$'\"\\;\n#%{}/ ")


def run(case):
    script = case.script([("whole", "raw")], vm=VM)
    name = script.grant.file.name
    assert name.isascii() and not set(name) & UNTAMED, f"the script is called {name!r}"
    report = script.attach()
    report.holds(case.manifests("whole"))
    folder = report.volume("WHOLE-EXT4")["path"].removeprefix(script.folder + "/").split("/")[0]
    assert folder.isascii() and not set(folder) & UNTAMED, f"mounted in {folder!r}"
    assert report.json["vm"] == VM, report.json
    script.close()
    ran = case.shell.sh("find / -xdev -name 'pwned*'")
    assert not ran, f"the VM's name was run: {ran}"
