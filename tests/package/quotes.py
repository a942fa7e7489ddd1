"""What the README quotes from the examples is what stands there: quotes.py REPOSITORY

A block of code after a line `<!-- path -->` must occur in that file, line by line.
"""
import pathlib
import re
import sys

repository = pathlib.Path(sys.argv[1])
readme = (repository / "README.md").read_text()
quotes = re.findall(r"<!-- (\S+) -->\n```\w*\n(.*?)```", readme, re.DOTALL)
if not quotes:
    sys.exit("README.md quotes nothing: has the form of its quotations changed?")
wrong = [(path, text) for path, text in quotes if text not in (repository / path).read_text()]
for path, text in wrong:
    print(f"README.md quotes {path}, which does not say:\n{text}", file=sys.stderr)
sys.exit(1 if wrong else 0)
