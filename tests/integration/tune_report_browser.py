#!/usr/bin/python3
"""Looks at a page of `freshet tune --report` in headless Chromium as a user does: with the mouse, the keyboard, a phone.

usage: tune_report_browser.py PAGE EXPECTED [PAGE EXPECTED]...
EXPECTED: JSON with trials and studies, and best_trial, best_score, settings; `strange` where charts may be empty.
Prints what is wrong and exits 1. Needs Debian's chromium, chromium-driver and python3-selenium.
"""
import json
import math
import pathlib
import sys

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

FAULTS = []


def check(condition, text):
    if not condition:
        FAULTS.append(text)
    return condition


class Page:
    def __init__(self):
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_script_timeout(30)
        self.size(1280, 900)

    def open(self, path):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self.url = pathlib.Path(path).resolve().as_uri()
        self.load()

    def size(self, width, height, mobile=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile})

    def load(self):
        self.driver.get(self.url)
        self.settle()

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def settle(self):
        """Two frames later everything that was asked for is drawn."""
        self.driver.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))")

    def mouse(self, kind, x, y, buttons=0):
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {
            "type": kind, "x": x, "y": y, "buttons": buttons,
            "button": "left" if kind != "mouseMoved" or buttons else "none", "clickCount": 1 if kind != "mouseMoved" else 0})

    def panels(self):
        return self.js("return freshetReport.panels.map((panel) => ({id: panel.id, drawn: +panel.figure.dataset.drawn,"
                       " passing: +panel.figure.dataset.passing, lit: panel.figure.dataset.lit}))")

    def show(self, panel):
        """Scrolls to the panel; where its canvas then is."""
        self.js("document.getElementById('tip').hidden = true;"
                "freshetReport.panels.find((one) => one.id === arguments[0]).over.scrollIntoView({block: 'center', behavior: 'instant'})", panel)
        self.settle()
        return self.js("const box = freshetReport.panels.find((one) => one.id === arguments[0]).over.getBoundingClientRect();"
                       "return [box.left, box.top, box.right, box.bottom]", panel)

    def points(self, panel):
        """What can be pointed at: [trial, x, y] on the screen."""
        return self.js("const panel = freshetReport.panels.find((one) => one.id === arguments[0]);"
                       "const box = panel.over.getBoundingClientRect();"
                       "return panel.byPlace.map((point) => [point.trial.id, box.left + point.px, box.top + point.py])", panel)

    def ink(self, panel, canvas):
        """How many pixels of a canvas are not empty. Of a copy: reading the page's own would be remarked on the console."""
        return self.js("const drawn = freshetReport.panels.find((one) => one.id === arguments[0])[arguments[1]];"
                       "const canvas = window.inkCopy ??= document.createElement('canvas');"
                       "[canvas.width, canvas.height] = [drawn.width, drawn.height];"
                       "const pen = canvas.getContext('2d', {willReadFrequently: true}); pen.drawImage(drawn, 0, 0);"
                       "const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;"
                       "let count = 0; for (let i = 3; i < data.length; i += 4) count += data[i] > 0; return count", panel, canvas)

    def click(self, selector):
        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.js("arguments[0].scrollIntoView({block: 'center'})", element)  # not under the bar that stays on top
        element.click()
        self.settle()

    def data(self):
        return json.loads(self.js("return document.getElementById('studies-data').textContent"))

    def quiet(self, when):
        for entry in self.driver.get_log("browser"):
            check(False, f"{when}: the console says {entry['message']}")


def expected_panels(data):
    options = []
    for study in data["studies"]:
        for space in study["document"]["study"]["space"]:
            if space["option"] not in options:
                options.append(space["option"])
    several = ["compare"] if len(data["studies"]) > 1 else []
    each = [f"{kind}-{option}" for option in options for kind in ("scatter", "density")]
    return ["progress", *several, "parallel", *each, "survival", "curves", "cost-each", "cost-score", "density-score"]


def trials_of(data):
    return [(study["document"], trial) for study in data["studies"] for trial in study["document"]["study"]["trials"]]


def score_of(document, trial):
    scores = [one["objective"] for one in trial["evaluations"] if one["objective"] is not None]
    return None if not scores else (-max(scores) if document["lower_is_better"] else max(scores))


def look_at_charts(page, expected, data):
    trials = trials_of(data)
    check(len(trials) == expected["trials"], f"{len(trials)} trials in the page")
    ids = [panel["id"] for panel in page.panels()]
    if expected["trials"] == 0:
        check(not ids, f"charts of nothing: {ids}")
        check("No trial has been tried" in page.js("return document.body.innerText"), "it does not say that nothing was tried")
        return
    check(ids == expected_panels(data), f"the charts are {ids}")
    scored = sum(score_of(*one) is not None for one in trials)
    for panel in page.panels():
        name = panel["id"]
        want = len(trials)
        if name.startswith(("scatter-", "density-")) and name != "density-score":
            option = name.split("-", 1)[1]
            want = sum(option in trial["configuration"] for _, trial in trials)
        elif name in ("compare", "density-score"):
            want = scored
        elif name == "curves":
            want = sum(bool(trial["evaluations"]) for _, trial in trials)
        check(panel["drawn"] == want, f"{name} draws {panel['drawn']} trials of {want}")
        check(page.ink(name, "under") > 300, f"{name} is empty")
    rows = page.js("return document.querySelectorAll('#trials tbody tr').length")
    check(rows == len(trials), f"the table has {rows} rows")


def look_at_summary(page, expected):
    text = page.js("return document.getElementById('summary').innerText")
    score = expected["best_score"]
    shown = page.js("return parseFloat(document.querySelector('.fact.first b').textContent)")
    check(math.isclose(shown, score, abs_tol=5.1e-5), f"the best score is shown as {shown}, and is {score}")
    check(f"Trial {expected['best_trial']}" in text, f"trial {expected['best_trial']} is not named: {text}")
    # The block of YAML, read back line by line.
    settings, path = {}, []
    for line in page.js("return document.getElementById('yaml').textContent").splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, value = line.strip().partition(":")
        path[depth:] = [name]
        if value:
            settings[".".join(path)] = value.strip()
    same = settings.keys() == expected["settings"].keys() and all(
        value == expected["settings"][option] or float(value) == float(expected["settings"][option])
        for option, value in settings.items())
    check(same, f"the settings are {settings}, not {expected['settings']}")


def hover_lights_everywhere(page, data):
    drawn = {panel: set(page.js("return [...new Set(freshetReport.panels.find((one) => one.id === arguments[0]).points"
                                ".map((point) => point.trial.id))]", panel)) for panel in expected_panels(data)}
    for panel in expected_panels(data):
        page.show(panel)
        points = page.points(panel)
        if not points:
            continue
        _, x, y = points[len(points) // 2]
        bare = page.ink("progress", "over")
        page.mouse("mouseMoved", x, y)
        page.settle()
        lit = page.js("return freshetReport.shown.hover?.id ?? null")
        if not check(lit is not None, f"nothing lights up under the mouse in {panel}"):
            continue
        for other in page.panels():
            has = lit in drawn[other["id"]]
            check((other["lit"] == str(lit)) == has, f"trial {lit}, met in {panel}, is {'not ' * has}lit in {other['id']}")
            if has:
                check(page.ink(other["id"], "over") > 20, f"{other['id']} says that it lights trial {lit} and draws nothing")
        check(page.ink("progress", "over") > bare, f"progress looks the same with trial {lit} lit in {panel}")
        tip = page.js("const tip = document.getElementById('tip'); return tip.hidden ? '' : tip.innerText")
        settings = trials_of(data)[lit][1]["configuration"]
        for option in settings:
            check(option.split(".")[-1] in tip, f"the tooltip in {panel} lacks {option}: {tip}")
        page.mouse("mouseMoved", 2, 2)
        page.settle()
        check(all(not one["lit"] for one in page.panels()), f"after {panel} a trial stays lit")


def drag(page, panel, start, end):
    page.mouse("mouseMoved", *start)
    page.mouse("mousePressed", *start, buttons=1)
    for step in range(1, 6):
        page.mouse("mouseMoved", *(a + (b - a) * step / 5 for a, b in zip(start, end)), buttons=1)
    page.mouse("mouseReleased", *end)
    page.settle()


def drag_filters_everywhere(page, data):
    trials = trials_of(data)
    option = next(space["option"] for space in data["studies"][0]["document"]["study"]["space"] if "choices" not in space)
    values = {i: trial["configuration"][option] for i, (_, trial) in enumerate(trials) if option in trial["configuration"]}
    order = sorted(values, key=values.get)
    low, high = len(order) // 4, 3 * len(order) // 4
    panel = f"scatter-{option}"
    left, top, _, bottom = page.show(panel)
    place = {trial: x for trial, x, _ in page.points(panel)}
    # Between two neighbours at each end: what lies within is then known from the numbers alone.
    start = (place[order[low - 1]] + place[order[low]]) / 2 if low else left + 1
    end = (place[order[high]] + place[order[high + 1]]) / 2 if high + 1 < len(order) else place[order[high]] + 3
    check(start > left and end > start, "the points are not in the order of their values")
    drag(page, panel, (start, (top + bottom) / 2), (end, (top + bottom) / 2 + 3))
    inside = set(order[low:high + 1])
    shown = set(page.js("return [...freshetReport.shown.passing].map((trial) => trial.id)"))
    check(shown == inside, f"dragging over {option} shows {sorted(shown)}, not {sorted(inside)}")
    for other in page.panels():
        have = set(page.js("return [...new Set(freshetReport.panels.find((one) => one.id === arguments[0]).points"
                           ".map((point) => point.trial.id))]", other["id"]))
        check(other["passing"] == len(inside & have), f"{other['id']} shows {other['passing']} trials, not {len(inside & have)}")
    rows = page.js("return [...document.querySelectorAll('#trials tbody tr')].map((row) => +row.dataset.trial)")
    check(set(rows) == inside, f"the table shows {rows}")
    chips = page.driver.find_elements(By.CSS_SELECTOR, "#filters button")
    check(len(chips) == 1 and option.split(".")[-1] in chips[0].text, "no chip tells of the filter")

    # Along the other way of the same chart: a second filter on top; then all back.
    best_first = page.points("cost-score")
    left, top, right, bottom = page.show("cost-score")
    middle = sorted(y for _, _, y in page.points("cost-score"))[len(best_first) // 2]
    drag(page, "cost-score", ((left + right) / 2, bottom - 45), ((left + right) / 2 + 2, middle - 1))
    check(len(page.driver.find_elements(By.CSS_SELECTOR, "#filters button")) == 2, "the second filter is not there")
    both = page.js("return freshetReport.shown.passing.size")
    check(0 < both < len(inside), f"two filters show {both} of {len(inside)}")
    page.click("#reset")
    check(page.js("return freshetReport.shown.passing.size") == len(trials), "Show all does not show all")
    check(page.panels()[0]["passing"] == len(trials), "after Show all the first chart still hides trials")

    # Along an axis of the parallel coordinates.
    page.show("parallel")
    x, y, height = page.js(
        "const panel = freshetReport.panels.find((one) => one.id === 'parallel'); const box = panel.over.getBoundingClientRect();"
        "const axis = panel.current_axes.findIndex((one) => one.option === arguments[0]); const [x, y] = panel.place(axis, 0.5);"
        "return [box.left + x, box.top + y, panel.area.bottom - panel.area.top]", option)
    drag(page, "parallel", (x, y), (x, y - height))
    space = next(one for one in data["studies"][0]["document"]["study"]["space"] if one["option"] == option)
    ranges = [one for study in data["studies"] for one in study["document"]["study"]["space"] if one["option"] == option]
    low, high = min(one["lowest"] for one in ranges), max(one["highest"] for one in ranges)
    half = math.sqrt(low * high) if space["log"] else (low + high) / 2
    want = {i for i, value in values.items() if value >= half}
    shown = set(page.js("return [...freshetReport.shown.passing].map((trial) => trial.id)"))
    near = {i for i, value in values.items() if abs(value / half - 1) < 0.1}
    check(shown ^ want <= near, f"the upper half of the axis {option} shows {sorted(shown)}, not {sorted(want)}")
    page.click("#filters button")
    check(page.js("return freshetReport.shown.passing.size") == len(trials), "a chip does not take its filter back")


def keyboard_works(page, data):
    trials = trials_of(data)
    page.load()
    keys = lambda *which: (ActionChains(page.driver).send_keys(*which).perform(), page.settle())
    seen = []
    for _ in range(80):  # by Tab alone
        keys(Keys.TAB)
        here = page.js("return document.activeElement.closest('figure')?.dataset.panel && document.activeElement.tagName === 'CANVAS'"
                       " ? (document.activeElement.closest('.plot').dataset.panel || document.activeElement.closest('figure').dataset.panel) : ''")
        if here and here not in seen:
            seen.append(here)
        if len(seen) == len(expected_panels(data)):
            break
    check(seen == expected_panels(data), f"Tab reaches {seen}")

    page.load()
    page.js("freshetReport.panels[0].over.focus()")
    keys(Keys.HOME)
    first = page.js("return freshetReport.shown.hover?.id ?? null")
    check(first is not None, "Home lights nothing")
    keys(Keys.END)
    last = page.js("return freshetReport.shown.hover?.id ?? null")
    check(all(one["lit"] == str(last) for one in page.panels()[:1]), "End lights nothing")
    check(str(trials[last][1]["trial"]) in page.js("return document.getElementById('live').textContent"), "a screen reader is not told")
    keys(Keys.HOME)
    ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    page.settle()
    some = page.js("return freshetReport.shown.passing.size")
    check(0 < some < len(trials), f"Shift and arrows show {some} of {len(trials)}")
    keys(Keys.ESCAPE)
    check(page.js("return freshetReport.shown.passing.size") == len(trials), "Escape keeps the filter")
    keys(Keys.ENTER)
    kept = page.js("return freshetReport.shown.kept?.id ?? null")
    check(kept is not None, "Enter keeps no trial")
    check(page.js("return document.querySelectorAll('#trials tr.kept').length") == 1, "the kept trial's row is not marked")
    keys(Keys.ESCAPE)
    check(page.js("return freshetReport.shown.kept") is None, "Escape lets no trial go")

    page.js("document.querySelector('#trials th button').focus()")
    keys(Keys.ENTER)
    rows = page.js("return [...document.querySelectorAll('#trials tbody tr')].map((row) => +row.dataset.trial)")
    check(rows == sorted(rows), "the table is not sorted by its first column")
    keys(Keys.ENTER)
    rows = page.js("return [...document.querySelectorAll('#trials tbody tr')].map((row) => +row.dataset.trial)")
    check(rows == sorted(rows, reverse=True), "nor the other way round")


def clocks_and_studies(page, data):
    for clock in ("order", "seconds", "compute"):
        page.click(f"[data-clock={clock}]")
        check(page.js("return document.querySelector('[aria-checked=true]').dataset.clock") == clock, f"{clock} cannot be chosen")
    if len(data["studies"]) < 2:
        return
    chips = page.driver.find_elements(By.CSS_SELECTOR, "#studies button")
    check(len(chips) == len(data["studies"]), "not every study has a button")
    page.click("#studies button")
    left = sum(len(study["document"]["study"]["trials"]) for study in data["studies"][1:])
    check(page.panels()[0]["drawn"] == left, "a study cannot be taken away")
    page.click("#studies button")
    rows = page.js("return document.querySelectorAll('#compare-table tbody tr').length")
    check(rows == len(data["studies"]), "the table of studies lacks some")


def fits(page):
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    page.settle()
    light = "const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number); return r + g + b > 380"
    check(not page.js(light), "it stays light where the system is dark")
    for _ in range(2):  # light, then dark by hand
        page.click("#theme")
        check(page.js(light) == (page.driver.find_element(By.ID, "theme").text == "Light"), "the button does not change the colours")
    page.size(390, 844, mobile=True)
    page.load()
    width = page.js("return document.documentElement.scrollWidth")
    check(width <= 390, f"it is {width} pixels wide on a phone of 390")
    for panel in page.panels():
        check(page.ink(panel["id"], "under") > 200, f"{panel['id']} is empty on a phone")
    page.size(1280, 900)
    page.load()


def look(page, path, expected):
    page.open(path)
    data = page.data()
    check(len(data["studies"]) == expected["studies"], f"{len(data['studies'])} studies in the page")
    check(page.js("return performance.getEntriesByType('resource').length") == 0, "the page loads something")
    look_at_charts(page, expected, data)
    if not expected.get("strange"):
        look_at_summary(page, expected)
        hover_lights_everywhere(page, data)
        drag_filters_everywhere(page, data)
        clocks_and_studies(page, data)
        keyboard_works(page, data)
    fits(page)
    page.quiet("at the end")


def main():
    page = Page()
    try:
        for path, expected in zip(sys.argv[1::2], sys.argv[2::2]):
            before = len(FAULTS)
            try:
                look(page, path, json.loads(expected))
            except Exception as error:  # what was found until then is worth knowing too
                check(False, f"{type(error).__name__}: {error}")
            FAULTS[before:] = [f"{pathlib.Path(path).name}: {fault}" for fault in FAULTS[before:]]
    finally:
        page.driver.quit()
    print("\n".join(FAULTS))
    return 1 if FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
