//! A real browser without a screen (Debian's chromium), driven through the pipes of its DevTools.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure is a failed test"
)]

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// A browser that does not answer for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    to: File,
    answers: Receiver<Value>,
    session: Option<String>,
    asked: u64,
    errors: Vec<String>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Browser {
    /// `None` where there is none.
    pub(crate) fn open(dir: &Path) -> Option<Self> {
        let found = Command::new("chromium").arg("--version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let made = Command::new("mkfifo")
            .args(["to", "from"])
            .current_dir(dir)
            .status();
        assert!(made.unwrap().success());
        // It speaks through its file descriptors 3 and 4.
        let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-background-networking \
            --user-data-dir=profile --remote-debugging-pipe about:blank 3<to 4>from";
        let process = Command::new("sh")
            .args(["-c", script])
            .current_dir(dir)
            .env("HOME", dir)
            .env("LANGUAGE", "en")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = File::options().write(true).open(dir.join("to")).unwrap();
        let from = BufReader::new(File::open(dir.join("from")).unwrap());
        let (out, answers) = channel();
        thread::spawn(move || {
            for message in from.split(0).map_while(Result::ok) {
                if out.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            process,
            to,
            answers,
            session: None,
            asked: 0,
            errors: Vec::new(),
        };
        let targets = browser.call("Target.getTargets", json!({}));
        let targets = targets["targetInfos"].as_array().unwrap();
        let page = targets
            .iter()
            .find(|target| target["type"] == "page")
            .unwrap();
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut question = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = &self.session {
            question["sessionId"] = session.as_str().into();
        }
        let mut question = question.to_string().into_bytes();
        question.push(0);
        self.to.write_all(&question).unwrap();
        loop {
            let mut answer = self.answers.recv_timeout(PATIENCE).unwrap();
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
            if answer["method"] == "Runtime.exceptionThrown" {
                self.errors.push(answer["params"].to_string());
            }
        }
    }

    /// As if the system asked for this: `prefers-color-scheme`.
    pub(crate) fn emulate(&mut self, feature: &str, value: &str) {
        let features = json!({"features": [{"name": feature, "value": value}]});
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Opens an address.
    pub(crate) fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
    }

    /// What a script gives, waited for if need be.
    pub(crate) fn eval(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        self.call("Runtime.evaluate", params)["result"]["value"].take()
    }

    /// What the page's scripts did not catch.
    pub(crate) fn errors(&self) -> &[String] {
        &self.errors
    }
}
