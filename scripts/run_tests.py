"""The tests from a fresh clone: sets up ``.venv`` with both frameworks and the tools where needed, then runs pytest.

    python scripts/run_tests.py [arguments of pytest]

Needs any Python >= 3.11 and nothing else.  Where no file is named, nor a number of processes, the tests run in as many
processes as there are cores, four at most.  Exit status as pytest; 3 where the set-up fails (and, as pytest has it,
where pytest itself does).
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  whichever interpreter is at hand starts this script, Python 2 included
    sys.stderr.write("run_tests: needs Python 3.11 or later, this is " + sys.version.split()[0] + "\n")
    sys.exit(3)

import os

import _environment

if __name__ == "__main__":
    command = ["pytest"]
    if not any(_environment.names_a_path(argument) for argument in sys.argv[1:]):
        os.chdir(_environment.ROOT)  # pytest finds all tests by itself only from here
        command += _environment.processes(sys.argv[1:])
    sys.exit(_environment.start("run_tests", ["torch", "tensorflow", "dev"], command, sys.argv[1:]))
