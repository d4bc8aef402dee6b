// Before anything is drawn: a dark page, or what ?theme= asks for, a light one or that of the system.
const asked = new URLSearchParams(location.search).get("theme");
const bright = matchMedia("(prefers-color-scheme: light)");

function chooseTheme() {
  const light = asked === "light" || (asked === "auto" && bright.matches);
  document.documentElement.dataset.theme = light ? "light" : "dark";
}

bright.addEventListener("change", chooseTheme);
chooseTheme();
