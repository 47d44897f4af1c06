"""The guest test bed: a Debian machine under QEMU on which the mount script does its work."""
