// What the page draws, as Vega-Lite specifications: functions of the report's data and of what is chosen on the page.
// Colours are CSS variables, so that themes and print are the style sheet's business alone.
"use strict";
const plots = (() => {
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
  const NAMES = { train_size: "images", train_flops: "FLOPs", train_seconds: "seconds", seen_examples: "examples seen" };
  const CONFIG = {
    background: "transparent", font: FONT, view: { stroke: null }, autosize: { type: "fit", contains: "padding" },
    axis: { labelColor: "var(--soft)", titleColor: "var(--ink)", gridColor: "var(--line)", domainColor: "var(--soft)",
      tickColor: "var(--soft)", titleFontWeight: "normal", titleFontSize: 13, labelFontSize: 12 },
    legend: { symbolOpacity: 1, labelColor: "var(--ink)", titleColor: "var(--soft)", orient: "bottom", labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: "normal", columns: { signal: "max(1, floor(width / 90))" } },
  };
  const SHADES = 8;
  const narrow = () => window.innerWidth < 620;
  const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
  const say = (v) => (Math.abs(v) >= 1e9 || (v !== 0 && Math.abs(v) < 1e-3) ? v.toExponential(2) : Math.abs(v) >= 1000 ? exact.format(v) : three.format(v));

  const ticks = (low, high) => {
    const found = [];
    const steps = Math.log10(high / low) > 3.2 ? [1] : Math.log10(high / low) > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const step of steps) {
        const value = Number((step * 10 ** power).toPrecision(3));
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    return found;
  };
  const quantity = (field, title, domain, log, format) => ({
    field, type: "quantitative", title,
    scale: { type: log ? "log" : "linear", domain, nice: false, ...(log ? {} : { zero: false }) },
    axis: { labelExpr: `format(datum.value, '${format}')`, labelOverlap: true, ...(log ? { values: ticks(...domain) } : { tickCount: 6 }) },
  });
  const plain = (field) => ({ field, type: "nominal", scale: null });
  const reachOf = (view, log) => {
    const [low, high] = view.reach;
    return log ? [low / 1.15, view.range ? high : high * 1.15] : [0, view.range ? 2 * view.range[1] : high * 1.05];
  };
  const marks = (view, domain, x) => {
    if (!view.range) return [];
    const [low, high] = domain, last = view.range[1];
    const clip = (v) => Math.min(Math.max(v, low), high);
    const layers = [
      { data: { values: [{ x: last, x2: high }] }, mark: { type: "rect", color: "var(--soft)", opacity: 0.07 }, encoding: { x, x2: { field: "x2" } } },
      { data: { values: [{ x: last }] }, mark: { type: "rule", color: "var(--soft)", strokeDash: [2, 3] }, encoding: { x } },
    ];
    for (const [text, align, dx] of [["measured", "right", -5], ["extrapolated", "left", 5]])
      layers.push({ data: { values: [{ x: last, text }] }, mark: { type: "text", align, dx, baseline: "bottom", color: "var(--soft)", fontSize: 11 },
        encoding: { x, y: { value: -4 }, text: { field: "text" } } });
    for (const [size, from, to] of view.crossings) {
      const says = ["crossing", `near ${say(size)} ${NAMES[view.axis] ?? view.axis}`, from === null ? "no lower end" : `from ${say(from)}`, to === null ? "no upper end" : `to ${say(to)}`];
      layers.push({ data: { values: [{ x: clip(from ?? low), x2: clip(to ?? high), says }] }, mark: { type: "rect", color: "var(--soft)", opacity: 0.25, tooltip: { content: "data" }, description: "interval of the crossing" }, encoding: { x, x2: { field: "x2" } } });
      if (size >= low && size <= high) layers.push({ data: { values: [{ x: size, says }] }, mark: { type: "rule", color: "var(--soft)", strokeWidth: 2, tooltip: { content: "data" } }, encoding: { x } });
    }
    return layers;
  };

  function curves(group, view, state, compact) {
    const on = group.models.filter((m) => state.models.has(m.model));
    const byName = new Map(on.map((m) => [m.model, m]));
    const points = [], rest = [];
    group.runs.forEach((run, i) => {
      const model = byName.get(run.model), x = run[view.axis], y = run[view.metric];
      if (model && x > 0 && y !== undefined && (run.fitted || state.others)) (run.fitted ? points : rest).push({ x, y, run: i, colour: model.colour, shape: model.shape });
    });
    const positive = [...points, ...rest].map((p) => p.y).filter((y) => y > 0);
    const floor = positive.length ? Math.min(...positive) : 1e-4;
    for (const point of [...points, ...rest]) if (state.yLog && point.y <= 0) point.y = floor / 2; // no error at all: below the rest
    const inside = [], beyond = [], bands = [];
    const xDomain = reachOf(view, state.xLog);
    for (const line of view.lines) {
      const model = byName.get(line.model);
      if (!model) continue;
      line.x.forEach((x, i) => {
        const row = { x, y: line.y[i], low: line.low[i], high: line.high[i], colour: model.colour, model: line.model };
        if (x <= line.last * 1.0001) inside.push(row);
        if (x >= line.last * 0.999) beyond.push(row);
        bands.push(row);
      });
    }
    const seen = [...points, ...rest].map((p) => p.y).concat(bands.filter((b) => b.x <= xDomain[1]).map((b) => b.y));
    const top = Math.max(...seen, 1e-6), least = Math.max(Math.min(...seen.filter((v) => v > 0), top), floor / 6);
    const yDomain = state.yLog ? [least / 1.25, Math.min(top * 1.2, view.kind === "error" ? Math.max(1, top) : Infinity)] : [0, top * 1.05];
    const x = quantity("x", compact ? null : view.axis_label, xDomain, state.xLog, "~s"), y = quantity("y", compact ? null : view.metric_label, yDomain, state.yLog, ".3~r");
    const colour = plain("colour"), line = { type: "line", clip: true }, size = compact ? 18 : 55;
    const layers = marks(view, xDomain, x);
    if (state.bands) layers.push({ data: { values: bands }, mark: { type: "area", clip: true, opacity: 0.16 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: colour, detail: { field: "model" } } });
    layers.push({ data: { values: inside }, mark: { ...line, strokeWidth: 2 }, encoding: { x, y, color: colour, detail: { field: "model" } } });
    layers.push({ data: { values: beyond }, mark: { ...line, strokeWidth: 1.5, strokeDash: [6, 4] }, encoding: { x, y, color: colour, detail: { field: "model" } } });
    if (!compact) layers.push({ data: { values: rest }, mark: { type: "point", clip: true, size: 28, opacity: 0.65, tooltip: { content: "data" } }, encoding: { x, y, color: colour, shape: plain("shape") } });
    layers.push({ data: { values: points }, mark: { type: "point", clip: true, filled: true, size, opacity: 0.85, tooltip: { content: "data" } }, encoding: { x, y, color: colour, shape: plain("shape") } });
    return { width: "container", height: compact ? 170 : narrow() ? 300 : 400, description: `${view.metric_label} against ${view.axis_label}`, layer: layers };
  }

  function gap(group, view, state) {
    const xDomain = reachOf(view, state.xLog), rows = view.gap.x.map((x, i) => ({ x, y: view.gap.y[i], low: view.gap.low[i], high: view.gap.high[i] }));
    const near = rows.filter((r) => r.x <= xDomain[1]);
    const low = Math.min(...near.map((r) => Math.max(r.low, r.y / 3)), 0.95), high = Math.max(...near.map((r) => Math.min(r.high, r.y * 3)), 1.05);
    const domain = state.yLog ? [low / 1.05, high * 1.05] : [0, high * 1.05];
    const x = quantity("x", view.axis_label, xDomain, state.xLog, "~s"), y = quantity("y", `ViT ${view.kind} / CNN ${view.kind}`, domain, state.yLog, ".3~r");
    const last = view.range[1], color = { value: "var(--gap)" };
    const tips = rows.map((r) => ({ ...r, says: [`ViT / CNN ${view.kind}: ${three.format(r.y)}`, `at ${say(r.x)} ${NAMES[view.axis] ?? view.axis}`, `from ${three.format(r.low)} to ${three.format(r.high)}`] }));
    return { width: "container", height: narrow() ? 220 : 250, description: "ratio of the families' errors", layer: [
      ...marks(view, xDomain, x),
      { data: { values: rows }, mark: { type: "area", clip: true, opacity: 0.18 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color } },
      { data: { values: [{ y: 1 }] }, mark: { type: "rule", color: "var(--ink)" }, encoding: { y } },
      { data: { values: rows.filter((r) => r.x <= last * 1.001) }, mark: { type: "line", clip: true, strokeWidth: 2 }, encoding: { x, y, color } },
      { data: { values: rows.filter((r) => r.x >= last * 0.95) }, mark: { type: "line", clip: true, strokeDash: [6, 4] }, encoding: { x, y, color } },
      { data: { values: tips }, mark: { type: "point", clip: true, filled: true, size: 160, opacity: 0, tooltip: { content: "data" } }, encoding: { x, y } },
    ] };
  }

  function residuals(group, view, state) {
    const looks = new Map(group.models.map((m) => [m.model, m]));
    const shown = [...new Set(view.residuals.map((r) => r.model))];
    const rows = view.residuals.filter((r) => state.models.has(r.model)).map((r) => ({ ...r, ...looks.get(r.model),
      x: r.x * Math.exp(0.05 * (shown.indexOf(r.model) - (shown.length - 1) / 2)),
      says: [r.model, `at ${say(r.x)} ${NAMES[view.axis] ?? view.axis}, ${r.runs} run${r.runs === 1 ? "" : "s"}`, `measured / fitted ${three.format(r.ratio)} (${three.format(r.ratio_low)} to ${three.format(r.ratio_high)})`] }));
    const sizes = view.residuals.map((r) => r.x);
    const x = quantity("x", view.axis_label, [Math.min(...sizes) / 1.3, Math.max(...sizes) * 1.3], true, "~s");
    const ends = view.residuals.flatMap((r) => [r.ratio_low, r.ratio_high]).concat(1);
    const y = quantity("ratio", "measured / fitted", [Math.min(...ends) - 0.01, Math.max(...ends) + 0.01], false, ".3~r");
    return { width: "container", height: 220, description: "residuals", layer: [
      { data: { values: [{ ratio: 1 }] }, mark: { type: "rule", color: "var(--ink)" }, encoding: { y } },
      { data: { values: rows }, mark: { type: "rule", strokeWidth: 1.5 }, encoding: { x, y: { ...y, field: "ratio_low" }, y2: { field: "ratio_high" }, color: plain("colour") } },
      { data: { values: rows }, mark: { type: "point", filled: true, size: 50, opacity: 1, tooltip: { content: "data" } }, encoding: { x, y, color: plain("colour"), shape: plain("shape") } },
    ] };
  }

  const bySize = (sizes) => ({ field: "size", type: "ordinal", title: "n", sort: null,
    scale: { domain: sizes.map((s) => exact.format(s)), range: sizes.map((_, i) => `var(--s${sizes.length < 2 ? 0 : Math.round((i * (SHADES - 1)) / (sizes.length - 1))})`) } });

  function grid(group, own) {
    const sizes = own.sizes.map((s) => s.size), all = own.sizes.flatMap((s) => s.lr), values = own.sizes.flatMap((s) => s.val);
    const lines = own.sizes.flatMap((s) => s.lr.map((lr, i) => ({ lr, val: s.val[i], size: exact.format(s.size), chosen: lr === s.chosen,
      says: [own.model, `${exact.format(s.size)} training images`, `learning rate ${lr}${lr === s.chosen ? ", chosen" : ""}`, `validation error ${three.format(s.val[i])}`] })));
    const runs = [];
    group.runs.forEach((run, i) => { if (run.model === own.model && sizes.includes(run.train_size) && run.val_error !== undefined) runs.push({ lr: run.lr, val: run.val_error, size: exact.format(run.train_size), run: i }); });
    const least = Math.min(...values.filter((v) => v > 0), ...runs.map((r) => r.val).filter((v) => v > 0));
    const x = { ...quantity("lr", "learning rate", [Math.min(...all) / 1.3, Math.max(...all) * 1.3], true, ".3~g") };
    Object.assign(x.axis, { values: [...new Set(all)].sort((a, b) => a - b), labelAngle: -35, labelOverlap: false });
    const y = quantity("val", "validation error", [least / 1.2, Math.max(...values, ...runs.map((r) => r.val)) * 1.15], true, ".3~r");
    const color = bySize(sizes);
    return { width: "container", height: 230, title: { text: own.model, color: "var(--ink)", fontSize: 13, fontWeight: "normal" }, description: `learning rates of ${own.model}`, layer: [
      { data: { values: runs }, mark: { type: "point", filled: true, size: 16, opacity: 0.7, tooltip: { content: "data" } }, encoding: { x, y, color } },
      { data: { values: lines }, mark: { type: "line", strokeWidth: 1.5 }, encoding: { x, y, color } },
      { data: { values: lines }, mark: { type: "point", filled: true, size: 36, opacity: 1, tooltip: { content: "data" } }, encoding: { x, y, color } },
      { data: { values: lines.filter((l) => l.chosen) }, mark: { type: "point", size: 190, strokeWidth: 2, opacity: 1 }, encoding: { x, y, color } },
    ] };
  }

  function parameters(group, view, state) {
    const looks = new Map(group.models.map((m) => [m.model, m])), rows = [], means = new Map();
    group.runs.forEach((run, i) => {
      const size = run[group.size_axis];
      if (!run.fitted || run.num_params === undefined || !(run[view.metric] > 0) || !state.models.has(run.model)) return;
      rows.push({ x: run.num_params, y: run[view.metric], size: exact.format(size), n: size, run: i, shape: looks.get(run.model).shape });
      const key = `${looks.get(run.model).family} ${size} ${run.num_params}`;
      means.set(key, [...(means.get(key) ?? []), rows.at(-1).y]);
    });
    const sizes = [...new Set(rows.map((r) => r.n))].sort((a, b) => a - b);
    const lines = [...means].map(([key, values]) => { const [family, n, x] = key.split(" "); return { family, size: exact.format(Number(n)), x: Number(x), y: values.reduce((a, b) => a + b) / values.length }; });
    const xs = rows.map((r) => r.x), ys = rows.map((r) => r.y);
    const x = quantity("x", "parameters", [Math.min(...xs, 1e9) / 1.6, Math.max(...xs, 1) * 1.6], true, "~s");
    const y = quantity("y", view.metric_label, [Math.min(...ys, 1) / 1.2, Math.max(...ys, 1e-6) * 1.2], true, ".3~r"), color = bySize(sizes);
    return { width: "container", height: narrow() ? 260 : 300, description: "error against parameters", layer: [
      { data: { values: lines }, mark: { type: "line", strokeWidth: 1.5 }, encoding: { x, y, color, detail: { field: "family" } } },
      { data: { values: rows }, mark: { type: "point", filled: true, size: 50, opacity: 0.9, tooltip: { content: "data" } }, encoding: { x, y, color, shape: plain("shape") } },
    ] };
  }

  function knob(own) {
    const values = own.rows.filter((r) => r.fit_high !== null), rests = [...new Set(own.rows.map((r) => r.rest))];
    const ends = values.flatMap((r) => [r.fit_low, 10 * r.fit_high]);
    const y = quantity("y", `crossover size (${own.axis_label})`, [Math.min(...ends) / 1.5, Math.max(...ends) * 1.5], true, "~s");
    const x = { field: "value", type: "ordinal", title: own.label, scale: { domain: own.order }, axis: { labelAngle: own.order.join("").length > 60 ? -35 : 0 } };
    const shift = rests.length > 1 ? { xOffset: { field: "rest" } } : {};
    const words = { cnn_ahead: "CNN ahead", vit_ahead: "ViT ahead", not_identifiable: "?" };
    const crossed = values.filter((r) => r.crossover_size !== null).map((r) => ({ ...r, y: r.crossover_size, low: r.interval_low ?? r.fit_low, high: r.interval_high ?? 10 * r.fit_high,
      says: [`${own.label} ${r.value}`, `crossing near ${say(r.crossover_size)}`, `from ${r.interval_low === null ? "no lower end" : say(r.interval_low)} to ${r.interval_high === null ? "no upper end" : say(r.interval_high)}`, r.rest] }));
    const open = crossed.flatMap((r) => [r.interval_low === null ? { ...r, y: r.low, shape: "triangle-down" } : null, r.interval_high === null ? { ...r, y: r.high, shape: "triangle-up" } : null]).filter(Boolean);
    const none = values.filter((r) => r.crossover_size === null).map((r) => ({ ...r, text: words[r.verdict] ?? r.verdict,
      shape: r.verdict === "vit_ahead" ? "triangle-down" : "triangle-up", y: r.verdict === "cnn_ahead" ? 10 * r.fit_high : r.verdict === "vit_ahead" ? r.fit_low : Math.sqrt(10 * r.fit_low * r.fit_high) }));
    const color = rests.length > 1 ? { color: { field: "rest", type: "nominal", title: null, scale: { range: ["var(--cnn-2)", "var(--cnn-3)", "var(--vit-2)", "var(--vit-3)"] } } } : { color: { value: "var(--ink)" } };
    return { width: "container", height: 260, description: `crossover size against ${own.label}`, layer: [
      { data: { values: values.map((r) => ({ ...r, y: r.fit_low, y2: r.fit_high })) }, mark: { type: "rule", strokeWidth: 9, color: "var(--soft)", opacity: 0.25 }, encoding: { x, y, y2: { field: "y2" }, ...shift } },
      { data: { values: values.map((r) => ({ ...r, y: r.fit_high, y2: 10 * r.fit_high })) }, mark: { type: "rule", strokeWidth: 9, color: "var(--soft)", opacity: 0.1 }, encoding: { x, y, y2: { field: "y2" }, ...shift } },
      { data: { values: crossed }, mark: { type: "rule", strokeWidth: 2 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, ...color, ...shift } },
      { data: { values: open }, mark: { type: "point", filled: true, size: 50, opacity: 1 }, encoding: { x, y, shape: plain("shape"), ...color, ...shift } },
      { data: { values: crossed }, mark: { type: "point", filled: true, size: 80, opacity: 1, tooltip: { content: "data" } }, encoding: { x, y, ...color, ...shift } },
      { data: { values: none.filter((r) => r.text !== "?") }, mark: { type: "point", size: 60, opacity: 1 }, encoding: { x, y, shape: plain("shape"), ...color, ...shift } },
      { data: { values: none }, mark: { type: "text", dx: 9, align: "left", color: "var(--soft)", fontSize: 11 }, encoding: { x, y, text: { field: "text" }, ...shift } },
    ] };
  }

  return { CONFIG, curves, exact, gap, grid, knob, parameters, residuals, say, three };
})();
