// Draws the report's plots from the JSON in #data by vega-embed, and lets people choose what they show.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { curves, gap } = curvePlots;
  const { grid, parameters, residuals } = panelPlots;
  const drawn = new Map(); // container -> what vegaEmbed returned for it
  let calls = 0;
  async function draw(container, spec, runs = []) {
    const call = ++calls;
    container.dataset.call = call;
    const stage = parts.element("div", { className: "stage" });
    stage.style.cssText = "visibility: hidden; position: absolute; left: 0; right: 0";
    container.append(stage);
    const full = { config: parts.CONFIG, ...spec };
    const result = await vegaEmbed(stage, full, {
      actions: false,
      renderer: "svg",
      tooltip: tip.handler(runs),
      ast: true,
      mode: "vega-lite",
    });
    if (container.dataset.call !== String(call)) {
      result.finalize();
      stage.remove();
      return;
    }
    drawn.get(container)?.finalize();
    drawn.set(container, result);
    container.replaceChildren(stage);
    stage.style.cssText = "";
    result.view.addEventListener("click", tip.keep(runs));
  }

  async function section(group, index) {
    const root = document.getElementById(`group-${index}`),
      plot = (name) => root.querySelector(`[data-plot="${name}"]`);
    const state = {
      models: new Set(group.models.map((m) => m.model)),
      bands: true,
      others: true,
      xLog: true,
      yLog: true,
      metric: group.views[0].metric,
      axis: group.views[0].axis,
    };
    const redraw = async () => {
      tip.hide();
      const view = group.views.find((v) => v.metric === state.metric && v.axis === state.axis);
      const note = root.querySelector(".note");
      note.textContent =
        view === group.views[0]
          ? ""
          : `In ${view.metric_label} against ${view.axis_label}, the curves alone: ${view.sentence}`;
      await draw(plot("curves"), curves(group, view, state, false), group.runs);
      for (const [name, make, ready] of [
        ["gap", gap, view.gap],
        ["residuals", residuals, view.residuals.length > 0],
        ["parameters", parameters, group.runs.some((r) => r.fitted && r.num_params > 0)],
      ]) {
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
    const root = document.documentElement,
      dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme ?? (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  (async () => {
    for (const [index, group] of data.groups.entries()) await section(group, index);
    for (const [i, own] of data.knobs.entries()) await draw(document.querySelector(`[data-knob="${i}"]`), knobPlot(own));
    document.documentElement.dataset.ready = "true";
  })();
})();
