"""``triangulate verify`` from a fresh clone: sets up ``.venv`` with both frameworks where needed, then verifies.

    python scripts/export_and_verify.py [arguments of `triangulate verify`]

Needs any Python >= 3.11 and nothing else.  Exit status as `triangulate verify`; 3 where the set-up fails.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  whichever interpreter is at hand starts this script, Python 2 included
    sys.stderr.write("export_and_verify: needs Python 3.11 or later, this is " + sys.version.split()[0] + "\n")
    sys.exit(3)

import _environment

if __name__ == "__main__":
    sys.exit(_environment.start("export_and_verify", ["torch", "tensorflow"], ["triangulate", "verify"], sys.argv[1:]))
