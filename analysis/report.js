// Draws the report's plots from the JSON in #data by vega-embed, and lets people choose what they show.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { CONFIG, curves, exact, gap, grid, knob, parameters, residuals, say, three } = plots;
  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // The tooltip stays while the pointer is on it, so that its link can be reached; a click on a point keeps it.
  const tip = element("div", { className: "tip", hidden: true });
  document.body.append(tip);
  let kept = false, leaving = 0;
  const hide = () => { tip.hidden = true; kept = false; };
  const show = (event, lines, url) => {
    clearTimeout(leaving);
    tip.replaceChildren(...lines.map((line, i) => element(i ? "div" : "strong", { textContent: line })));
    if (url) tip.append(element("a", { href: url, target: "_blank", rel: "noopener noreferrer", textContent: "its W&B page" }));
    tip.hidden = false;
    const left = Math.min(event.clientX + 12, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const below = event.clientY + 12 + tip.offsetHeight < window.innerHeight;
    tip.style.left = `${Math.max(4, left) + window.scrollX}px`;
    tip.style.top = `${event.clientY + window.scrollY + (below ? 12 : -12 - tip.offsetHeight)}px`;
  };
  tip.addEventListener("pointerenter", () => clearTimeout(leaving));
  tip.addEventListener("pointerleave", () => { if (!kept) hide(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("click", (event) => { if (kept && !tip.contains(event.target) && !event.target.closest("svg")) hide(); });
  const describe = (run) => {
    const lines = [run.model];
    if (run.train_size !== undefined) lines.push(`${exact.format(run.train_size)} training images`);
    const parts = [];
    if (run.seed !== undefined) parts.push(`seed ${run.seed}`);
    if (run.subset_seed !== undefined) parts.push(`subset ${run.subset_seed}`);
    if (run.lr !== undefined) parts.push(`learning rate ${run.lr}`);
    if (parts.length) lines.push(parts.join(", "));
    for (const key of ["test_error", "test_balanced_error", "val_error", "train_error", "test_loss"])
      if (run[key] !== undefined) lines.push(`${key.replaceAll("_", " ")} ${three.format(run[key])}`);
    if (run.num_params !== undefined) lines.push(`${say(run.num_params)} parameters`);
    if (run.train_seconds !== undefined) lines.push(`${say(run.train_seconds)} s` + (run.train_flops === undefined ? "" : `, ${say(run.train_flops)} FLOPs`));
    if (!run.fitted) lines.push("not fitted: another learning rate was chosen");
    if (run.name !== undefined) lines.push(run.name);
    return lines;
  };

  const drawn = new Map(); // container -> what vegaEmbed returned, or the number of the call that is on its way
  let calls = 0;
  async function draw(container, spec, runs = []) {
    const call = ++calls;
    container.dataset.call = call;
    const handler = (_, event, item, value) => {
      if (kept) return;
      if (!value) { leaving = setTimeout(hide, 250); return; }
      if (value.run !== undefined) show(event, describe(runs[value.run]), runs[value.run].url);
      else if (value.says) show(event, value.says);
    };
    const stage = element("div", { className: "stage" });
    stage.style.cssText = "visibility: hidden; position: absolute; left: 0; right: 0";
    container.append(stage);
    const full = { config: CONFIG, ...spec };
    const result = await vegaEmbed(stage, full, { actions: false, renderer: "svg", tooltip: handler, ast: true, mode: "vega-lite" });
    if (container.dataset.call !== String(call)) { result.finalize(); stage.remove(); return; }
    drawn.get(container)?.finalize();
    drawn.set(container, result);
    container.replaceChildren(stage);
    stage.style.cssText = "";
    result.view.addEventListener("click", (event, item) => {
      const value = item?.datum;
      kept = false;
      if (value?.run === undefined) { hide(); return; }
      show(event, describe(runs[value.run]), runs[value.run].url);
      kept = true;
    });
  }

  const swatch = (model) => {
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    icon.setAttribute("viewBox", "-7 -7 14 14");
    icon.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const paths = { circle: "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0", square: "M-4-4H4V4H-4Z", diamond: "M0-5.5 5 0 0 5.5-5 0Z", "triangle-up": "M0-5 5 4H-5Z", "triangle-down": "M0 5 5-4H-5Z", cross: "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z" };
    path.setAttribute("d", paths[model.shape]);
    path.setAttribute("fill", model.colour);
    icon.append(path);
    return icon;
  };
  const check = (text, checked, change, icon) => {
    const box = element("input", { type: "checkbox", checked });
    box.addEventListener("change", () => change(box.checked));
    return element("label", {}, box, ...(icon ? [icon] : []), text);
  };
  const choice = (name, options, chosen, change) => {
    const set = element("fieldset", { className: "choice" }, element("legend", { textContent: name }));
    const id = `c${++calls}`;
    for (const [value, text] of options) {
      const radio = element("input", { type: "radio", name: id, value, checked: value === chosen });
      radio.addEventListener("change", () => change(value));
      set.append(element("label", {}, radio, text));
    }
    return set;
  };

  function controls(section, group, state, redraw) {
    const bar = section.querySelector(".controls");
    const models = element("fieldset", { className: "models" }, element("legend", { textContent: "Show" }));
    for (const [family, label] of Object.entries(group.families)) {
      const own = group.models.filter((m) => m.family === family);
      const boxes = own.map((model) => check(model.model, true, (on) => {
        state.models[on ? "add" : "delete"](model.model);
        if (all) all.querySelector("input").checked = own.some((m) => state.models.has(m.model));
        redraw();
      }, swatch(model)));
      const all = check(`all ${label}s`, true, (on) => {
        own.forEach((m, i) => { state.models[on ? "add" : "delete"](m.model); boxes[i].querySelector("input").checked = on; });
        redraw();
      });
      all.dataset.family = family;
      models.append(all, ...boxes);
    }
    models.append(check("bands", true, (on) => { state.bands = on; redraw(); }));
    if (group.runs.some((run) => !run.fitted)) models.append(check("runs of other learning rates", state.others, (on) => { state.others = on; redraw(); }));
    bar.append(models);
    const unique = (key) => [...new Map(group.views.map((v) => [v[key], v])).values()];
    const short = { test_error: "error", test_balanced_error: "balanced error", test_loss: "loss", train_size: "data", train_flops: "FLOPs", train_seconds: "seconds", seen_examples: "examples seen" };
    for (const [key, title] of [["metric", "Up"], ["axis", "Across"]])
      if (unique(key).length > 1) bar.append(choice(title, unique(key).map((v) => [v[key], short[v[key]] ?? v[key]]), state[key], (value) => { state[key] = value; redraw(true); }));
    for (const [key, title] of [["xLog", "Across"], ["yLog", "Up"]])
      bar.append(choice(`${title}, scale`, [["log", "log"], ["linear", "linear"]], "log", (value) => { state[key] = value === "log"; redraw(); }));
  }

  async function section(group, index) {
    const root = document.getElementById(`group-${index}`), plot = (name) => root.querySelector(`[data-plot="${name}"]`);
    const state = { models: new Set(group.models.map((m) => m.model)), bands: true, others: true, xLog: true, yLog: true, metric: group.views[0].metric, axis: group.views[0].axis };
    const redraw = async () => {
      hide();
      const view = group.views.find((v) => v.metric === state.metric && v.axis === state.axis);
      const note = root.querySelector(".note");
      note.textContent = view === group.views[0] ? "" : `In ${view.metric_label} against ${view.axis_label}, the curves alone: ${view.sentence}`;
      await draw(plot("curves"), curves(group, view, state, false), group.runs);
      for (const [name, make, ready] of [["gap", gap, view.gap], ["residuals", residuals, view.residuals.length > 0], ["parameters", parameters, group.runs.some((r) => r.fitted && r.num_params > 0)]]) {
        const place = plot(name);
        if (!place) continue;
        place.closest("figure").classList.toggle("nothing", !ready);
        if (ready) await draw(place, make(group, view, state), group.runs);
      }
    };
    controls(root, group, state, redraw);
    await redraw();
    const places = root.querySelectorAll('[data-plot="grid"]');
    for (const [i, own] of group.grids.entries()) await draw(places[i], grid(group, own), group.runs);
    const card = document.querySelector(`[data-card="${index}"]`);
    if (card) await draw(card, curves(group, group.views[0], { ...state, others: false }, true), group.runs);
  }

  document.querySelector(".theme").addEventListener("click", () => {
    const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme ?? (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  (async () => {
    for (const [index, group] of data.groups.entries()) await section(group, index);
    for (const [i, own] of data.knobs.entries()) await draw(document.querySelector(`[data-knob="${i}"]`), knob(own));
    document.documentElement.dataset.ready = "true";
  })();
})();
