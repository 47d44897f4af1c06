"""An initiator that is not ours: libiscsi itself, because its programs show no sense data."""

import ctypes
import time
from dataclasses import dataclass

NORMAL_SESSION = 2
GOOD, CHECK_CONDITION = 0x00, 0x02
# More than one READ may take here is asked for in several.
MAX_READ_BYTES = 1 << 20


class InitiatorError(Exception):
    """No session, no answer, or one that is not an answer to the command."""


@dataclass(frozen=True)
class Sense:
    """Why a command failed: sense key, code and qualifier, and the LBA if there is one."""

    key: int
    code: int
    qualifier: int
    lba: int | None


# MEDIUM ERROR, UNRECOVERED READ ERROR.
UNREADABLE = (0x3, 0x11, 0x00)


@dataclass(frozen=True)
class Answer:
    data: bytes | None
    sense: Sense | None
    seconds: float


class _SenseFields(ctypes.Structure):
    _fields_ = [
        ("error_type", ctypes.c_ubyte),
        ("key", ctypes.c_int),
        ("ascq", ctypes.c_int),
        ("bits", ctypes.c_ubyte),
        ("bit_pointer", ctypes.c_ubyte),
        ("field_pointer", ctypes.c_uint16),
    ]


class _Task(ctypes.Structure):
    """The beginning of `struct scsi_task` of libiscsi 1.15 and later."""

    _fields_ = [
        ("status", ctypes.c_int),
        ("cdb_size", ctypes.c_int),
        ("direction", ctypes.c_int),
        ("expected", ctypes.c_int),
        ("cdb", ctypes.c_ubyte * 16),
        ("residual_status", ctypes.c_int),
        ("residual", ctypes.c_size_t),
        ("sense", _SenseFields),
        ("size", ctypes.c_int),
        ("data", ctypes.POINTER(ctypes.c_ubyte)),
    ]


class Session:
    """`with Session(portal, bundle) as session:` is logged in to one LUN with mutual CHAP."""

    def __init__(self, portal, bundle, lun=0, seconds=90):
        self.portal, self.bundle, self.lun, self.seconds = portal, bundle, lun, seconds
        disk = next(disk for disk in bundle["disks"] if disk["lun"] == lun)
        self.block, self.size = disk["sector_size"], disk["size"]

    def __enter__(self):
        library = self.library = ctypes.CDLL("libiscsi.so.7")
        library.iscsi_create_context.restype = ctypes.c_void_p
        library.iscsi_get_error.restype = ctypes.c_char_p
        library.iscsi_read16_sync.restype = ctypes.POINTER(_Task)
        self.context = ctypes.c_void_p(
            library.iscsi_create_context(b"iqn.2026-11.example:repositories")
        )
        try:
            self._log_in()
        except InitiatorError:
            library.iscsi_destroy_context(self.context)
            raise
        return self

    def __exit__(self, *exception):
        self.library.iscsi_destroy_context(self.context)

    def _log_in(self):
        library, bundle = self.library, self.bundle
        library.iscsi_set_noautoreconnect(self.context, 1)
        self._check(library.iscsi_set_targetname(self.context, bundle["iqn"].encode()))
        self._check(library.iscsi_set_session_type(self.context, NORMAL_SESSION))
        for side in ("initiator", "target"):
            set_credentials = getattr(library, f"iscsi_set_{side}_username_pwd")
            user, secret = bundle[side]["user"], bundle[side]["secret"]
            self._check(set_credentials(self.context, user.encode(), secret.encode()))
        # Without a limit, a target that never answers would keep this thread for ever.
        library.iscsi_set_timeout(self.context, self.seconds)
        self._check(library.iscsi_full_connect_sync(self.context, self.portal.encode(), self.lun))

    def _check(self, outcome):
        if outcome:
            error = self.library.iscsi_get_error(self.context)
            raise InitiatorError(error.decode(errors="replace"))

    def read(self, offset, length):
        """One READ(16) of whole blocks; data, or the sense that came in its place."""
        started = time.monotonic()
        task = self.library.iscsi_read16_sync(
            *(self.context, self.lun, ctypes.c_uint64(offset // self.block), length),
            *(self.block, 0, 0, 0, 0, 0),
        )
        seconds = time.monotonic() - started
        if not task:
            self._check(True)
        try:
            found = task[0]
            payload = ctypes.string_at(found.data, found.size) if found.data else b""
            if found.status == GOOD and len(payload) == length:
                return Answer(payload, None, seconds)
            if found.status == CHECK_CONDITION:
                # The sense data stand behind their length.
                return Answer(None, parse_sense(payload[2:]), seconds)
            raise InitiatorError(
                f"READ of {length} bytes at {offset}: status {found.status:#x}, "
                f"{len(payload)} bytes after {seconds:.1f} s"
            )
        finally:
            self.library.scsi_free_scsi_task(task)

    def read_all(self, offset, length):
        """Data of a range that must be readable, however long."""
        parts = []
        while length:
            answer = self.read(offset, min(length, MAX_READ_BYTES))
            if answer.sense:
                raise InitiatorError(f"READ at {offset}: {answer.sense}")
            parts.append(answer.data)
            offset, length = offset + len(answer.data), length - len(answer.data)
        return b"".join(parts)


def parse_sense(data):
    """SPC: fixed format has response code 70h, descriptor format 72h."""
    if len(data) >= 18 and data[0] & 0x7F == 0x70:
        lba = int.from_bytes(data[3:7]) if data[0] & 0x80 else None
        return Sense(data[2] & 0x0F, data[12], data[13], lba)
    if len(data) >= 8 and data[0] & 0x7F == 0x72:
        return Sense(data[1] & 0x0F, data[2], data[3], information(data[8:]))
    raise InitiatorError(f"no sense data: {data.hex()}")


def information(descriptors):
    """The information descriptor's LBA."""
    while len(descriptors) >= 2:
        kind, length = descriptors[0], descriptors[1]
        if kind == 0x00 and length == 0x0A and descriptors[2] & 0x80:
            return int.from_bytes(descriptors[4:12])
        descriptors = descriptors[2 + length :]
    return None
