"""A trace's page in a browser: trace_page_test.py POOL_TRACE

POOL_TRACE is the example of that name. Its page, and one with every kind of row in it, are opened in a
Chromium without a window: what do they show, and what do wheel, mouse and keys do? Ends with 77 where
there is no Chromium.
"""
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

browser = next((path for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
                if (path := shutil.which(name))), None)
if browser is None:
    print("skipped: there is no chromium (Debian package chromium)")
    sys.exit(77)

# Appended to a page: acts on it as a person would, and leaves what it saw in the document.
ACT = """
<script>
(async () => {
  const seen = {errors: window.errors};
  try {
    const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect();
    const frame = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const view = async () => { await frame(); return document.body.dataset.view.split(" ").map(Number); };
    const at = (share, lane) => ({clientX: box.left + share * box.width, clientY: box.top + 30 + 30 * lane + 15,
                                  bubbles: true, cancelable: true});
    const fire = (Kind, name, more) => canvas.dispatchEvent(new Kind(name, more));
    const tip = document.getElementById("tip");
    seen.all = await view();
    fire(WheelEvent, "wheel", {...at(0.25, 0), deltaY: -300});
    seen.zoomed = await view();
    fire(WheelEvent, "wheel", {...at(0.25, 0), deltaY: 300});
    seen.zoomedBack = await view();
    document.getElementById("in").click();
    seen.button = await view();
    fire(PointerEvent, "pointerdown", at(0.5, 0));
    fire(PointerEvent, "pointermove", at(0.4, 0));
    fire(PointerEvent, "pointerup", at(0.4, 0));
    seen.dragged = await view();
    fire(KeyboardEvent, "keydown", {key: "0"});
    seen.key = await view();
    seen.tips = [];
    const lanes = document.querySelectorAll(".lane").length;
    for (let lane = 0; lane < lanes; ++lane) {
      for (let x = 0.002; x < 1; x += 0.002) {
        fire(PointerEvent, "pointermove", at(x, lane));
        if (!tip.hidden && !seen.tips.includes(tip.innerText)) seen.tips.push(tip.innerText);
      }
    }
    fire(PointerEvent, "pointerleave", {});
    seen.tipHidden = tip.hidden;
    document.querySelector("#slowest tr.link").click();
    seen.slowest = await view();
    location.hash = "#view=10-20";
    await new Promise(done => addEventListener("hashchange", done, {once: true}));
    seen.linked = await view();
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    seen.colors = new Set(new Uint32Array(pixels.buffer)).size;
    seen.requests = performance.getEntriesByType("resource").length;
  } catch (error) { seen.errors.push(String(error)); }
  const pre = document.createElement("pre");
  pre.id = "seen";
  pre.textContent = JSON.stringify(seen);
  document.body.append(pre);
})();
</script>
"""
# Without a window hardly any frame is drawn for its own sake.
WATCH = """
<script>
window.errors = [];
onerror = text => { errors.push(String(text)); };
requestAnimationFrame = draw => setTimeout(draw, 0);
</script>
"""

checks = 0


def check(what, wanted, got):
    global checks
    if wanted != got:
        sys.exit(f"FAILED: {what}: wanted {wanted!r}, got {got!r}")
    checks += 1


def about(what, wanted, got, tolerance):
    check(f"{what} (wanted about {wanted}, got {got})", True,
          all(abs(a - b) <= tolerance for a, b in zip(wanted, got)) and len(got) == len(wanted))


def show(page, directory):
    """Returns the attributes of the body, what ACT saw, and the document."""
    page = page.replace("<body>", "<body>" + WATCH, 1).replace("</body>", ACT + "</body>", 1)
    file = directory / "shown.html"
    file.write_text(page)
    profile = directory / "profile"
    run = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={profile}", "--window-size=1200,800", "--virtual-time-budget=60000",
         "--dump-dom", file.as_uri()],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "HOME": str(directory)})
    document = run.stdout
    seen = re.search(r'<pre id="seen">(.*?)</pre>', document, re.DOTALL)
    if seen is None:
        sys.exit(f"FAILED: the page was not acted on; {browser} said:\n{run.stderr}")
    body = dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<body[^>]*>", document)[0]))
    seen = json.loads(html.unescape(seen[1]))
    check("errors", [], seen["errors"])
    check("requests over the network", 0, seen["requests"])
    return body, seen, document


def check_view(seen):
    whole = seen["all"][1] - seen["all"][0]
    size = lambda name: seen[name][1] - seen[name][0]
    check("the wheel zooms in", True, size("zoomed") < 0.7 * whole)
    fixed = lambda name: seen[name][0] + 0.25 * size(name)
    about("the time under the wheel stays", [fixed("all")], [fixed("zoomed")], whole / 200)
    about("the wheel zooms out again", seen["all"], seen["zoomedBack"], whole / 200)
    about("the button halves", [whole / 2], [size("button")], whole / 200)
    about("dragging moves", [n + 0.1 * size("button") for n in seen["button"]], seen["dragged"], whole / 200)
    about("0 shows all", seen["all"], seen["key"], whole / 200)
    about("a link shows its part", [10e6, 20e6], seen["linked"], 1)
    check("the tip goes with the pointer", True, seen["tipHidden"])
    check("something is drawn", True, seen["colors"] > 5)


with tempfile.TemporaryDirectory() as name:
    directory = pathlib.Path(name)
    subprocess.run([sys.argv[1], directory / "trace.html"], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    page = (directory / "trace.html").read_text()

    body, seen, document = show(page, directory)
    check("lanes", "3", body["lanes"])
    check("tasks", "60", body["tasks"])
    check("failed", "1", body["failed"])
    labels = re.findall(r'<div class="lane"[^>]*>(PoolWorker-\d+)<span>\((\d+)\)</span>', document)
    check("labels", 3, len(labels))
    check("tasks of all lanes", 60, sum(map(int, re.findall(r'<div class="lane"[^>]*data-tasks="(\d+)"', document))))
    check("slowest tasks", 10, document.count('<tr class="link">'))
    check("the failure is told of", True,
          any("render 13" in tip and 'failed: tile 13 is "unlucky"' in tip for tip in seen["tips"]))
    check("initializers are told of", True, any(tip.startswith("initializer\n") for tip in seen["tips"]))
    check_view(seen)

    ms = 1_000_000
    rows = [[8, "<b>title</b> </script>"],
            [0, 1, 0, "PoolWorker-1", 11, 0], [0, 2, 1, "PoolWorker-2", 12, 0],
            [1, 1, 0, 10 * ms], [1, 2, 5 * ms, 20 * ms],
            [3, 1, "Pool::map", 0], [3, 2, "<i>apply</i>", 1],
            [4, 1, 1, 1, 0, 10 * ms, 20 * ms], [6, 1, 1, 1, 1, 30 * ms, 30 * ms, "</script><script>alert(1)</script>"],
            [2, 1, 60 * ms, 2, "was killed by signal 9"], [0, 3, 0, "PoolWorker-3", 13, 60 * ms], [1, 3, 0, 70 * ms],
            [7, 3, 1, 1, 2, 1, 65, 64, 70 * ms, 20 * ms, 15 * ms], [5, 2, 2, 7, 0, 20 * ms, 50 * ms, "no"],
            [2, 3, 100 * ms, 0, "exited with code 0"], [2, 2, 100 * ms, 0, "exited with code 0"]]
    data = json.dumps(rows).replace("<", "\\u003c")
    crafted = re.sub(r'(id="trace">).*?(</script>)', lambda found: found[1] + data + found[2], page, count=1,
                     flags=re.DOTALL)
    body, seen, document = show(crafted, directory)
    check("lanes", "2", body["lanes"])
    check("tasks, merged ones counted", "67", body["tasks"])
    check("failed and died", "2", body["failed"])
    check("the whole time", [0, 100 * ms], seen["all"])
    check("text is text", True, "&lt;b&gt;title&lt;/b&gt; &lt;/script&gt;</h1>" in document)
    check("a replaced worker's lane", True, "PoolWorker-3<span>(13)</span><span>×2</span>" in document)
    for text in ["Pool::map 0\n20.0 ms, from 10.0 ms\nPoolWorker-1, pid 11, call 1",
                 "worker died: </script><script>alert(1)</script>",
                 "Pool::map: 64 tasks, the first 2, the last 65\n15.0 ms of 20.0 ms",
                 "<i>apply</i> #7", "failed: no", "start of PoolWorker-3", "initializer\n15.0 ms"]:
        check(f"a tip that says {text!r} among {seen['tips']!r}", True, any(text in tip for tip in seen["tips"]))
    about("a slow task is zoomed to", [0, 100 * ms], seen["slowest"], 3 * ms)
    check_view(seen)

print(f"{checks} checks passed")
