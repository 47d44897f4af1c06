"""Programs that only some volumes need: offered once each, when the first such volume is found."""

from packages import offer


class Tools:
    def __init__(self, host, talk):
        self.host = host
        self.talk = talk
        self.refused = set()

    def have(self, program, why):
        """Whether the program is there, after offering to install it; a no counts for the whole run."""
        if (
            self.host.which(program) is None
            and program not in self.refused
            and not offer(self.host, self.talk, [program], why)
        ):
            self.refused.add(program)
        return self.host.which(program) is not None
