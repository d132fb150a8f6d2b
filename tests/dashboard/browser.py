#!/usr/bin/env python3
"""Looks at the dashboard with headless Chromium, over the DevTools protocol on a pipe.

Reads one line of JSON: federations and institutions by name, each with a link, an address and its pages, and
with a page that changes and what it then shows, if it is to be seen live. Checks each page: no errors in the console, nothing against the content security policy, no horizontal scrolling on a phone,
no serious finding of axe-core, its size and its time. Writes pictures into $EOSFED_SCREENSHOTS, if it is set.
Needs nothing but Python 3 and Chromium; axe-core comes from npm into the user's cache, checked by its hash.
"""

import base64
import fcntl
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from pathlib import Path

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
AXE = ("axe-core", "4.14.1")
AXE_INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
MOST_BYTES = 300_000
MOST_MILLISECONDS = 300
PHONE, DESKTOP = (360, 740), (1280, 900)
TALLEST = 1720  # Pixels of a picture.


class Browser:
    """A browser that answers one command at a time."""

    def __init__(self, profile):
        # The browser reads commands from 3 and writes answers to 4; ours must not be in the way.
        high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in (*os.pipe(), *os.pipe())]
        to_browser, ours_out, ours_in, from_browser = high

        def pipes():
            os.dup2(to_browser, 3)
            os.dup2(from_browser, 4)

        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--remote-debugging-pipe", "--hide-scrollbars", f"--user-data-dir={profile}",
                     "--no-first-run", "--disable-background-networking", "about:blank"]
        self.log = open(Path(profile) / "browser.log", "wb")
        self.process = subprocess.Popen([CHROMIUM, *arguments], preexec_fn=pipes, close_fds=False,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(to_browser)
        os.close(from_browser)
        self.reader, self.writer = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self.buffer, self.number, self.session, self.events = b"", 0, None, []

    def message(self):
        while b"\0" not in self.buffer:
            read = self.reader.read1(1 << 20)
            if not read:
                raise RuntimeError("the browser has ended")
            self.buffer += read
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)

    def send(self, method, session=True, **parameters):
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        if session and self.session:
            command["sessionId"] = self.session
        self.writer.write(json.dumps(command).encode() + b"\0")
        self.writer.flush()
        while True:
            message = self.message()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self.events.append(message)

    def tab(self):
        target = self.send("Target.createTarget", session=False, url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", session=False, targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def evaluate(self, expression):
        result = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression[:60]}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def size(self, size, dark=False):
        width, height = size
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[feature])

    def go(self, address):
        """Loads a page; gives what went wrong while it did."""
        self.events.clear()
        self.send("Page.navigate", url=address)
        limit = time.monotonic() + 30
        while self.evaluate("document.readyState") != "complete" or self.evaluate("location.href") == "about:blank":
            if time.monotonic() > limit:
                raise RuntimeError(f"{address} does not load")
            time.sleep(0.02)
        return self.complaints()

    def complaints(self):
        self.evaluate("1")
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"]["text"])
            elif event.get("method") == "Runtime.exceptionThrown":
                found.append(parameters["exceptionDetails"]["text"])
            elif event.get("method") == "Runtime.consoleAPICalled" and parameters["type"] == "error":
                found.append(str(parameters["args"]))
        self.events.clear()
        return found

    def picture(self, path):
        """A picture of the page down to its footer, or to the end of a panel, with a palette so that it is small."""
        ends = self.evaluate("[...document.querySelectorAll('.panel, footer')].map(one => "
                             "Math.ceil(one.getBoundingClientRect().bottom + scrollY))")
        bottom = ends[-1] if ends[-1] <= TALLEST else max((end + 18 for end in ends if end + 18 <= TALLEST), default=0)
        bottom = bottom if bottom > TALLEST / 3 else TALLEST
        width = self.evaluate("innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": bottom, "scale": 1}
        data = self.send("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
        self.send("Page.navigate", url="about:blank")
        while self.evaluate("location.href") != "about:blank":
            time.sleep(0.02)
        found = self.evaluate(f"({PALETTE})({json.dumps(data)})")
        path.write_bytes(png(found["width"], found["height"], bytes(found["palette"]), base64.b64decode(found["data"])))

    def close(self):
        try:
            self.send("Browser.close", session=False)
        except (RuntimeError, OSError):
            pass
        self.process.wait(timeout=20)


# Gives the pixels of a picture as places in a palette of its 256 most frequent colours.
PALETTE = """async (data) => {
  const image = new Image();
  image.src = "data:image/png;base64," + data;
  await image.decode();
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  const counts = new Map();
  const colour = (at) => (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
  for (let at = 0; at < pixels.length; at += 4) counts.set(colour(at), (counts.get(colour(at)) || 0) + 1);
  const palette = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, 256).map((one) => one[0]);
  const parts = (one) => [one >> 16, (one >> 8) & 255, one & 255];
  const places = new Map(palette.map((one, place) => [one, place]));
  const nearest = (one) => {
    const far = (other) => parts(one).reduce((sum, part, at) => sum + (part - parts(other)[at]) ** 2, 0);
    return palette.reduce((best, other, place) => (far(other) < far(palette[best]) ? place : best), 0);
  };
  let text = "";
  for (let at = 0; at < pixels.length; at += 4) {
    const one = colour(at);
    if (!places.has(one)) places.set(one, nearest(one));
    text += String.fromCharCode(places.get(one));
  }
  return { width, height, palette: palette.flatMap(parts), data: btoa(text) };
}"""


def png(width, height, palette, data):
    """A PNG of pixels that are places in a palette."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + data[at:at + width] for at in range(0, width * height, width))
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"PLTE", palette)
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def axe():
    """The text of axe-core, from the user's cache or from npm. Its hash is pinned."""
    name, version = AXE
    kept = Path.home() / ".cache" / "eosfed" / f"{name}-{version}.tgz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True,
                           stdout=subprocess.DEVNULL, timeout=120)
            shutil.move(next(Path(folder).glob("*.tgz")), kept)
    data = kept.read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != AXE_INTEGRITY:
        kept.unlink()
        raise RuntimeError(f"{name} {version} has the hash {found}, not {AXE_INTEGRITY}")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


def serious(browser, source):
    """Serious findings of axe-core. It is evaluated by the debugger, so that the page's policy stays as it is."""
    browser.evaluate(source + ";0")
    found = browser.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(result => result.violations.map(one => "
        "({id: one.id, impact: one.impact, nodes: one.nodes.slice(0, 3).map(node => node.html.slice(0, 160) + ' ' + "
        "(node.any[0] || node.all[0] || node.none[0] || {message: ''}).message)})))")
    return [one for one in found if one["impact"] in ("serious", "critical")]


def check(browser, world, name, source, problems):
    """Every page of a federation, wide and narrow, light and dark."""
    for address in world["pages"]:
        where = f"{name} {address}"
        browser.size(DESKTOP)
        started = time.monotonic()
        wrong = browser.go(world["url"] + address)
        took = (time.monotonic() - started) * 1000
        # Pages that an empty federation does not have say so; the browser calls that an error.
        missing = "empty" in name and "not found" in browser.evaluate("document.title").lower()
        problems += [f"{where}: {text}" for text in wrong if not missing]
        wide = browser.evaluate("[...document.querySelectorAll('.panel')].filter(one => one.scrollWidth > "
                                "one.clientWidth + 1).map(one => one.id).join(', ')")
        if wide:
            problems.append(f"{where}: wider than its panel: {wide}")
        size = browser.evaluate("performance.getEntriesByType('navigation')[0].decodedBodySize")
        served = browser.evaluate("(e => e.responseEnd - e.requestStart)(performance.getEntriesByType('navigation')[0])")
        if size > MOST_BYTES:
            problems.append(f"{where}: {size} bytes, most {MOST_BYTES}")
        if served > MOST_MILLISECONDS:
            problems.append(f"{where}: served in {served:.0f} ms, most {MOST_MILLISECONDS}")
        findings = [] if source is None else serious(browser, source)
        browser.size(DESKTOP, dark=True)
        findings += [] if source is None else serious(browser, source)
        problems += [f"{where}: axe {one['id']}: {one['nodes']}" for one in findings]
        browser.size(PHONE)
        wide = browser.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            problems.append(f"{where}: scrolls {wide} pixels to the side on a phone")
        print(f"{served:5.0f} ms served, {took:5.0f} ms loaded, {size:7d} bytes  {where}", flush=True)


def live(browser, name, world, problems):
    """Something happens where the pages come from: the page shows it without being loaded again."""
    address, text = world["live"]
    browser.size(DESKTOP)
    browser.go(world["url"] + address)
    browser.evaluate("window.same = true; document.querySelectorAll('details').forEach(one => one.open = true); 0")
    print(f"STEP {name}", flush=True)
    started = time.monotonic()
    while not browser.evaluate(f"document.body.textContent.includes({json.dumps(text)})"):
        if time.monotonic() - started > 15:
            problems.append(f"live: {name} does not show {text!r}")
            return
        time.sleep(0.05)
    took = time.monotonic() - started
    if not browser.evaluate("window.same === true"):
        problems.append("live: the page was loaded again")
    if not browser.evaluate("[...document.querySelectorAll('details[id]')].every(one => one.open)"):
        problems.append("live: what the reader had opened was closed")
    if browser.evaluate("document.getElementById('live-state').textContent") != "Live":
        problems.append("live: the page does not say that it is live")
    print(f"{name}: the change was seen after {took * 1000:.0f} ms without a reload", flush=True)


def crowded(browser, name, world, problems):
    """All streams are taken: the page says so, and is there all the same."""
    print(f"FLOOD {name}", flush=True)
    sys.stdin.readline()
    browser.go(world["url"] + "/")
    limit = time.monotonic() + 10
    while "Too many live pages" not in browser.evaluate("document.getElementById('live-state').textContent"):
        if time.monotonic() > limit:
            problems.append(f"{name}: a page without a stream does not say so")
            return
        time.sleep(0.05)
    print(f"{name}: a page without a stream says so", flush=True)


def keyboard(browser, world, problems):
    """The first key leads to the link that skips the navigation, and every link can be reached."""
    browser.go(world["url"] + "/")
    browser.send("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    first = browser.evaluate("document.activeElement.className")
    if first != "skip":
        problems.append(f"keyboard: the first key leads to {first!r}")


PICTURES = [
    ("overview", "picture", "/", DESKTOP, False),
    ("job", "picture", "/jobs/JOB", DESKTOP, False),
    ("round-dark", "picture", "/jobs/JOB/rounds/13", DESKTOP, True),
    ("scores", "picture", "/scores", DESKTOP, False),
    ("lineage", "picture", "/lineage", DESKTOP, False),
    ("release", "picture", "/releases/1", DESKTOP, False),
    ("jobs-phone", "picture", "/jobs", PHONE, False),
    ("institution-decisions", "site-picture", "/decisions", DESKTOP, False),
    ("institution-left", "site-picture", "/left", DESKTOP, False),
    ("institution-budgets-dark", "site-picture", "/budgets", DESKTOP, True),
]


def main():
    worlds = json.loads(sys.stdin.readline())
    problems = []
    try:
        source = axe()
    except (OSError, subprocess.SubprocessError) as error:
        source = None
        print(f"skipped: axe-core is not in the cache and npm does not give it ({error})", flush=True)
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            browser.tab()
            folder = os.environ.get("EOSFED_SCREENSHOTS")
            for name, world in sorted(worlds.items(), key=lambda entry: "live" not in entry[1]):
                # All federations are of one host, so that each has its own session in turn.
                problems += [f"{name} login: {text}" for text in browser.go(world["login"])]
                if "Log out" not in browser.evaluate("document.body.textContent"):
                    problems.append(f"{name}: the link does not log in")
                if not folder:
                    check(browser, world, name, source, problems)
                if "live" in world:
                    keyboard(browser, world, problems)
                    live(browser, name, world, problems)
                    if world.get("crowded"):
                        crowded(browser, name, world, problems)
                if folder:
                    shoot(browser, name, world, Path(folder))
        finally:
            browser.close()
    for problem in problems:
        print(f"WRONG: {problem}", flush=True)
    print(f"{len(problems)} problems", flush=True)
    return 1 if problems else 0


def shoot(browser, federation, world, folder):
    """The pictures of one federation."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = os.environ.get("EOSFED_PICTURES", "")
    for name, of, address, size, dark in PICTURES:
        if of != federation or (wanted and name not in wanted.split(",")):
            continue
        specialist = next((page for page in world["pages"] if page.startswith("/specialists/")), "/")
        browser.size(size, dark)
        browser.go(world["url"] + address.replace("JOB", world.get("job", "")).replace("SPECIALIST", specialist))
        browser.picture(folder / f"{name}.png")


if __name__ == "__main__":
    if CHROMIUM is None:
        print("skipped: chromium is missing; install it with: apt-get install chromium")
        sys.exit(0)
    sys.exit(main())
