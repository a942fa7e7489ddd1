"""What the README and docs/ quote from the examples is what stands there: quotes.py REPOSITORY

A block of code after a line `<!-- path -->` must occur in that file, line by line. A link into the
repository must lead to something.
"""
import pathlib
import re
import sys

repository = pathlib.Path(sys.argv[1])
wrong = []
quotes = 0
for page in [*repository.glob("*.md"), *repository.glob("docs/**/*.md")]:
    name = page.relative_to(repository)
    text = page.read_text()
    for path, code in re.findall(r"<!-- (\S+) -->\n```\w*\n(.*?)```", text, re.DOTALL):
        quotes += 1
        if code not in (repository / path).read_text():
            wrong.append(f"{name} quotes {path}, which does not say:\n{code}")
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        if not (page.parent / target).exists():
            wrong.append(f"{name} links to {target}, which is not there")
if quotes == 0:
    wrong.append("nothing is quoted: has the form of quotations changed?")
for complaint in wrong:
    print(complaint, file=sys.stderr)
sys.exit(1 if wrong else 0)
