// Comfort on top of pages that work without it: nothing here is needed to ask or to read.
"use strict";

const byId = (id) => document.getElementById(id);
const say = (text) => { const said = byId("said"); if (said) said.textContent = text; };

// The address of the bridge as this browser knows it, behind whatever proxy.
function nameTheBase() {
  const here = new URL(".", location.href).href.replace(/\/$/, "");
  for (const place of document.querySelectorAll("[data-base]")) {
    const told = place.textContent;
    if (told !== here) place.textContent = here;
  }
}

function offerCopying(root) {
  for (const button of root.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = byId(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        // Without TLS browsers refuse the clipboard: mark the text, so that Ctrl-C takes it.
        getSelection().selectAllChildren(code);
        button.textContent = "Marked";
        say("The text is marked; copy it with the keyboard.");
        return;
      }
      button.textContent = "Copied";
      say("Copied.");
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
}

// In "a|b", the values offered are those for what stands behind the last bar.
function offerAfterBar(root) {
  for (const input of root.querySelectorAll("input[data-values]")) {
    const own = Array.from(input.list ? input.list.options : [], (option) => [option, option.value, option.label]);
    input.addEventListener("input", () => {
      const before = input.value.slice(0, input.value.lastIndexOf("|") + 1);
      for (const [option, value, label] of own) {
        option.value = before + value;
        if (label && label !== value) option.label = label;
      }
    });
  }
}

// Empty fields and what is the default need not stand in the address.
function neatAddress(form) {
  const asked = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    const plain = (name === "to" && value === "now") || (name === "tz" && value === "UTC");
    if (value !== "" && !plain && !(name === "of" && form.elements.metric?.value === value)) asked.append(name, value);
  }
  return `${new URL(form.getAttribute("action"), location.href).href}?${asked}`;
}

function offerOwnZone() {
  const field = byId("tz");
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!field || !own) return;
  const option = document.createElement("option");
  option.value = own;
  field.list?.append(option);
}

// Explorer: ask as soon as something was chosen, and put only what changed into the page.
function explore() {
  const form = byId("question");
  if (!form) return;
  let asking = null;
  let asked = "";

  async function show(address) {
    // Enter in a changed field says so twice.
    if (asking && asked === address) return;
    asking?.abort();
    const own = asking = new AbortController();
    asked = address;
    const frame = document.querySelector(".explorer");
    frame.classList.add("busy");
    let page;
    try {
      const answer = await fetch(address, { signal: own.signal, headers: { Accept: "text/html" } });
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch (error) {
      if (error.name !== "AbortError") location.assign(address);
      return;
    }
    asking = null;
    frame.classList.remove("busy");
    const result = page.getElementById("result");
    if (!result) { location.assign(address); return; }
    history.pushState(null, "", result.dataset.address);
    document.title = page.title;
    take(page);
    say(byId("result").querySelector("[role=alert]")?.textContent.trim() || "The graph has been updated.");
  }

  // Fields keep what is being typed; the labels are exchanged when the metric was.
  function take(page) {
    const fresh = page.getElementById("question");
    byId("result").replaceWith(document.adoptNode(page.getElementById("result")));
    const same = fresh && fresh.elements.of.value === form.elements.of.value && !!fresh.elements.metric === !!form.elements.metric;
    if (!same) {
      const focused = document.activeElement?.id;
      form.replaceChildren(...document.adoptNode(fresh).childNodes);
      offerOwnZone();
      offerAfterBar(form);
      if (focused) byId(focused)?.focus();
    } else {
      for (const wrong of fresh.querySelectorAll(".wrong")) {
        const place = byId(wrong.id);
        if (!place) continue;
        place.textContent = wrong.textContent;
        const field = form.querySelector(`[aria-describedby="${CSS.escape(wrong.id)}"]`);
        if (wrong.textContent) field?.setAttribute("aria-invalid", "true");
        else field?.removeAttribute("aria-invalid");
      }
    }
    prepare(byId("result"));
  }

  function prepare(result) {
    offerCopying(result);
    hover(result, (from, to) => {
      form.elements.from.value = from;
      form.elements.to.value = to;
      show(neatAddress(form));
    });
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); show(neatAddress(form)); });
  form.addEventListener("change", () => show(neatAddress(form)));
  addEventListener("popstate", () => location.reload());
  prepare(byId("result"));
}

// Values under the pointer, or under the arrow keys; dragging narrows the range.
function hover(result, narrow) {
  const chart = result.querySelector(".chart");
  if (!chart) return;
  const { x, t, v } = JSON.parse(chart.dataset.points);
  const plot = chart.querySelector(".plot");
  const lines = chart.querySelector(".lines");
  const rows = Array.from(result.querySelectorAll("tr[data-series]"));
  const cursor = document.createElement("div");
  const tip = document.createElement("div");
  cursor.className = "cursor";
  tip.className = "tip";
  cursor.hidden = tip.hidden = true;
  plot.append(cursor, tip);
  chart.tabIndex = 0;
  chart.setAttribute("aria-roledescription", "graph, arrow keys read its values");
  let at = -1;

  function put(index) {
    at = index;
    cursor.hidden = tip.hidden = index < 0;
    if (index < 0) return;
    cursor.style.left = `${x[index]}%`;
    const head = document.createElement("b");
    head.textContent = t[index];
    const body = rows.map((row, series) => {
      const line = document.createElement("div");
      const name = document.createElement("span");
      name.className = "name";
      name.textContent = row.querySelector("th").textContent.trim();
      const value = document.createElement("span");
      value.textContent = v[series][index];
      line.append(row.querySelector(".swatch").cloneNode(true), name, value);
      return line;
    });
    tip.replaceChildren(head, ...body);
    const right = x[index] < 50;
    tip.style.left = right ? `calc(${x[index]}% + 12px)` : "auto";
    tip.style.right = right ? "auto" : `calc(${100 - x[index]}% + 12px)`;
  }

  function nearest(percent) {
    let low = 0, high = x.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((x[middle] + x[middle + 1]) / 2 < percent) low = middle + 1; else high = middle;
    }
    return low;
  }

  const percentOf = (event) => {
    const box = plot.getBoundingClientRect();
    return Math.min(100, Math.max(0, 100 * (event.clientX - box.left) / box.width));
  };
  const band = document.createElement("div");
  band.className = "band";
  band.hidden = true;
  plot.append(band);
  let held = null;
  const bandTo = (percent) => {
    const [left, right] = [Math.min(held, percent), Math.max(held, percent)];
    band.hidden = right - left < 1;
    band.style.left = `${left}%`;
    band.style.width = `${right - left}%`;
    return [left, right];
  };
  plot.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return;
    event.preventDefault();
    chart.focus({ preventScroll: true });
    plot.setPointerCapture(event.pointerId);
    held = percentOf(event);
  });
  plot.addEventListener("pointermove", (event) => {
    put(nearest(percentOf(event)));
    if (held !== null) bandTo(percentOf(event));
  });
  plot.addEventListener("pointerup", (event) => {
    if (held === null) return;
    const [from, to] = bandTo(percentOf(event)).map(nearest);
    held = null;
    if (!band.hidden && from < to) narrow(t[from], t[to]);
    band.hidden = true;
  });
  plot.addEventListener("pointercancel", () => { held = null; band.hidden = true; });
  plot.addEventListener("pointerleave", () => put(-1));
  chart.addEventListener("blur", () => put(-1));
  chart.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -x.length, End: x.length };
    if (event.key === "Escape") { put(-1); return; }
    if (!(event.key in moves)) return;
    event.preventDefault();
    const from = at < 0 ? (moves[event.key] < 0 ? x.length : -1) : at;
    put(Math.min(x.length - 1, Math.max(0, from + moves[event.key])));
    say(`${t[at]}: ${rows.map((row, series) => `${row.querySelector("th").textContent.trim()} ${v[series][at]}`).join(", ")}`);
  });

  for (const row of rows) {
    const own = lines.querySelector(`g[data-series="${row.dataset.series}"]`);
    const light = (on) => {
      lines.classList.toggle("focused", on);
      own.classList.toggle("lit", on);
    };
    row.addEventListener("pointerenter", () => light(true));
    row.addEventListener("pointerleave", () => light(false));
    row.addEventListener("focusin", () => light(true));
    row.addEventListener("focusout", () => light(false));
  }
}

// The overview keeps itself fresh while somebody looks at it.
function keepFresh() {
  const overview = byId("overview");
  if (!overview) return;
  setInterval(async () => {
    if (document.hidden || overview.contains(document.activeElement)) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("overview");
      if (answer.ok && fresh) overview.replaceChildren(...document.adoptNode(fresh).childNodes);
    } catch {
      // The bridge is away for a moment; what is shown carries its age.
    }
  }, 1000 * Number(overview.dataset.refresh));
}

nameTheBase();
offerOwnZone();
offerAfterBar(document);
offerCopying(document);
explore();
keepFresh();
