"""Where the tunnel listens: anywhere on loopback, and where SELinux has its say, at the port of its policy."""

import contextlib
import socket
import unittest
from unittest import mock

import listener
from listener import listen_at, open_listener
from outcome import Stop
from tests.fakes import HostCase


class Listeners(HostCase):
    def open(self):
        opened = open_listener(self.host)
        self.addCleanup(opened.close)
        return opened.getsockname()

    def test_any_port_where_nothing_enforces_one(self):
        for enforce in (None, "0"):
            if enforce is not None:
                self.host.put("/sys/fs/selinux/enforce", enforce)
            self.assertEqual(self.open()[0], "127.0.0.1")
            self.assertNotEqual(self.open()[1], 3260)

    def test_the_labelled_port_where_selinux_is_enforced(self):
        self.host.put("/sys/fs/selinux/enforce", "1")
        # 3260 itself may be in use where the tests run.
        with mock.patch.object(listener, "LABELLED_PORT", free_port()) as port:
            self.assertEqual(self.open(), ("127.0.0.1", port))
            self.assertEqual(self.open(), ("127.0.0.2", port))
            address, port = self.open()
            self.assertEqual(address, "127.0.0.3")
            with contextlib.closing(socket.create_connection((address, port), 5)):
                pass

    def test_a_port_that_is_taken_everywhere(self):
        self.host.put("/sys/fs/selinux/enforce", "1")
        with contextlib.closing(listen_at("0.0.0.0", 0)) as taken:
            port = taken.getsockname()[1]
            with mock.patch.object(listener, "LABELLED_PORT", port), self.assertRaises(Stop) as caught:
                open_listener(self.host)
        self.assertEqual(caught.exception.status, 4)
        self.assertIn("sport = :{}".format(port), caught.exception.sentence)

    def test_the_label_is_the_policys(self):
        self.assertEqual(listener.LABELLED_PORT, 3260)


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    unittest.main()
