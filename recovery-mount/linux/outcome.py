"""How a run can end: exit status, word for the report, sentence for the user."""

DONE = 0
USAGE = 1
REFUSED = 2
UNREACHABLE = 3
HOST_LACKS = 4
IN_PART = 5

# The word that stands as "state" in the report when a run stops early.
STOP_WORDS = {
    USAGE: "usage",
    REFUSED: "refused",
    UNREACHABLE: "unreachable",
    HOST_LACKS: "unable",
    IN_PART: "in-part",
}


class Stop(Exception):
    """Ends the run with this status; the sentence says what failed, why, and what to do."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Refused(Stop):
    """The server refuses this grant: `why` is "revoked", "expired" or "unknown"."""

    SENTENCES = {
        "revoked": "The grant was revoked: this script is no longer valid. Create a new grant and use its script.",
        "expired": "The grant has expired: this script is no longer valid. Create a new grant and use its script.",
        "unknown": "The server does not know this grant. Check that the script is for this server; create a new grant.",
    }

    def __init__(self, why):
        super().__init__(REFUSED, self.SENTENCES[why])
        self.why = why


class Unreachable(Stop):
    """The server cannot be reached, or what answers is not the server."""

    def __init__(self, sentence):
        super().__init__(UNREACHABLE, sentence)
