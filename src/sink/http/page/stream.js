// What is known of the listener at present, and a call whenever that changes.

// Levels come five times a second, so this much silence means that nobody is there.
const SILENCE_MS = 5000;
const RETRY_MS = 1500;

export class Stream {
  constructor(onChange) {
    this.onChange = onChange;
    this.link = "connecting"; // open, gone, locked
    this.hello = null;
    this.palette = null;
    this.readout = null;
    this.view = null;
    this.meter = null;
    this.stretches = [];
    this.ahead = null; // of the listener's clock before ours
    this.heard = performance.now();
    this.source = null;
    setInterval(() => this.watch(), 1000);
    this.begin();
  }

  async begin() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (token) {
      // It is to stand in no history.
      history.replaceState(null, "", location.pathname + location.search);
      await this.login(token);
    }
    this.open();
  }

  open() {
    this.source?.close();
    this.heard = performance.now();
    const source = new EventSource("events");
    this.source = source;
    const on = (name, act) => source.addEventListener(name, (event) => {
      const message = JSON.parse(event.data);
      this.heard = performance.now();
      if (message.t && name !== "history") this.setClock(Date.parse(message.t));
      this.link = "open";
      act(message);
      this.onChange(name);
    });
    on("hello", (message) => { this.hello = message; });
    on("palette", (message) => { this.palette = message; });
    on("history", (message) => {
      this.setClock(Date.parse(message.t));
      this.stretches = message.stretches.map(({ from, until, state, genre, held }) =>
        ({ from: Date.parse(from), until: Date.parse(until), state, genre, held }));
    });
    on("genre", (message) => { this.readout = message; this.note(message); });
    on("status", (message) => {
      if (message.state === "lost" && this.readout) {
        this.readout = { ...this.readout, state: "lost", genre: null, held: false, confidence: 0 };
        this.note({ ...this.readout, t: message.t });
      }
    });
    on("view", (message) => { this.view = message; });
    on("meter", (message) => { this.meter = message; });
    source.onerror = () => this.failed(source);
  }

  async failed(source) {
    if (source !== this.source) return;
    this.leave("gone");
    // The browser tries again by itself, unless it was refused.
    if (source.readyState !== EventSource.CLOSED) return;
    let status = 0;
    try { status = (await fetch("readout")).status; } catch { /* nobody is there */ }
    if (source !== this.source) return;
    if (status === 401) this.leave("locked");
    else setTimeout(() => { if (source === this.source) this.open(); }, RETRY_MS);
  }

  // A network that went away says nothing of it.
  watch() {
    if (this.link !== "locked" && performance.now() - this.heard > SILENCE_MS) {
      this.leave("gone");
      this.open();
    } else {
      this.onChange("time");
    }
  }

  leave(link) {
    if (this.link === link) return;
    this.link = link;
    this.onChange("link");
  }

  note({ t, state, genre, held }) {
    const time = Date.parse(t);
    const last = this.stretches.at(-1);
    if (last) last.until = Math.max(last.until, time);
    if (!last || last.state !== state || last.genre !== genre || last.held !== held) {
      this.stretches.push({ from: time, until: time, state, genre, held });
      if (this.stretches.length > 1000) this.stretches.shift();
    }
  }

  setClock(time) {
    const ahead = time - performance.now();
    // What came the fastest is the nearest to the truth; a clock that was set is believed, too.
    if (this.ahead === null || ahead > this.ahead || this.ahead - ahead > 10000) this.ahead = ahead;
  }

  now() { return performance.now() + (this.ahead ?? Date.now() - performance.now()); }

  colour(genre) {
    const index = this.hello?.labels.indexOf(genre) ?? -1;
    return this.palette?.[document.documentElement.dataset.theme ?? "dark"][index] ?? "#98a1b2";
  }

  async post(path) {
    try { return (await fetch(path, { method: "POST" })).ok; } catch { return false; }
  }

  async login(token) {
    try {
      const headers = { Authorization: `Bearer ${token}` };
      return (await fetch("login", { method: "POST", headers })).ok;
    } catch { return false; }
  }
}
