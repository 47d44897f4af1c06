"""How a run begins: isolated, with a clean environment, and without what compiling the program took."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import bootstrap

TELL = """
if __name__ == "__main__":
    enter_isolation(__file__)

import json

print(json.dumps([sys.argv, __file__, sys.flags.isolated, sorted(os.environ), told()]))
"""
# Read from where the interpreter itself keeps its words.
TOLD = """
def told():
    with open("/proc/self/cmdline") as file:
        return file.read().split(chr(0))
"""


class Bootstrap(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="with space ")
        self.addCleanup(shutil.rmtree, self.folder)
        self.script = os.path.join(self.folder, "web01.py")
        with open(os.path.join(self.folder, "json.py"), "w") as trap:
            trap.write("raise SystemExit('trapped')\n")

    def write(self, more=""):
        with open(bootstrap.__file__) as file, open(self.script, "w") as script:
            script.write(file.read() + TOLD + more + TELL)

    def run_script(self, *flags):
        environment = dict(os.environ, PYTHONPATH=self.folder, OPENSSL_CONF="/nowhere", NO_COLOR="1", LANG="C")
        command = [sys.executable] + list(flags) + ["web01.py", "--into", "a b"]
        out = subprocess.check_output(command, cwd=self.folder, env=environment)
        return json.loads(out.decode())

    def test_isolated_with_its_own_arguments_and_nothing_of_the_environment(self):
        self.write()
        for flags in ((), ("-I",)):
            argv, file, isolated, names, words = self.run_script(*flags)
            self.assertEqual(argv, [self.script, "--into", "a b"])
            self.assertEqual((file, isolated), (self.script, 1))
            self.assertTrue({"PATH", "NO_COLOR"} <= set(names), names)
            self.assertFalse({"PYTHONPATH", "OPENSSL_CONF", "HOME"} & set(names), names)
            self.assertIn(bootstrap.LOADER, words)  # it has not compiled the script again

    def test_where_no_file_without_a_name_can_be_had(self):
        self.write("\ndef nameless_file(content):\n    raise OSError('none')\n")
        for flags in ((), ("-I",)):
            argv, file, isolated, _, words = self.run_script(*flags)
            self.assertEqual((os.path.basename(argv[0]), argv[1:], isolated), ("web01.py", ["--into", "a b"], 1))
            self.assertNotIn(bootstrap.LOADER, words)

    def test_a_nameless_file_is_read_from_its_begin(self):
        for memory in (True, False):
            descriptor = self.nameless(memory)
            with os.fdopen(descriptor, "rb") as file:
                self.assertEqual(file.read(), b"content")
                self.assertEqual(os.fstat(descriptor).st_nlink, 0)
                self.assertFalse(os.get_inheritable(descriptor))

    def nameless(self, memory):
        if memory or not hasattr(os, "memfd_create"):
            return bootstrap.nameless_file(b"content")
        with mock.patch.object(os, "memfd_create"):
            del os.memfd_create
            return bootstrap.nameless_file(b"content")


if __name__ == "__main__":
    unittest.main()
