"""Every promise of docs/when_a_process_dies.md names tests that exist: proofs.py REPOSITORY

An item of a list on that page is a promise and must name a test, `Suite.Name`. A test that any page names
must be in the sources of the tests.
"""
import pathlib
import re
import sys

repository = pathlib.Path(sys.argv[1])
wrong = []

tests = set()
for source in (repository / "tests").rglob("*.cpp"):
    tests.update(re.findall(r"\b(?:TYPED_)?TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\s*\)", source.read_text()))

named = r"`(\w+Test)\.(\w+)`"
for page in [*repository.glob("*.md"), *repository.glob("docs/**/*.md")]:
    for suite, name in re.findall(named, page.read_text()):
        if (suite, name) not in tests:
            wrong.append(f"{page.relative_to(repository)} names {suite}.{name}, which is no test")

text = (repository / "docs/when_a_process_dies.md").read_text()
promises = re.findall(r"^- .*(?:\n  .*)*", text, re.MULTILINE)
for promise in promises:
    if not re.search(named, promise):
        wrong.append(f"no test is named for: {promise}")
if not promises:
    wrong.append("nothing is promised: has the form of the page changed?")
for complaint in wrong:
    print(complaint, file=sys.stderr)
sys.exit(1 if wrong else 0)
