"""A qcow2 whose backing file belongs to the day before: the later state, byte for byte."""

from bed.server import EARLIER_POINT, POINT


def run(case):
    whole = case.disks["whole"]
    server = case.server()
    server.add_point("web01", [("base.qcow2", whole.form("base"))], point=EARLIER_POINT)
    server.add_point("web01", [("disk0.qcow2", case.over_earlier_point(whole))], point=POINT)
    server.init()
    server.start()
    script = case.deliver(server.grant("web01"))
    script.attach().holds(whole.manifests(later=True))
    script.close()
