"""The network is lost in the middle of a copy and comes back: the copy goes on, and is told of."""

from bed.copying import Copying
from bed.network import dropped, link_down

LONG = True


def run(case):
    copying = Copying(case)
    for trouble in (link_down(), dropped(copying.server.port)):
        copying.goes_on(trouble)
    said = copying.close().text
    for words in ("Cannot reach the server at 10.0.2.2", "Waiting up to 300 s", "is back"):
        assert words in said, f"did not say {words!r}:\n{said}"
