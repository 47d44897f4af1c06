"""libiscsi on the host: another initiator than the kernel's."""

import ctypes
import hashlib

NORMAL_SESSION = 2
GOOD = 0
PIECE = 256 << 10


class Piece(ctypes.Structure):
    """struct scsi_iovec."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class LibIscsi:
    """Logged in to a bundle's LUN 0, with mutual CHAP, as long as the `with` lasts."""

    def __init__(self, bundle, portal):
        self.bundle, self.portal = bundle.json, portal
        self.library = ctypes.CDLL("libiscsi.so.7")
        self.library.iscsi_create_context.restype = ctypes.c_void_p
        self.library.iscsi_get_error.restype = ctypes.c_char_p
        self.library.iscsi_read16_iov_sync.restype = ctypes.POINTER(ctypes.c_int)

    def __enter__(self):
        name = b"iqn.2026-11.example:libiscsi"
        self.context = ctypes.c_void_p(self.library.iscsi_create_context(name))
        self._check("set_targetname", self.bundle["iqn"].encode())
        self._check("set_session_type", NORMAL_SESSION)
        for side in ("initiator", "target"):
            secret = self.bundle[side]
            words = secret["user"].encode(), secret["secret"].encode()
            self._check(f"set_{side}_username_pwd", *words)
        self._check("full_connect_sync", self.portal.encode(), 0)
        return self

    def __exit__(self, *exception):
        self.library.iscsi_logout_sync(self.context)
        self.library.iscsi_destroy_context(self.context)

    def sha256(self):
        """The digest of the whole disk."""
        disk = self.bundle["disks"][0]
        digest = hashlib.sha256()
        for offset in range(0, disk["size"], PIECE):
            length = min(PIECE, disk["size"] - offset)
            digest.update(self._read(offset, length, disk["sector_size"]))
        return digest.hexdigest()

    def _read(self, offset, length, sector):
        data = ctypes.create_string_buffer(length)
        piece = Piece(ctypes.addressof(data), length)
        place = ctypes.c_uint64(offset // sector), ctypes.c_uint32(length), sector
        task = self.library.iscsi_read16_iov_sync(
            self.context, 0, *place, 0, 0, 0, 0, 0, ctypes.byref(piece), 1
        )
        # The task's first field is the SCSI status.
        if not task or task[0] != GOOD:
            raise AssertionError(self._error())
        self.library.scsi_free_scsi_task(task)
        return data.raw

    def _check(self, name, *words):
        if getattr(self.library, f"iscsi_{name}")(self.context, *words):
            raise AssertionError(f"libiscsi: {name}: {self._error()}")

    def _error(self):
        return self.library.iscsi_get_error(self.context).decode(errors="replace")
