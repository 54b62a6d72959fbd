"""The page in a real browser: headless Chromium lays it out at several widths, and prints it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from gxevent.report import read_inputs, report_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium)")

PROBE = """<script>
addEventListener("load", () => {
  const box = e => { const r = e.getBoundingClientRect(); return [r.width, r.height]; };
  const drawn = [...document.querySelectorAll("figure svg")];
  document.body.dataset.probe = JSON.stringify({
    figures: drawn.map(box),
    images: [...document.querySelectorAll("image")].map(box),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    width: innerWidth, height: document.documentElement.scrollHeight,
    unknown: drawn.flatMap(s => [...s.querySelectorAll("use")])
      .filter(u => !document.querySelector(u.getAttribute("href"))).length,
    colours: drawn.flatMap(s => [...s.querySelectorAll("path")])
      .filter(p => getComputedStyle(p).stroke.includes("var") || getComputedStyle(p).fill.includes("var")).length,
    links: [...document.querySelectorAll("nav a")].filter(a => !document.querySelector(a.getAttribute("href"))).length,
  });
});
</script>"""


def browse(folder, *options: str) -> subprocess.CompletedProcess:
    command = [CHROMIUM, "--headless", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]
    command += [f"--user-data-dir={folder / 'profile'}", "--no-first-run", "--virtual-time-budget=10000"]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture(scope="module")
def pages(made, tmp_path_factory):
    """One page with everything on it, and one of two runs."""
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(made / "run", folder / "again")
    texts = {
        "all": report_page(
            read_inputs([made / "run", made / "map.json", made / "sim.json"]), graphs=[made / "digits.gxg"]
        ),
        "two": report_page(read_inputs([made / "run", folder / "again"]), graphs=[made / "digits.gxg"]),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text)
        (folder / f"{name}-probed.html").write_text(text.replace("</body>", PROBE + "</body>"))
    return folder


@pytest.mark.parametrize(("name", "figures"), [("all", 10), ("two", 9)])
@pytest.mark.parametrize("width", [600, 1366, 1920])
def test_figures_are_there_and_nothing_sticks_out(pages, name, figures, width):
    done = browse(pages, f"--window-size={width},900", "--dump-dom", f"file://{pages / name}-probed.html")
    assert "CONSOLE" not in done.stderr, done.stderr
    said = re.search(r'data-probe="([^"]*)"', done.stdout)
    probe = json.loads(said[1].replace("&quot;", '"'))
    assert len(probe["figures"]) == figures
    assert all(w > 200 and h > 50 for w, h in probe["figures"])
    assert all(w > 8 and h > 8 for w, h in probe["images"])
    assert probe["images"], "the raster is a picture"
    assert probe["overflow"] == 0
    assert (probe["unknown"], probe["colours"], probe["links"]) == (0, 0, 0)


def test_the_page_is_light_and_fetches_nothing(pages):
    for name in ("all", "two"):
        assert (pages / f"{name}.html").stat().st_size < 6e6
        assert not re.search(r"(src|href)=[\"'](?!#|data:)", (pages / f"{name}.html").read_text())


def test_it_prints(pages):
    browse(pages, f"--print-to-pdf={pages / 'all.pdf'}", "--no-pdf-header-footer", f"file://{pages / 'all.html'}")
    printed = (pages / "all.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12


def test_the_demo_page(tmp_path):
    from gxevent.report.demo import run_demo

    run_demo(tmp_path / "demo")
    done = browse(tmp_path, "--window-size=1366,900", "--dump-dom", f"file://{tmp_path / 'demo' / 'report.html'}")
    assert "CONSOLE" not in done.stderr, done.stderr
    assert "all equal" in done.stdout
    assert done.stdout.count("<figure") == 6
