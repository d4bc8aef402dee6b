// Bars, strip and level, for the page and for the overlay.

import { words } from "./language.js";

const FLOOR_DB = -60;

export const percent = (share) => `${Math.round(share * 100)} %`;

// One row per label. With `most`, the best of them, the best first.
export function drawBars(place, stream, most) {
  const readout = stream.link === "open" ? stream.readout : null;
  const labels = stream.hello?.labels ?? [];
  const score = (label) => readout?.scores[label] ?? 0;
  let shown = labels;
  if (labels.length > most) shown = [...labels].sort((a, b) => score(b) - score(a)).slice(0, most);
  while (place.children.length > shown.length) place.lastChild.remove();
  while (place.children.length < shown.length) place.append(newBar());
  shown.forEach((label, index) => {
    const bar = place.children[index];
    const [name, rail, share] = bar.children;
    name.textContent = label;
    rail.firstChild.style.background = stream.colour(label);
    rail.firstChild.style.transform = `translateX(${(100 * score(label) - 101).toFixed(1)}%)`;
    share.textContent = percent(score(label));
    bar.classList.toggle("shown", readout?.genre === label);
  });
}

function newBar() {
  const bar = document.createElement("div");
  bar.className = "bar";
  const part = (tag, name) => {
    const element = document.createElement(tag);
    element.className = name;
    bar.append(element);
    return element;
  };
  part("span", "name");
  part("span", "rail").append(document.createElement("i"));
  part("span", "share");
  return bar;
}

// How much of the past there is to show, in whole minutes up to `most`.
export function minutesOf(stream, most) {
  const since = stream.stretches.length ? (stream.now() - stream.stretches[0].from) / 60000 : 0;
  return Math.min(most, Math.max(1, Math.ceil(since)));
}

// The last `seconds`, the newest at the right.
export function drawStrip(canvas, stream, seconds) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return;
  const density = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = "rgb(140 150 170 / 0.1)";
  pen.fillRect(0, 0, width, height);
  const now = stream.now();
  const at = (time) => width * (1 - (now - time) / (seconds * 1000));
  const size = Math.min(height * 0.42, 26);
  const style = getComputedStyle(canvas);
  // The overlay has no ground of its own.
  const own = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const inks = { dim: own("--dim", "#98a1b2"), ground: own("--ground", "#0a0c10"), alarm: own("--alarm", "#ff6b61") };
  pen.font = `650 ${size}px ${style.fontFamily}`;
  pen.textBaseline = "middle";
  const { stretches } = stream;
  stretches.forEach((stretch, index) => {
    const next = stretches[index + 1];
    // The newest goes on until something else is said.
    const until = next ? next.from : stream.link === "open" ? now : stretch.until;
    const left = Math.max(0, at(stretch.from));
    const right = Math.min(width, at(until));
    if (right <= 0 || right - left < 0.3) return;
    drawStretch(pen, stream, stretch, inks, left, right, height);
  });
}

function drawStretch(pen, stream, { state, genre, held }, inks, left, right, height) {
  const wide = right - left;
  let text = words.states[state];
  let ink = inks.dim;
  if (genre) {
    const share = held || state === "provisional" ? 0.55 : 1;
    const colour = mixed(stream.colour(genre), inks.ground, share);
    pen.fillStyle = `rgb(${colour})`;
    pen.fillRect(left, 0, wide + 0.5, height);
    text = genre;
    ink = isDark(colour) ? "#fff" : "#0a0c10";
  } else if (state === "unsure") {
    hatch(pen, left, wide, height);
  } else {
    const colours = { lost: inks.alarm, not_music: inks.dim };
    pen.fillStyle = colours[state] ?? "rgb(140 150 170 / 0.45)";
    pen.fillRect(left, height - 3, wide + 0.5, 3);
    if (state === "warming") return;
  }
  if (pen.measureText(text).width + 10 < wide) {
    pen.fillStyle = ink;
    pen.fillText(text, left + 6, height / 2 + 1);
  }
}

function hatch(pen, left, wide, height) {
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, wide, height);
  pen.clip();
  pen.strokeStyle = "rgb(140 150 170 / 0.22)";
  pen.lineWidth = 2;
  pen.beginPath();
  // On a grid of the page, so that it stands still.
  for (let x = Math.floor((left - height) / 8) * 8; x < left + wide; x += 8) {
    pen.moveTo(x, height);
    pen.lineTo(x + height, 0);
  }
  pen.stroke();
  pen.restore();
}

const parts = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

// `share` of a colour over another one, as red, green and blue.
function mixed(colour, ground, share) {
  const below = parts(ground);
  return parts(colour).map((part, at) => Math.round(share * part + (1 - share) * below[at]));
}

const isDark = ([r, g, b]) => 0.299 * r + 0.587 * g + 0.114 * b < 130;

export const meterShare = (db) => Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
export const fillClip = (share) => `inset(0 ${(100 - 100 * share).toFixed(1)}% 0 0)`;
