// The first language of the browser that there are words for, or the one that ?lang= asks for.
import { WORDS } from "./words.js";

const asked = new URLSearchParams(location.search).get("lang");
const codes = [asked ?? "", ...navigator.languages].map((code) => code.toLowerCase().split("-")[0]);

export const language = codes.find((code) => Object.hasOwn(WORDS, code)) ?? "en";
export const words = WORDS[language];

export const fill = (sentence, gaps) => sentence.replace(/\{(\w+)\}/g, (_, name) => gaps[name] ?? "");

export const number = (value, places) => value.toFixed(places).replace(".", words.decimal);

// What the page says before anything is heard: data-words names the text of an element, data-label
// what a screen reader says of it, data-key the key that does the same.
export function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = words[element.dataset.words];
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", words[element.dataset.label]);
  }
  for (const element of document.querySelectorAll("[data-key]")) {
    element.title = fill(words.key, { key: element.dataset.key });
  }
}
