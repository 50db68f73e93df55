#!/usr/bin/python3
"""Uses the page of a running daemon in headless Chromium as people do: with the mouse, the keyboard, a phone.

usage: status_page_browser.py FRESHET CONFIG FOLDER FIRST REST [SET]...
Starts `FRESHET run` on an embedded broker with its state in FOLDER and each SET, fills the topic with FIRST, and with REST
while the page is open. Prints what is wrong and exits 1. With SCREENSHOTS in the environment it leaves pictures in that
folder. Needs Debian's chromium, chromium-driver and python3-selenium.
"""
import base64
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

FAULTS = []
PATIENCE = 90


def check(condition, text):
    if not condition:
        FAULTS.append(text)
    return condition


def until(condition, text, patience=PATIENCE):
    """Asks again and again until it is so; a fault when it never is. `text` may be a function, of what is so then."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if condition():
                return True
        except Exception:  # not there yet
            pass
        time.sleep(0.05)
    return check(False, text() if callable(text) else text)


class Daemon:
    def __init__(self, binary, config, folder, sets, port=0):
        if port == 0:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
        self.binary, self.folder, self.port = binary, folder, port
        self.url = f"http://127.0.0.1:{port}/"
        words = [binary, "run", "--config", config]
        for one in [f"serving.listen=127.0.0.1:{port}", f"memory.path={folder}", "stream.brokers=embedded", "log.format=json", *sets]:
            words += ["--set", one]
        folder.mkdir(parents=True, exist_ok=True)
        self.log = open(folder.parent / f"{folder.name}.log", "w+")
        self.process = subprocess.Popen(words, stderr=self.log, stdout=subprocess.DEVNULL,
                                        env={**os.environ, "FRESHET_STREAM__PROPERTIES__SASL_PASSWORD": "hunter2"})
        until(lambda: self.get("status"), "the daemon does not answer")

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def status(self):
        return json.loads(self.get("status"))

    def lines(self):
        self.log.flush()
        text = pathlib.Path(self.log.name).read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def produce(self, file, rate=0):
        broker = next(line["message"] for line in self.lines() if line["event"] == "embedded_broker").split("--brokers ")[1].split(" ")[0]
        words = [self.binary, "produce", "--brokers", broker, "--topic", "flights", "--input", str(file)]
        return subprocess.Popen(words + (["--rate", str(rate)] if rate else []), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def token(self):
        return json.loads((self.folder / "control.json").read_text())["token"]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)


class Page:
    def __init__(self):
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_script_timeout(30)
        self.driver.set_page_load_timeout(60)
        self.size(1280, 900)
        self.colours("light")

    def size(self, width, height, mobile=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile})

    def colours(self, scheme):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def state(self):
        return self.js("return document.getElementById('state').dataset.state")

    def focused(self):
        return self.js("const node = document.activeElement; return node.id || node.dataset.action || node.dataset.range || node.getAttribute('aria-label') || node.tagName")

    def keys(self, *which):
        ActionChains(self.driver).send_keys(*which).perform()

    def click(self, selector):
        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.js("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def ink(self, selector):
        """How many pixels of a canvas are not empty. Of a copy: reading the page's own would be remarked on the console."""
        return self.js("const drawn = document.querySelector(arguments[0]); const canvas = document.createElement('canvas');"
                       "[canvas.width, canvas.height] = [drawn.width, drawn.height];"
                       "const pen = canvas.getContext('2d', {willReadFrequently: true}); pen.drawImage(drawn, 0, 0);"
                       "const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;"
                       "let count = 0; for (let i = 3; i < data.length; i += 4) count += data[i] > 0; return count", selector)

    def tab_to(self, wanted, most=90):
        """By Tab alone; every stop on the way can be seen to have the focus."""
        for _ in range(most):
            self.keys(Keys.TAB)
            seen = self.js("const style = getComputedStyle(document.activeElement); return document.activeElement === document.body || parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== 'none'")
            check(seen, f"{self.focused()} has the focus and does not show it")
            if self.focused() == wanted:
                return True
        return check(False, f"Tab does not reach {wanted}")

    def picture(self, name):
        folder = os.environ.get("SCREENSHOTS")
        if not folder:
            return
        width, height = self.js("return [innerWidth, document.documentElement.scrollHeight]")
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}})
        (pathlib.Path(folder) / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))

    def quiet(self, when, but=()):
        for entry in self.driver.get_log("browser"):
            if not any(one in entry["message"] for one in but):
                check(False, f"{when}: the console says {entry['message']}")


def draws(page, daemon):
    until(lambda: page.state() in ("learning", "waiting"), lambda: f"the state is {page.state()}")
    check(page.text("#model") == "flights", "the model's name is missing")
    check(page.text("#link") == "Live", "the page does not say that it is live")
    tiles = page.js("return [...document.querySelectorAll('.tile')].map((tile) => [tile.querySelector('h3').textContent, tile.querySelector('b').textContent])")
    check(len(tiles) == 6, f"there are {len(tiles)} tiles")
    check(all(value.strip("– ") for name, value in tiles if name != "Lag"), f"a tile is empty: {tiles}")
    until(lambda: page.ink("#quality-chart") > 1000, "the chart of the quality is empty")
    for name in ("rate", "lag_events", "kept_share", "replay_fill"):
        until(lambda: page.ink(f"[data-chart={name}] canvas") > 300, lambda: f"the chart of {name} is empty")
    until(lambda: page.ink("#heat") > 300, "the heat map is empty")
    check("Frozen" in page.text("#quality-legend"), "the frozen model is not in the legend")
    until(lambda: page.js("return freshetStatus.series.frozen.log_loss?.some((value) => value > 0)"), "nothing is known of the frozen model")
    check(page.js("return document.querySelectorAll('#versions tbody tr').length") > 3, "the versions are missing")
    check(page.js("return document.querySelectorAll('#versions i.live').length") == 1, "no version is marked as served")
    until(lambda: "not readable" in page.text("#reasons"), "the reasons of dead letters are missing")
    until(lambda: page.js("return document.querySelectorAll('#letters tbody tr').length") == 3, "dead letters are missing")
    served = page.js("return Number(document.querySelector('#versions i.live').closest('tr').dataset.key)")
    check(served <= daemon.status()["served_version"], "a version is shown as served that is not yet made")
    other = page.js("return performance.getEntriesByType('resource').map((one) => one.name).filter((name) => !name.startsWith(location.origin + '/status'))")
    check(other == [], f"the page loads {other}")
    check(page.js("return [...document.querySelectorAll('[id]')].map((node) => node.id).filter((id, i, all) => all.indexOf(id) !== i)") == [], "an id stands twice")
    check(page.js("return ['header', 'main', 'footer', 'h1'].every((tag) => document.querySelectorAll(tag).length === 1)"), "a landmark is missing or stands twice")


def updates_by_itself(page, daemon, rest):
    page.js("window.stillHere = true; document.getElementById('find').focus(); window.scrollTo(0, 500)")
    before = page.js("return [document.querySelector('.tile p').textContent, scrollY]")
    sending = daemon.produce(rest, 3000)
    until(lambda: page.text(".tile p") != before[0], "the number of events does not change")
    until(lambda: page.js("return freshetStatus.series.columns.rate.at(-1) > 0"), "the rate stays at nothing")
    check(page.js("return window.stillHere === true"), "the page was loaded anew")
    check(page.focused() == "find", f"an update took the focus to {page.focused()}")
    check(page.js("return scrollY") == before[1], "an update moved the page")
    return sending


def keyboard_works(page, daemon, sending):
    page.driver.get(daemon.url)
    until(lambda: page.state() in ("learning", "waiting"), "the page does not come back")
    page.tab_to("second")
    page.keys(Keys.ARROW_RIGHT)
    until(lambda: page.js("return freshetStatus.range") == "minute", "the arrow does not choose the day")
    check(page.focused() == "minute", "the focus does not follow the choice")
    page.keys(Keys.ARROW_LEFT)
    page.tab_to("pause")
    page.keys(Keys.ENTER)
    until(lambda: "needs a token" in page.text("#answer"), lambda: f"without a token it says '{page.text('#answer')}'")
    page.tab_to("token")
    page.keys("of somebody else", Keys.ENTER)
    until(lambda: "kept until" in page.text("#answer"), "the token is not kept")
    page.js("document.querySelector('[data-action=pause]').focus()")
    page.keys(Keys.ENTER)
    until(lambda: "does not take this token" in page.text("#answer"), lambda: f"with a wrong token it says '{page.text('#answer')}'")
    page.js("document.getElementById('token').focus()")
    page.keys(daemon.token(), Keys.ENTER)
    check(page.js("return document.getElementById('token').value") == "", "the token stays in its field")
    check(page.js("return JSON.stringify(localStorage)").find(daemon.token()) < 0, "the token outlives the tab")
    page.js("document.querySelector('[data-action=pause]').focus()")
    page.keys(Keys.ENTER)
    until(lambda: page.state() == "paused", lambda: f"it is {page.state()} after pause: {page.text('#answer')}")
    check(page.focused() == "pause", f"the focus went to {page.focused()}")
    until(lambda: "Publishing is paused" in page.text("#marks"), "the pause has no mark")
    page.tab_to("resume")
    page.keys(Keys.SPACE)
    until(lambda: page.state() in ("learning", "waiting"), lambda: f"it is {page.state()} after resume: {page.text('#answer')}")

    sending.wait(120)  # no version that could be pinned goes meanwhile
    until(lambda: page.js("return freshetStatus.state.rate") == 0, "the stream does not come to rest")
    page.js("document.querySelector('#versions button[data-action=pin]:not([hidden])').focus()")
    page.keys(Keys.ENTER)
    until(lambda: page.js("return document.getElementById('ask').open"), "nothing is asked before a version is pinned")
    page.keys(Keys.ESCAPE)
    until(lambda: not page.js("return document.getElementById('ask').open"), "Escape does not close the question")
    check(page.state() != "pinned", "a no was taken for a yes")
    page.js("document.querySelector('#versions button[data-action=pin]:not([hidden])').focus()")
    page.keys(Keys.ENTER)
    until(lambda: page.js("return document.getElementById('ask').open"), "nothing is asked the second time")
    page.tab_to("ask-yes", 4)
    page.keys(Keys.ENTER)
    until(lambda: page.state() == "pinned", lambda: f"it is {page.state()} after pin: {page.text('#answer')}")
    until(lambda: page.js("return document.querySelectorAll('#versions .pinned').length") == 1, "the pinned version is not marked")
    page.picture("pinned")
    page.click("[data-action=resume]")
    until(lambda: page.state() in ("learning", "waiting"), "resume does not end the pin")

    page.js("document.getElementById('heat').focus()")
    page.keys(Keys.ARROW_DOWN, Keys.ARROW_LEFT)
    check("round" in page.text("#heat-words"), f"the heat map says '{page.text('#heat-words')}' to arrow keys")


def options_are_found(page, daemon):
    page.js("document.getElementById('find').focus()")
    page.keys("replay_ratio")
    rows = page.js("return [...document.querySelectorAll('#options tbody tr')].map((row) => row.textContent)")
    check(len(rows) == 1 and "learning.replay_ratio" in rows[0], f"looking for an option finds {rows[:3]}")
    page.keys(*[Keys.BACKSPACE] * 12)
    page.click("#all-options")
    check(page.js("return document.querySelectorAll('#options tbody tr').length") > 80, "the defaults are missing")
    page.click("#all-options")
    check("hunter2" not in page.js("return document.documentElement.outerHTML") + daemon.get("status/config"), "a secret is shown")
    page.click("#quality-figure summary")
    until(lambda: page.js("return document.querySelectorAll('#quality-table tbody tr').length") > 3, "the table of the chart is empty")
    page.click("#quality-figure summary")
    page.js("const select = document.getElementById('measure'); select.value = 'auc'; select.dispatchEvent(new Event('change'))")
    check(page.text(".tile:nth-child(3) h3") == "ROC AUC", "the measure does not change")


def stays_small(page):
    length = page.js("const {series} = freshetStatus; const last = series.time.at(-1);"
                     "for (let i = 1; i < 3000; ++i) series.add({time_ms: last + i, rate: i, live: {log_loss: 1}}, 600);"
                     "return [series.time.length, series.columns.rate.length, series.live.log_loss.length]")
    check(length == [600, 600, 600], f"a series grows to {length} points")
    marks = page.js("return freshetStatus.marks.length")
    check(marks <= 320, f"{marks} marks are kept")


def fits(page, daemon):
    light = "const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number); return r + g + b > 380"
    check(page.js(light), "it is dark where the system is light")
    page.picture("light")
    page.colours("dark")
    until(lambda: not page.js(light), "it stays light where the system is dark")
    until(lambda: page.ink("#quality-chart") > 1000, "the chart is empty in the dark")
    page.picture("dark")
    page.click("#theme")
    check(page.js(light), "the button does not make it light")
    page.click("#theme")
    check(not page.js(light), "the button does not make it dark")
    page.click("#theme")
    page.colours("light")
    for width in (390, 820):
        page.size(width, 844, mobile=True)
        page.driver.get(daemon.url)
        until(lambda: page.ink("#quality-chart") > 800, lambda: f"the chart is empty at {width} pixels")
        check(page.js("return document.documentElement.scrollWidth") <= width, f"it is wider than {width} pixels")
        small = page.js("return [...document.querySelectorAll('button, select, input:not([type=checkbox])')].filter((node) => node.offsetParent && node.getBoundingClientRect().height < 24).map((node) => node.id || node.textContent)")
        check(small == [], f"too small for a finger: {small}")
        page.picture(f"phone-{width}")
    page.size(1280, 900)
    page.driver.get(daemon.url)
    until(lambda: page.state() in ("learning", "waiting"), "the page does not come back")


def outlives_the_daemon(page, daemon, start):
    page.quiet("before the restart", ("401 (Unauthorized)",))
    daemon.end()
    until(lambda: page.state() == "away", lambda: f"with the daemon gone it is {page.state()}")
    check("trying again" in page.text("#link"), f"with the daemon gone it says '{page.text('#link')}'")
    page.picture("away")
    again = start(daemon.port)
    until(lambda: page.state() in ("learning", "waiting", "redoing"), lambda: f"with the daemon back it is {page.state()}")
    until(lambda: "started anew" in page.text("#notice"), lambda: f"with the daemon back it says '{page.text('#notice')}'")
    page.quiet("after the restart", ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "401 (Unauthorized)"))
    return again


def main():
    binary, config, folder, first, rest = sys.argv[1:6]
    sets = sys.argv[6:]
    folder = pathlib.Path(folder)
    runs = iter(range(1, 100))

    def start(port=0):
        return Daemon(binary, config, folder / f"state{next(runs)}", sets, port)

    daemon = start()
    page = None
    try:
        daemon.produce(first).wait(120)
        events = sum(1 for line in open(first)) - 3  # three are no events
        until(lambda: daemon.status()["events"] >= events, "the daemon does not learn what it was sent")
        page = Page()
        page.driver.get(daemon.url)
        draws(page, daemon)
        sending = updates_by_itself(page, daemon, rest)
        keyboard_works(page, daemon, sending)
        options_are_found(page, daemon)
        fits(page, daemon)
        stays_small(page)
        daemon = outlives_the_daemon(page, daemon, start)
    except Exception as error:  # what was found until then is worth knowing too
        check(False, f"{type(error).__name__}: {error}")
    finally:
        if page:
            page.driver.quit()
        if daemon.process.poll() is None:
            check(daemon.end() == 0, "the daemon ends with an error")
    print("\n".join(FAULTS))
    return 1 if FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
