"""Sends a SCSI command with data to a disk that is read-only, as the kernel by itself would not.

`scsi_write.py DEVICE CDB LENGTH`: the CDB in hexadecimal digits. Prints the sense data, each byte
as two hexadecimal digits; ends with 1 when the command went well.
"""

import ctypes
import fcntl
import sys

SG_IO = 0x2285
TO_DEVICE = -2
TIMEOUT_MS = 60000
SENSE_BYTES = 64


class Header(ctypes.Structure):
    """struct sg_io_hdr of scsi/sg.h."""

    _fields_ = [
        ("interface", ctypes.c_int),
        ("direction", ctypes.c_int),
        ("cdb_length", ctypes.c_ubyte),
        ("sense_room", ctypes.c_ubyte),
        ("pieces", ctypes.c_ushort),
        ("data_length", ctypes.c_uint),
        ("data", ctypes.c_void_p),
        ("cdb", ctypes.c_void_p),
        ("sense", ctypes.c_void_p),
        ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("message_status", ctypes.c_ubyte),
        ("sense_written", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("residual", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    ]


def main():
    path, digits, length = sys.argv[1:]
    command = bytes.fromhex(digits)
    cdb = ctypes.create_string_buffer(command, len(command))
    data = ctypes.create_string_buffer(b"\xa5" * int(length), int(length))
    sense = ctypes.create_string_buffer(SENSE_BYTES)
    header = Header(
        interface=ord("S"),
        direction=TO_DEVICE,
        cdb_length=len(command),
        sense_room=SENSE_BYTES,
        data_length=int(length),
        data=ctypes.addressof(data),
        cdb=ctypes.addressof(cdb),
        sense=ctypes.addressof(sense),
        timeout=TIMEOUT_MS,
    )
    with open(path, "rb") as device:
        fcntl.ioctl(device, SG_IO, header)
    print(sense.raw[: header.sense_written].hex(" "))
    return 0 if header.sense_written else 1


if __name__ == "__main__":
    sys.exit(main())
