"""Takes the pictures of docs/feeds/page.md: the page, on a phone, bright and in German, and the overlay, in Debian's Chromium while the demo's music plays.

    python3 scripts/page_screenshot.py PROGRAM [FOLDER]        FOLDER is docs/figures

Only Python's own library. Takes about a minute and a half.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


class Browser:
    """Chromium without a screen, driven through its file descriptors 3 and 4."""

    def __init__(self, folder):
        questions, self.to = os.pipe()
        self.answers, answers = os.pipe()
        command = "exec chromium --headless --no-sandbox --disable-gpu --disable-background-networking --hide-scrollbars"
        command += f" --user-data-dir={folder} --remote-debugging-pipe about:blank 3<&{questions} 4>&{answers}"
        self.process = subprocess.Popen(["bash", "-c", command], pass_fds=[questions, answers], stderr=subprocess.DEVNULL)
        os.close(questions)
        os.close(answers)
        self.waiting, self.asked, self.session = b"", 0, None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        self.call("Page.enable")

    def call(self, method, **parameters):
        self.asked += 1
        question = {"id": self.asked, "method": method, "params": parameters}
        if self.session:
            question["sessionId"] = self.session
        os.write(self.to, json.dumps(question).encode() + b"\0")
        while True:
            while b"\0" not in self.waiting:
                part = os.read(self.answers, 1 << 16)
                if not part:
                    sys.exit("chromium has ended")
                self.waiting += part
            answer, self.waiting = self.waiting.split(b"\0", 1)
            answer = json.loads(answer)
            if answer.get("id") == self.asked:
                return answer["result"]

    def open(self, url, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)

    def eval(self, script):
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def picture(self, path):
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        print(path)


def main():
    program = Path(sys.argv[1]).resolve()
    figures = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent.parent / "docs/figures").resolve()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        demo = [program, "demo", "--fast", "--seconds", "40", "--styles", "classical,hiphop", "--wav", "demo.wav"]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
        listen = [program, "listen", "--input", "demo.wav", "--plain", "--http", ":8117"]
        listening = subprocess.Popen(listen, stdout=subprocess.DEVNULL)
        browsers = []
        try:
            time.sleep(1)
            page = "http://127.0.0.1:8117/"
            for url, width, height in [
                (page, 1280, 720),
                (page, 390, 760),
                (page + "?lang=de&theme=light", 1280, 720),
                (page + "overlay?show=genre,confidence,bars,strip&top=3&plate=0.55", 640, 278),
            ]:
                browser = Browser(f"{folder}/{len(browsers)}")
                browser.open(url, width, height)
                browsers.append(browser)
            # The last piece, and some seconds of it.
            genres = []
            while len(genres) < 2 and listening.poll() is None:
                time.sleep(0.5)
                shown = browsers[0].eval("document.body.dataset.genre")
                if shown and shown not in genres:
                    genres.append(shown)
            time.sleep(5)
            light = "linear-gradient(120deg,#7a3b2e,#c9a45c,#3f6f7d)"
            browsers[3].eval(f"document.documentElement.style.background = '{light}'")
            for browser, name in zip(browsers, ["page", "page-phone", "page-light", "overlay"], strict=True):
                browser.picture(figures / f"{name}.png")
        finally:
            for process in [listening, *(browser.process for browser in browsers)]:
                process.kill()


if __name__ == "__main__":
    main()
