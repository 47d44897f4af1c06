"""The environment names an HTTPS proxy: everything goes through it, by CONNECT."""

from bed.proxy import Proxy
from bed.server import HOST_SEEN_FROM_GUEST


def run(case):
    script = case.script([("whole", "raw")])
    proxy = Proxy()
    try:
        address = f"http://{HOST_SEEN_FROM_GUEST}:{proxy.port}"
        report = script.attach(env={"https_proxy": address})
        report.holds(case.manifests("whole"))
        assert len(proxy.targets) >= 2, proxy.targets
        assert set(proxy.targets) == {f"{HOST_SEEN_FROM_GUEST}:{case.servers[0].port}"}
        script.close()
    finally:
        proxy.close()
