"""The report of the benchmarks, on recorded output."""
import contextlib
import functools
import io
import pathlib
import re
import tempfile
import unittest
import xml.etree.ElementTree as xml

import plot
import report
import rows

QUEUE = """\
# bench: queue
# date: 2026-01-02 03:04 UTC
# cpu: 2 x A processor
# busy: 2 %
# seconds: 10
(skipped: ZeroMQ, libzmq3-dev was not there when this was built)
row                                          | state | tandem                                 | peer                               |   ratio | reach
queue 64 B, 1p1c, M messages/s               | NEAR  | put/get 24.7 +-4% (21)                 | Boost 5.6 +-2% (21)                |    4.41 | 2.00 ok
queue 64 B, 1p1c, M messages/s               | NEAR  | put/get 24.7 +-4% (21)                 | pipe(2) 1.3 +-12% (21)             |   19.00 | -
queue 64 B, 1p1c, M messages/s               | NEAR  | declared 1:1 20 +-4% (20)              | Boost 5.6 +-2% (21)                |    3.57 | 4.00 BELOW
queue 64 B, 1p1c, M messages/s               | NEAR  | declared 1:1 20 +-4% (20)              | pipe(2) 1.3 +-12% (21)             |   15.38 | -
queue 64 B, 1p1c, CPU s per M                | NEAR  | put/get 0.08 +-1% (21)                 | Boost 0.2 +-2% (21)                |    2.50 | -
queue 64 B, 1p1c, M messages/s               | FAR   | put/get 6 +-4% (3)                     | Boost 2 +-2% (3)                   |    3.00 | 1.10 ok
(not measured: queue 64 B, 1p1c, M messages/s, NEAR: put/get beside Python, reach 40.00)
(queue 64 B, 1p1c: 7 samples dropped, the machine's state changed)
(skipped: ZeroMQ, libzmq3-dev was not there when this was built)
(skipped: pipe(2), larger messages of several writers mix)
queue 16 KiB, 1p1c, GB/s                     | NEAR  | put/get 33 +-4% (9)                    | Boost 6.6 +-2% (9)                 |    5.00 | 1.30 ok
queue 16 KiB, 1p1c, GB/s                     | FAR   | put/get 1.2e+01 +-nan% (9)             | Boost 6 +-0% (9)                   |    2.00 | -
(skipped, does not run here: Python)
queue 64 MiB, 1p1c, GB/s                     | NEAR  | put/get 0.24 +-1% (3)                  | memcpy, fresh 0.22 +-1% (3)        |    1.09 | 0.50 ok
"""
POOL = """\
      2 A processor
400 tasks of 2 ms on two CPUs, seconds       | NEAR  | tandem 0.4009 +-1% (2)                 | two bare forks 0.3953 +-0% (2)     |    0.99 | 0.97 ok
"""
IDLE = """\
      2 A processor

idle, percent of one CPU over 5 s
  blocked Queue::get                              0.120   at most 0.5: ok
  two consumers blocked in Queue::get             0.231
"""
DIGEST = """\

SHA-256 of 9000 files below /usr/include, seconds, median of 9
  this process                0.512
  speed-up of two bare forks over one         1.91
  speed-up of digest, 2 over 0 processes      1.80   0.94 of the forks'
"""
PAGE = "# Page\n\nBy hand.\n\n" + "".join(
    f"<!-- begin: {name} -->\nold {name}\n<!-- end: {name} -->\n\nAlso by hand, after {name}.\n"
    for name in ("ratios", "machine", "figures", "plots"))


def outputs():
    return [rows.parse(IDLE, "idle.txt"), rows.parse(QUEUE, "queue.txt"), rows.parse(DIGEST, "digest.txt")]


class RowsTest(unittest.TestCase):
    def test_rows_of_both_states_are_read(self):
        output = rows.parse(QUEUE, "recorded.txt")
        self.assertEqual(output.bench, "queue")
        self.assertEqual(output.conditions["date"], "2026-01-02 03:04 UTC")
        self.assertEqual([row.state for row in output.rows], ["NEAR"] * 5 + ["FAR", "NEAR", "FAR", "NEAR"])
        first = output.rows[0]
        self.assertEqual(first.row, "queue 64 B, 1p1c, M messages/s")
        self.assertEqual(first.tandem, rows.Figure("put/get", 24.7, "4", 21))
        self.assertEqual(first.peer, rows.Figure("Boost", 5.6, "2", 21))
        self.assertEqual((first.ratio, first.reach, first.verdict), (4.41, 2.0, "ok"))
        self.assertEqual((output.rows[1].reach, output.rows[1].verdict), (None, "-"))
        self.assertEqual((output.rows[2].tandem.name, output.rows[2].verdict), ("declared 1:1", "BELOW"))
        self.assertEqual(output.rows[7].tandem, rows.Figure("put/get", 12, "nan", 9))
        self.assertEqual(output.rows[8].peer.name, "memcpy, fresh")
        self.assertEqual(output.dropped, ["queue 64 B, 1p1c: 7 samples dropped, the machine's state changed"])

    def test_a_row_may_begin_with_a_digit(self):
        output = rows.parse(POOL, "pool.txt")
        self.assertEqual(output.conditions, {"cpu": "2 x A processor"})
        self.assertEqual([row.row for row in output.rows], ["400 tasks of 2 ms on two CPUs, seconds"])
        page, _ = report.report_of(PAGE, [output])
        self.assertIn("| 400 tasks of 2 ms on two CPUs, seconds | NEAR | tandem | two bare forks | **0.99**† | 0.97 | ok |", page)

    def test_skipped_peers_are_read_with_the_work_they_are_missing_in(self):
        missing = "libzmq3-dev was not there when this was built"
        self.assertEqual(rows.parse(QUEUE, "recorded.txt").skips, [
            rows.Skip("ZeroMQ", missing, "queue 64 B, 1p1c"),
            rows.Skip("ZeroMQ", missing, "queue 16 KiB, 1p1c"),
            rows.Skip("pipe(2)", "larger messages of several writers mix", "queue 16 KiB, 1p1c"),
            rows.Skip("Python", "does not run here", "queue 64 MiB, 1p1c"),
        ])

    def test_reaches_without_a_row_are_read(self):
        self.assertEqual(rows.parse(QUEUE, "recorded.txt").unmeasured, [
            rows.Unmeasured("queue 64 B, 1p1c, M messages/s", "NEAR", "put/get", "Python", 40.0)])

    def test_what_is_no_comparison_is_read(self):
        idle, digest = rows.parse(IDLE, "idle.txt"), rows.parse(DIGEST, "digest.txt")
        self.assertEqual(idle.bench, "idle")
        self.assertEqual(idle.conditions, {"cpu": "2 x A processor"})
        self.assertEqual([value.value for value in idle.values], [0.12, 0.231])
        self.assertEqual(digest.values[-1], rows.Value(
            "SHA-256 of 9000 files below /usr/include, seconds, median of 9",
            "speed-up of digest, 2 over 0 processes", 1.8, "0.94 of the forks'"))

    def test_garbage_is_refused_with_its_place(self):
        line = QUEUE.splitlines()[7]
        self.assertIn("put/get 24.7", line)
        without = QUEUE.replace(line, "")
        for wrong in (
            "terminate called after throwing an instance of 'std::runtime_error'",
            line.replace("NEAR ", "NIGH "),
            line.replace("24.7", "twenty"),
            line.replace("24.7", "nan"),
            line.replace("5.6", "inf"),
            line.replace("(21)", "", 1),
            line.replace("    4.41", "    4.61"),
            line.replace("    4.41", "        "),
            line.replace("2.00 ok", "2.00 fine"),
            line.rpartition(" | ")[0],
            line + " | more",
            QUEUE.splitlines()[8],  # a second time
            "  a value of nothing      1.000",
            "(not measured: queue 64 B, 1p1c, M messages/s, NIGH: put/get beside Python, reach 40.00)",
        ):
            with self.subTest(wrong):
                with self.assertRaisesRegex(rows.NotUnderstood, r"^recorded\.txt:22: "):
                    rows.parse(without + wrong + "\n", "recorded.txt")
        self.assertEqual(len(rows.parse(without + line, "recorded.txt").rows), 9)

    def test_nothing_is_refused(self):
        for nothing in ("", "# bench: queue\n", QUEUE.split("queue 64 B")[0]):
            with self.assertRaisesRegex(rows.NotUnderstood, "no figure"):
                rows.parse(nothing, "recorded.txt")


class PlotTest(unittest.TestCase):
    def chart(self, points, **changes):
        style = plot.Style("#000", "#fff", "circle")
        values = {
            "title": "A < B & C", "subtitle": "of it", "x_label": "x", "columns": [(0, "none"), (1, "one"), (3, "three")],
            "series": [plot.Series(f"line <{i}>", p, style) for i, p in enumerate(points)], "text_of": str}
        return plot.Chart(**{**values, **changes})

    def test_every_point_is_drawn_once(self):
        text = plot.svg(self.chart([[(0, 1.0), (1, 20.0), (3, 300.0)], [(1, 0.02)]]))
        self.assertEqual(points_of(text), ["line <0>, none: 1.0", "line <0>, one: 20.0", "line <0>, three: 300.0",
                                           "line <1>, one: 0.02"])
        lines = [e.get("points") for e in xml.fromstring(text).iter() if e.tag.endswith("polyline")]
        self.assertEqual([len(line.split()) for line in lines], [3])

    def test_a_greater_value_is_higher_by_its_logarithm(self):
        root = xml.fromstring(plot.svg(self.chart([[(0, 1.0), (1, 10.0), (3, 100.0)]])))
        places = [e.get("transform")[10:-1].split() for e in root.iter() if e.get("class") == "point"]
        xs, ys = [float(x) for x, _ in places], [float(y) for _, y in places]
        self.assertGreater(ys[0], ys[1])
        self.assertAlmostEqual(ys[0] - ys[1], ys[1] - ys[2], delta=0.2)
        self.assertAlmostEqual(2 * (xs[1] - xs[0]), xs[2] - xs[1], delta=0.3)
        self.assertTrue(all(plot.TOP <= y <= plot.HEIGHT - plot.BOTTOM for y in ys))
        self.assertTrue(all(plot.LEFT <= x <= plot.WIDTH - plot.RIGHT for x in xs))

    def test_figures_beside_points_do_not_lie_on_each_other(self):
        text = plot.svg(self.chart([[(0, 26.9)], [(0, 26.8)], [(0, 82.0)]], joined=False))
        root = xml.fromstring(text)
        places = {e.text: float(e.get("y")) for e in root.iter() if e.text in ("82.0", "26.9", "26.8")
                  and e.get("class") == "soft"}
        self.assertGreaterEqual(places["26.8"] - places["26.9"], 14)
        self.assertGreaterEqual(places["26.9"] - places["82.0"], 14)

    def test_it_says_in_words_what_it_shows(self):
        root = xml.fromstring(plot.svg(self.chart([[(0, 1.0), (3, 5.0)]])))
        texts = {element.get("id"): element.text for element in root}
        self.assertEqual(root.get("aria-labelledby").split(), ["title", "description"])
        self.assertEqual(texts["title"], "A < B & C")
        self.assertIn("line <0>: none 1.0, three 5.0.", texts["description"])

    def test_it_has_the_colours_of_both_schemes(self):
        text = plot.svg(self.chart([[(0, 1.0), (3, 5.0)]]))
        self.assertIn(".s0{--c:#000}", text)
        self.assertRegex(text, r"@media\(prefers-color-scheme:dark\)\{[^@]*\.s0\{--c:#fff\}\}")

    def test_what_has_no_logarithm_is_refused(self):
        for points in ([], [[(0, 0.0)]], [[(0, -1.0)]], [[(0, float("nan"))]], [[(0, float("inf"))]]):
            with self.subTest(points), self.assertRaises(ValueError):
                plot.svg(self.chart(points))
        with self.assertRaises(ValueError):
            plot.svg(self.chart([[(2, 1.0)]]))  # there is no such column


def points_of(svg):
    points = [element for element in xml.fromstring(svg).iter() if element.get("class") == "point"]
    return sorted(point[0].text for point in points)


class ReportTest(unittest.TestCase):
    def test_only_what_is_between_the_markers_is_replaced(self):
        page, _ = report.report_of(PAGE, outputs())
        for name in ("ratios", "machine", "figures", "plots"):
            self.assertNotIn(f"old {name}", page)
            self.assertIn(f"\nAlso by hand, after {name}.\n", page)
        self.assertTrue(page.startswith("# Page\n\nBy hand.\n\n<!-- begin: ratios -->"))
        self.assertEqual(report.report_of(page, outputs())[0], page)

    def test_a_page_without_its_markers_is_refused(self):
        for wrong in (PAGE.replace("<!-- end: plots -->", ""), PAGE + "<!-- begin: ratios -->",
                      PAGE.replace("begin: machine", "begin: engine")):
            with self.assertRaises(report.Refused):
                report.report_of(wrong, outputs())

    def test_the_tables_say_what_the_rows_say(self):
        page, _ = report.report_of(PAGE, outputs())
        self.assertIn("| queue 64 B, 1p1c, M messages/s | NEAR | put/get | Boost | **4.41** | 2 | ok |", page)
        self.assertIn("| queue 64 B, 1p1c, M messages/s | NEAR | declared 1:1 | Boost | **3.57** | 4 | **BELOW** |", page)
        self.assertIn("| queue 64 B, 1p1c, M messages/s | FAR | put/get | Boost | **3** | 1.1 | ok |", page)
        self.assertIn("put/get 24.7 ±4 % (21)<br>declared 1:1 20 ±4 % (20) | Boost 5.6 ±2 % (21), **4.41 x**<br>", page)
        self.assertIn("| speed-up of digest, 2 over 0 processes | 1.8, 0.94 of the forks' |", page)
        self.assertIn("- ZeroMQ in the benchmark queue: libzmq3-dev was not there when this was built", page)
        self.assertIn("- pipe(2) in queue 16 KiB, 1p1c: larger messages of several writers mix", page)
        self.assertIn("prove nothing", page)  # of two of the files nobody knows how they came about

    def test_medians_of_few_samples_are_marked(self):
        page, _ = report.report_of(PAGE, [rows.parse(POOL, "pool.txt")])
        self.assertIn("| **0.99**† | 0.97 | ok |", page)
        self.assertIn("| tandem 0.4009 ±1 % (2)† | two bare forks 0.3953 ±0 % (2)†, **0.99 x** |", page)
        page, _ = report.report_of(PAGE, [rows.parse(QUEUE, "queue.txt")])
        self.assertNotIn("†", page)

    def test_reaches_without_a_row_are_listed(self):
        page, _ = report.report_of(PAGE, outputs())
        self.assertIn("| queue 64 B, 1p1c, M messages/s | NEAR | put/get | Python | 40 |", page)
        page, _ = report.report_of(PAGE, [rows.parse(POOL, "pool.txt")])
        self.assertNotIn("Not measured", page)

    def test_the_readme_says_what_the_rows_say_and_in_which_state(self):
        lines = report.readme_table([*outputs(), rows.parse(POOL, "pool.txt")]).splitlines()
        self.assertEqual(len(lines), 2 + len(report.LINES))
        self.assertRegex(lines[2], r"one consumer \| NEAR 24\.7 M/s; FAR 6 M/s \| "
                                   r"NEAR 4\.41 x Boost's message_queue; FAR 3 x Boost's message_queue \|$")
        self.assertRegex(lines[3], r": put and taken 64 at a time \| not measured \| - \|$")
        self.assertRegex(lines[-1], r"2 ms \| NEAR 0\.401 s† \| NEAR 0\.99 x two bare forks† \|$")

    def test_a_full_run_on_a_quiet_machine_proves_something(self):
        quiet = rows.parse(QUEUE, "queue.txt")
        quiet.conditions["note"] = "half of it only"
        page, files = report.report_of(PAGE, [quiet])
        self.assertIn("\nOf queue: half of it only.\n", page)
        self.assertNotIn("prove nothing", page)
        self.assertNotIn("busy machine", "".join(files.values()))
        for key, value in (("busy", "40 %"), ("seconds", "0.2")):
            doubtful = rows.parse(QUEUE, "queue.txt")
            doubtful.conditions[key] = value
            page, files = report.report_of(PAGE, [doubtful])
            self.assertIn("prove nothing", page)
            self.assertTrue(all("A short run, or a busy machine." in text for text in files.values()))

    def test_every_state_has_a_plot_with_as_many_points_as_figures(self):
        page, files = report.report_of(PAGE, outputs())
        self.assertEqual(sorted(files), ["queue_throughput_far.svg", "queue_throughput_near.svg"])
        self.assertEqual(points_of(files["queue_throughput_near.svg"]), [
            "Boost, 16 KiB: 6.6 GB/s", "Boost, 64 B: 358 MB/s", "pipe(2), 64 B: 83.2 MB/s",
            "tandem declared 1:1, 64 B: 1.28 GB/s", "tandem put/get, 16 KiB: 33 GB/s", "tandem put/get, 64 B: 1.58 GB/s"])
        self.assertEqual(len(points_of(files["queue_throughput_far.svg"])), 4)
        for name in files:
            self.assertIn(f"](benchmarks/{name})", page)

    def test_every_plot_is_made_of_its_rows(self):
        row = "{} | NEAR | tandem 2 +-1% (3) | {} 4 +-1% (3) | 2.00 | -\n"
        works = {
            "queue_scaling": [f"queue 64 B, {shape}, M messages/s" for shape in ("1p1c", "2p2c", "4p4c", "4p1c", "1p4c")],
            "queue_throughput": [f"queue {size}, 1p1c, GB/s" for size in ("1 KiB", "256 KiB", "1 MiB")],
            "pipe_latency": [f"pipe {size} there and back, p50 us" for size in ("64 B", "4 KiB", "1 MiB")],
            "pool_tasks": [f"pool, tasks of {us} us, us each" for us in (0, 1, 10, 100, 1000)],
            "manager_calls": [f"manager, one client, p50 of one call, dict {call}, us" for call in ("get", "set", "add")],
        }
        self.assertEqual(set(works), {spec.file for spec in report.PLOTS})
        for file, names in works.items():
            text = "".join(row.format(name, "Boost") for name in names)
            _, files = report.report_of(PAGE, [rows.parse(text, "recorded.txt")])
            self.assertEqual(list(files), [f"{file}_near.svg"])
            self.assertEqual(len(points_of(files[f"{file}_near.svg"])), 2 * len(names))

    def test_a_benchmark_twice_is_refused(self):
        with self.assertRaises(report.Refused):
            report.report_of(PAGE, outputs() + [rows.parse(QUEUE, "again.txt")])

    def test_written_again_from_kept_runs_and_checked(self):
        with tempfile.TemporaryDirectory() as directory:
            page = pathlib.Path(directory) / "page.md"
            kept = pathlib.Path(directory) / "page" / "runs"
            kept.mkdir(parents=True)
            page.write_text(PAGE)
            readme = pathlib.Path(directory) / "README.md"
            readme.write_text("# Short\n\n<!-- begin: figures -->\n<!-- end: figures -->\n\nBy hand.\n")
            run = functools.partial(run_report, "--readme", readme)
            (kept / "queue.txt").write_text(QUEUE)
            stale = kept.parent / "of_old.svg"
            stale.write_text("<svg/>")
            self.assertEqual(run("--page", page, "--check")[0], 1)
            self.assertEqual(run("--page", page), (0, ""))
            self.assertEqual(run("--page", page, "--check"), (0, ""))
            self.assertFalse(stale.exists())
            written = page.read_text()
            self.assertEqual(run("--page", page, "--from", kept / "queue.txt"), (0, ""))
            self.assertEqual(page.read_text(), written)

            image = kept.parent / "queue_throughput_near.svg"
            for file, old, new in ((page, "4.41", "5.41"), (readme, "24.7", "25.7"), (image, "1.58 GB/s", "2.58 GB/s")):
                text = file.read_text()
                self.assertIn(old, text)
                file.write_text(text.replace(old, new, 1))
                status, complaint = run("--page", page, "--check")
                self.assertEqual(status, 1)
                self.assertRegex(complaint, rf"{re.escape(file.name)} is not what the runs say")
                file.write_text(text)

            (kept / "pipe.txt").write_text("Segmentation fault\n")
            status, complaint = run("--page", page)
            self.assertEqual(status, 1)
            self.assertIn("pipe.txt:1: not understood: Segmentation fault", complaint)
            self.assertEqual(page.read_text(), written)


def run_report(*arguments):
    """\\returns the exit status, and what was complained of"""
    complaints = io.StringIO()
    with contextlib.redirect_stderr(complaints):
        status = report.main([str(argument) for argument in arguments])
    return status, complaints.getvalue()


if __name__ == "__main__":
    unittest.main()
