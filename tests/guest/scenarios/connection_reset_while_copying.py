"""The tunnel's connection is reset in the middle of a copy: the copy goes on, every byte right."""

from bed.copying import Copying
from bed.network import reset

LONG = True


def run(case):
    copying = Copying(case)
    copying.goes_on(reset(copying.server.port))
    copying.close()
