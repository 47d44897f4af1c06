"""The environment names an HTTPS proxy: all goes through it by CONNECT, also with a login."""

from contextlib import closing

from bed.proxy import Proxy
from bed.script import ends_with
from bed.server import HOST_SEEN_FROM_GUEST

# What a URL cannot hold as it is.
LOGIN = "back@up:p:ss %word"
IN_A_URL = "back%40up:p%3Ass%20%25word"


def run(case):
    script = case.script([("whole", "raw")])
    with closing(Proxy()) as proxy:
        ends_with(script.run("--check", env=named(proxy)), 0, "certificate as pinned")
        only_through(proxy, case)
    with closing(Proxy(LOGIN)) as proxy:
        ends_with(script.run("--check", env=named(proxy)), 3, "wants a login", "USER:PASSWORD")
        report = script.attach(env=named(proxy, IN_A_URL + "@"))
        report.holds(case.manifests("whole"))
        only_through(proxy, case)
        assert len(proxy.targets) >= 2, proxy.targets
        script.close()


def named(proxy, login=""):
    return {"https_proxy": f"http://{login}{HOST_SEEN_FROM_GUEST}:{proxy.port}"}


def only_through(proxy, case):
    assert set(proxy.targets) == {f"{HOST_SEEN_FROM_GUEST}:{case.servers[0].port}"}, proxy.targets
