"""The modules must survive being put together into one file."""

import ast
import os
import sys
import unittest

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULES = sorted(name[:-3] for name in os.listdir(HERE) if name.endswith(".py"))


def tree_of(name):
    with open(os.path.join(HERE, name + ".py"), "rb") as file:
        return ast.parse(file.read())


def definitions(tree):
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                for name in names:
                    yield name.id


class Assembly(unittest.TestCase):
    def test_no_name_is_defined_twice(self):
        owners = {}
        for module in MODULES:
            for name in definitions(tree_of(module)):
                self.assertNotIn(name, owners, "{} and {}".format(module, owners.get(name)))
                owners[name] = module

    def test_imports_are_plain(self):
        for module in MODULES:
            for node in ast.walk(tree_of(module)):
                if isinstance(node, ast.ImportFrom):
                    self.assertIn(node.module, MODULES, module)
                    self.assertTrue(all(alias.asname is None for alias in node.names), module)
                elif isinstance(node, ast.Import):
                    self.assertTrue(all(alias.asname is None for alias in node.names), module)
                    self.assertEqual(node.col_offset, 0, "{}: only at the top".format(module))

    def test_no_module_hides_one_of_the_standard_library(self):
        if hasattr(sys, "stdlib_module_names"):
            self.assertEqual(set(MODULES) & set(sys.stdlib_module_names), set())

    def test_no_two_modules_share_an_import_name_with_a_definition(self):
        imported, defined = set(), set()
        for module in MODULES:
            tree = tree_of(module)
            defined |= set(definitions(tree))
            for node in tree.body:
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
        self.assertEqual(imported & defined, set())

    def test_files_stay_small_and_ascii(self):
        for module in MODULES:
            with open(os.path.join(HERE, module + ".py"), "rb") as file:
                content = file.read()
            self.assertLess(content.count(b"\n"), 300, module)
            content.decode("ascii")


class Python36(unittest.TestCase):
    """What Python 3.6 cannot parse or does not have."""

    UNKNOWN_NODES = ("NamedExpr", "Match", "TryStar")
    UNKNOWN_NAMES = {
        "capture_output",
        "fromisoformat",
        "removeprefix",
        "removesuffix",
        "cached_property",
        "dataclass",
        "nullcontext",
        "run_coroutine",
        "breakpoint",
        "isascii",
        "prod",
    }

    def test_syntax_that_old_pythons_have_too(self):
        """Python 2 and 3.5 must get as far as the sentence about the version; they know no starred assignment."""
        for module in MODULES:
            for node in ast.walk(tree_of(module)):
                if isinstance(node, ast.Starred):
                    self.assertFalse(isinstance(node.ctx, ast.Store), module)

    def test_syntax_and_names(self):
        for module in MODULES:
            for node in ast.walk(tree_of(module)):
                self.assertNotIn(type(node).__name__, self.UNKNOWN_NODES, module)
                self.assertFalse(isinstance(node, ast.JoinedStr), "{}: f-strings hide the version check".format(module))
                if isinstance(node, ast.arguments):
                    self.assertFalse(getattr(node, "posonlyargs", []), module)
                for field in ("attr", "arg", "id", "name"):
                    self.assertNotIn(getattr(node, field, None), self.UNKNOWN_NAMES, module)


if __name__ == "__main__":
    unittest.main()
