// For broadcasting programs: what is asked for in the address, on nothing.
//   show   genre,confidence,state,words,bars,strip,level,source
//   align  left, center, right        size   height of the genre in pixels
//   top    how many bars              minutes  length of the strip
//   plate  darkness behind it, 0 to 1  idle  hide (default) or show while no genre is named
//   colour of the genre, such as ffffff, instead of its own
//   lang   en, de or es, instead of the browser's
import { Stream } from "./stream.js";
import { language, translate, words } from "./language.js";
import { drawBars, drawStrip, fillClip, meterShare, minutesOf, percent } from "./drawing.js";

translate();

const FIELDS = ["genre", "confidence", "state", "words", "bars", "strip", "level", "source"];
const asked = new URLSearchParams(location.search);
const body = document.body;
const $ = (id) => document.getElementById(id);

function number(name, fallback, least, most) {
  const value = parseFloat(asked.get(name));
  return Number.isFinite(value) ? Math.min(most, Math.max(least, value)) : fallback;
}

const wanted = (asked.get("show") ?? "genre,confidence").split(",").map((field) => field.trim());
for (const field of FIELDS) body.classList.toggle(`show-${field}`, wanted.includes(field));
body.dataset.align = ["left", "center", "right"].includes(asked.get("align")) ? asked.get("align") : "left";
body.style.setProperty("--size", `${number("size", 72, 8, 1000)}px`);
body.style.setProperty("--plate", number("plate", 0, 0, 1));
const top = number("top", 5, 1, 64);
const minutes = number("minutes", 3, 1, 15);
const hides = asked.get("idle") !== "show";
const fixed = /^[0-9a-f]{6}$/i.test(asked.get("colour") ?? "") ? `#${asked.get("colour")}` : null;

const stream = new Stream((what) => {
  if (what === "meter") $("fill").style.clipPath = fillClip(meterShare(stream.meter.level_dbfs));
  else draw();
});

function draw() {
  const open = stream.link === "open";
  const readout = open ? stream.readout : null;
  const genre = readout?.genre ?? null;
  Object.assign(body.dataset, {
    link: stream.link,
    state: open ? readout?.state ?? "warming" : "gone",
    genre: genre ?? "",
    seq: readout?.seq ?? "",
    held: readout?.held ? "yes" : "no",
    // A picture that goes out over the air says nothing rather than something old.
    quiet: !genre && (hides || !open) ? "yes" : "no",
  });
  if (genre) {
    set($("genre"), genre);
    body.style.setProperty("--genre", fixed ?? stream.colour(genre));
  } else if (!hides) {
    set($("genre"), open && readout ? words.states[readout.state] : "");
    body.style.setProperty("--genre", fixed ?? "#c8cdd8");
  }
  if (genre || !hides) {
    set($("confidence"), genre ? percent(readout.confidence) : "");
    set($("state"), open && readout ? words.states[readout.state] : "");
    set($("words"), open ? stream.view?.words[language] ?? "" : "");
  }
  set($("source"), stream.hello?.source ?? "");
  if (wanted.includes("bars")) drawBars($("bars"), stream, top);
  if (wanted.includes("strip")) drawStrip($("strip"), stream, 60 * minutesOf(stream, minutes));
}

function set(element, text) { if (element.textContent !== text) element.textContent = text; }
