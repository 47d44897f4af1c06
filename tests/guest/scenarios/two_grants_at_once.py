"""Two grants of one point on one machine: every id exists twice, and neither disturbs the other."""

LONG = True


def run(case):
    server = case.serve({"web01": [("gpt", "raw")]})
    first = case.deliver(server.grant("web01"))
    second = case.deliver(server.grant("web01"))
    manifests = case.manifests("gpt")
    one = first.attach()
    two = second.attach()
    assert folder(one) != folder(two), two.json
    two.holds(manifests)
    first.close()
    two.holds(manifests)
    assert first.status().json["state"] == "none"
    second.close()


def folder(report):
    return report.volume("GPT-EXT4")["path"].rsplit("/", 1)[0]
