"""Where volumes appear: VM-POINT/Volume1, Volume2, ... below the folder that the script is run in."""

import os

from outcome import HOST_LACKS, USAGE, Stop

PIECE_LENGTH = 64
# Users of this machine are not those of the backup, whatever numbers they share; FAT and NTFS know no users at all.
TOP_MODE = 0o700
NAME_TRIES = 1000


def base_folder(into):
    """The folder to work in, absolute; it need not exist yet."""
    try:
        return os.path.abspath(into) if into is not None else os.getcwd()
    except OSError:
        raise Stop(USAGE, "The current folder is gone. Change to another one, or name one with --into.")


def check_base(host, folder):
    """Raises Stop unless mount points can be made below the folder; changes nothing."""
    place = folder if host.exists(folder) else os.path.dirname(folder)
    if not os.path.isdir(host.at(place)):
        raise Stop(USAGE, "There is no folder {}. Make it, or name another with --into.".format(place))
    writable = os.access(host.at(place), os.W_OK) and not os.statvfs(host.at(place)).f_flag & os.ST_RDONLY
    if not writable:
        raise Stop(
            HOST_LACKS,
            "The folder {} cannot be written to. Change to another one, or name one with --into.".format(place),
        )


def base_name(plan):
    """How the point's folder is called where nothing else is."""
    return "{}-{}".format(safe(plan["vm"]), safe(plan["point"]))


def free_name(host, folder, plan):
    """The first name for the point's folder that nothing has yet."""
    name = base_name(plan)
    for number in range(1, NAME_TRIES):
        path = os.path.join(folder, name if number == 1 else "{}-{}".format(name, number))
        if not host.exists(path):
            return path
    raise Stop(HOST_LACKS, "There are too many folders {} in {}. Remove some.".format(name, folder))


def make_layout(host, state, folder, plan, volumes):
    """Makes the folders, each noted before, and gives the mountable volumes their names and paths.

    None of them may be there before: in a folder that others can write to, it could be their link to somewhere else.
    """
    mountable = [volume for volume in volumes if volume.is_mountable()]
    top = free_name(host, folder, plan)
    for number, volume in enumerate(mountable, 1):
        volume.name = "Volume{}".format(number)
        volume.path = os.path.join(top, volume.name)
    wanted = ([] if host.exists(folder) else [folder]) + [top] + [volume.path for volume in mountable]
    state.note(folder=top, folders=wanted)
    try:
        for made, path in enumerate(wanted):
            if not host.make_folder(path, TOP_MODE if path == top else 0o755):
                state.note(folder=None, folders=wanted[:made])
                raise Stop(HOST_LACKS, "Somebody else has just made {}. Run the script in another folder.".format(path))
    except OSError as error:
        raise Stop(HOST_LACKS, "Cannot make the folder {}: {}.".format(path, error.strerror))


def safe(text):
    """A piece of a file name: letters, digits, '.', '_' and '-'; anything else becomes one '-'."""
    piece = ""
    for character in text:
        if character.isalnum() and ord(character) < 128 or character in "._-":
            piece += character
        elif not piece.endswith("-"):
            piece += "-"
    return piece.strip("-.")[:PIECE_LENGTH] or "unnamed"
