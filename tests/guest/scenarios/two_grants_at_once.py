"""Two grants of one point on one machine: every id exists twice, and neither disturbs the other."""

# The kernel mounts no second btrfs of the same id.
ONLY_ONCE = "GPT-BTRFS"


def run(case):
    server = case.serve({"web01": [("gpt", "raw")]})
    first = case.deliver(server.grant("web01"))
    second = case.deliver(server.grant("web01"))
    manifests = case.manifests("gpt")
    one = first.attach()
    two = second.attach(expected=5)
    assert folder(one) != folder(two), two.json
    once = two.volume(ONLY_ONCE)
    assert not once["mounted"], once
    assert "btrfs" in once["reason"], once
    second_time = {label: files for label, files in manifests.items() if label != ONLY_ONCE}
    two.holds(second_time)
    first.close()
    two.holds(second_time)
    assert first.status().json["state"] == "none"
    second.close()


def folder(report):
    return report.volume("GPT-EXT4")["path"].rsplit("/", 1)[0]
