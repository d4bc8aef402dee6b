import { Stream } from "./stream.js";
import { fill, language, number, translate, words } from "./language.js";
import { drawBars, drawStrip, fillClip, meterShare, minutesOf, percent } from "./drawing.js";

const $ = (id) => document.getElementById(id);
const body = document.body;
translate();
let peak = -120;
let peakAt = 0;

const stream = new Stream((what) => {
  if (what === "meter") drawLevel();
  else draw();
  if (stream.link === "locked" && !$("login").open) $("login").showModal();
});

function draw() {
  const open = stream.link === "open";
  const readout = open ? stream.readout : null;
  const state = open ? readout?.state ?? "warming" : "gone";
  const genre = readout?.genre ?? null;
  Object.assign(body.dataset, {
    link: stream.link,
    state,
    genre: genre ?? "",
    seq: readout?.seq ?? "",
    shown: genre ? "yes" : "no",
    held: readout?.held ? "yes" : "no",
  });
  const away = { connecting: "…", locked: words.locked, gone: words.no_listener };
  const headline = genre ?? (open ? (state === "warming" ? words.listening : words.states[state]) : away[stream.link]);
  set($("headline"), headline);
  // So that the size changes little from genre to genre.
  $("headline").style.setProperty("--letters", Math.max(6, [...headline].length));
  body.style.setProperty("--genre", genre ? stream.colour(genre) : "var(--dim)");
  set($("confidence"), genre ? percent(readout.confidence) : "");
  const says = open ? stream.view?.words[language] ?? "" : {
    connecting: words.connecting,
    locked: words.token_needed,
    gone: words.listener_gone,
  }[stream.link];
  set($("words"), says);
  const tag = open && stream.meter?.hold ? words.tag_held : readout?.held ? words.tag_kept : "";
  set($("tag"), tag);
  $("tag").hidden = !tag;
  const trouble = open ? stream.view?.trouble ?? "" : "";
  set($("trouble"), trouble);
  $("trouble").hidden = !trouble;
  set($("source"), stream.hello?.source ?? "");
  set($("model"), stream.hello?.model ?? "");
  set($("clock"), readout ? clock(readout.position_s) : "");
  document.title = genre ? `${genre} – genrescope` : "genrescope";
  for (const id of ["hold", "reset"]) $(id).disabled = !open;
  drawBars($("bars"), stream, 14);
  drawPast();
  if (!open) drawLevel();
}

function drawPast() {
  const minutes = minutesOf(stream, innerWidth < 700 ? 3 : 5);
  drawStrip($("strip"), stream, 60 * minutes);
  set($("scale-from"), `−${minutes} min`);
}

function drawLevel() {
  const meter = stream.link === "open" ? stream.meter : null;
  const db = meter?.level_dbfs ?? -120;
  const now = performance.now();
  peak = meter ? Math.max(db, peak - 0.012 * (now - peakAt)) : -120;
  peakAt = now;
  $("level").style.clipPath = fillClip(meterShare(db));
  $("peak").style.left = `calc(${(100 * meterShare(peak)).toFixed(1)}% - 3px)`;
  $("peak").style.opacity = meterShare(peak) > 0 ? 0.85 : 0;
  let text = meter ? (db <= -119 ? "−∞ dBFS" : `${number(db, 1).replace("-", "−")} dBFS`) : "";
  if (meter?.dropped_samples) text = `${fill(words.dropped, { count: meter.dropped_samples })} · ${text}`;
  set($("dbfs"), text);
  const held = Boolean(meter?.hold);
  if (($("hold").getAttribute("aria-pressed") === "true") !== held) {
    $("hold").setAttribute("aria-pressed", held);
    set($("hold"), held ? words.release : words.hold);
    draw();
  }
}

const set = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function clock(seconds) {
  const [h, m, s] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const actions = {
  h: () => stream.post(stream.meter?.hold ? "release" : "hold"),
  r: () => stream.post("reset"),
};
$("hold").onclick = actions.h;
$("reset").onclick = actions.r;
addEventListener("keydown", (event) => {
  if ($("login").open || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  actions[event.key]?.();
});
addEventListener("resize", drawPast);

$("login").addEventListener("cancel", (event) => event.preventDefault());
$("login-form").onsubmit = async (event) => {
  event.preventDefault();
  const known = await stream.login($("token").value);
  $("login-error").hidden = known;
  if (!known) return;
  $("token").value = "";
  $("login").close();
  stream.link = "connecting";
  stream.open();
};
