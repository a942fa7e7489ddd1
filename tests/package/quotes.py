"""The pages say what the examples say: quotes.py REPOSITORY

On every page, README and docs/: C++ in a block of code must be quoted, that is follow a line `<!-- path -->` and
occur in that file, line by line; and a link into the repository must lead to something. The design pages, which
also show what nobody would write in a program, may have blocks that are not quoted, and so may others that say
why in a line `<!-- no example: why -->`.
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
    for path, language, code in re.findall(r"(?:<!-- (\S+|no example: [^\n]+) -->\n)?^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if path.startswith("no example: "):
            continue
        if path:
            quotes += 1
            if "\n" + code not in "\n" + (repository / path).read_text():
                wrong.append(f"{name} quotes {path}, which does not say:\n{code}")
        elif language == "cpp" and "design" not in name.parts:
            wrong.append(f"{name} has code that is quoted from no example:\n{code}")
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        if not (page.parent / target).exists():
            wrong.append(f"{name} links to {target}, which is not there")
if quotes == 0:
    wrong.append("nothing is quoted: has the form of quotations changed?")
for complaint in wrong:
    print(complaint, file=sys.stderr)
sys.exit(1 if wrong else 0)
