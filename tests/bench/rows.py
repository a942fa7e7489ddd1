"""What the benchmarks print, as data. A line that is not understood is an error, never left out."""
import dataclasses
import math
import re


class NotUnderstood(Exception):
    """Says which line of which file."""


@dataclasses.dataclass(frozen=True)
class Figure:
    name: str  # of the candidate
    median: float
    spread: str  # half the distance of the quartiles, in percent of the median
    samples: int


@dataclasses.dataclass(frozen=True)
class Row:
    row: str  # the work and the metric
    state: str  # NEAR or FAR
    tandem: Figure
    peer: Figure
    ratio: float  # how many times as good as the peer
    reach: float | None  # how many times it is meant to be
    verdict: str  # ok, BELOW or -


@dataclasses.dataclass(frozen=True)
class Value:
    """A line of a benchmark that compares nothing in turn: idle, digest."""

    title: str
    name: str
    value: float
    note: str


@dataclasses.dataclass(frozen=True)
class Skip:
    peer: str
    reason: str
    row: str  # the first that follows, without its metric; empty if there is none


@dataclasses.dataclass(frozen=True)
class Unmeasured:
    """A reach that there is no row for."""

    row: str
    state: str
    tandem: str
    peer: str
    reach: float


@dataclasses.dataclass
class Output:
    """Of one benchmark."""

    bench: str
    conditions: dict[str, str] = dataclasses.field(default_factory=dict)
    rows: list[Row] = dataclasses.field(default_factory=list)
    values: list[Value] = dataclasses.field(default_factory=list)
    skips: list[Skip] = dataclasses.field(default_factory=list)
    unmeasured: list[Unmeasured] = dataclasses.field(default_factory=list)
    dropped: list[str] = dataclasses.field(default_factory=list)


HEAD = ["row", "state", "tandem", "peer", "ratio", "reach"]
FIGURE = re.compile(r"(?P<name>\S.*?) (?P<median>\S+) \+-(?P<spread>\S+)% \((?P<samples>\d+)\)")
REACH = re.compile(r"(?P<reach>\d+\.\d\d) (?P<verdict>ok|BELOW)")
UNMEASURED = re.compile(r"\(not measured: (.+), (NEAR|FAR): (.+) beside (.+), reach (\d+\.\d\d)\)")
VALUE = re.compile(r"  (?P<name>\S.*?) {2,}(?P<value>\d+\.\d+)(?: +(?P<note>\S.*))?")


def figure_of(cell):
    match = FIGURE.fullmatch(cell)
    if not match:
        raise ValueError(f"no figure: {cell}")
    median = float(match["median"])
    if not math.isfinite(median):
        raise ValueError(f"no finite number: {cell}")
    return Figure(match["name"], median, match["spread"], int(match["samples"]))


def row_of(cells):
    if len(cells) != len(HEAD):
        raise ValueError(f"{len(cells)} columns instead of {len(HEAD)}")
    row, state, tandem, peer, ratio, reach = cells
    if not row or state not in ("NEAR", "FAR"):
        raise ValueError(f"no row in a state: {row} | {state}")
    ours, theirs, times = figure_of(tandem), figure_of(peer), float(ratio)
    if ours.median > 0 and theirs.median > 0:
        quotients = (ours.median / theirs.median, theirs.median / ours.median)
        if not any(abs(times - quotient) <= 0.006 + 0.002 * quotient for quotient in quotients):
            raise ValueError(f"{ratio} is not the ratio of these medians")
    if reach == "-":
        return Row(row, state, ours, theirs, times, None, "-")
    match = REACH.fullmatch(reach)
    if not match:
        raise ValueError(f"no reach: {reach}")
    return Row(row, state, ours, theirs, times, float(match["reach"]), match["verdict"])


def parse(text, source):
    """What a benchmark printed. `source` names the text in complaints, and the benchmark if the text does not."""
    output = Output(bench=source.removesuffix(".txt"))
    waiting = []  # skips whose row is still to come
    title = ""
    seen = set()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if not line.strip():
                continue
            if match := re.fullmatch(r"# ([a-z]+): (.+)", line):
                output.conditions[match[1]] = match[2]
            elif match := re.fullmatch(r"\(skipped(?:: |, does not run here: )([^,]+)(?:, (.+))?\)", line):
                waiting.append((match[1], match[2] or "does not run here"))
            elif match := UNMEASURED.fullmatch(line):
                output.unmeasured.append(Unmeasured(*match.groups()[:4], float(match[5])))
            elif re.fullmatch(r"\(.+: \d+ samples dropped, the machine's state changed\)", line):
                output.dropped.append(line[1:-1])
            elif " | " in line:  # before uniq -c: a row may begin with a digit
                cells = [cell.strip() for cell in line.split(" | ")]
                if cells == HEAD:
                    continue
                row = row_of(cells)
                key = (row.row, row.state, row.tandem.name, row.peer.name)
                if key in seen:
                    raise ValueError("the same row once more")
                seen.add(key)
                output.rows.append(row)
                output.skips += [Skip(*skip, row.row.rpartition(", ")[0]) for skip in waiting]
                waiting = []
            elif match := re.fullmatch(r" *(\d+) (\S.*)", line):  # of uniq -c
                output.conditions.setdefault("cpu", f"{match[1]} x {match[2]}")
            elif match := VALUE.fullmatch(line):
                if not title:
                    raise ValueError("a value of nothing")
                output.values.append(Value(title, match["name"], float(match["value"]), match["note"] or ""))
            elif re.match(r"(idle|SHA-256) ?.*, ", line):
                title = line
            else:
                raise ValueError("not understood")
        except ValueError as error:
            raise NotUnderstood(f"{source}:{number}: {error}: {line}") from error
    output.skips += [Skip(*skip, "") for skip in waiting]
    if not output.rows and not output.values:
        raise NotUnderstood(f"{source}: there is no figure in it")
    output.bench = output.conditions.pop("bench", output.bench)
    return output
