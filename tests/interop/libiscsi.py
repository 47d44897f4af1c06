"""Reads a block through libiscsi, the library itself: its programs print no data."""

import ctypes

NORMAL_SESSION = 2
GOOD = 0


def read_first_block(portal, lun, bundle):
    """Logs in to the bundle's target with mutual CHAP and reads block 0 of a LUN."""
    library = ctypes.CDLL("libiscsi.so.7")
    library.iscsi_create_context.restype = ctypes.c_void_p
    library.iscsi_get_error.restype = ctypes.c_char_p
    library.iscsi_read16_sync.restype = ctypes.POINTER(ctypes.c_int)
    context = ctypes.c_void_p(library.iscsi_create_context(b"iqn.2026-11.example:reader"))

    def check(outcome):
        if outcome:
            raise RuntimeError(library.iscsi_get_error(context).decode(errors="replace"))

    try:
        check(library.iscsi_set_targetname(context, bundle["iqn"].encode()))
        check(library.iscsi_set_session_type(context, NORMAL_SESSION))
        for side in ("initiator", "target"):
            set_credentials = getattr(library, f"iscsi_set_{side}_username_pwd")
            user, secret = bundle[side]["user"], bundle[side]["secret"]
            check(set_credentials(context, user.encode(), secret.encode()))
        check(library.iscsi_full_connect_sync(context, portal.encode(), lun))
        size = bundle["disks"][lun]["sector_size"]
        task = library.iscsi_read16_sync(
            context, lun, ctypes.c_uint64(0), size, size, 0, 0, 0, 0, 0
        )
        # The task's first field is the SCSI status.
        check(not task or task[0] != GOOD)
        library.scsi_free_scsi_task(task)
        check(library.iscsi_logout_sync(context))
    finally:
        library.iscsi_destroy_context(context)
