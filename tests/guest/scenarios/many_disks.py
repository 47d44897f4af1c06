"""Twelve disks, of 512 and 4096 bytes a sector, one of 64 TiB: each where it belongs."""

import subprocess

LONG = True

FILLED = 11
HUGE = "disk11.qcow2"
HUGE_BYTES = 64 << 40


def run(case):
    image = case.disks["whole"].form("raw")
    huge = case.folder / HUGE
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(huge), "64T"], check=True)
    files = [(f"disk{number}.raw", image) for number in range(FILLED)] + [(HUGE, huge)]
    server = case.server()
    server.add_point("web01", files, toml=stated(files))
    server.init()
    server.start()
    script = case.deliver(server.grant("web01"))
    report = script.attach()
    assert [volume["disk"] for volume in report.volumes] == [name for name, _ in files]
    assert all(volume["mounted"] for volume in report.volumes[:FILLED]), report.volumes
    assert report.volumes[FILLED]["size"] == HUGE_BYTES, report.volumes[FILLED]
    expected = case.manifests("whole")["WHOLE-EXT4"]["random 3 MiB.bin"]["sha256"]
    for number, volume in enumerate(report.volumes[:FILLED]):
        device = case.shell.must("findmnt", "-n", "-o", "SOURCE", "--mountpoint", volume["path"])
        size = case.shell.must("blockdev", "--getss", device.strip()).strip()
        assert size == str(sector_size(number)), f"{volume['disk']} has sectors of {size} bytes"
        found = case.shell.must("sha256sum", f"{volume['path']}/random 3 MiB.bin")
        assert found.split()[0] == expected, volume
    script.close()


def sector_size(number):
    return 4096 if number % 2 else 512


def stated(files):
    return "".join(
        f'[[disk]]\nfile = "{name}"\nsector_size = {sector_size(number)}\n'
        for number, (name, _) in enumerate(files)
    )
