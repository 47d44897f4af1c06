"""Installing what is missing, by the distribution's own means and only after a yes."""

from outcome import HOST_LACKS, Stop

INSTALL_TIMEOUT = 600

# Package managers by the program that shows they are there: (install, refresh the lists first if that failed).
MANAGERS = (
    ("apt-get", ["apt-get", "install", "-y", "-q", "--no-install-recommends"], ["apt-get", "update", "-q"]),
    ("dnf", ["dnf", "install", "-y", "-q"], None),
    ("yum", ["yum", "install", "-y", "-q"], None),
    ("zypper", ["zypper", "--non-interactive", "install"], ["zypper", "--non-interactive", "refresh"]),
)

# The package that brings a program; a distribution that calls it otherwise stands first.
PACKAGES = {
    "iscsiadm": {"dnf": "iscsi-initiator-utils", "yum": "iscsi-initiator-utils", None: "open-iscsi"},
    "ntfs-3g": {None: "ntfs-3g"},
    "modprobe": {None: "kmod"},
    "dmsetup": {"apt-get": "dmsetup", None: "device-mapper"},
    "lvm": {None: "lvm2"},
    "mdadm": {None: "mdadm"},
    "cryptsetup": {"apt-get": "cryptsetup-bin", None: "cryptsetup"},
    "udevadm": {"apt-get": "udev", None: "systemd-udev"},
    "blkid": {None: "util-linux"},
    "partx": {None: "util-linux"},
    "blockdev": {None: "util-linux"},
    "mount": {"apt-get": "mount", None: "util-linux"},
    "umount": {"apt-get": "mount", None: "util-linux"},
}


def offer(host, talk, programs, why):
    """Offers to install the packages of these programs; tells whether all of them are there now."""
    manager = manager_of(host)
    if manager is None:
        talk.say(
            "Missing for {}: {}. This machine has no apt, dnf, yum or zypper to install it with.".format(
                why, ", ".join(packages_for(host, programs))
            )
        )
        return False
    tool, install, refresh = manager
    packages = packages_for(host, programs)
    if not talk.agrees("Install {} with {} ({})?".format(" ".join(packages), tool, why)):
        return False
    if host.run_visibly(install + packages, INSTALL_TIMEOUT) != 0 and refresh is not None:
        host.run_visibly(refresh, INSTALL_TIMEOUT)
        host.run_visibly(install + packages, INSTALL_TIMEOUT)
    return all(host.which(program) for program in programs)


def manager_of(host):
    return next((manager for manager in MANAGERS if host.which(manager[0])), None)


def install_command(host, programs):
    """What would install these programs, as words; None without a package manager."""
    manager = manager_of(host)
    return manager[1] + packages_for(host, programs) if manager else None


def packages_for(host, programs):
    """What brings these programs, by the names of this machine's distribution."""
    tool = (manager_of(host) or (None,))[0]
    return sorted({PACKAGES[program].get(tool, PACKAGES[program][None]) for program in programs})


def lacking(host, programs):
    """These programs by name, and of which there is only a stand-in."""
    return ", ".join(
        program + (" (BusyBox's own does not do)" if host.has_stand_in(program) else "") for program in programs
    )


def require(host, talk, programs):
    """Raises Stop unless these programs are there or can be installed."""
    missing = [program for program in programs if host.which(program) is None]
    if missing and not offer(host, talk, missing, "needed to attach the disks"):
        raise Stop(
            HOST_LACKS,
            "This machine lacks {}. Install what brings it, then run the script again.".format(lacking(host, missing)),
        )
