"""The server restarts under a mounted volume: what is read meanwhile waits, and is right."""

import time

from bed.compare import differences

LONG = True


def run(case):
    script = case.script([("gpt", "raw")])
    report = script.attach()
    volume = report.volume("GPT-EXT4")
    case.shell.sh("echo 3 >/proc/sys/vm/drop_caches")
    case.servers[0].kill()
    reader = case.shell.spawn("sha256sum", f"{volume['path']}/random 3 MiB.bin")
    time.sleep(3)
    assert reader.running(), f"the read did not wait: {reader.text()}"
    case.servers[0].start()
    done = reader.end(90)
    expected = case.manifests("gpt")["GPT-EXT4"]
    assert done.status == 0, done.text
    assert done.stdout.split()[0] == expected["random 3 MiB.bin"]["sha256"], done.text
    wrong = differences(case.shell, volume["path"], volume["fs"], expected)
    assert not wrong, wrong
    script.close()
