"""The report of the benchmarks: docs/benchmarks.md with its plots, made from what the benchmarks print.

    report.py --run BUILD [NAME...]   run these benchmarks of that build, all if none is named, keep what they print in
                                      docs/benchmarks/runs/, and write the report from all that is kept there
    report.py [--from FILE...]        write the report from these files, or from those kept
    report.py --check                 write nothing; fail if the report is not what the kept files say

The page's prose is written by hand. Only what stands between the lines `<!-- begin: NAME -->` and `<!-- end: NAME -->`
is replaced, and the plots in docs/benchmarks/. So is the table in the README, of some rows.
"""
import argparse
import dataclasses
import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

import plot
import rows

NAMES = ["queue", "pipe", "sync", "start", "manager", "manager_size", "pool", "idle", "digest"]
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "benchmarks.md"
README = REPOSITORY / "README.md"
STATES = ["NEAR", "FAR"]


class Refused(Exception):
    """What the report cannot be made of, in words."""


# --- running ---


def first_line(*command):
    """What a program says of itself, or nothing if it is not there."""
    if not shutil.which(command[0]):
        return ""
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return text.splitlines()[0] if text else ""


def found(pattern, path):
    file = pathlib.Path(path)
    match = re.search(pattern, file.read_text(), re.MULTILINE) if file.exists() else None
    return match[1] if match else ""


def busy_percent(seconds=1.0):
    """How much of the machine others use, its host among them."""

    def ticks():
        fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]  # idle, and waiting for a disk

    all_before, idle_before = ticks()
    time.sleep(seconds)  # the interval that is measured
    all_after, idle_after = ticks()
    return 100 * (1 - (idle_after - idle_before) / max(all_after - all_before, 1))


def conditions_of(build):
    """The machine, and what the benchmarks were made with."""
    cpu = found(r"^model name\s*: (.+)$", "/proc/cpuinfo") or platform.machine()
    guest = ", a virtual machine" if " hypervisor" in found(r"^(flags\s*:.+)$", "/proc/cpuinfo") else ""
    kibibytes = int(found(r"^MemTotal:\s+(\d+) kB$", "/proc/meminfo"))
    compiler = found(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", build / "CMakeCache.txt")
    peers = {
        "Boost": found(r'BOOST_LIB_VERSION "(.+)"', "/usr/include/boost/version.hpp").replace("_", "."),
        "Python": platform.python_version(),
        "Redis": (re.search(r"v=(\S+)", first_line("redis-server", "--version")) or [""] * 2)[1],
    }
    return {
        "cpu": f"{os.cpu_count()} x {cpu}{guest}",
        "memory": f"{kibibytes / 2**20:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "compiler": first_line(compiler, "--version"),
        "peers": ", ".join(f"{name} {version}" for name, version in peers.items() if version),
        "tandem": first_line("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"),
    }


def run(build, names, kept):
    """Runs the benchmarks and keeps what they print, with the conditions it was printed under."""
    for variable in ("TANDEM_BENCH_ROW", "TANDEM_BENCH_PEER"):
        if variable in os.environ:
            raise Refused(f"{variable} is set, but a report has all rows and all peers")
    kept.mkdir(parents=True, exist_ok=True)
    machine = conditions_of(build)
    for name in names:
        conditions = {
            "bench": name,
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            **machine,
            "busy": f"{busy_percent():.0f} %",
            "seconds": os.environ.get("TANDEM_BENCH_SECONDS", "10"),
        }
        text = "".join(f"# {key}: {value}\n" for key, value in conditions.items() if value)
        print(text, end="", flush=True)
        with subprocess.Popen([build / "tests" / "bench" / f"{name}_bench"], stdout=subprocess.PIPE, text=True) as bench:
            for line in bench.stdout:
                print(line, end="", flush=True)
                text += line
        if bench.returncode != 0:
            raise Refused(f"{name}_bench ended with {bench.returncode}")
        rows.parse(text, name)
        (kept / f"{name}.txt").write_text(text)


# --- tables ---


def number(value):
    text = f"{value:.4g}"
    return f"{value:.0f}" if "e+" in text else text


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def table(head, lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines])


def few(*figures):
    """What marks the medians of so few samples that they say little."""
    return "†" if any(figure.samples < 3 for figure in figures) else ""


def is_doubtful(output):
    """Whether others used the machine, or the run was short, or nobody knows."""
    busy, seconds = output.conditions.get("busy"), output.conditions.get("seconds")
    return not busy or float(busy.rstrip(" %")) > 10 or not seconds or float(seconds) < 5


def machine_table(outputs):
    """Each line once if it was the same for all, else with the benchmarks that it is of."""
    lines = []
    for key in ("cpu", "memory", "kernel", "compiler", "peers", "tandem"):
        said = {}
        for output in outputs:
            said.setdefault(output.conditions.get(key, "not recorded"), []).append(output.bench)
        for value, benches in said.items():
            lines.append([key + (f" ({', '.join(benches)})" if len(said) > 1 else ""), cell(value)])
    parts = [table(["", "machine"], lines)]

    lines = []
    for output in outputs:
        busy, seconds = output.conditions.get("busy", ""), output.conditions.get("seconds", "")
        states = sorted({row.state for row in output.rows})
        lines.append([
            output.bench, output.conditions.get("date", "?"), busy or "?", seconds or "?",
            " ".join(states), str(sum(int(re.search(r": (\d+) samples", line)[1]) for line in output.dropped)),
        ])
    parts.append(table(
        ["benchmark", "run", "busy before", "seconds for a comparison", "states", "samples dropped"], lines))
    parts += [f"Of {o.bench}: {cell(o.conditions['note'])}." for o in outputs if "note" in o.conditions]
    if any(is_doubtful(output) for output in outputs):
        parts.append(
            "**Some of this was run on a machine that did other things as well (more than 10 % busy), or for less than 5\n"
            "seconds for each comparison. Those figures show the form of things and prove nothing.**")
    skipped = skips_of(outputs)
    if skipped:
        parts.append("Peers that are missing:\n\n" + "\n".join(skipped))
    return "\n\n".join(parts)


def skips_of(outputs):
    """A line for each peer and reason, with the works it is missing in; those of a benchmark without it are not listed."""
    where = {}
    for output in outputs:
        there = {row.peer.name for row in output.rows}
        for skip in output.skips:
            place = skip.row if skip.peer in there and skip.row else f"the benchmark {output.bench}"
            places = where.setdefault((skip.peer, skip.reason), [])
            if place not in places:
                places.append(place)
    return [f"- {cell(peer)} in {cell('; '.join(places))}: {cell(reason)}" for (peer, reason), places in where.items()]


def ratio_table(outputs):
    lines = []
    for output in outputs:
        for row in output.rows:
            if row.reach is None:
                continue
            lines.append([
                cell(row.row), row.state, cell(row.tandem.name), cell(row.peer.name),
                f"**{number(row.ratio)}**{few(row.tandem, row.peer)}",
                number(row.reach), "ok" if row.verdict == "ok" else "**BELOW**",
            ])
    parts = [table(["row", "state", "tandem's", "beside", "ratio", "reach", "verdict"], lines) if lines
             else "No row of these runs has a reach."]
    lines = [[cell(no.row), no.state, cell(no.tandem), cell(no.peer), number(no.reach)]
             for output in outputs for no in output.unmeasured]
    if lines:
        parts.append("Not measured in these runs, for want of samples of both in that state, or of the peer:")
        parts.append(table(["row", "state", "tandem's", "beside", "reach"], lines))
    return "\n\n".join(parts)


def figure_text(figure):
    spread = f" ±{figure.spread} %" if figure.spread not in ("nan", "-nan", "inf") else ""
    return f"{cell(figure.name)} {number(figure.median)}{spread} ({figure.samples}){few(figure)}"


def figure_tables(outputs):
    parts = []
    for output in outputs:
        parts.append(f"### {output.bench}")
        lines = {}
        for row in output.rows:
            ours, theirs = lines.setdefault((row.row, row.state), ({}, {}))
            ours[row.tandem.name] = figure_text(row.tandem)
            times = f", **{number(row.ratio)} x**" if row.tandem.name == next(iter(ours)) else ""
            theirs.setdefault(row.peer.name, figure_text(row.peer) + times)
        if lines:
            parts.append(table(
                ["row", "state", "tandem", "beside it"],
                [[cell(row), state, "<br>".join(ours.values()), "<br>".join(theirs.values())]
                 for (row, state), (ours, theirs) in lines.items()]))
        for title in dict.fromkeys(value.title for value in output.values):
            lines = [[cell(value.name), number(value.value) + (f", {cell(value.note)}" if value.note else "")]
                     for value in output.values if value.title == title]
            parts.append(table([cell(title), ""], lines))
    return "\n\n".join(parts)


# --- the README's table ---


@dataclasses.dataclass(frozen=True)
class Line:
    """Of one candidate and some peers, in both states."""

    work: str  # as the README calls it
    command: str  # that runs it, without the directory
    row: str
    tandem: str
    unit: str
    peers: dict[str, str]  # a peer's name and what the README calls it


LINES = [
    Line("64 bytes, one producer, one consumer", 'TANDEM_BENCH_ROW="64 B, 1p1c" run.sh queue',
         "queue 64 B, 1p1c, M messages/s", "put/get", "M/s",
         {"Boost": "Boost's message_queue", "Python": "Python"}),
    Line("put and taken 64 at a time", "", "queue 64 B, 1p1c, M messages/s", "put_many/get_many", "M/s",
         {"Boost": "Boost's", "Python": "Python"}),
    Line("64 bytes there and back", 'TANDEM_BENCH_ROW="pipe 64 B" run.sh pipe', "pipe 64 B there and back, p50 us",
         "send/recv", "us", {"unix socket": "a unix socket", "Python": "Python"}),
    Line("a dict's get", 'TANDEM_BENCH_ROW="one client" run.sh manager',
         "manager, one client, p50 of one call, dict get, us", "tandem", "us", {"Python": "Python", "Redis": "Redis"}),
    Line("apply of a function that does nothing", 'TANDEM_BENCH_ROW="pool of two workers" run.sh pool',
         "pool of two workers, apply of a no-op, p50, us", "tandem", "us",
         {"mp.Pool": "Python's Pool", "Executor": "its Executor"}),
    Line("a map of such, chunks of 1", "", "pool of two workers, map of no-ops, chunk 1, k/s", "tandem", "k/s",
         {"mp.Pool": "Python's Pool", "Executor": "its Executor"}),
    Line("a map of such, default chunks", "", "pool of two workers, map, default chunks, k/s", "tandem", "k/s",
         {"mp.Pool": "Python's Pool, whose chunks are large", "Executor": "its Executor"}),
    Line("a map of 400 tasks of 2 ms", 'TANDEM_BENCH_ROW="400 tasks" run.sh pool',
         "400 tasks of 2 ms on two CPUs, seconds", "tandem", "s", {"two bare forks": "two bare forks"}),
]


def readme_table(outputs):
    """Each cell is of a row of the kept runs, and says of which state."""
    found_rows = {}
    for output in outputs:
        for row in output.rows:
            found_rows[row.row, row.state, row.tandem.name, row.peer.name] = row
    lines = []
    for line in LINES:
        ours, theirs = [], []
        for state in STATES:
            there = {peer: found_rows[key] for peer in line.peers
                     if (key := (line.row, state, line.tandem, peer)) in found_rows}
            if not there:
                continue
            figure = next(iter(there.values())).tandem
            ours.append(f"{state} {number(float(f'{figure.median:.3g}'))} {line.unit}{few(figure)}")
            theirs.append(f"{state} " + ", ".join(
                f"{number(float(f'{row.ratio:.3g}'))} x {line.peers[peer]}{few(row.peer)}" for peer, row in there.items()))
        work = f"`{line.command}`: {line.work}" if line.command else f"the same command: {line.work}"
        lines.append([work, "; ".join(ours) or "not measured", "; ".join(theirs) or "-"])
    return table(["`tests/bench/`", "tandem", "how many times as good"], lines)


# --- plots ---


def rounded(value):
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def rate_text(megabytes):
    unit = next((u for u in ((1e6, "TB/s"), (1e3, "GB/s"), (1, "MB/s")) if megabytes >= u[0]), (1e-3, "kB/s"))
    return f"{rounded(megabytes / unit[0])} {unit[1]}"


def messages_text(millions):
    unit = next((u for u in ((1, "M/s"), (1e-3, "k/s")) if millions >= u[0] * 0.9999), (1e-6, "/s"))
    return f"{rounded(millions / unit[0])} {unit[1]}"


def time_text(microseconds):
    unit = next((u for u in ((1e6, "s"), (1e3, "ms"), (1, "us")) if microseconds >= u[0] * 0.9999), (1e-3, "ns"))
    return f"{rounded(microseconds / unit[0])} {unit[1]}"


UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}


def bytes_of(match):
    return int(match["size"]) * UNITS[match["unit"]]


def size_column(match):
    return (len(bin(bytes_of(match))), f"{match['size']} {match['unit']}")  # steps of a factor of two


def processes_column(match):
    shapes = ["1p1c", "2p2c", "4p4c", "4p1c", "1p4c"]
    shape = match["shape"]
    return (shapes.index(shape), f"{shape[0]} to {shape[2]}")


def length_column(match):
    length = match["length"]
    return (len(length) if length != "0" else 0, "nothing" if length == "0" else time_text(float(length)))


def call_column(match):
    calls = ["get", "set", "add"]
    return (calls.index(match["call"]), match["call"])


SIZE = r"(?P<size>\d+) (?P<unit>B|KiB|MiB)"


@dataclasses.dataclass(frozen=True)
class Plot:
    """Lines over the rows whose names match."""

    file: str
    title: str
    subtitle: str
    x_label: str
    rows: str
    column: object  # of a match: where on the x axis, and what stands there
    value: object  # of a match and a median
    text_of: object  # a value on the y axis
    joined: bool = True


PLOTS = [
    Plot("queue_throughput", "Queue: throughput over message size", "One producer, one consumer; higher is better",
         "size of a message", rf"queue (?!64 MiB){SIZE}, 1p1c, (?P<metric>M messages/s|GB/s)", size_column,
         lambda match, median: median * (1e3 if match["metric"] == "GB/s" else bytes_of(match)), rate_text),
    Plot("queue_scaling", "Queue: producers and consumers", "Messages of 64 bytes; higher is better",
         "producers to consumers", r"queue 64 B, (?P<shape>\dp\dc), M messages/s", processes_column,
         lambda match, median: median, messages_text),
    Plot("pipe_latency", "Pipe: latency over message size", "There and back, the median; lower is better",
         "size of a message", rf"pipe {SIZE} there and back, p50 us", size_column,
         lambda match, median: median, time_text),
    Plot("pool_tasks", "Pool: what a task takes over its length",
         "A task's share of two workers' time; lower is better, two bare forks are ideal",
         "length of a task", r"pool, tasks of (?P<length>\d+) us, us each", length_column,
         lambda match, median: median, time_text),
    Plot("manager_calls", "Manager: one call on a dict", "The median of one client; lower is better",
         "call", r"manager, one client, p50 of one call, dict (?P<call>get|set|add), us", call_column,
         lambda match, median: median, time_text, joined=False),
]

# The same candidate looks the same in all plots. Light, dark: after Okabe and Ito, with enough contrast on either paper.
OURS = [plot.Style("#0072b2", "#4db8ff", "circle", width=3.2), plot.Style("#009e73", "#3ddbab", "diamond", width=2.6),
        plot.Style("#3f9fd6", "#a5dcff", "square", "8 5", 2.6)]
BLACK, GREY = ("#1f2328", "#f0f6fc"), ("#7d8590", "#9198a1")
ORANGE, AMBER, PINK, PURPLE = ("#d55e00", "#ff9350"), ("#c28800", "#f0c64a"), ("#b8508f", "#f2a0d0"), ("#5e3c99", "#b9a1ee")
PEERS = {
    "Boost": plot.Style(*ORANGE, "square"), "Redis": plot.Style(*ORANGE, "square"),
    "pipe(2)": plot.Style(*AMBER, "up"), "two bare forks": plot.Style(*AMBER, "up", "2 5"),
    "POSIX mq": plot.Style(*PINK, "down"), "mp.Pool default chunks": plot.Style(*PINK, "down"),
    "ZeroMQ": plot.Style(*PURPLE, "left"), "Executor": plot.Style(*PURPLE, "left"),
    "Python": plot.Style(*BLACK, "plus"), "mp.Pool chunks of 1": plot.Style(*BLACK, "plus"),
    "unix socket": plot.Style(*GREY, "right"), "cache line": plot.Style(*GREY, "right", "2 5"),
}


def chart_of(spec, state, outputs):
    """The plot in one state, or nothing if there are no two columns to compare."""
    columns, ours, theirs = set(), {}, {}
    doubtful = False
    for output, row in ((output, row) for output in outputs for row in output.rows if row.state == state):
        match = re.fullmatch(spec.rows, row.row)
        if not match:
            continue
        column = spec.column(match)
        columns.add(column)
        doubtful |= is_doubtful(output)
        for figure, lines in ((row.tandem, ours), (row.peer, theirs)):
            lines.setdefault(figure.name, {})[column[0]] = spec.value(match, figure.median)
    if len(columns) < 2:
        return None
    styles = iter(OURS)
    series = []
    for name, points in ours.items():
        label = name if name == "tandem" else f"tandem {name}"
        series.append(plot.Series(label, sorted(points.items()), next(styles)))
    for name, points in theirs.items():
        if name not in PEERS:
            raise Refused(f"{spec.file}: the peer {name} has no style")
        series.append(plot.Series(name, sorted(points.items()), PEERS[name]))
    doubt = " A short run, or a busy machine." if doubtful else ""
    return plot.Chart(spec.title, f"{spec.subtitle}. State {state}.{doubt}", spec.x_label, sorted(columns), series,
                      spec.text_of, spec.joined)


def plots_of(outputs):
    """\\returns the files' texts by their names, and what the page says of them"""
    files, parts = {}, []
    for spec in PLOTS:
        parts.append(f"### {spec.title}")
        before = len(files)
        for state in STATES:
            chart = chart_of(spec, state, outputs)
            if chart:
                name = f"{spec.file}_{state.lower()}.svg"
                files[name] = plot.svg(chart)
                parts.append(f"![{spec.title}, {state}. {spec.subtitle}.](benchmarks/{name})")
        if len(files) == before:
            parts.append("These runs have no rows for it.")
    return files, "\n\n".join(parts)


# --- the page ---


def fill(page, name, text):
    """The page with the text between the two lines of that name."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise Refused(f"the page must have {begin} once, and {end} once after it")
    return page[: page.index(begin) + len(begin)] + f"\n\n{text}\n\n" + page[page.index(end) :]


def report_of(page, outputs):
    """\\returns the page's new text, and the plots' by their names"""
    order = {name: place for place, name in enumerate(NAMES)}
    outputs = sorted(outputs, key=lambda output: (order.get(output.bench, len(order)), output.bench))
    names = [output.bench for output in outputs]
    if len(set(names)) != len(names):
        raise Refused(f"a benchmark occurs twice: {', '.join(names)}")
    files, plots = plots_of(outputs)
    for name, text in (("machine", machine_table(outputs)), ("ratios", ratio_table(outputs)),
                       ("figures", figure_tables(outputs)), ("plots", plots)):
        page = fill(page, name, text)
    return page, files


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", metavar="BUILD", type=pathlib.Path, help="the build whose benchmarks to run")
    parser.add_argument("--from", dest="files", metavar="FILE", nargs="+", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--page", type=pathlib.Path, default=PAGE, help="plots and runs are in the directory of its name")
    parser.add_argument("--readme", type=pathlib.Path, help="where the table of some rows is; the project's with its page")
    parser.add_argument("names", metavar="NAME", nargs="*", help=" ".join(NAMES))
    options = parser.parse_args(arguments)
    directory = options.page.with_suffix("")
    kept = directory / "runs"
    if options.names and not options.run:
        parser.error("names are those of benchmarks to run: --run BUILD")
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {' '.join(NAMES)}")
    try:
        if options.run:
            run(options.run, options.names or NAMES, kept)
        files = options.files or sorted(kept.glob("*.txt"))
        if not files:
            raise Refused("there is no run to report on")
        outputs = [rows.parse(file.read_text(), file.name) for file in files]
        page, plots = report_of(options.page.read_text(), outputs)
        texts = {options.page: page}
        if readme := options.readme or (README if options.page == PAGE else None):
            texts[readme] = fill(readme.read_text(), "figures", readme_table(outputs))
    except (Refused, rows.NotUnderstood, OSError, ValueError) as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 1

    old = {file.name: file.read_text() for file in directory.glob("*.svg")}
    if options.check:
        wrong = [name for name in {**old, **plots} if old.get(name) != plots.get(name)]
        wrong += [file.name for file, text in texts.items() if file.read_text() != text]
        for name in wrong:
            print(f"report.py: {name} is not what the runs say; report.py writes it again", file=sys.stderr)
        return 1 if wrong else 0
    directory.mkdir(exist_ok=True)
    for name in old.keys() - plots.keys():
        (directory / name).unlink()
    for name, text in plots.items():
        (directory / name).write_text(text)
    for file, text in texts.items():
        file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
