"""The checks of the pages find what they look for: pages_test.py REPOSITORY

Each is run on a copy of the pages, where it must be content, and on copies with one thing wrong.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

repository = pathlib.Path(sys.argv[1])
here = pathlib.Path(__file__).parent
wrong = []


def passes(check, file=None, old="", new=""):
    """Whether the check is content when `old` in the file reads `new`."""
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "copy"
        ignored = shutil.ignore_patterns("build", ".git")
        shutil.copytree(repository, copy, symlinks=True, ignore=ignored)
        if file:
            text = (copy / file).read_text()
            if old not in text:
                wrong.append(f"{file} does not say: {old}")
            (copy / file).write_text(text.replace(old, new, 1))
        run = subprocess.run([sys.executable, here / f"{check}.py", copy], capture_output=True, check=False)
        return run.returncode == 0


violations = [
    ("quotes", "README.md", "tandem::Pool pool;", "tandem::Pool pond;"),
    ("quotes", "docs/errors.md", "<!-- examples/errors.cpp -->\n", ""),
    ("quotes", "docs/index.md", "(errors.md)", "(erors.md)"),
    ("python_names", "docs/from_python.md", "| `Event` ", "| `Evnt` "),
    ("python_names", "docs/from_python.md", "| `Barrier` | `Barrier` |", "| `Barrier` | |"),
    ("proofs", "docs/when_a_process_dies.md", "`PipeKillTest.AKilledSender`", "`PipeKillTest.Nobody`"),
    ("proofs", "docs/when_a_process_dies.md", "\n- ", "\n- The sky is blue.\n- "),
    ("proofs", "tests/stress/pipe_kill_test.cpp", "AKilledSender", "ASlainSender"),
]
for check in sorted({check for check, *_ in violations}):
    if not passes(check):
        wrong.append(f"{check}.py complains of the pages as they are")
for violation in violations:
    if passes(*violation):
        wrong.append(f"{violation[0]}.py does not find what is wrong in {violation[1]}: {violation[3]}")
for complaint in wrong:
    print(complaint, file=sys.stderr)
sys.exit(1 if wrong else 0)
