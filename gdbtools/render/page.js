"use strict";
// Each bar of an address map zooms by itself: buttons, the keys + - 0, Ctrl and the wheel, a double click on a band.
// To pan is to scroll: arrow keys, a swipe, the scroll bar.
(() => {
  const WIDEST = 8_000_000; // CSS pixels: beyond some 16 million browsers lose their place
  const hex = (value) => "0x" + value.toString(16).padStart(16, "0");
  const units = [["TB", 40n], ["GB", 30n], ["MB", 20n], ["KB", 10n]];
  const size = (bytes) => {
    const [unit, shift] = units.find(([, shift]) => bytes >> shift > 0n) ?? ["bytes", 0n];
    return `${Number(Number(bytes) / 2 ** Number(shift)).toPrecision(3).replace(/\.?0+$/, "")} ${unit}`;
  };
  for (const stretch of document.querySelectorAll(".stretch")) {
    const bar = stretch.querySelector(".bar");
    const bands = stretch.querySelector(".bands");
    if (bands.childElementCount < 2) continue; // nothing to see from nearer by
    bar.tabIndex = 0;
    const [from, to] = stretch.querySelector(".ends").children;
    const said = stretch.querySelector(".size");
    const first = BigInt(stretch.dataset.first);
    const total = BigInt(stretch.dataset.size);
    let zoom = 1;

    const tools = document.createElement("span");
    tools.className = "tools";
    const label = document.createElement("span");
    label.setAttribute("aria-live", "polite");
    said.replaceChildren(label, tools);

    const at = (pixel) => first + (total * BigInt(Math.round(2 ** 40 * pixel / bands.clientWidth)) >> 40n);
    const show = () => {
      const begin = at(bar.scrollLeft);
      const end = at(Math.min(bar.scrollLeft + bar.clientWidth, bands.clientWidth));
      from.textContent = hex(begin);
      to.textContent = hex(end - 1n);
      label.textContent = zoom > 1 ? `${size(end - begin)} of ${size(total)}` : size(total);
    };
    // A scroll event comes a frame later: what is said would until then be of another place.
    const panTo = (pixel) => { bar.scrollLeft = pixel; show(); };
    // Keeps what is under `pixel` of the bar where it is.
    const zoomTo = (wanted, pixel = bar.clientWidth / 2) => {
      const place = (bar.scrollLeft + pixel) / bands.clientWidth;
      zoom = Math.max(1, Math.min(wanted, WIDEST / bar.clientWidth));
      bands.style.setProperty("--zoom", zoom);
      panTo(place * bands.clientWidth - pixel);
    };
    const keys = {
      "+": () => zoomTo(zoom * 2), "=": () => zoomTo(zoom * 2), "-": () => zoomTo(zoom / 2), "0": () => zoomTo(1),
      Home: () => panTo(0), End: () => panTo(bands.clientWidth),
    };
    for (const [text, name, key] of [["−", "zoom out", "-"], ["+", "zoom in", "+"], ["1:1", "show all", "0"]]) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: text, title: `${name} (${key})`, onclick: keys[key] });
      button.setAttribute("aria-label", name);
      tools.append(button);
    }
    show();
    bar.addEventListener("scroll", show);
    bar.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
      event.preventDefault();
      keys[event.key]();
    });
    bar.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoomTo(zoom * 2 ** (-event.deltaY / 200), event.clientX - bar.getBoundingClientRect().left);
    }, { passive: false });
    bar.addEventListener("dblclick", (event) => {
      const band = event.target.closest(".band");
      if (!band) return;
      zoomTo(zoom * bar.clientWidth / 2 / Math.max(band.offsetWidth, 0.01));
      panTo(band.offsetLeft - (bar.clientWidth - band.offsetWidth) / 2);
    });
  }
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = "Zoom: + − 0 in a focused bar, Ctrl and the wheel, or a double click on a band. " +
    "Pan: the arrow keys, or scroll.";
  document.querySelector(".tools")?.closest(".map").querySelector(".stretch").before(hint);
})();
